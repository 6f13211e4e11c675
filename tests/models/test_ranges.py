from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from seedbed.errors import LimitError, SpecError
from seedbed.files import Checkpoint, CheckpointSpec, VirtualFile
from seedbed.files.price import price
from seedbed.init import Limits
from seedbed.models.ranges import Ranged, compressed, expanded
from tests.strategies import untimed


def spec_of(*entries: dict[str, Any], **more: Any) -> CheckpointSpec:
    """A spec of a list."""
    return CheckpointSpec.model_validate({"model": {"list": list(entries)}, **more})


def entry(name: str, init: Any = "normal", **more: Any) -> dict[str, Any]:
    """An entry."""
    return {"name": name, "shape": [2, 2], **({"init": init} if init else {}), **more}


def names_of(spec: CheckpointSpec) -> list[str]:
    """The names that a list comes to, in its order."""
    assert spec.built is not None
    return [parameter.name for parameter in spec.built.parameters]


def test_consecutive_entries_are_one_loop() -> None:
    """What shares the text up to its first range is saved together, the first range outermost."""
    spec = spec_of(
        entry("embed"),
        entry("layers.{0..1}.a"),
        entry("layers.{0..1}.x.{3..4}.b"),
        entry("layers.{0..1}.x.{3..4}.c"),
        entry("layers.{2..2}.a"),
        entry("other.{0..1}.a"),
    )
    assert names_of(spec) == [
        "embed",
        "layers.0.a", "layers.0.x.3.b", "layers.0.x.3.c", "layers.0.x.4.b", "layers.0.x.4.c",
        "layers.1.a", "layers.1.x.3.b", "layers.1.x.3.c", "layers.1.x.4.b", "layers.1.x.4.c",
        "layers.2.a", "other.0.a", "other.1.a",
    ]  # fmt: skip


def test_weights_are_those_of_the_same_names() -> None:
    """A list with ranges and tensors that are spelled out have the same bytes."""
    ranged = spec_of(entry("l.{9..11}.w"), entry("l.{9..11}.v", None, same_as="l.{9..11}.w"))
    plain = [
        part
        for i in (9, 10, 11)
        for part in (entry(f"l.{i}.w"), entry(f"l.{i}.v", None, same_as=f"l.{i}.w"))
    ]
    file, other = (VirtualFile(spec) for spec in (ranged, spec_of(*plain)))
    own = VirtualFile(CheckpointSpec.model_validate({"tensors": plain}))
    data = [one.read(one.size - 6 * 16, one.size) for one in (file, other, own)]
    assert data[0] == data[1] == data[2]
    assert ranged.digest != spec_of(*plain).digest


def test_shards_follow_the_list() -> None:
    """Tensors go to shards in the order of the list, which the token keeps."""
    spec = spec_of(entry("b.{0..1}"), entry("a.{0..1}"), max_shard_size=32)
    shards = Checkpoint(spec).shards
    assert [[tensor.name for tensor in tensors] for tensors in shards.values()] == [
        ["b.0", "b.1"],
        ["a.0", "a.1"],
    ]
    assert CheckpointSpec.model_validate_json(spec.canonical_json).model == spec.model


@pytest.mark.parametrize(
    "name", ["{0..}", "{..2}", "{0..01}", "{-1..2}", "{0...2}", "{a..b}", "{0,2}", "{ 0..2}", "{}"]
)
def test_only_one_form_is_a_range(name: str) -> None:
    """Anything else in braces is a part of the name."""
    assert names_of(spec_of(entry(name))) == [name]


@pytest.mark.parametrize(
    "entries",
    [
        [entry("a.{2..1}")],
        [entry("a", None)],
        [entry("a", same_as="b")],
        [entry("a.{0..1}", None, same_as="b.{0..2}")],
        [entry("a", None, same_as="b.{0..1}")],
        [entry("a.{0..999999999}")],
        [entry("a.{0..9999}.{0..9999}")],
        [],
    ],
)
def test_what_is_no_list(entries: list[Any]) -> None:
    """Empty ranges, ranges of no name, and more than anybody has, are refused at once."""
    with pytest.raises(ValidationError):
        spec_of(*entries)


def test_names_that_meet_are_refused() -> None:
    """Two entries that come to one name are an error."""
    with pytest.raises(SpecError, match=r"'a\.1' also names"):
        VirtualFile(spec_of(entry("a.{0..1}"), entry("a.{1..2}")))


def test_the_limit_counts_what_ranges_stand_for() -> None:
    """A few bytes that mean many tensors are refused before there is a name of them."""
    spec = spec_of(entry("a.{0..999}.{0..999}"))
    with pytest.raises(LimitError, match="1,000,000 tensors"):
        price(spec, Limits())
    assert "built" not in spec.__dict__


_names = st.lists(
    st.lists(st.sampled_from(("0", "1", "2", "10", "a", "b", "07", "{0..1}")), min_size=1).map(
        ".".join
    ),
    max_size=40,
)


@untimed
@given(_names, st.data())
def test_compression_is_exact(names: list[str], data: st.DataObject) -> None:
    """What is compressed expands to the same entries in the same order, whatever they are."""
    others = [data.draw(st.none() | st.sampled_from(names)) for _ in names]
    rests = [data.draw(st.sampled_from((1, 2))) for _ in names]
    entries = [Ranged(*parts) for parts in zip(names, others, rests, strict=True)]
    packed = compressed(entries)
    assert packed == entries or list(expanded(packed)) == entries


def moe() -> list[str]:
    """Names of DeepSeek-V3 in the order of its module."""
    names = ["model.embed_tokens.weight"]
    for layer in range(61):
        head = f"model.layers.{layer}."
        parts = ("q_a_proj", "q_a_layernorm", "q_b_proj", "kv_a_proj_with_mqa", "kv_a_layernorm")
        names += [f"{head}self_attn.{part}.weight" for part in (*parts, "kv_b_proj", "o_proj")]
        gated = [f"{part}_proj.weight" for part in ("gate", "up", "down")]
        if layer < 3:
            names += [f"{head}mlp.{part}" for part in gated]
        else:
            names += [f"{head}mlp.experts.{e}.{part}" for e in range(256) for part in gated]
            names += [f"{head}mlp.gate.weight", f"{head}mlp.gate.e_score_correction_bias"]
            names += [f"{head}mlp.shared_experts.{part}" for part in gated]
        names += [f"{head}{norm}_layernorm.weight" for norm in ("input", "post_attention")]
    return [*names, "model.norm.weight", "lm_head.weight"]


def test_a_mixture_of_experts_is_a_few_kilobytes() -> None:
    """45,395 tensors in the library's order are 32 entries, and a token of some hundred bytes."""
    names = moe()
    assert len(names) == 45_395
    init = {"scheme": "normal", "std": 0.006}
    packed = compressed([Ranged(name, None, init) for name in names])
    assert len(packed) == 32
    spec = spec_of(*(entry(one.name, one.rest) for one in packed))
    assert names_of(spec) == names
    assert len(spec.canonical_json) < 4096
    assert len(spec.token) < 1024
