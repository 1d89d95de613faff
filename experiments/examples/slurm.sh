#!/bin/bash
# One run on the GPUs of several nodes: sbatch slurm.sh CONFIG OUT
# Submitted again after a kill or a time limit, it goes on from what is stored.
#SBATCH --job-name=ce-jax
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --requeue
set -euo pipefail
config=${1:?"expected a config, such as configs/digits.toml"}
out=${2:-results}  # on a disk that all nodes share

# One process for each task; JAX reads from Slurm's variables where the first one listens and which each one is.
srun --kill-on-bad-exit=1 python -m experiments run "$config" --out "$out" --distributed auto
