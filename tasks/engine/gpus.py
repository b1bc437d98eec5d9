"""Which workers share a GPU, asked of the workers: whoever started them."""

from dask.distributed import Client

from coreframe.tasks.device import Device, offer_gpu


def sharing(client: Client, device: str) -> list[list[str]]:
    """Workers that compute in one place: those of a GPU, or one that computes on the CPU.

    Args:
        client: of the cluster.
        device: on which they are to compute, one of :class:`coreframe.tasks.device.Device`.

    Returns:
        The addresses of each place's workers, all ascending; of workers that are there now.
    """
    workers = sorted(client.nthreads())
    if device == Device.CPU or len(workers) < 2:
        return [[worker] for worker in workers]
    # One that dies just now is missing in the answer, and in what is asked of it next.
    gpus = client.run(offer_gpu, device, on_error="ignore")
    places: dict[str, list[str]] = {}
    for worker in workers:
        places.setdefault(gpus.get(worker) or worker, []).append(worker)
    return list(places.values())


def most_sharing(client: Client, device: str) -> int:
    """How many workers share a GPU, where most do; at least 1."""
    return max((len(place) for place in sharing(client, device)), default=1)
