"""What the frozen prefix makes of every picture, computed once and kept."""
