"""The kinds of datasets: a file for each answers everything that is asked of it."""
