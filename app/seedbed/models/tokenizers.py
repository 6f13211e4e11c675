"""A tokenizer small enough to write down: one token a byte, and a few special ones before them.

It is a byte-level BPE without merges, in the format of the `tokenizers` library, so that
`AutoTokenizer` reads it and any text survives encoding and decoding. Tiny presets have it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

FIRST_BYTE = 8
"""Token of the byte 0; those below are special, or reserved."""

VOCABULARY = FIRST_BYTE + 256

PAD, BOS, EOS, MASK, UNKNOWN = range(5)
"""Special tokens, in every one of these tokenizers the same."""


@dataclass(frozen=True)
class Style:
    """What a family calls its special tokens, and where it puts them.

    Attributes:
        pad: content of the padding token, and so on.
        bos: at the start.
        eos: at the end.
        mask: that stands for a missing one.
        unknown: never needed, but some expect it.
        starts: whether a text starts with `bos`.
        ends: whether it ends with `eos`.
        names: of the two in the configuration: bos and eos, or cls and sep.
        types: whether tokens of a second text are told apart.
    """

    pad: str = "<pad>"
    bos: str = "<s>"
    eos: str = "</s>"
    mask: str = "<mask>"
    unknown: str = "<unk>"
    starts: bool = False
    ends: bool = False
    names: tuple[str, str] = ("bos_token", "eos_token")
    types: bool = False


_BERT = Style(
    pad="[PAD]",
    bos="[CLS]",
    eos="[SEP]",
    mask="[MASK]",
    unknown="[UNK]",
    starts=True,
    ends=True,
    names=("cls_token", "sep_token"),
)

STYLES: Mapping[str, Style] = {
    "gpt": Style(),
    "llama": Style(starts=True),
    "t5": Style(ends=True),
    "bart": Style(starts=True, ends=True),
    "bert": replace(_BERT, types=True),
    "distilbert": _BERT,
}
"""By what the families are like."""

MAX_LENGTH = 128
"""Tokens that a tiny preset has positions for."""


def byte_letters() -> list[str]:
    """The letter that stands for each byte in a vocabulary of byte-level BPE (GPT-2's).

    Bytes that print stand for themselves, the others are moved past U+0100.
    """
    printed = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    letters, moved = [], 0
    for byte in range(256):
        if byte in printed:
            letters.append(chr(byte))
        else:
            letters.append(chr(0x100 + moved))
            moved += 1
    return letters


def reads_text(config: Mapping[str, Any]) -> bool:
    """Whether a model has a vocabulary, by its config or by one within it."""
    return "vocab_size" in config or any(
        reads_text(part) for part in config.values() if isinstance(part, Mapping)
    )


ABSENT: Mapping[str, bytes] = {
    "tokenizer_config.json": b'{\n  "tokenizer_class": "PreTrainedTokenizerFast"\n}\n'
}
"""Of a model that has no tokenizer: a class that needs a tokenizer.json, which is not there.

Of a model type alone transformers 5 makes a tokenizer without one token, and says nothing; of this
it says that the tokenizer is missing.
"""


def absent(config: Mapping[str, Any], names: Iterable[str]) -> Mapping[str, bytes]:
    """What lets a loader say that there is no tokenizer, if a model reads text and has none.

    Args:
        config: of the model.
        names: of the files beside its weights.
    """
    has_one = any(name.startswith(_NAMES) or name.endswith(".model") for name in names)
    return ABSENT if reads_text(config) and not has_one else {}


_NAMES = ("tokenizer", "vocab", "merges", "special_tokens")


@cache
def files(style: str) -> Mapping[str, bytes]:
    """tokenizer.json and tokenizer_config.json, by name.

    Args:
        style: a key of `STYLES`.
    """
    said = STYLES[style]
    return {
        "tokenizer.json": _json(_tokenizer(said)),
        "tokenizer_config.json": _json(_settings(said)),
    }


def _json(content: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(content, indent=2, ensure_ascii=False)}\n".encode()


def _specials(style: Style) -> list[str]:
    return [style.pad, style.bos, style.eos, style.mask, style.unknown]


def _tokenizer(style: Style) -> dict[str, Any]:
    specials = _specials(style)
    reserved = [f"<reserved_{index}>" for index in range(FIRST_BYTE - len(specials))]
    vocabulary = [*specials, *reserved, *byte_letters()]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": index,
                "content": content,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for index, content in enumerate([*specials, *reserved])
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": False,
        },
        "post_processor": _template(style),
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": True,
            "trim_offsets": True,
            "use_regex": True,
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {letter: index for index, letter in enumerate(vocabulary)},
            "merges": [],
        },
    }


def _template(style: Style) -> dict[str, Any] | None:
    """What is put around one text, and around two."""
    if not (style.starts or style.ends):
        return None
    start = [{"SpecialToken": {"id": style.bos, "type_id": 0}}] * style.starts
    end = [{"SpecialToken": {"id": style.eos, "type_id": 0}}] * style.ends
    second = [{"SpecialToken": {"id": style.eos, "type_id": 1}}] * style.ends
    used = {style.bos: BOS} if style.starts else {}
    used |= {style.eos: EOS} if style.ends else {}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [*start, text, *end],
        "pair": [*start, text, *end, {"Sequence": {"id": "B", "type_id": 1}}, *second],
        "special_tokens": {
            content: {"id": content, "ids": [index], "tokens": [content]}
            for content, index in used.items()
        },
    }


def _settings(style: Style) -> dict[str, Any]:
    bos, eos = style.names
    return {
        "added_tokens_decoder": {
            str(index): {
                "content": content,
                "lstrip": False,
                "normalized": False,
                "rstrip": False,
                "single_word": False,
                "special": True,
            }
            for index, content in enumerate(_specials(style))
        },
        bos: style.bos,
        "clean_up_tokenization_spaces": False,
        eos: style.eos,
        "mask_token": style.mask,
        "model_input_names": ["input_ids", *["token_type_ids"] * style.types, "attention_mask"],
        "model_max_length": MAX_LENGTH,
        "pad_token": style.pad,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": style.unknown,
    }
