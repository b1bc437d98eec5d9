"""Loaded into Dask workers: each computes on the CPU, and says it does on the GPU it was given."""

import os
from typing import Any

import coreframe.tasks.device
import coreframe.tasks.embedders.embedder
import coreframe.tasks.kcenter.job

embedding: list[float] = []
selecting: list[float] = []
"""Shares of the GPU's memory that this process was to keep to."""


def pretended(device: str) -> str | None:
    return None if device == "cpu" else os.environ.get("CUDA_VISIBLE_DEVICES")


def embedded(_device: Any, share: float) -> None:
    embedding.append(share)


def selected(_device: Any, share: float) -> None:
    selecting.append(share)


coreframe.tasks.device.offer_gpu = pretended
coreframe.tasks.embedders.embedder.limit_gpu_memory = embedded
coreframe.tasks.kcenter.job.limit_gpu_memory = selected
