"""The export stage: decode the chosen frames again, and write them."""
