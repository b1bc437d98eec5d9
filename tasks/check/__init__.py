"""The check stage: every block of a store against its commit."""
