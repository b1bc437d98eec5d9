"""Measures of a subset: distances between its frames, and how well it covers the corpus."""
