"""The output folder: everything in it is written and read here."""
