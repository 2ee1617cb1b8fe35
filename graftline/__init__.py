"""Graftline: everything that is not a component of the DAG, floor by floor; see the README's repository layout."""

__version__ = "0.1.0"
