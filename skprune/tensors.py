"""Whether something is torch's, without importing torch: if nobody has, it is not."""

import sys
from typing import Any

__all__ = ["is_dataset", "is_tensor"]


def is_tensor(value: Any) -> bool:
    """Whether a value is a tensor of torch's."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_dataset(value: Any) -> bool:
    """Whether a value is a dataset of torch's."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.utils.data.Dataset)
