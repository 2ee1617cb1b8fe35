"""Graftline: everything that is not a component of the DAG, floor by floor; see the README's repository layout."""

from graftline.base import home

home.ensure()  # before any library looks for it
