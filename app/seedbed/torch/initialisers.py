"""Functions of `torch.nn.init` that do nothing on a ghost, or look at what they drew.

Their code is exchanged, not their name, so that whoever imported them earlier is seen too. The
exchange is for the whole process and counted: in threads that record nothing, and on tensors that
are real, the code that stands here calls the original.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

import torch

from seedbed.errors import SpecError
from seedbed.recording import Truncated
from seedbed.torch.laws import Constant, Law, Table, Whole, drawn
from seedbed.torch.recorder import current
from seedbed.torch.values import Value, reality

RELEASE = "2.13"
"""Of torch: the extra `torch` names it too."""

Original = Callable[..., torch.Tensor]

# The bodies below run as torch's functions: they may use nothing of this module but by import.


def _no_grad_trunc_normal_(
    tensor: Any, mean: Any, std: Any, a: Any, b: Any, generator: Any = None
) -> Any:
    """Normal between two bounds."""
    from seedbed.torch.initialisers import instead  # noqa: PLC0415

    return instead("_no_grad_trunc_normal_", tensor, mean, std, a, b, generator)


def orthogonal_(tensor: Any, gain: Any = 1, generator: Any = None) -> Any:
    """(Semi-)orthogonal, times a gain."""
    from seedbed.torch.initialisers import instead  # noqa: PLC0415

    return instead("orthogonal_", tensor, gain, generator)


def sparse_(tensor: Any, sparsity: Any, std: Any = 0.01, generator: Any = None) -> Any:
    """Normal with zeros in each column."""
    from seedbed.torch.initialisers import instead  # noqa: PLC0415

    return instead("sparse_", tensor, sparsity, std, generator)


def dirac_(tensor: Any, groups: Any = 1) -> Any:
    """Ones that pass channels on."""
    from seedbed.torch.initialisers import instead  # noqa: PLC0415

    return instead("dirac_", tensor, groups)


def _truncated(mean: float, std: float, a: float, b: float, _generator: object) -> Law:
    return drawn(Truncated(float(mean), float(std), float(a), float(b))) if std else Constant(mean)


_LAWS: dict[str, Callable[..., Law]] = {
    "_no_grad_trunc_normal_": _truncated,
    "orthogonal_": lambda gain, _generator: Whole("orthogonal", (float(gain),)),
    "sparse_": lambda sparsity, std, _: Whole("sparse", (float(sparsity), float(std))),
    "dirac_": lambda _groups: Table(),
}

_BODIES = {f.__name__: f for f in (_no_grad_trunc_normal_, orthogonal_, sparse_, dirac_)}
_RANKS = {"orthogonal_": (2, 64), "sparse_": (2, 2), "dirac_": (3, 5)}
"""Of tensors that they take; on others the original is called, which refuses them."""

_lock = threading.Lock()
_users = 0
_codes: dict[str, CodeType] = {}
_originals: dict[str, Original] = {}


def instead(name: str, tensor: torch.Tensor, *rest: Any) -> torch.Tensor:
    """What runs in place of one of these functions: a law for a ghost, the original for others."""
    original = _originals[name]
    recorder = current()
    least, most = _RANKS.get(name, (0, 64))
    with torch._C.DisableTorchFunction():
        ghost = recorder is not None and recorder.memory.has(tensor)
    if recorder is None or not ghost or not least <= tensor.dim() <= most or not tensor.numel():
        return original(tensor, *rest)
    shape, dtype = tuple(tensor.shape), tensor.dtype
    plain = tuple(None if isinstance(x, torch.Generator) else x for x in rest)

    def make() -> torch.Tensor:
        with reality():
            return original(torch.empty(shape, dtype=dtype), *plain)

    value = Value(shape, dtype, _LAWS[name](*rest), make)
    with torch._C.DisableTorchFunction():
        if isinstance(value.law, Constant):
            value = Value(shape, dtype, value.law)
        elif value.is_random:
            generator = next((x for x in rest if isinstance(x, torch.Generator)), None)
            asked = name, shape, tensor.stride(), dtype, plain
            value = recorder.generators.draw(generator, asked).gives(value)
        recorder.memory.write(tensor, value)
    return tensor


@contextlib.contextmanager
def exchanged() -> Iterator[None]:
    """The functions of `torch.nn.init` with the code that stands here, until the last one leaves.

    Raises:
        SpecError: this release of torch is another than the one that was read and tested.
    """
    global _users  # noqa: PLW0603
    with _lock:
        if not _users:
            _exchange()
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                for name, code in _codes.items():
                    getattr(torch.nn.init, name).__code__ = code
                del torch.UntypedStorage.data_ptr


def _exchange() -> None:
    if torch.__version__.split(".")[:2] != RELEASE.split("."):
        raise SpecError(
            f"recording is tested with torch {RELEASE}, and this is {torch.__version__}: what a "
            "release does to tensors without memory is its own; pip install 'seedbed[torch]'"
        )
    functions = {name: getattr(torch.nn.init, name) for name in _BODIES}
    for name, function in functions.items():
        ours, theirs = inspect.signature(_BODIES[name]), inspect.signature(function)
        if [(p.name, p.default) for p in ours.parameters.values()] != [
            (p.name, p.default) for p in theirs.parameters.values()
        ]:
            raise SpecError(
                f"torch {torch.__version__} has {name}{theirs}, which recording does not know"
            )
    for name, function in functions.items():
        _codes[name] = function.__code__
        _originals[name] = FunctionType(
            function.__code__, function.__globals__, name, function.__defaults__
        )
        function.__code__ = _BODIES[name].__code__
    torch.UntypedStorage.data_ptr = _data_ptr


def _data_ptr(storage: torch.UntypedStorage) -> int:
    """An address; of memory that does not exist, one that no other has and nobody may read."""
    if current() is not None and storage.device.type == "meta":
        return int(storage._cdata) << 40
    return int(torch._C.StorageBase.data_ptr(storage))
