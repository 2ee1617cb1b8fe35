"""Graftline: everything that is not a component of the DAG, floor by floor; see the README's repository layout."""

from graftline.base import deferred as deferred  # first of all: before anything imports TFX
from graftline.base import home

__version__ = "0.1.0"

home.ensure()  # before any library looks for it
