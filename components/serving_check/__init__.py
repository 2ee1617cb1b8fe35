"""ServingCheck: whether the exported model can be served."""
