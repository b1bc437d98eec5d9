"""Selections in the forms that other tools read. No Prefect, no Dask."""
