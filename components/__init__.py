"""The components of the pipeline, a folder each, named as in the DAG."""

import graftline  # noqa: F401  a worker of Beam's may import a component first, and libraries want a home folder
