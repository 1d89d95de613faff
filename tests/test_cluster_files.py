"""The files that `--distributed auto` is documented with: a Slurm script and a Kubernetes manifest."""

import shutil
import subprocess

import pytest

from experiments.config import load_config
from tests.small_run import ROOT

EXAMPLES = ROOT / "experiments/examples"


def test_the_slurm_script_is_bash_that_starts_a_task_for_each_process(tmp_path):
    script = EXAMPLES / "slurm.sh"
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    subprocess.run(["bash", "-n", script], check=True)
    # What srun would be given, told by a stand-in.
    (tmp_path / "srun").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "srun").chmod(0o755)
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    told = subprocess.run(
        ["bash", script, "configs/my digits.toml", "out"], env=path, capture_output=True, text=True, check=True
    )
    words = "--kill-on-bad-exit=1 python -m experiments run configs/my digits.toml --out out --distributed auto"
    assert told.stdout.strip() == words
    bare = subprocess.run(["bash", script], env=path, capture_output=True, text=True, check=False)
    assert bare.returncode != 0
    assert "expected a config" in bare.stderr
    options = [line.split() for line in script.read_text().splitlines() if line.startswith("#SBATCH")]
    assert {"--nodes=2", "--ntasks-per-node=4", "--gpus-per-task=1"} <= {option for _, option in options}


def test_the_kubernetes_manifest_is_an_indexed_job_that_may_ask_about_itself():
    yaml = pytest.importorskip("yaml")
    parts = {part["kind"]: part for part in yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text())}
    assert set(parts) == {"Service", "ServiceAccount", "Role", "RoleBinding", "Job"}
    job = parts["Job"]["spec"]
    assert job["completionMode"] == "Indexed"
    assert job["completions"] == job["parallelism"]
    pod = job["template"]["spec"]
    assert pod["subdomain"] == parts["Service"]["metadata"]["name"]
    assert parts["Service"]["spec"]["clusterIP"] == "None"
    assert parts["Service"]["spec"]["selector"] == {"job-name": parts["Job"]["metadata"]["name"]}
    assert pod["serviceAccountName"] == parts["RoleBinding"]["subjects"][0]["name"]
    assert parts["RoleBinding"]["roleRef"]["name"] == parts["Role"]["metadata"]["name"]
    rights = {(name, verb) for rule in parts["Role"]["rules"] for name in rule["resources"] for verb in rule["verbs"]}
    assert {("pods", "list"), ("jobs", "get")} <= rights
    (container,) = pod["containers"]
    python, *command = container["command"] + container["args"]
    assert (python, command[:3], command[-2:]) == ("python", ["-m", "experiments", "run"], ["--distributed", "auto"])
    assert load_config(ROOT / command[3])[1]
    (mount,) = container["volumeMounts"]
    assert command[command.index("--out") + 1] == mount["mountPath"]
