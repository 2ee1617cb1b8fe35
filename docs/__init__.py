"""The documentation, and what draws it."""
