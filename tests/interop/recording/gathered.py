"""Tensors that several processes hold, as a whole, and what tells two of them apart."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import nn
from torch.distributed.tensor import DTensor


def full(model: nn.Module) -> dict[str, torch.Tensor]:
    """Every tensor of a model as torch itself gathers it."""
    return {
        name: x.full_tensor() if isinstance(x, DTensor) else x
        for name, x in model.state_dict().items()
    }


def digests(tensors: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """SHA-256 of the bytes of each."""
    return {name: digest(tensor) for name, tensor in tensors.items()}


def digest(tensor: torch.Tensor) -> str:
    """SHA-256 of its bytes."""
    flat = tensor.detach().contiguous().view(-1).view(torch.uint8)
    return hashlib.sha256(flat.numpy()).hexdigest()
