"""Prefect flows, their parameters, the cluster they run on, and the command over them."""

if __name__ != "coreframe.flows":
    raise ImportError("this folder is installed as coreframe.flows: import that.")
