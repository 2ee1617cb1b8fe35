"""Graftline: everything except the components of the DAG, in layers; see docs/explanation/architecture.md."""

from graftline.base import deferred as deferred  # must come before anything imports TFX
from graftline.base import home

__version__ = "0.1.0"

home.ensure()  # before any library looks for a home folder
