"""The DAG on Kubeflow Pipelines: compiled, run node by node in pods, submitted and scheduled."""
