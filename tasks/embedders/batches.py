"""Batches for neural networks: always of one shape, smaller when the device runs out of memory."""

from collections.abc import Callable

import torch


class FixedBatches:
    """Puts pictures through a network in batches of one shape, filled up where they are few.

    What a network makes of a picture depends, in its last bits, on the shape of the batch it is
    in. With one shape for all it does not depend on how many others there happen to be, and so
    not on how a corpus was cut into parts.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        """Pictures at once. Halved, for good, each time the device runs out of memory."""

    def __call__(
        self, network: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor
    ) -> torch.Tensor:
        """Apply a network.

        Args:
            network: (batch_size, ...) to (batch_size, dim).
            images: (n, ...), n at least 1.

        Returns:
            (n, dim).

        Raises:
            torch.OutOfMemoryError: not even one picture fits.
        """
        vectors: list[torch.Tensor] = []
        start = 0
        while start < len(images):
            size = self.batch_size  # which another thread may halve meanwhile
            some = images[start : start + size]
            short = size - len(some)
            filled = torch.cat((some, some[-1:].expand(short, *some.shape[1:]))) if short else some
            found = None
            try:
                found = network(filled)
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
            if found is None:  # only here, outside of the handler, nothing holds what it computed
                torch.cuda.empty_cache()
                self.batch_size = min(self.batch_size, size // 2)
                continue
            vectors.append(found[: len(some)])
            start += len(some)
        return torch.cat(vectors)
