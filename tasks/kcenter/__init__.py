"""Choosing frames: exact greedy k-center, baselines and budgets."""
