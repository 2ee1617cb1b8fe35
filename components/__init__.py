"""The components of the pipeline, one module each, named as in the DAG."""
