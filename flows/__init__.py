"""Prefect flows, their parameters, the cluster they run on, and the command over them."""
