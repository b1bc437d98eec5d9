"""Which device tensors live on, and how it multiplies."""

from collections.abc import Iterator

import pytest
import torch

from coreframe.tasks.device import resolve_device


@pytest.fixture
def precision() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


def test_products_on_a_gpu_are_exact_in_containers_that_ask_for_tf32(
    precision: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_float32_matmul_precision("high")  # as TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1 does
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto").type == "cuda"
    assert torch.get_float32_matmul_precision() == "highest"
