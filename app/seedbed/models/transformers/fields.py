"""The fields of configurations: their types, bounds and what they are, by the library's names."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

SIZE_MAX = 2**31
"""Of a dimension: the product of two still fits the format."""

LAYERS_MAX = 10_000

EXPERTS_MAX = 4096

Vocabulary = Annotated[int, Field(ge=1, le=SIZE_MAX, description="Tokens; rows of the embedding.")]
Width = Annotated[int, Field(ge=1, le=SIZE_MAX, description="Width of the residual stream.")]
Inner = Annotated[int, Field(ge=1, le=SIZE_MAX, description="Width inside a feed-forward block.")]
Layers = Annotated[int, Field(ge=0, le=LAYERS_MAX, description="Blocks one after another.")]
Heads = Annotated[int, Field(ge=1, le=SIZE_MAX, description="Attention heads.")]
KeyValueHeads = Annotated[
    int, Field(ge=1, le=SIZE_MAX, description="Heads of keys and values, shared by query heads.")
]
HeadDim = Annotated[int, Field(ge=1, le=SIZE_MAX, description="Width of an attention head.")]
Positions = Annotated[int, Field(ge=1, le=SIZE_MAX, description="Longest sequence.")]
Types = Annotated[int, Field(ge=0, le=SIZE_MAX, description="Kinds of token, as of a pair.")]
Labels = Annotated[int, Field(ge=1, le=SIZE_MAX, description="Classes of a classifier's head.")]
Experts = Annotated[int, Field(ge=1, le=EXPERTS_MAX, description="Experts of a sparse block.")]
Count = Annotated[int, Field(ge=0, le=SIZE_MAX, description="How many.")]
Size = Annotated[int, Field(ge=1, le=SIZE_MAX, description="How large.")]
Pair = Annotated[list[Annotated[int, Field(ge=1, le=SIZE_MAX)]], Field(min_length=2, max_length=2)]
Channels = Annotated[int, Field(ge=1, le=SIZE_MAX, description="Channels of an image.")]

Std = Annotated[
    float,
    Field(ge=0.0, le=1e6, description="Standard deviation of what is drawn; 0 counts as 0.02."),
]
Factor = Annotated[float, Field(ge=0.0, le=1e6, description="Multiplies every standard deviation.")]
Tied = Annotated[
    bool, Field(description="Whether the head is the embedding; it is in the file once, then.")
]
Bias = Annotated[bool, Field(description="Whether these linear layers have biases.")]
Flag = Annotated[bool, Field(description="Whether there is such a part.")]
Token = Annotated[int, Field(ge=-SIZE_MAX, le=SIZE_MAX, description="Index of a special token.")]
Padding = Annotated[
    int,
    Field(
        ge=-SIZE_MAX,
        le=SIZE_MAX,
        description="Index of the padding token, whose embedding starts as zeros.",
    ),
]
Tokens = Annotated[int | list[int], Field(description="Index of a special token, or several.")]
