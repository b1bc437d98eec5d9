"""What one worker does at a time, one module a stage. Jobs and results are small; data stays put.

Workers import these modules and what they need, but neither Prefect nor Dask's client side.
"""
