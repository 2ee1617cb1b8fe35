"""The baseline of a candidate: the model in production."""
