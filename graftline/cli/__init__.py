"""The command line: thin wrappers around the packages below, one file per group of commands."""
