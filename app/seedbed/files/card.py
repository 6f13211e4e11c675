"""The model card that lies beside the weights: what they are, and how to make them again."""

from __future__ import annotations

import json

from seedbed.files.spec import CheckpointSpec, seed_to_json
from seedbed.stream import STREAM_VERSION

_NOTICE = (
    "**These weights are not trained.** They are what training starts from: drawn by Seedbed from "
    "the spec and the seed below, and from nothing else. The same spec and seed give the same "
    "bytes on every machine."
)

_SPEC_BYTES = 8192
"""A spec up to this size is in the card whole."""


def make_card(
    spec: CheckpointSpec, tensors: int, elements: int, size_bytes: int, guessed: int
) -> bytes:
    """The card, as the Hub has it: YAML between rules, then Markdown.

    Args:
        spec: of the checkpoint.
        tensors: how many.
        elements: of all of them.
        size_bytes: of all of them.
        guessed: how many start as their names suggest, since nothing else is known.
    """
    named = spec.model.canonical() if spec.model is not None else {}
    config = spec.config or {}
    kind = " ".join(str(config.get("model_type") or "").split())[:100]
    title = str(named.get("preset") or kind or "A checkpoint")
    lines = [
        "---",
        "tags: [seedbed, random-weights, initialization]",
        *(["library_name: transformers"] if "model_type" in config else []),
        "---",
        "",
        f"# {title}, freshly initialised",
        "",
        _NOTICE,
        "",
        f"- Seed: {spec.seed}",
        f"- Stream version: {STREAM_VERSION}",
        f"- SHA-256 of the spec: `{spec.digest}`",
        f"- {tensors:,} tensors, {elements:,} elements, {size_bytes:,} bytes, mostly {spec.dtype}",
    ]
    if spec.built is not None:
        lines.append(f"- Names, shapes and initial distributions: {spec.built.library}")
        if guessed:
            lines.append(f"- How {guessed:,} of them start is a guess from name and rank.")
    if spec.method is not None:
        lines.append(
            f"- Quantised: {spec.method.name}. A weight is the draw of the unquantised one ÷ a "
            f"scale, rounded, so that both differ by half a step at most. Scales: "
            f"{spec.method.about}, where the bound is the furthest that its distribution draws; "
            "those of activations are 1."
        )
    lines += ["", "## Make them again", "", *_how_to_make(spec)]
    return ("\n".join(lines) + "\n").encode()


def _how_to_make(spec: CheckpointSpec) -> list[str]:
    """The spec, and what to do with it."""
    whole = ""  # of a spec that is too long: it only becomes longer here
    if len(spec.canonical_json) <= _SPEC_BYTES:
        body = json.loads(spec.canonical_json)
        whole = json.dumps({"seed": seed_to_json(spec.seed), **body}, indent=2, ensure_ascii=False)
    if not whole or len(whole.encode()) > _SPEC_BYTES:
        return ["The spec is too long for this page; whoever made the files has it."]
    return [
        "Save this as `spec.json`:",
        "",
        # Not `splitlines`, for which U+2028 in a name ends a line, which JSON lets stand.
        *(f"    {line}" for line in whole.split("\n")),
        "",
        "then `seedbed generate spec.json -o ./`, or ask a server:",
        "",
        "    curl -o model.safetensors --json @spec.json $SEEDBED/v1/checkpoints",
    ]
