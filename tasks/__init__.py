"""The stages of a curation run, and below them the engine-free work they wire together.

Modules at this level may import Prefect and Dask. The packages below (`video`, `store`,
`embedding`, `selection`, `metrics`, `reporting`) import neither, and never import this level's
stages; ``tests/test_layers.py`` keeps it so.
"""
