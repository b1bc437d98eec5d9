"""The stages of a curation run, and the engine-free work that they wire together.

A folder for each stage: `task` is what Prefect runs, `job` what one Dask worker runs, the rest is
plain code. A folder for each noun: `video`, `store`, `storage`, `output`, `embedders`, `kcenter`,
`datasets`. ``tests/test_layers.py`` says which may import which.
"""

import os

if __name__ != "coreframe.tasks":
    raise ImportError("this folder is installed as coreframe.tasks: import that.")


# Training on a GPU gives the same bytes only if cuBLAS is told so before it is first used.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
