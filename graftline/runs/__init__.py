"""Runs of a DAG on this machine: made, kept in the metadata store, shown, taken back."""
