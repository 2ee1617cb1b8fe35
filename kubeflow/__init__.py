"""The DAG on Kubeflow Pipelines: compiles, submits and schedules it, and runs its nodes in pods."""
