"""The application around ce_jax: configs, data, runs, figures and reports. `python -m experiments` is its door."""
