"""The select stage: choose frames from what the store holds."""
