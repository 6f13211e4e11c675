"""Changes to many tensors by name: what the last rule that matches says."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from seedbed.init.names import AnyDtype, Text
from seedbed.init.schemes import Init, Scheme
from seedbed.stream import DtypeCode


class Rule(BaseModel):
    """A change to every tensor whose name matches a glob; of several rules the last one wins."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    match: Text = Field(
        min_length=1,
        max_length=1024,
        description="Glob on the whole tensor name, case-sensitive: * ? [set] [!set].",
    )
    init: Init | None = Field(None, description="Scheme for the tensors that match.")
    dtype: AnyDtype | None = Field(None, description="Dtype for the tensors that match.")
    drop: bool | None = Field(
        None,
        description="Leave what matches out of the file, of layers and models; tensors of their "
        "own stay. False keeps what an earlier rule drops; null says nothing of it.",
    )

    @model_validator(mode="after")
    def _says_something(self) -> Rule:
        if self.init is None and self.dtype is None and self.drop is None:
            raise PydanticCustomError("empty_rule", "a rule needs init, dtype or drop")
        return self


class Rules:
    """The rules of a spec, compiled: what the last match says of a name."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = [
            (re.compile(fnmatch.translate(rule.match)).match, rule) for rule in reversed(rules)
        ]
        self._droppers = [
            (match, rule.drop) for match, rule in self._rules if rule.drop is not None
        ]

    def apply(self, name: str) -> tuple[Scheme | None, DtypeCode | None]:
        """Scheme and dtype for a name, if any rule has them."""
        init: Scheme | None = None
        dtype: DtypeCode | None = None
        for match, rule in self._rules:
            if match(name):
                init = init or rule.init
                dtype = dtype or rule.dtype
                if init and dtype:
                    break
        return init, dtype

    def drops(self, name: str) -> bool:
        """Whether the last rule that says so leaves this name out."""
        if not self._droppers:
            return False
        return next((drop for match, drop in self._droppers if match(name)), False)

    def is_about(self, index: int, name: str) -> bool:
        """Whether a rule's pattern matches a name."""
        return self._rules[len(self._rules) - 1 - index][0](name) is not None

    def without(self, names: Sequence[str]) -> list[int]:
        """The rules that match none of these names."""
        return [i for i in range(len(self._rules)) if not any(self.is_about(i, n) for n in names)]

    def source(self, name: str, field: str | int) -> int | None:
        """Index of the rule that decided the `init` or `dtype` of a name, if any did."""
        for i, (match, rule) in enumerate(self._rules, 1):
            if getattr(rule, str(field), None) is not None and match(name):
                return len(self._rules) - i
        return None
