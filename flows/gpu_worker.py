"""Workers of this machine that share its GPUs.

dask-cuda's `LocalCUDACluster` starts one worker a GPU and refuses more, for it names workers by
their GPUs; here it is given other names. Where dask-cuda is not to be had (outside Linux), or finds
no NVML, Dask's own cluster takes its place. Its workers are given what is of use here: each sees
its GPU alone, and runs on the cores beside it.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import count
from typing import Any

from dask.distributed import Nanny, Worker, WorkerPlugin

from coreframe.flows.gpus import Gpu, cores_beside


class _OnCores(WorkerPlugin):
    """Keeps a worker's threads on some cores."""

    def __init__(self, cores: frozenset[int]) -> None:
        self._cores = cores

    def setup(self, worker: Worker) -> None:
        os.sched_setaffinity(0, self._cores)  # of this thread, which starts those that work


def shared_cuda_cluster(gpus: Sequence[Gpu]) -> Any:
    """dask-cuda's cluster of any number of workers, or None where there is none.

    Any fault of a GPU is not hidden behind another kind of cluster.

    Args:
        gpus: which it will be given.
    """
    try:
        import pynvml
        from dask_cuda import LocalCUDACluster
        from dask_cuda.plugins import CPUAffinity
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        return None
    keeps_to_cores = bool(cores_beside(gpus))

    class SharedGpus(LocalCUDACluster):  # type: ignore[misc]  # which has no types
        """Its workers take the GPUs in turn."""

        cuda_visible_devices: list[Any]

        def new_worker_spec(self) -> dict[str, Any]:
            devices, workers = self.cuda_visible_devices, self.worker_spec
            of_device = {device: _names_on(device, workers) for device in devices}
            device = min(devices, key=lambda one: len(of_device[one]))
            name = next(f"{device}-{n}" for n in count() if f"{device}-{n}" not in workers)
            self.cuda_visible_devices = [device]
            try:
                ((_, spec),) = super().new_worker_spec().items()
            finally:
                self.cuda_visible_devices = devices
            if not keeps_to_cores:  # where some cores are beside no GPU, they would have no work
                plugins = spec["options"]["plugins"]
                kept = [one for one in plugins if not isinstance(one, CPUAffinity)]
                spec["options"]["plugins"] = type(plugins)(kept)
            return {name: spec}

    return SharedGpus


def _names_on(device: Any, workers: Iterable[Any]) -> list[Any]:
    """Those of the workers on a device."""
    return [name for name in workers if str(name).startswith(f"{device}-")]


def on_gpus(gpus: Sequence[Gpu]) -> Callable[..., Nanny]:
    """What to make workers with, as `worker_class` of a `LocalCluster`: each gets the next GPU."""
    return partial(_nanny, gpus, cores_beside(gpus))


def _nanny(
    gpus: Sequence[Gpu], cores: Sequence[frozenset[int]], scheduler: str, **options: Any
) -> Nanny:
    number = options["name"] % len(gpus)
    options["env"] = options["env"] | {"CUDA_VISIBLE_DEVICES": gpus[number].name}
    if cores:
        options["plugins"] = (_OnCores(cores[number]),)
    return Nanny(scheduler, **options)
