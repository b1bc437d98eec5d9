"""What people know of frames: read from files, joined by frame, kept in the store."""
