"""The block store: embeddings in Zarr, frames and catalogue in Parquet, one commit per block."""
