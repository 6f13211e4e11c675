"""Modules of the library as the parameters that they save.

Linear layers, convolutions and embeddings start as `PreTrainedModel._init_weights` has them:
normal, biases zero, the padding row zero; norms start as ones and zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

from seedbed.init import Block, Parameter, Scheme, one, scheme, zero

Shape = tuple[int, ...]
Kind = TypeVar("Kind", bound=Hashable)


def normal(std: float) -> Scheme:
    """Normal about 0; zeros if there is no spread."""
    return scheme("normal", std=std) if std else zero()


def parameter(name: str, shape: Shape, init: Scheme) -> Parameter:
    """A parameter of the library's modules."""
    return Parameter(name, shape, init)


def weight(name: str, shape: Shape, init: Scheme, *, bias: bool = True) -> Iterator[Parameter]:
    """A weight of any shape, and a bias of zeros for each of its rows."""
    yield Parameter(f"{name}.weight", shape, init)
    if bias:
        yield Parameter(f"{name}.bias", shape[:1], zero())


def linear(
    name: str, rows: int, columns: int, std: float, *, bias: bool = True
) -> Iterator[Parameter]:
    """`nn.Linear(columns, rows)`."""
    return weight(name, (rows, columns), normal(std), bias=bias)


def embedding(
    name: str, rows: int, columns: int, std: float, padding: int | None = None
) -> Parameter:
    """`nn.Embedding(rows, columns, padding)`; a negative padding counts from the end."""
    blocks: tuple[Block, ...] = ()
    if padding is not None:
        row = padding + rows * (padding < 0)
        blocks = (Block(row, row + 1, 0.0),)
    return Parameter(f"{name}.weight", (rows, columns), normal(std), blocks=blocks)


def layer_norm(name: str, width: int, *, bias: bool = True) -> Iterator[Parameter]:
    """`nn.LayerNorm(width)`."""
    return weight(name, (width,), one(), bias=bias)


def rms_norm(name: str, width: int, init: Scheme | None = None) -> Parameter:
    """A norm with a scale: ones, unless it starts as something else."""
    return Parameter(f"{name}.weight", (width,), init or one())


def stack(
    prefix: str, kinds: Iterable[Kind], block: Callable[[Kind], Iterable[Parameter]]
) -> Iterator[Parameter]:
    """Blocks one after another, `prefix.0`, `prefix.1` and so on.

    Args:
        prefix: before the number.
        kinds: of each block; those of a kind are alike, and made once.
        block: parameters of a kind.
    """
    made: dict[Kind, list[Parameter]] = {}
    for index, kind in enumerate(kinds):
        if kind not in made:
            made[kind] = list(block(kind))
        before = f"{prefix}.{index}."
        for own in made[kind]:
            yield Parameter(
                before + own.name, own.shape, own.init, (), own.fans, own.dtype, own.blocks
            )


def repeat(prefix: str, count: int, block: Iterable[Parameter]) -> Iterator[Parameter]:
    """`count` blocks that are alike."""
    return stack(prefix, [None] * count, lambda _: block)


def natural(name: str) -> tuple[tuple[int, int, str, int], ...]:
    """A key that sorts names as the library does when it has renamed some: part by part.

    Numbers come first, in their order, then words, those that end in digits by their number.
    """
    key = []
    for part in name.split("."):
        if part.isdigit():
            key.append((0, int(part), "", -1))
        else:
            word = part.rstrip("0123456789")
            key.append((1, 0, word, int(part[len(word) :] or -1)))
    return tuple(key)


def sorted_by_name(
    parameters: Iterable[Parameter], name_of: Callable[[str], str] = lambda name: name
) -> list[Parameter]:
    """Parameters in the order of their names in memory, which `name_of` tells from those saved."""
    return sorted(parameters, key=lambda parameter: natural(name_of(parameter.name)))
