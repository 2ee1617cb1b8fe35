"""The components of the pipeline, one folder each, named as in the DAG."""

import graftline  # noqa: F401  a Beam worker may import a component first, and libraries need a home folder
