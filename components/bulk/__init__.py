"""Photos without labels, classified by a blessed model."""
