"""A tensor of its own, as a request names it."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator
from pydantic_core import PydanticCustomError

from seedbed.init.names import AnyDtype, Dimension, TensorName
from seedbed.init.schemes import Init


class TensorSpec(BaseModel):
    """One tensor: name, shape, and how to fill it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: TensorName = Field(description="Unique name; it takes part in the random stream.")
    shape: Annotated[tuple[Dimension, ...], FailFast(), Field(strict=False)] = Field(
        description="Dimensions in PyTorch's order, (out, in, *kernel); [] is a scalar."
    )
    init: Init | None = Field(
        None, description="Scheme name or object; may be left to a rule that matches the name."
    )
    same_as: TensorName | None = Field(
        None, description="In place of init: the tensor of this spec that this one is equal to."
    )
    dtype: AnyDtype | None = Field(
        None,
        description="Overrides the checkpoint's dtype. Integers and BOOL hold whole numbers only.",
    )

    @model_validator(mode="after")
    def _filled_once(self) -> Self:
        if self.init is not None and self.same_as is not None:
            raise PydanticCustomError("init_twice", "a tensor has init or same_as, not both")
        return self
