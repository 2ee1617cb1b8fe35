"""The kinds of datasets: one module per kind, with everything that depends on the kind."""
