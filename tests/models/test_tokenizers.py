from __future__ import annotations

import json
from typing import Any

import pytest

from seedbed.models import tokenizers


def test_a_model_without_one() -> None:
    """A model that reads text but has no tokenizer names a class that needs the file of one."""
    for config in ({"vocab_size": 8}, {"text_config": {"vocab_size": 8}}):
        beside = tokenizers.absent(config, ["README.md"])
        assert json.loads(beside["tokenizer_config.json"]) == {
            "tokenizer_class": "PreTrainedTokenizerFast"
        }
        assert [*beside] == ["tokenizer_config.json"]
        for own in ("tokenizer.json", "vocab.txt", "spiece.model"):
            assert tokenizers.absent(config, [own]) == {}
    assert tokenizers.absent({"image_size": 8}, []) == {}


def model(style: str) -> dict[str, Any]:
    """The tokenizer.json of a style."""
    found: dict[str, Any] = json.loads(tokenizers.files(style)["tokenizer.json"])
    return found


def test_letters_of_bytes_are_those_of_gpt2() -> None:
    """Each byte has a letter of its own: itself if it prints, else one past U+0100 in order."""
    letters = tokenizers.byte_letters()
    assert len(set(letters)) == 256
    assert letters[ord("A")] == "A"
    assert letters[ord(" ")] == "Ġ"  # as in GPT-2's vocabulary
    assert letters[ord("\n")] == "Ċ"
    assert letters[0xC3] == "Ã"
    assert letters[0xAD] == "Ń"
    assert all(letter.isprintable() and not letter.isspace() for letter in letters)


@pytest.mark.parametrize("style", tokenizers.STYLES)
def test_every_byte_is_a_token_after_the_special_ones(style: str) -> None:
    """The vocabulary has no holes: special tokens, then bytes in their order, and no merges."""
    found = model(style)
    vocabulary = found["model"]["vocab"]
    assert sorted(vocabulary.values()) == list(range(tokenizers.VOCABULARY))
    assert found["model"]["merges"] == []
    first = tokenizers.FIRST_BYTE
    assert [vocabulary[one] - first for one in tokenizers.byte_letters()] == list(range(256))
    special = {one["id"]: one["content"] for one in found["added_tokens"]}
    assert [vocabulary[special[index]] for index in range(first)] == list(range(first))


@pytest.mark.parametrize(
    ("style", "before", "after"),
    [
        ("gpt", [], []),
        ("llama", ["<s>"], []),
        ("t5", [], ["</s>"]),
        ("bart", ["<s>"], ["</s>"]),
        ("bert", ["[CLS]"], ["[SEP]"]),
        ("distilbert", ["[CLS]"], ["[SEP]"]),
    ],
)
def test_special_tokens_are_put_around_a_text(
    style: str, before: list[str], after: list[str]
) -> None:
    """A text begins and ends as the family has it, and the configuration names the same tokens."""
    found = model(style)["post_processor"]
    single = [] if found is None else found["single"]
    special = [one["SpecialToken"]["id"] for one in single if "SpecialToken" in one]
    assert special == [*before, *after]
    settings = json.loads(tokenizers.files(style)["tokenizer_config.json"])
    names = {one["content"] for one in settings["added_tokens_decoder"].values()}
    assert {*special, settings["pad_token"], settings["mask_token"]} <= names
    assert ("token_type_ids" in settings["model_input_names"]) == (style == "bert")
