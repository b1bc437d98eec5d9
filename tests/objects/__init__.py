"""Objects: boxes read, matched, embedded, chosen by."""
