"""Files on this machine and in object stores, behind the same doors."""
