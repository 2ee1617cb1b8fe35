"""Graftline: everything that is not a component of the DAG, floor by floor; see the README's repository layout."""

from graftline.base import deferred as deferred  # first of all: before anything imports TFX
