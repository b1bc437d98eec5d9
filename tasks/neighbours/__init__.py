"""The nearest neighbours of all frames of a corpus, exactly, and how typical they make each."""
