from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from seedbed.errors import LimitError
from seedbed.files import Checkpoint, CheckpointSpec, SmallFile, VirtualFile, spec_from_token
from seedbed.init import Limits

BODY: dict[str, Any] = {
    "seed": 3,
    "model": {"manifest": {f"{name}.weight": [50, 40] for name in "edcba"}},
    "tensors": [{"name": "0.bias", "shape": [5], "init": "normal"}],
}


def checkpoint(**fields: Any) -> Checkpoint:
    """Of the body, with other fields."""
    return Checkpoint(CheckpointSpec.model_validate({**BODY, **fields}))


def content(one: Checkpoint, name: str) -> bytes:
    """All bytes of a file."""
    file = one.file(name)
    assert file is not None
    return bytes(file.read(0, file.size))


def test_one_file_and_a_card() -> None:
    """A checkpoint that is small enough is one file, the same as without all this."""
    one = checkpoint()
    assert one.names == ("README.md", "model.safetensors")
    assert not one.is_sharded
    alone = VirtualFile(CheckpointSpec.model_validate(BODY))
    assert content(one, "model.safetensors") == alone.read(0, alone.size)
    assert one.whole.etag == alone.etag


def test_shards_hold_what_the_whole_holds() -> None:
    """Shards have the tensors of the whole, each once, with the same values; the index says where.

    The whole itself does not depend on how it is cut up.
    """
    one = checkpoint(max_shard_size="20KB")
    assert one.names == (
        "README.md",
        "model-00001-of-00003.safetensors",
        "model-00002-of-00003.safetensors",
        "model-00003-of-00003.safetensors",
        "model.safetensors.index.json",
    )
    whole = load(content(one, "model.safetensors"))
    index = json.loads(content(one, "model.safetensors.index.json"))
    seen = {}
    for name in one.shards:
        for tensor, values in load(content(one, name)).items():
            assert index["weight_map"][tensor] == name
            assert tensor not in seen
            seen[tensor] = values
    assert seen.keys() == whole.keys() == index["weight_map"].keys()
    for tensor, values in seen.items():
        np.testing.assert_array_equal(values, whole[tensor])
    assert index["metadata"]["total_size"] == sum(values.nbytes for values in whole.values())
    assert one.whole.etag == checkpoint().whole.etag


def test_shards_are_told_apart() -> None:
    """Files with other bytes have other ETags: other shards, and other ways to cut."""
    etags = [
        file.etag
        for size in ("20KB", "30KB", "40KB", "1GB")
        for file in checkpoint(max_shard_size=size).files()
        if file.name != "README.md"
    ]
    assert len(etags) == len(set(etags))


def test_shards_do_not_depend_on_how_the_spec_is_spelled() -> None:
    """A spec in another order, or back from its link, is cut up alike."""
    one = checkpoint(max_shard_size="20KB")
    tensors = {name: [50, 40] for name in sorted(f"{letter}.weight" for letter in "abcde")}
    spelled = checkpoint(max_shard_size=20_000, model={"manifest": tensors})
    linked = Checkpoint(spec_from_token(one.spec.token, 10_000))
    etags = [(file.name, file.etag) for file in one.files()]
    assert [(file.name, file.etag) for file in spelled.files()] == etags
    assert [(file.name, file.etag) for file in linked.files()] == etags


def test_no_such_file() -> None:
    """A name that is none gives nothing, a shard of another count neither."""
    one = checkpoint(max_shard_size="20KB")
    assert one.file("model-00001-of-00002.safetensors") is None
    assert one.file("config.json") is None
    assert one.file("") is None


def test_no_tensors_at_all() -> None:
    """A layer without parameters is a file without tensors."""
    layer = {"type": "instance_norm", "name": "n", "num_features": 3, "affine": False}
    one = Checkpoint(CheckpointSpec.model_validate({"layers": [layer]}))
    assert one.names == ("README.md", "model.safetensors")
    assert load(content(one, "model.safetensors")) == {}


def test_the_card() -> None:
    """The card says that nothing is trained, and has the spec that makes the files again."""
    one = checkpoint()
    card = content(one, "README.md").decode()
    assert "not trained" in card
    assert one.spec.digest in card
    _, _, rest = card.partition("`spec.json`:\n\n")
    spec = CheckpointSpec.model_validate_json(rest.partition("\n\nthen")[0])
    assert Checkpoint(spec).whole.etag == one.whole.etag


@pytest.mark.parametrize("odd", ["\u2028", "\u2029"])
def test_no_name_breaks_the_card(odd: str) -> None:
    """Whatever ends a line for somebody, in a name or a note, the spec in the card is the spec."""
    body = {
        "tensors": [{"name": f"a{odd}b", "shape": [1], "init": "ones"}],
        "metadata": {"note": f"{odd}---{odd}# no heading"},
    }
    spec = CheckpointSpec.model_validate(body)
    card = Checkpoint(spec).file("README.md")
    assert isinstance(card, SmallFile)
    lines = card.content.decode().split("\n")
    begin, end = lines.index("    {"), lines.index("    }")
    assert all(line.startswith("    ") for line in lines[begin:end])
    found = json.loads("\n".join(lines[begin : end + 1]))
    assert CheckpointSpec.model_validate(found).canonical_json == spec.canonical_json


def test_a_number_of_shards() -> None:
    """More weight files than a limit allows are refused; the whole in one file is there."""
    tensors = [{"name": f"t{i}", "shape": [1], "init": "ones"} for i in range(9)]
    spec = CheckpointSpec.model_validate({"tensors": tensors, "max_shard_size": 1})
    assert len(Checkpoint(spec, Limits(max_shards=9)).shards) == 9
    one = Checkpoint(spec, Limits(max_shards=8))
    for ask in (lambda: one.names, lambda: one.file("README.md")):
        with pytest.raises(LimitError, match="max_shards") as caught:
            ask()
        assert (caught.value.actual, caught.value.maximum) == (9, 8)
    assert one.file("model.safetensors") is not None


def test_a_long_spec_is_not_in_the_card() -> None:
    """A card does not grow with the spec."""
    tensors = [{"name": f"{i}", "shape": [i], "init": "zeros"} for i in range(1000)]
    one = Checkpoint(CheckpointSpec.model_validate({"tensors": tensors}))
    assert len(content(one, "README.md")) < 2000


def test_small_files_are_read_in_ranges() -> None:
    """A small file is read as any other."""
    file = checkpoint().file("README.md")
    assert isinstance(file, SmallFile)
    room = bytearray(10)
    file.read_into(5, memoryview(room))
    assert room == file.content[5:15] == file.read(5, 15)
    assert file.size == len(file.content)
    assert file.etag != SmallFile("other.md", file.content).etag
    assert file.etag == SmallFile("README.md", file.content).etag


def test_a_file_that_is_too_large() -> None:
    """The limit on a file holds for each shard, not for all of them together."""
    limits = Limits(max_file_bytes=20_000)
    spec = CheckpointSpec.model_validate({**BODY, "max_shard_size": "20KB"})
    one = Checkpoint(spec, limits)
    assert one.file("model-00001-of-00003.safetensors") is not None
    with pytest.raises(LimitError):
        one.file("model.safetensors")
