"""Files that a spec brings: what they change, and what they do not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from seedbed.errors import SpecError
from seedbed.files import Checkpoint, CheckpointSpec, spec_from_token
from seedbed.init import Limits
from seedbed.registry import digest_of

LIST = [{"name": "w", "shape": [4], "init": "normal"}]
CONFIG = {"model_type": "mine", "vocab_size": 4, "dtype": "float64", "scale": float("inf")}
FILES = {"config.json": CONFIG, "README.md": "# Mine\n", "vocab.txt": "a\nb\n"}


def checkpoint(files: Any = None, **fields: Any) -> Checkpoint:
    """One of a list of tensors."""
    body = {"model": {"list": LIST}, **fields, **({} if files is None else {"files": files})}
    return Checkpoint(CheckpointSpec.model_validate(body))


def content(one: Checkpoint, name: str) -> bytes:
    """All of a file."""
    file = one.file(name)
    assert file is not None
    return bytes(file.read(0, file.size))


def test_weights_do_not_depend_on_them() -> None:
    """Canonical spec, digest, header and ETag are as without; stored content and link are not."""
    one, bare = checkpoint(FILES), checkpoint()
    assert one.spec.canonical_json == bare.spec.canonical_json
    assert one.whole.etag == bare.whole.etag
    assert one.whole.header == bare.whole.header
    ways = [None, FILES, {**FILES, "README.md": "# Mine"}, {"config.json": CONFIG}]
    ones = [checkpoint(files, **more) for files in ways for more in ({}, {"max_shard_size": 8})]
    assert len({digest_of(one.spec) for one in ones}) == len(ones)
    assert len({one.spec.token for one in ones}) == len(ones)
    for one in ones:
        again = spec_from_token(one.spec.token, 10_000)
        assert (again.files, digest_of(again)) == (one.spec.files, digest_of(one.spec))
    assert digest_of(bare.spec) == bare.spec.digest


def test_an_adapter() -> None:
    """Beside its config weights have the name that PEFT looks for, and are one file."""
    adapter = checkpoint({"adapter_config.json": {"peft_type": "LORA"}})
    names = ("README.md", "adapter_config.json", "adapter_model.safetensors")
    elsewhere = Checkpoint.unpacked(adapter.pack(), adapter.ordered, Limits())
    for one in (adapter, elsewhere):
        assert one.names == names
        assert one.whole.name == "adapter_model.safetensors"
        assert content(one, one.whole.name) == content(checkpoint(), "model.safetensors")
        assert content(one, "model.safetensors") == content(one, one.whole.name)
    two = {"model": {"list": [{**LIST[0], "name": name} for name in "ab"]}, "max_shard_size": 16}
    files = {"files": {"adapter_config.json": {"peft_type": "LORA"}}}
    assert Checkpoint(CheckpointSpec.model_validate(two)).is_sharded
    with pytest.raises(SpecError, match="one file; this would be 2") as refused:
        Checkpoint(CheckpointSpec.model_validate({**two, **files})).names  # noqa: B018
    assert refused.value.path == ("max_shard_size",)


def test_what_lies_beside() -> None:
    """Texts as they are; a config of a model type says the dtype that is served."""
    one = checkpoint(FILES, dtype="BF16")
    assert one.names == ("README.md", "config.json", "model.safetensors", "vocab.txt")
    assert content(one, "README.md") == b"# Mine\n"
    assert content(one, "vocab.txt") == b"a\nb\n"
    infinite = {"__float__": "Infinity"}
    want = {**CONFIG, "dtype": "bfloat16", "scale": infinite}
    assert json.loads(content(one, "config.json")) == want
    plain = checkpoint({"config.json": {"n_layer": 2}})
    assert content(plain, "config.json") == b'{\n  "n_layer": 2\n}\n'
    assert b"library_name" not in content(plain, "README.md")
    as_text = checkpoint({"config.json": '{"model_type":"mine"}'}, dtype="BF16")
    assert content(as_text, "config.json") == b'{"model_type":"mine"}'


def test_of_models_that_have_a_config() -> None:
    """A card takes the place of the one that is written; another config.json is refused."""
    own = CheckpointSpec.model_validate(
        {"model": {"preset": "tiny-gpt2"}, "files": {"README.md": "# Mine"}}
    )
    assert content(Checkpoint(own), "README.md") == b"# Mine"
    assert json.loads(content(Checkpoint(own), "config.json"))["model_type"] == "gpt2"
    with pytest.raises(SpecError, match=r"a config\.json of its own") as refused:
        Checkpoint(own.replaced(files={"config.json": {"model_type": "gpt2"}}))
    assert refused.value.path == ("files", "config.json")


@pytest.mark.parametrize(
    "files",
    [
        {"model.safetensors": "x"}, {"a.SAFETENSORS": "x"},
        {"model.safetensors.index.json": {"a": 1}}, {"a/b": "x"}, {"..": "x"}, {".git": "x"},
        {"a..b": "x"}, {"": "x"}, {"é": "x"}, {"a\n": "x"}, {"readme.md": "x"},
        {"a.txt": "x", "A.txt": "y"}, {"a": ""}, {"a": {}}, {"a": [1]}, {"a": 1}, {"a": None},
        {"a": "\ud800"}, {"a": {"b": "\ud800"}}, {f"f{i}": "x" for i in range(65)},
    ],
    ids=str,
)  # fmt: skip
def test_none_is_hidden_empty_or_of_weights(files: Any) -> None:
    """Names that a system or a client reads otherwise, and contents that are none, are refused."""
    with pytest.raises(ValidationError):
        checkpoint(files)
