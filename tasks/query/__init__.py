"""Queries: what frames should look like, and how much each frame of a store does."""
