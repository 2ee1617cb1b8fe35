"""Every setting of a run: typed, checked, and described in one line."""
