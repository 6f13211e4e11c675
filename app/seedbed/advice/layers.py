"""What a layer asks for that none of the activations after it changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from seedbed.advice.evidence import Evidence
from seedbed.advice.suggestion import GLOROT, SAXE, Option, Suggestion

LayerKind = Literal[
    "linear", "conv", "depthwise_conv", "recurrent", "embedding", "attention", "output"
]

EMBEDDING = Suggestion(
    {"scheme": "normal", "std": 0.02},
    "A row is looked up, not summed over: its spread is the signal's own, whatever the size of "
    "the vocabulary, so fans do not apply.",
    (
        Option(init="normal", when="PyTorch's default, N(0, 1): without a norm after it"),
        Option(
            init={"scheme": "variance_scaling", "mode": "fan_in", "distribution": "normal"},
            when="Flax' default, std 1/√width: rows of length about 1",
        ),
    ),
)

RECURRENT = Suggestion(
    "orthogonal",
    "The same matrix acts at every step: with all singular values 1 it neither stretches nor "
    "shrinks the state. This is for the recurrent weight; give the input's weight "
    "glorot_uniform.",
    (Option(init="glorot_uniform", when="the weight that reads the input"),),
    (Evidence(claim="Orthogonal weights keep lengths at any depth.", kind="paper", source=SAXE),),
)

ATTENTION = Suggestion(
    "glorot_uniform",
    "No activation follows the projections, and their fans are equal: Glorot, LeCun and std "
    "1/√width are the same here.",
    (
        Option(
            init={"scheme": "normal", "std": 0.02},
            when="transformers of width near 1/0.02² = 2,500, as GPT-2 has it",
        ),
    ),
    (
        Evidence(
            claim="Variance 2/(fan_in + fan_out) is a compromise between both directions.",
            kind="paper",
            source=GLOROT,
        ),
    ),
    mind="Of a fused weight [3·width, width] take the fans of one projection: over the whole the "
    "bound would be √2 too small, as PyTorch's is.",
)

OUTPUT = Suggestion(
    "lecun_normal",
    "Nothing follows but the loss: variance 1/fan_in gives logits of the size of the features.",
    (
        Option(
            init="zeros",
            when="to begin at the uniform prediction; only its gradient is kept from the layers "
            "below, for one step",
        ),
    ),
)

LAYERS: Mapping[LayerKind, Suggestion] = {
    "embedding": EMBEDDING,
    "recurrent": RECURRENT,
    "attention": ATTENTION,
    "output": OUTPUT,
}
"""Of the others the activation decides."""

DEPTHWISE = (
    "Each output sums over the kernel only: 9 numbers for 3×3. Take care that fan_in is that, as "
    "it is for PyTorch's shapes; Keras' DepthwiseConv2D counts all channels."
)
"""What to mind of a depthwise convolution, beside its activation."""
