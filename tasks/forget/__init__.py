"""The forget stage: a content and all that a store holds of it, removed for good."""
