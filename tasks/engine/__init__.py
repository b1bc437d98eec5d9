"""Prefect stages and Dask jobs: how the work below is sent to workers and shown."""
