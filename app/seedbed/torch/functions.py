"""What no dispatch sees while recording: devices, and values that are handed out."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from seedbed.torch.recorder import FOREIGN, Recorder, current
from seedbed.torch.replays import CPU
from seedbed.torch.values import reality

_PLACES: dict[Any, Any] = {
    torch.Tensor.device.__get__: lambda device: device,
    torch.Tensor.is_meta.__get__: lambda device: device.type == "meta",
    torch.Tensor.is_cpu.__get__: lambda device: device.type == "cpu",
    torch.Tensor.is_cuda.__get__: lambda _: False,
    torch.Tensor.get_device: lambda _: -1,
}
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
        if name == "cuda" and func is torch.Tensor.cuda:
            return args[0]
        args, kwargs = _here(name, args, kwargs)
        out = func(*args, **kwargs)
        if type(out) is torch.Tensor and name != "__get__":
            with torch._C.DisableTorchFunction():
                if not self.recorder.memory.has(out) and out.layout is torch.strided:
                    foreign = any(isinstance(x, torch.Tensor) for x in args)
                    return self.recorder.adopt(out, note=FOREIGN if foreign else None)
        return out

    def _handed_out(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """Numbers given to code outside of torch."""
        tensor = args[0]
        with torch._C.DisableTorchFunction():
            if name == "data_ptr":  # an address of its own, which nobody may read
                store = self.recorder.memory.find(tensor)
                base = id(store) << 16 if store is not None else 0
                return base + tensor.storage_offset() * tensor.element_size()
            if name == "__repr__":
                return f"tensor(..., size={tuple(tensor.shape)}, dtype={tensor.dtype})"
            value = self.recorder.memory.read(tensor)
            self.recorder.looked(name, value)
            with reality():
                return func(value.real().clone(), *args[1:], **kwargs)


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
