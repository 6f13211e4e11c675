"""Changes to many tensors by name: what the last rule that matches says."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from seedbed.init.globs import matcher, stars
from seedbed.init.names import AnyDtype, TensorName, Text
from seedbed.init.schemes import Init


class Rule(BaseModel):
    """A change to every tensor whose name matches a glob; of several rules the last one wins."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    match: Text = Field(
        min_length=1,
        max_length=1024,
        description="Glob on the whole tensor name, case-sensitive: * ? [set] [!set].",
    )
    init: Init | None = Field(None, description="Scheme for the tensors that match.")
    same_as: TensorName | None = Field(
        None,
        description="The tensor of this spec that those which match are equal to, itself excepted. "
        "Each * in it stands for what the same * of `match` stands for.",
    )
    dtype: AnyDtype | None = Field(None, description="Dtype for the tensors that match.")
    drop: bool | None = Field(
        None,
        description="Leave what matches out of the file, of layers and models; tensors of their "
        "own stay. False keeps what an earlier rule drops; null says nothing of it.",
    )
    optional: bool = Field(
        default=False,
        description="Whether the rule may decide nothing: it matches no tensor, or later rules "
        "overrule it wherever it matches. Without this, such a rule is refused.",
    )

    @model_validator(mode="after")
    def _says_something(self) -> Rule:
        said = (self.init, self.same_as, self.dtype, self.drop)
        if all(part is None for part in said):
            raise PydanticCustomError("empty_rule", "a rule needs init, same_as, dtype or drop")
        if self.init is not None and self.same_as is not None:
            raise PydanticCustomError("init_twice", "a rule has init or same_as, not both")
        if self.same_as is not None:
            wanted, there = self.same_as.count("*"), stars(self.match)
            if wanted not in (0, there):
                raise PydanticCustomError(
                    "stars",
                    "match has {there} * and same_as {wanted}",
                    {"there": there, "wanted": wanted},
                )
        return self


class Said(NamedTuple):
    """What the rules say of a name, each part with the index of the rule that says so.

    Attributes:
        fill: the last rule with an init or same_as.
        dtype: the last one with a dtype.
        drop: the last one with a drop, unless it keeps what no earlier one drops.
        same_as: the name that the first of these says, if it says one.
    """

    fill: int | None = None
    dtype: int | None = None
    drop: int | None = None
    same_as: str | None = None


NOTHING = Said()


class Rules:
    """The rules of a spec, compiled: what the last match says of a name."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._last_first = [(i, rule, matcher(rule.match)) for i, rule in enumerate(rules)][::-1]
        # From which rule on none that is left says more of these.
        self._fills = _first(rule.init or rule.same_as for rule in rules)
        self._dtypes = _first(rule.dtype for rule in rules)
        self._drops = _first(rule.drop for rule in rules)

    def say(self, name: str) -> Said:
        """What is said of a name; each rule is matched once at the most."""
        fill: int | None = None
        dtype: int | None = None
        drop: int | None = None
        keep: int | None = None
        same_as: str | None = None
        for i, rule, match in self._last_first:
            wants_fill = fill is None and i >= self._fills
            wants_dtype = dtype is None and i >= self._dtypes
            wants_drop = drop is None and i >= self._drops
            if not (wants_fill or wants_dtype or wants_drop):
                break
            if (stars_of_name := match(name)) is None:
                continue
            if wants_dtype and rule.dtype is not None:
                dtype = i
            if wants_drop and rule.drop:
                drop = i if keep is None else keep
            elif rule.drop is False and keep is None:
                keep = i
            if wants_fill and rule.init is not None:
                fill = i
            elif wants_fill and rule.same_as is not None:
                other = _filled_in(rule.same_as, stars_of_name)
                if other != name:
                    fill, same_as = i, other
        said = (fill, dtype, drop)
        return NOTHING if said == (None, None, None) else Said(*said, same_as)

    def match(self, index: int, name: str) -> bool:
        """Whether a rule's pattern matches a name."""
        return self._last_first[-1 - index][2](name) is not None


def _first(says: Iterable[object]) -> int:
    """The index of the first rule that says something, or one past any rule."""
    return next((index for index, part in enumerate(says) if part), sys.maxsize)


def _filled_in(same_as: str, stars_of_name: Sequence[str]) -> str:
    """A name with what each * stands for in its place."""
    first, *others = same_as.split("*")
    pairs = zip(stars_of_name, others, strict=False)  # without a star it is one name for all
    return first + "".join(f"{star}{part}" for star, part in pairs)
