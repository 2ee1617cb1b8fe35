"""What the frozen prefix makes of every image, computed once and kept."""
