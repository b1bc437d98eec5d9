"""Reading videos: which files, which frames, and their pixels."""
