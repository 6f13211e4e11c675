"""Which tensors are weights of linear modules, and which of those a pattern names.

A file names tensors, not modules. What follows is what names and shapes say of PyTorch's: a matrix
called `weight` is that of an `nn.Linear`, unless its module is an embedding or a router of experts.
That was compared with the modules of transformers 5.24.0 on the 251 kinds of names of 129 published
configs; DeepSeek-V4's grouped `o_a_proj`, which is taken for a linear one, is the exception.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from functools import lru_cache

from seedbed.errors import SpecError
from seedbed.init import TensorPlan

Match = Callable[[str], bool]

_EMBEDDING = re.compile(
    r"(?:^|[._])(?!patch_)(?:\w*embed(?:ding|s|dings)?(?:_(?:tokens|positions|in|tables?|\d+))?|wte|wpe|shared|"
    r"relative_attention_bias|pos_emb|tok_embeddings|token_embd|class_embed|time_embedding)$",
    re.IGNORECASE,
)
"""Names of modules that are looked up in, not multiplied with."""

_OTHER = re.compile(
    r"(?:mlp|moe|block_sparse_moe|feed_forward|ffn|router|mixer)\.(?:gate|router)$"
    r"|(?:^|\.)head\.attention\.out_proj$"
)
"""Modules that choose experts, and a part of `nn.MultiheadAttention`: both are kept."""

OUTPUT = re.compile(r"(?:^|\.)(?:lm_head|embed_out|output_projection|output_layer|lm_head\.\w+)$")
"""Modules that give the logits."""


CONV1D = frozenset({"gpt2", "openai-gpt", "imagegpt", "decision_transformer"})
"""Model types whose projections are transformers' `Conv1D`, stored (in, out)."""


def is_conv1d(model_type: object, module: str) -> bool:
    """Whether a module of a model of this type is a `Conv1D`."""
    return model_type in CONV1D and module.rpartition(".")[2] in (
        "c_attn",
        "c_proj",
        "c_fc",
        "q_attn",
    )


def module_of(plan: TensorPlan) -> str | None:
    """Name of the linear module whose weight this is, if it is one."""
    module, _, last = plan.name.rpartition(".")
    if last != "weight" or len(plan.shape) != 2 or not plan.dtype.is_float or not module:
        return None
    if plan.origin is not None:
        return module if plan.origin.layer in _LINEAR_LAYERS else None
    return None if _EMBEDDING.search(module) or _OTHER.search(module) else module


_LINEAR_LAYERS = frozenset({"linear"})
"""Seedbed's own layers that are `nn.Linear`."""

_BOUNDARY = r"(?:(?<=\.)|(?=\.|$))"


def _first(patterns: Iterable[tuple[int, str]], field: str, end: str = "") -> Match:
    """Whether one of several expressions matches from the start of a module's name.

    Those that mean the same wherever they stand are put together, which is several times as fast.
    Those with groups, which references count, or with flags, which are of a whole, stay apart.

    Args:
        patterns: with their places in the field.
        field: of the method.
        end: what follows each of them.

    Raises:
        SpecError: one is no regular expression, or none that Python's engine can take.
    """
    together: list[str] = []
    expressions: list[re.Pattern[str]] = []
    for index, pattern in patterns:
        try:
            alone = re.compile(pattern)
            whole = re.compile(f"(?:{pattern}){end}") if end else alone
        except (re.error, OverflowError, RecursionError) as error:
            raise SpecError(
                f"{pattern[:100]!r} is no regular expression: {error}", (field, index)
            ) from error
        if alone.groups or alone.flags != re.UNICODE:
            expressions.append(whole)
        else:
            together.append(f"(?:{pattern})")
    if together:
        expressions.append(re.compile(f"(?:{'|'.join(together)}){end}"))
    return lambda module: any(expression.match(module) for expression in expressions)


@lru_cache(maxsize=64)
def transformers_patterns(patterns: tuple[str, ...], field: str) -> Match:
    """Whether a module is to be left alone, as transformers' `should_convert_module` says.

    From the start to a boundary between names, as a regular expression with that boundary, or as
    an end.
    """
    expressed = _first(enumerate(patterns), field, _BOUNDARY)
    return lambda module: expressed(module) or module.endswith(patterns)


@lru_cache(maxsize=64)
def compressed_patterns(patterns: tuple[str, ...], field: str) -> Match:
    """Whether a module is named, as compressed-tensors' `is_match` says it: by name or class."""
    names = {pattern for pattern in patterns if not pattern.startswith("re:")}
    for index, pattern in enumerate(patterns):
        if "." not in pattern and pattern[:1].isupper() and pattern != "Linear":
            raise SpecError(
                f"{pattern[:100]!r} is a class of modules; Linear is the only one that is taken, "
                "beside names and re: patterns",
                (field, index),
                ("Linear",),
            )
    expressed = _first(
        (
            (index, pattern.removeprefix("re:"))
            for index, pattern in enumerate(patterns)
            if pattern.startswith("re:")
        ),
        field,
    )
    return lambda module: "Linear" in names or module in names or expressed(module)


@lru_cache(maxsize=64)
def modelopt_patterns(patterns: tuple[str, ...]) -> Match:
    """Whether a module is excluded, as ModelOpt writes it: names with `*`."""
    if not patterns:
        return lambda _: False
    expression = re.compile("|".join(translate(pattern) for pattern in patterns))
    return lambda module: bool(expression.match(module))
