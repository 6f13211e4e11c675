"""Parts of a tensor with inits of their own: padding rows, gates, fused projections."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

from seedbed.errors import ParameterError, ShapeError, SpecError
from seedbed.init import composition
from seedbed.init.composition import Region
from seedbed.init.fill import Fill
from seedbed.init.schemes.base import Fans, Scheme, Shape, noted, short
from seedbed.init.views import Suffixed
from seedbed.stream import ParameterProblem

if TYPE_CHECKING:
    from seedbed.init.schemes import Init

_PARTS = 64
_AXES = 64
"""No shape has more."""

_Bound = Annotated[int, Field(ge=0, le=2**63 - 1)]


def _interval(value: tuple[int, int]) -> tuple[int, int]:
    if value[0] >= value[1]:
        raise PydanticCustomError(
            "interval", "an interval is [start, stop], start below stop, which is not in it"
        )
    return value


_Interval = Annotated[tuple[_Bound, _Bound], Field(strict=False), AfterValidator(_interval)]


def _box(value: tuple[tuple[int, int] | None, ...]) -> tuple[tuple[int, int] | None, ...]:
    """A box without the last axes, if it has all of them."""
    while value and value[-1] is None:
        value = value[:-1]
    if not value:
        raise PydanticCustomError("box", "a box has an interval of some axis, [start, stop]")
    return value


_Box = Annotated[
    tuple[_Interval | None, ...], Field(strict=False, max_length=_AXES), AfterValidator(_box)
]


def _plain(value: object) -> object:
    """An init that is itself no composition; checked before what is in it, so that none is deep."""
    name = value.get("scheme") if isinstance(value, dict) else getattr(value, "scheme", value)
    if name == "parts":
        raise PydanticCustomError("parts_nested", "parts are not made of parts")
    return value


def of_text(value: object, info: ValidationInfo) -> object:
    """JSON in the text of a query or a command line."""
    if (
        isinstance(value, str)
        and info.mode not in ("json", "python")
        and value.lstrip()[:1] in _OPEN
    ):
        with suppress(ValueError, RecursionError):
            return json.loads(value)
    return value


_OPEN = ("{", "[")


class Part(BaseModel):
    """A box of a tensor and how it is filled."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    box: _Box = Field(
        description="An interval [start, stop] for each axis, null or nothing for all of it: "
        "[[0, 1]] is the first row, [null, [2, 4]] are two columns."
    )
    init: Annotated[Init, BeforeValidator(_plain)] = Field(description="Scheme of these elements.")

    def canonical(self) -> dict[str, Any]:
        """The shortest JSON that means this."""
        return {"box": short(self.box), "init": self.init.canonical()}

    def region(self, shape: Shape) -> Region:
        """The box in a shape.

        Raises:
            ShapeError: it is not within the shape.
        """
        if len(self.box) > len(shape):
            raise ShapeError(
                f"the box has {len(self.box)} axes and shape {list(shape)} {len(shape)}"
            )
        full: list[range] = []
        for size, interval in itertools.zip_longest(shape, self.box):
            start, stop = interval or (0, size)
            if stop > size:
                raise ShapeError(
                    f"[{start}, {stop}] goes past the {size:,} of an axis of shape {list(shape)}"
                )
            full.append(range(start, stop))
        return tuple(full)


class Parts(Scheme):
    """Boxes of rows, columns or blocks with inits of their own, and one for what is left.

    Elements that are drawn each on its own keep the numbers of their places in the whole tensor, so
    that a part changes no other. Anything else, such as an orthogonal matrix, is a whole of the
    part's shape; part k of tensor x draws it from the stream of the name `x[k]`. Fans are those of
    the part's own shape.
    """

    scheme: Literal["parts"] = "parts"
    formula = "init, but in each box of parts what that says"
    latex = r"W_{\mathrm{box}_k} \sim \mathrm{init}_k"
    notes = noted(
        torch="Embedding's padding_idx is a row of zeros; a fused projection has a part for each "
        "of those that it is made of.",
    )
    example = {
        "init": "normal",
        "parts": [{"box": [[0, 1]], "init": "zeros"}, {"box": [[2, 4]], "init": "uniform"}],
    }

    init: Annotated[Init | None, BeforeValidator(_plain), BeforeValidator(of_text)] = Field(
        None, description="Scheme of what no part covers; none if they cover all."
    )
    parts: Annotated[
        tuple[Part, ...],
        Field(strict=False, min_length=1, max_length=_PARTS),
        BeforeValidator(of_text),
    ] = Field(description="Boxes that do not overlap, each with an init.")

    @property
    def weight(self) -> int:
        """Some for each of the boxes that one part may cut the tensor into."""
        return 1 + 10 * len(self.parts)

    @property
    def listed(self) -> int:
        """Those of all parts."""
        return sum(part.init.listed for part in self.parts) + (self.init.listed if self.init else 0)

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        parts: list[composition.Part] = []
        for k, part in enumerate(self.parts):
            with errors_in("init", "parts", k, "box"):
                region = part.region(shape)
            with errors_in("init", "parts", k, "init"):
                fill = part.init.fill(tuple(map(len, region)))
            whole = composition.is_elementwise(fill)
            parts.append(composition.Part(region, fill if whole else Suffixed(fill, f"[{k}]")))
        _require_apart(parts)
        covered = sum(math.prod(map(len, part.box)) for part in parts)
        if self.init is None:
            if covered < math.prod(shape):
                raise ParameterError(
                    f"the parts cover {covered:,} of {math.prod(shape):,} elements, and no init "
                    "says how the others start",
                    ("init", "init"),
                )
            return composition.composed(shape, None, parts)
        if 0 < covered == math.prod(shape):
            raise ParameterError(
                "the parts cover all elements, so that init has none to fill", ("init", "init")
            )
        with errors_in("init", "init"):
            base = self.init.fill(shape, fans)
        return composition.composed(shape, base, parts)

    def fans(self, shape: Shape, known: Fans | None = None) -> Fans | None:
        """Those of what no part covers."""
        return None if self.init is None else self.init.fans(shape, known)


@contextmanager
def errors_in(*place: str | int) -> Iterator[None]:
    """Errors of a part with its place."""
    try:
        yield
    except ParameterProblem as problem:
        raise ParameterError(problem.message, (*place, problem.parameter)) from problem
    except SpecError as error:
        raise type(error)(error.message, (*place, *error.path[1:]), error.allowed) from error


def _require_apart(parts: Sequence[composition.Part]) -> None:
    for (i, part), (k, other) in itertools.combinations(enumerate(parts), 2):
        if composition.meet(part.box, other.box):
            raise ParameterError(f"parts {i} and {k} overlap", ("init", "parts", k, "box"))


SCHEMES: tuple[type[Scheme], ...] = (Parts,)
