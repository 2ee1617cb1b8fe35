"""The feature cache: the output of the frozen prefix for every image, computed once and kept."""
