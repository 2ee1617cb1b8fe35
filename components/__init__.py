"""The components of the pipeline, a folder each, named as in the DAG."""
