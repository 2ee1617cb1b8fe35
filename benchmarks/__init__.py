"""Programs that measure Graftline against the tutorial's own code, in one run each."""
