"""What a method of quantisation is: fields as configs publish them, and the tensors of a weight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict

from seedbed.init import TensorPlan
from seedbed.quantization.modules import OUTPUT, Match, module_of, transformers_patterns
from seedbed.quantization.weights import Weight


def _some_columns(size: int) -> int:
    if size < 1 and size != -1:
        raise ValueError("a group has at least 1 column; -1 stands for all of them")
    return size


GroupSize = Annotated[int, AfterValidator(_some_columns)]
"""Columns that have one scale; -1 for all."""


class Method(BaseModel):
    """A way to store quantised weights.

    A subclass has the fields of its `quantization_config`, and yields the tensors of a weight.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: ClassVar[str]
    """Its `quant_method`."""

    inert: ClassVar[frozenset[str]] = frozenset()
    """Fields of published configs that say nothing of the file."""

    about: ClassVar[str] = ""
    """How its scales were chosen, for the card."""

    def weights(self, plans: Sequence[TensorPlan]) -> Iterator[tuple[TensorPlan, Weight | None]]:
        """Every tensor, with itself as a weight where it is to be quantised."""
        chosen = self.chooser(plans)
        for plan in plans:
            module = module_of(plan)
            weight = None
            if module is not None and chosen(module):
                weight = Weight(plan, module, f"{module}.")
            yield plan, weight

    def chooser(self, plans: Sequence[TensorPlan]) -> Match:
        """Which linear modules are quantised."""
        raise NotImplementedError

    def expressions(self) -> Iterator[str]:
        """Regular expressions that each linear module's name may be held to."""
        return iter(())

    def kind_of(self, module: str) -> object:  # noqa: ARG002
        """What decides how many tensors a weight becomes, and their names behind the module's."""
        return None

    def stored(self, weight: Weight) -> Iterator[TensorPlan]:
        """The tensors in place of a weight."""
        raise NotImplementedError

    def beside(self, plan: TensorPlan) -> Iterator[TensorPlan]:  # noqa: ARG002
        """What stands behind a tensor that is not quantised: scales of caches."""
        return iter(())


class WithExclusions(Method):
    """A method of transformers: all linear modules, but those that a list names."""

    modules_to_not_convert: list[str] | None = None

    def expressions(self) -> Iterator[str]:
        """Of the list."""
        return iter(self.modules_to_not_convert or ())

    def chooser(self, plans: Sequence[TensorPlan]) -> Match:
        """What `modules_to_not_convert` leaves; without that, all but the output."""
        if self.modules_to_not_convert is None:
            last = outputs(plans)
            return lambda module: module not in last
        named = tuple(self.modules_to_not_convert)
        excluded = transformers_patterns(named, "modules_to_not_convert")
        return lambda module: not excluded(module)


def outputs(plans: Sequence[TensorPlan]) -> frozenset[str]:
    """Modules that libraries keep by default: what gives logits, and whatever comes last."""
    modules = [module for plan in plans if (module := module_of(plan)) is not None]
    heads = {module for module in modules if OUTPUT.search(module)}
    if plans:
        heads.add(plans[-1].name.rpartition(".")[0])
    return frozenset(heads)


Fields = dict[str, Any]
