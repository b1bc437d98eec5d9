"""The objects stage: boxes are read, matched with frames, and what is in them embedded."""
