"""What no dispatch sees while recording: devices, and values that are handed out."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from seedbed.torch.memory import geometry_of
from seedbed.torch.recorder import FOREIGN, META, Recorder, current
from seedbed.torch.replays import CPU
from seedbed.torch.values import Value, reality, table

_PLACES: dict[Any, Any] = {
    torch.Tensor.device.__get__: lambda device: device,
    torch.Tensor.is_meta.__get__: lambda device: device.type == "meta",
    torch.Tensor.is_cpu.__get__: lambda device: device.type == "cpu",
    torch.Tensor.is_cuda.__get__: lambda _: False,
    torch.Tensor.get_device: lambda _: -1,
}
_STAYS = frozenset(("cuda", "share_memory_"))
"""Give the tensor itself: there is no other place, and no memory to be shared."""

_OF_DATA = frozenset(("tensor", "as_tensor", "asarray"))
"""Make a tensor of numbers in lists."""

_INFERRED = frozenset(("to", "type_as", "tensor", "new", "new_tensor"))
"""Put what they make where a tensor among their arguments is, if nothing else is asked for."""

_BY_PYTHON = frozenset(("apply_", "map_", "map2_"))
"""Call a function for each element, and do nothing on meta."""

_LENT = frozenset(("numpy", "__array__", "__dlpack__"))
"""Give somebody else the memory of a tensor."""

_HANDED_OUT = frozenset(("tolist", "numpy", "__array__", "__repr__", "__dlpack__", "data_ptr"))


class Functions(TorchFunctionMode):
    """What no dispatch sees."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if current() is not self.recorder:
            return func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if func in _PLACES:
            with torch._C.DisableTorchFunction():
                device = self.recorder.device_of(args[0])
                return func(*args) if device is None else _PLACES[func](device)
        if name in _HANDED_OUT and args and isinstance(args[0], torch.Tensor):
            with torch._C.DisableTorchFunction():
                known = self.recorder.memory.has(args[0])
            if known:
                return self._handed_out(func, name, args, kwargs)
        if name == "__deepcopy__" and type(args[0]) is torch.Tensor:
            tensor, memo = args
            if id(tensor) not in memo:
                copy = tensor.detach().clone().requires_grad_(tensor.requires_grad)
                memo[id(tensor)] = copy
            return memo[id(tensor)]
        if name in _BY_PYTHON:
            return self._by_python(func, name, args)
        if name == "is_set_to":
            with torch._C.DisableTorchFunction():
                return _is_same_memory(*args)
        if name in _STAYS and isinstance(args[0], torch.Tensor):
            return args[0]
        return self._called(func, name, args, kwargs)

    def _by_python(self, func: Any, name: str, args: Any) -> torch.Tensor:
        """Each element through a function of Python, which sees it."""
        with torch._C.DisableTorchFunction():
            values = [self.recorder.memory.read(x) for x in args[:-1]]
            for value in values:
                self.recorder.looked(name, value)
            with reality():
                numbers = [value.real().clone() for value in values]
                func(*numbers, args[-1])
            self.recorder.memory.write(args[0], table(numbers[0]))
        made: torch.Tensor = args[0]
        return made

    def _called(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """What torch makes of ghosts, as ghosts."""
        if name in ("__getitem__", "__setitem__"):
            with self:
                args = args[0], _index(args[1]), *args[2:]
        args, kwargs = _here(name, args, kwargs)
        if name == "type" and len(args) == 1 and not kwargs:
            return self._type(args[0])
        if name in _OF_DATA and any(map(_has_tensors, args)):
            return self._of_data(func, args, kwargs)
        self.recorder.is_autocast = torch.is_autocast_enabled("cpu")  # no dispatch sees it
        call = self._inferred if name in _INFERRED else _plainly
        out = call(func, name, args, kwargs)
        if type(out) is torch.Tensor and name != "__get__":
            with torch._C.DisableTorchFunction():
                if not self.recorder.memory.has(out) and out.layout is torch.strided:
                    foreign = any(isinstance(x, torch.Tensor) for x in args)
                    return self.recorder.adopt(out, note=FOREIGN if foreign else None)
        return out

    def _type(self, tensor: torch.Tensor) -> Any:
        """The name of a tensor's type, which has the device in it."""
        with torch._C.DisableTorchFunction():
            if self.recorder.device_of(tensor) in (None, META):
                return tensor.type()
            with reality():
                return torch.empty(0, dtype=tensor.dtype).type()

    def _of_data(self, func: Any, args: Any, kwargs: Any) -> Any:
        """A tensor of lists that have tensors in them, of which torch takes the numbers."""
        values: list[Value] = []

        def real(x: Any) -> Any:
            if not isinstance(x, torch.Tensor):
                return x
            values.append(self.recorder.memory.read(x))
            return values[-1].real()

        with torch._C.DisableTorchFunction():
            args = tree_map(real, args)
            with reality():
                out = func(*args, **{key: x for key, x in kwargs.items() if key != "device"})
            is_known = all(value.is_known for value in values)
            return self.recorder.adopt(out, None if is_known else "made of single random numbers")

    def _inferred(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """What is made where another tensor is, which torch itself sees on meta."""
        asked = [x for x in (*args, kwargs.get("device")) if isinstance(x, str | torch.device)]
        tensors = [x for x in args if isinstance(x, torch.Tensor)]
        with torch._C.DisableTorchFunction():
            places = [self.recorder.device_of(x) for x in tensors]
        if name == "to" and asked and torch.device(asked[0]) == META and places[0] != META:
            dtypes = (x for x in (*args, *kwargs.values()) if isinstance(x, torch.dtype))
            return torch.empty_like(args[0], dtype=next(dtypes, None), device=META)
        if asked or not args:
            return func(*args, **kwargs)
        made = name in ("new", "new_tensor")
        place = next((x for x in (places[:1] if made else reversed(places)) if x), None)
        if place is None:
            return func(*args, **kwargs)
        if made and len(args) == 2 and _is_data(args[1], name):
            with self:
                like = {"dtype": tensors[0].dtype, "device": place, **kwargs}
                return torch.tensor(args[1], **like)
        with self.recorder.placing(place):
            return func(*args, **kwargs)

    def _handed_out(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """Numbers given to code outside of torch."""
        tensor = args[0]
        with torch._C.DisableTorchFunction():
            if name == "data_ptr":  # an address of its own, which nobody may read
                base = tensor.untyped_storage().data_ptr()
                return base + tensor.storage_offset() * tensor.element_size()
            if name == "__repr__":
                return f"tensor(..., size={tuple(tensor.shape)}, dtype={tensor.dtype})"
            value = self.recorder.memory.read(tensor)
            self.recorder.looked(name, value)
            with reality():
                numbers = value.real().clone()
                out = func(numbers, *args[1:], **kwargs)
            if name in _LENT:
                self.recorder.memory.lend(tensor, numbers)
            return out


def _is_same_memory(a: torch.Tensor, b: torch.Tensor) -> bool:
    same = a.untyped_storage()._cdata == b.untyped_storage()._cdata
    return same and geometry_of(a) == geometry_of(b)


def _plainly(func: Any, _name: str, args: Any, kwargs: Any) -> Any:
    return func(*args, **kwargs)


def _index(x: Any) -> Any:
    """An index with tensors for lists of numbers, which torch would make on meta, without them."""
    if isinstance(x, list) and any(isinstance(part, list | slice | torch.Tensor) for part in x):
        x = tuple(x)  # as torch takes it
    return tuple(map(_along_axis, x)) if isinstance(x, tuple) else _along_axis(x)


def _along_axis(x: Any) -> Any:
    if isinstance(x, np.ndarray):
        return torch.from_numpy(x)
    return torch.tensor(list(x)) if isinstance(x, list | range) and x else x


def _has_tensors(x: Any) -> bool:
    """Whether there are tensors in lists of numbers."""
    return isinstance(x, list | tuple) and any(
        isinstance(part, torch.Tensor) or _has_tensors(part) for part in x
    )


def _is_data(x: Any, name: str) -> bool:
    """Whether an argument of `new_tensor` or `new` is numbers, not a size or a tensor."""
    if isinstance(x, torch.Tensor | torch.Size):
        return False
    return name == "new_tensor" or not isinstance(x, int)


def _here(name: str, args: Any, kwargs: Any) -> Any:
    """Arguments with the CPU for every device that there is not."""

    def elsewhere(x: Any) -> bool:
        if isinstance(x, str) and name == "to":
            with contextlib.suppress(RuntimeError):
                x = torch.device(x)
        return isinstance(x, torch.device) and x.type not in ("cpu", "meta")

    if name == "to":
        args = tuple(CPU if elsewhere(x) else x for x in args)
    device = kwargs.get("device")
    if device is not None and torch.device(device).type not in ("cpu", "meta"):
        kwargs = {**kwargs, "device": CPU}
    return args, kwargs
