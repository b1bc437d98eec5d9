"""Frames that stay on a GPU: its decoder, and what is made of its frames there, bit for bit."""
