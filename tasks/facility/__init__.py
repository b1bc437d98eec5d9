"""Facility location: the rows to which all others are nearest on average."""
