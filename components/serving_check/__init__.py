"""ServingCheck: checks whether the exported model can be served."""
