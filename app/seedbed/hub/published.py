"""Ids that repositories have on the Hub itself, and the specs of new models of their shapes.

Whoever asks for one gets random weights in the true names, shapes and dtypes. Two sources: presets
that have such an id, with the class and dtype of the repository's own config.json; and configs that
others keep in public repositories, of which `scripts/published.py` took those that the catalogue
knows exactly.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

_DATA = files("seedbed.hub") / "published.json.gz"

_PYTHIA = ("14m", "31m", "70m", "160m", "410m", "1b", "1.4b", "2.8b", "6.9b", "12b")
_WHISPER = ("tiny", "base", "small", "medium", "large")

_PRESETS: Mapping[str, Mapping[str, str]] = {
    # dtype → id → preset
    "F32": {
        **{f"openai-community/{name}": name
           for name in ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")},
        "distilbert/distilgpt2": "distilgpt2",
        **{f"google-bert/{name}": name
           for name in ("bert-base-uncased", "bert-base-cased", "bert-large-uncased",
                        "bert-large-cased")},
        **{f"distilbert/{name}": name
           for name in ("distilbert-base-uncased", "distilbert-base-cased")},
        **{f"FacebookAI/{name}": name
           for name in ("roberta-base", "roberta-large", "xlm-roberta-base", "xlm-roberta-large")},
        "google/electra-small-discriminator": "electra-small-discriminator",
        **{f"google-t5/{name}": name
           for name in ("t5-small", "t5-base", "t5-large", "t5-3b", "t5-11b")},
        **{f"openai/whisper-{size}": f"whisper-{size}" for size in _WHISPER},
        **{f"google/{name}": name for name in ("vit-base-patch16-224", "vit-large-patch16-224")},
        **{f"facebook/deit-{size}-distilled-patch16-224": f"deit-{size}-distilled-patch16-224"
           for size in ("tiny", "small", "base")},
        **{f"openai/{name}": name
           for name in ("clip-vit-base-patch32", "clip-vit-base-patch16",
                        "clip-vit-large-patch14")},
        "google/siglip-base-patch16-224": "siglip-base-patch16-224",
        **{f"google/{name}": name for name in ("gemma-2-2b", "gemma-2-9b", "gemma-2-27b")},
        **{f"allenai/OLMo-{size}-hf": f"olmo-{size.lower()}" for size in ("1B", "7B")},
        **{f"state-spaces/mamba-{size}-hf": f"mamba-{size}"
           for size in ("130m", "370m", "790m", "1.4b", "2.8b")},
    },
    "F16": {
        **{f"EleutherAI/pythia-{size}": f"pythia-{size}" for size in _PYTHIA},
        "EleutherAI/gpt-neox-20b": "gpt-neox-20b",
        **{f"facebook/opt-{size}": f"opt-{size}"
           for size in ("125m", "350m", "1.3b", "2.7b", "6.7b", "13b", "30b")},
        **{f"meta-llama/Llama-2-{size}-hf": f"llama-2-{size}" for size in ("7b", "13b", "70b")},
        "microsoft/phi-1_5": "phi-1.5",
        "openai/whisper-large-v3": "whisper-large-v3",
        "openai/whisper-large-v3-turbo": "whisper-large-v3-turbo",
    },
    "BF16": {
        **{f"Qwen/Qwen2.5-{size}": f"qwen2.5-{size.lower()}"
           for size in ("0.5B", "1.5B", "3B", "7B", "14B", "32B", "72B")},
        **{f"Qwen/Qwen3-{size}": f"qwen3-{size.lower()}"
           for size in ("0.6B", "1.7B", "4B", "8B", "14B", "32B", "30B-A3B", "235B-A22B")},
        **{f"meta-llama/Meta-Llama-3-{size}": f"llama-3-{size.lower()}" for size in ("8B", "70B")},
        **{f"meta-llama/Llama-3.1-{size}": f"llama-3.1-{size.lower()}"
           for size in ("8B", "70B", "405B")},
        **{f"meta-llama/Llama-3.2-{size}": f"llama-3.2-{size.lower()}" for size in ("1B", "3B")},
        **{f"HuggingFaceTB/SmolLM2-{size}": f"smollm2-{size.lower()}"
           for size in ("135M", "360M", "1.7B")},
        "TinyLlama/TinyLlama-1.1B-Chat-v1.0": "tinyllama-1.1b",
        "mistralai/Mistral-7B-v0.1": "mistral-7b",
        "mistralai/Mixtral-8x7B-v0.1": "mixtral-8x7b",
        "mistralai/Mixtral-8x22B-v0.1": "mixtral-8x22b",
        **{f"google/{name}": name for name in ("gemma-2b", "gemma-7b")},
        "google/gemma-3-1b-pt": "gemma-3-1b",
        "microsoft/Phi-3-mini-4k-instruct": "phi-3-mini",
        **{f"tiiuae/falcon-{size}": f"falcon-{size}" for size in ("7b", "40b")},
    },
}  # fmt: skip

_FORMER = ("openai-community", "google-bert", "distilbert", "FacebookAI", "google-t5")
"""Organisations whose repositories once had no organisation: `gpt2`, by which most still ask."""


def _all() -> Iterator[tuple[str, Mapping[str, Any]]]:
    for dtype, ids in _PRESETS.items():
        for id_, preset in ids.items():
            spec = {"preset": preset}
            yield (
                id_,
                {"model": spec, "source": f"the preset {preset}"}
                | ({} if dtype == "F32" else {"dtype": dtype}),
            )
    # After the presets, since what was published itself goes before.
    yield from json.loads(gzip.decompress(_DATA.read_bytes())).items()


@cache
def published_specs() -> Mapping[str, Mapping[str, Any]]:
    """By id: a spec, and the `source` of its shapes."""
    return dict(_all())


@cache
def _names() -> Mapping[str, str]:
    """Ids by all that they are asked for by, in lower case: the Hub ignores that, too."""
    names = {id_.lower(): id_ for id_ in published_specs()}
    for id_ in published_specs():
        organisation, _, name = id_.partition("/")
        if organisation in _FORMER:
            names[name.lower()] = id_
    return names


def published_id(asked: str) -> str | None:
    """The id that is meant, in its own spelling; with no organisation too, if it once had none."""
    return _names().get(asked.lower())


def spec_of_published(id_: str) -> bytes:
    """JSON of the spec of a published id."""
    spec = {key: value for key, value in published_specs()[id_].items() if key != "source"}
    return json.dumps(spec).encode()
