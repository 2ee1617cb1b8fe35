"""Graftline: everything that is not a component of the DAG, floor by floor; see `docs/house.md`."""
