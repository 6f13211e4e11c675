"""Every operation of ATen while recording: carried out on `meta`, and written down."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from seedbed.errors import SpecError
from seedbed.torch.calls import Operation, Target
from seedbed.torch.laws import Chance
from seedbed.torch.operations import meaning
from seedbed.torch.recorder import (
    FOREIGN,
    META,
    ForeignWriteError,
    Recorder,
    current,
    place,
    refuse_scattered,
)
from seedbed.torch.replays import CPU, Replay
from seedbed.torch.values import REAL, Value, reality, unfilled

Gives = Callable[[Value, int], Value]

_EMPTY = frozenset(
    (
        "empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided",
        "empty_permuted", "empty_quantized",
    )
)  # fmt: skip
_LIFT = frozenset(("lift_fresh", "lift_fresh_copy"))
_PRODUCTS = frozenset(
    (
        "mm", "bmm", "addmm", "addbmm", "baddbmm", "mv", "addmv", "dot", "linear", "convolution",
        "_convolution", "conv_tbc", "_scaled_dot_product_flash_attention_for_cpu",
    )
)  # fmt: skip
"""What autocast carries out in another dtype on the CPU; it leaves tensors on meta alone."""

_BATCH_NORM = frozenset(("native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm"))
"""Write running statistics whatever their schema says."""


class Dispatch(TorchDispatchMode):
    """Every operation of ATen."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder
        self.memory = recorder.memory

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if current() is not self.recorder:  # another recording within this one
            return func(*args, **(kwargs or {}))
        with torch._C.DisableTorchFunction():
            return self._dispatch(func, args, dict(kwargs or {}))

    def _dispatch(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        name = func._schema.name.split("::")[1]
        tensors = list(_tensors((*args, *kwargs.values())))
        ghosts = [x for x in tensors if self.memory.has(x)]
        if tensors and not ghosts:
            return self._real_only(func, name, args, kwargs)
        if name == "_local_scalar_dense":
            return self._scalar(tensors[0])
        if name.startswith("_foreach_"):
            return self._foreach(name, args, kwargs)
        generator = kwargs.get("generator")
        if generator is not None:
            kwargs["generator"] = None
        device = self._device(func, ghosts, kwargs)
        if len(ghosts) < len(tensors):
            args, kwargs = self._adopted(func, args, kwargs)
        if name in _PRODUCTS and self.recorder.is_autocast:
            raise SpecError(
                f"{place()}: {name} under torch.autocast, whose dtypes recording does not follow: "
                "build the model outside of it"
            )
        return self._record(func, name, args, kwargs, device, generator)

    def _real_only(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """Nothing of this recording: as it would be, but for changes of what others own."""
        if name in _LIFT:
            return self.recorder.adopt(args[0])
        if func._schema.is_mutable and name != "set_":
            _refuse_foreign(func)
        return func(*args, **kwargs)

    def _scalar(self, tensor: torch.Tensor) -> Any:
        """One number handed out."""
        if self.recorder.device_of(tensor) == META:
            raise RuntimeError("Tensor.item() cannot be called on meta tensors")
        value = self.memory.read(tensor)
        self.recorder.looked("item", value)
        with reality():
            return value.real().item()

    def _foreach(self, name: str, args: Any, kwargs: Any) -> Any:
        """A list of tensors, one by one."""
        inner = getattr(torch.Tensor, name.removeprefix("_foreach_"))
        count = len(next(a for a in args if isinstance(a, list | tuple)))
        with self:
            done = [
                inner(*(a[n] if isinstance(a, list | tuple) else a for a in args), **kwargs)
                for n in range(count)
            ]
        return None if name.endswith("_") else done

    def _device(self, func: Any, ghosts: Any, kwargs: dict[str, Any]) -> torch.device:
        """Where the result says it is; the operation itself is sent to meta."""
        device = CPU if not ghosts else self.recorder.device_of(ghosts[0]) or CPU
        if any(a.name == "device" for a in func._schema.arguments):
            asked = kwargs.get("device")
            if asked is not None:
                device = self.recorder.placed or torch.device(asked)
            if asked is not None or not ghosts:
                kwargs["device"] = META
            kwargs.pop("pin_memory", None)
        if func is torch.ops.aten.scalar_tensor.default:
            return CPU  # torch's own, of w[0] = 1, where it saw the ghost's real device
        return device

    def _adopted(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Arguments with ghosts for real tensors, but numbers without axes, which may mix."""
        bound = _bound(func._schema, args, kwargs)
        for argument in func._schema.arguments:
            if argument.alias_info is not None and argument.alias_info.is_write:
                for x in _listed(bound.get(argument.name)):
                    if isinstance(x, torch.Tensor) and not self.memory.has(x):
                        _refuse_foreign(func)

        def adopted(x: Any) -> Any:
            real = isinstance(x, torch.Tensor) and x.dim() and not self.memory.has(x)
            return self.recorder.adopt(x, note=FOREIGN) if real else x

        return tree_map(adopted, (args, kwargs))

    def _record(
        self,
        func: Any,
        name: str,
        args: Any,
        kwargs: Any,
        device: torch.device,
        generator: torch.Generator | None,
    ) -> Any:
        schema = func._schema
        is_view = not schema.is_mutable and any(r.alias_info is not None for r in schema.returns)
        if is_view or torch.Tag.inplace_view in func.tags:
            return func(*args, **kwargs)
        if name in _EMPTY:
            out = func(*args, **kwargs)
            self.memory.write(out, unfilled(out.shape, out.dtype), device)
            return out
        flat, tree = tree_flatten((args, kwargs))
        tensors = [x for x in flat if isinstance(x, torch.Tensor)]
        bound = _bound(schema, args, kwargs)
        before = {id(x): self.memory.read(x) for x in tensors}
        if name in ("copy_", "_to_copy"):
            self._refuse_from_meta(bound, device)
        plain = name.rstrip("_")
        operation = Operation(
            func, plain, bound, flat, tree, before, Replay(func, flat, tree, before)
        )
        gives = self._turn(func, generator, flat)
        try:
            out = func(*args, **kwargs)
        except Exception:  # no shape is known without the numbers
            if schema.is_mutable or sum(v.elements for v in before.values()) > REAL:
                raise
            return self._computed(operation)
        if name in _BATCH_NORM and bound.get("training"):
            self._statistics(bound)
        if schema.is_mutable:
            self._changed(operation, gives)
            return out
        self._made(operation, gives, out, device)
        return out

    def _made(self, operation: Operation, gives: Gives, out: Any, device: torch.device) -> None:
        """What an operation gives back."""
        for number, x in enumerate(tree_flatten(out)[0]):
            if not isinstance(x, torch.Tensor):
                continue
            refuse_scattered(x)
            if self.memory.has(x):
                value = gives(meaning(operation, Target(x, number)), number)
                self.memory.write(x, value, device)

    def _turn(self, func: Any, generator: torch.Generator | None, flat: list[Any]) -> Gives:
        """What an operation's results become by where its generator stands."""
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return lambda value, _: value
        return self.recorder.generators.draw(generator, (str(func), *map(_asked, flat))).gives

    def _refuse_from_meta(self, bound: Any, device: torch.device) -> None:
        """As torch does: what is on meta has no numbers to be copied."""
        source = bound.get("src", bound["self"])
        target = self.recorder.device_of(bound["self"]) if "src" in bound else device
        if self.recorder.device_of(source) == META and target != META:
            raise NotImplementedError("Cannot copy out of meta tensor; no data!")

    def _changed(self, operation: Operation, gives: Gives) -> None:
        """What an operation writes to."""
        results: list[tuple[torch.Tensor, Value]] = []
        for argument in operation.func._schema.arguments:
            if argument.alias_info is None or not argument.alias_info.is_write:
                continue
            for x in _listed(operation.bound.get(argument.name)):
                if isinstance(x, torch.Tensor):
                    at = next(n for n, y in enumerate(operation.flat) if y is x)
                    value = meaning(operation, Target(x, place=at))
                    results.append((x, gives(value, at)))
        for x, value in results:
            self.memory.write(x, value)

    def _statistics(self, bound: Any) -> None:
        for name in ("running_mean", "running_var"):
            x = bound.get(name)
            if isinstance(x, torch.Tensor):
                chance = Chance("changed by a forward pass")
                self.memory.write(x, Value(x.shape, x.dtype, chance))

    def _computed(self, operation: Operation) -> Any:
        """With real numbers, since shapes depend on them."""
        values = list(operation.before.values())
        for value in values:
            self.recorder.looked(operation.name, value)
        known = all(value.is_known for value in values)
        random_ = torch.Tag.nondeterministic_seeded in operation.func.tags
        chance = None if known and not random_ else f"made by {operation.name}"
        with reality():
            real = [
                operation.before[id(x)].real().clone()
                if isinstance(x, torch.Tensor)
                else CPU
                if isinstance(x, torch.device)
                else x
                for x in operation.flat
            ]
            args, kwargs = tree_unflatten(real, operation.tree)
            out = operation.func(*args, **kwargs)
        return tree_map(
            lambda x: self.recorder.adopt(x, chance) if isinstance(x, torch.Tensor) else x, out
        )


def _tensors(arguments: Iterable[Any]) -> Iterator[torch.Tensor]:
    """Tensors among arguments of ATen, which are in lists at most."""
    for x in arguments:
        if isinstance(x, torch.Tensor):
            yield x
        elif isinstance(x, list | tuple):
            yield from _tensors(x)


def _asked(x: Any) -> object:
    """An argument of a draw, as far as it decides on what is drawn; or no other has the same."""
    if isinstance(x, torch.Tensor):
        return tuple(x.shape), x.stride(), x.dtype
    return x if isinstance(x, Hashable) else object()


def _refuse_foreign(func: Any) -> None:
    raise ForeignWriteError(
        f"{place()}: {func} changes a tensor that was made before the recording: build the model "
        "within the function that is recorded"
    )


def _listed(x: Any) -> Any:
    return x if isinstance(x, list | tuple) else [x]


def _bound(schema: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    """Arguments by name, with defaults."""
    bound = {a.name: a.default_value for a in schema.arguments if a.has_default_value()}
    bound.update({a.name: v for a, v in zip(schema.arguments, args, strict=False)})
    bound.update(kwargs)
    return bound
