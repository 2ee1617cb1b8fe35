"""The command line: a thin layer over the other packages, with one file per group of commands."""
