"""Runs of a DAG on this machine: how they are executed, recorded, shown and taken back."""
