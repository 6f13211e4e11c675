"""The layers: which parameters each has, how they start, what each framework calls them.

One module a family. To add a layer, write its class in one of them and name it in the tuple
`LAYERS` at its foot.
"""

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from seedbed.init.layers import (
    attention,
    convolution,
    embedding,
    linear,
    normalization,
    recurrent,
)
from seedbed.init.layers.base import Arrays, Framework, Layer, Parameter, Stored

__all__ = ["LAYERS", "AnyLayer", "Arrays", "Framework", "Layer", "Parameter", "Stored"]

LAYERS: dict[str, type[Layer]] = {
    layer.model_fields["type"].default: layer
    for family in (linear, convolution, embedding, normalization, recurrent, attention)
    for layer in family.LAYERS
}
"""Type → class."""

if TYPE_CHECKING:
    AnyLayer = Layer
else:
    AnyLayer = Annotated[reduce(or_, LAYERS.values()), Field(discriminator="type")]
