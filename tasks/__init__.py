"""The stages of a curation run, and below them the engine-free work they wire together.

Modules at this level may import Prefect and Dask. The packages below import neither, and never
import this level's stages: `jobs` is what workers run, made from `video`, `store`, `embedding`,
`selection`, `training`, `metrics` and `reporting`. ``tests/test_layers.py`` keeps it so.
"""

import os

# Training on a GPU gives the same bytes only if cuBLAS is told so before it is first used.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
