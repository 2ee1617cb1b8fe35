"""Programs that measure Graftline, some of them against the tutorial's own code, in one run each."""
