"""The embed stage: decode and embed the frames that the store lacks."""
