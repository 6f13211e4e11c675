from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from seedbed.errors import DifferentRecordingError, NotRecordedError, UnstudiedError
from seedbed.files import Checkpoint, CheckpointSpec, spec_from_token
from seedbed.models import ModelOfConfig, Record

ENTRIES: list[dict[str, Any]] = [
    {"name": "h.{0..3}.w", "shape": [4, 4], "init": {"scheme": "normal", "std": 0.02}},
    {"name": "router.w", "shape": [4], "init": "ones", "kept": True},
    {"name": "steps", "shape": [], "dtype": "I64", "init": "zeros"},
    {"name": "head.w", "shape": [4, 4], "same_as": "h.0.w"},
]
NOBODYS = {"model_type": "nobodys", "architectures": ["NobodysModel"], "hidden_size": 4}
TINY_GPT2 = {
    "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"],
    "vocab_size": 8, "n_positions": 4, "n_embd": 4, "n_layer": 1, "n_head": 1,
}  # fmt: skip


def record(version: str = "5.24.0", entries: list[dict[str, Any]] | None = None) -> Record:
    """What a release made of a config."""
    return Record.of(version, ENTRIES if entries is None else entries)


def spec_of(config: dict[str, Any], **more: Any) -> CheckpointSpec:
    """A spec of a config; `recorded` and the like are the model's, the rest the spec's own."""
    model = {key: more.pop(key) for key in ("recorded", "ignore_quantization") if key in more}
    return CheckpointSpec.model_validate({"model": {"config": config, **model}, **more})


def filled(spec: CheckpointSpec, recorded: Record) -> CheckpointSpec:
    """The spec, with the record that its model is filled from."""
    assert isinstance(spec.model, ModelOfConfig)
    return spec.replaced(model=spec.model.with_record(recorded))


def digest_of(entries: list[dict[str, Any]]) -> str:
    """The digest of what was recorded."""
    return record(entries=entries).digest


def test_a_digest_of_null_is_none() -> None:
    """Written out, the default of an optional field changes nothing."""
    named = {"library": "transformers", "version": "5.24.0"}
    plain = spec_of(NOBODYS, recorded=named)
    told = spec_of(NOBODYS, recorded={**named, "digest": None})
    assert told.canonical_json == plain.canonical_json
    assert filled(told, record()).digest == filled(plain, record()).digest


def test_what_a_record_means() -> None:
    """Names in order, shapes, dtypes and inits; config.json says what the config does."""
    spec = filled(spec_of(NOBODYS), record())
    plan = {t.name: (t.dtype.code, t.shape) for t in Checkpoint(spec).ordered}
    assert [*plan] == ["h.0.w", "h.1.w", "h.2.w", "h.3.w", "router.w", "steps", "head.w"]
    assert plan["steps"] == ("I64", ())
    assert plan["h.3.w"] == ("F32", (4, 4))
    assert spec.built is not None
    assert spec.built.library == "transformers 5.24.0, recorded"
    file = Checkpoint(spec).file("config.json")
    assert file is not None
    assert json.loads(file.read(0, file.size)) == {**NOBODYS, "dtype": "float32"}


def test_dtypes() -> None:
    """The config's dtype is the default, another one overrides it; what is kept in F32 stays."""
    for spec in (spec_of({**NOBODYS, "dtype": "bfloat16"}), spec_of(NOBODYS, dtype="BF16")):
        codes = {t.name: t.dtype.code for t in Checkpoint(filled(spec, record())).tensors}
        assert (codes["h.0.w"], codes["router.w"], codes["steps"]) == ("BF16", "F32", "I64")
    wide = spec_of({**NOBODYS, "dtype": "bfloat16"}, dtype="F64")
    codes = {t.name: t.dtype.code for t in Checkpoint(filled(wide, record())).tensors}
    assert (codes["h.0.w"], codes["router.w"]) == ("F64", "F64")


@pytest.mark.parametrize(
    ("place", "change"),
    [
        (0, {"name": "h.{0..4}.w"}), (0, {"shape": [2, 8]}), (1, {"init": "zeros"}),
        (1, {"kept": False}), (1, {"dtype": "F64", "kept": False}), (3, {"same_as": "h.1.w"}),
    ],
)  # fmt: skip
def test_the_digest_is_of_everything(place: int, change: dict[str, Any]) -> None:
    """Whatever changes the files of some dtype changes the digest of a record."""
    other = [dict(entry) for entry in ENTRIES]
    other[place] |= change
    assert digest_of(other) != digest_of(ENTRIES)
    assert digest_of([ENTRIES[1], ENTRIES[0], *ENTRIES[2:]]) != digest_of(ENTRIES)  # shards differ


def test_a_canonical_spec_names_release_and_digest() -> None:
    """Canonical JSON, digest, ETag and link hold whose word it is; the link leads to no other."""
    spec = filled(spec_of(NOBODYS), record())
    said = {"library": "transformers", "version": "5.24.0", "digest": record().digest}
    assert json.loads(spec.canonical_json)["model"] == {"config": NOBODYS, "recorded": said}
    again = spec_from_token(spec.token, 1 << 20)
    assert again.canonical_json == spec.canonical_json
    with pytest.raises(NotRecordedError, match=r"5\.24\.0"):
        Checkpoint(again)
    assert Checkpoint(filled(again, record())).whole.etag == Checkpoint(spec).whole.etag
    other = [*ENTRIES[:2], *ENTRIES[3:]]
    files = {
        Checkpoint(filled(spec_of(NOBODYS), one)).whole.etag
        for one in (record(), record("5.25.0"), record(entries=other))
    }
    assert len(files) == 3


def test_only_the_record_that_is_meant() -> None:
    """Another release, or other contents, is an error of its own, and names what is needed."""
    named = filled(spec_of(NOBODYS), record())
    with pytest.raises(NotRecordedError) as missing:
        filled(named, record("5.25.0"))
    assert (missing.value.library, missing.value.version) == ("transformers", "5.24.0")
    assert missing.value.digest == record().digest
    with pytest.raises(DifferentRecordingError, match="another model"):
        filled(named, record(entries=ENTRIES[:2]))
    by_hand = spec_of(NOBODYS, recorded={"library": "transformers", "version": "5.24.0"})
    assert filled(by_hand, record()).canonical_json == named.canonical_json


def test_the_catalogue_goes_first_unless_a_release_is_named() -> None:
    """A known config is the catalogue's; a link from when it was not stays the library's."""
    light = spec_of(TINY_GPT2)
    assert light.built is not None
    assert "recorded" not in light.canonical_json
    named = filled(light, record())
    assert [t.name for t in Checkpoint(named).ordered][:2] == ["h.0.w", "h.1.w"]
    assert named.digest != light.digest
    with pytest.raises(NotRecordedError):
        _ = spec_from_token(named.token, 1 << 20).built


def test_what_the_catalogue_refuses_says_what_to_record() -> None:
    """The config in canonical form, without its quantisation, goes with the refusal."""
    quantised = {**NOBODYS, "quantization_config": {"quant_method": "fp8"}}
    with pytest.raises(UnstudiedError) as refused:
        _ = spec_of(quantised).built
    assert json.loads(refused.value.config) == NOBODYS
    assert refused.value.path[:2] == ("model", "config")


@pytest.mark.parametrize(
    "recorded",
    [
        {"library": "timm", "version": "1"}, {"library": "transformers"},
        {"library": "transformers", "version": ""}, {"library": "transformers", "version": "x"},
        {"library": "transformers", "version": "5.24.0", "digest": "0" * 31},
        {"library": "transformers", "version": "5.24.0", "torch": "2.13.0"},
    ],
)  # fmt: skip
def test_what_names_no_release(recorded: dict[str, str]) -> None:
    """The library is one of those that are recorded, the release is named, and nothing else is."""
    with pytest.raises(ValidationError):
        spec_of(NOBODYS, recorded=recorded)


@given(
    seed=st.integers(0, 2**64 - 1),
    dtype=st.sampled_from(["F32", "BF16", "F16"]),
    size=st.sampled_from(["5GB", "49GB"]),
    std=st.floats(1e-3, 1.0),
)
def test_identity(seed: int, dtype: str, size: str, std: float) -> None:
    """What is stored or linked of a recorded spec is that spec, whatever else it says."""
    entries = [{**ENTRIES[0], "init": {"scheme": "normal", "std": std}}, *ENTRIES[1:]]
    made = record(entries=entries)
    spec = filled(spec_of(NOBODYS, seed=seed, dtype=dtype, max_shard_size=size), made)
    again = filled(spec_from_token(spec.token, 1 << 20), made)
    assert (again.digest, again.seed, again.max_shard_size) == (
        spec.digest, spec.seed, spec.max_shard_size,
    )  # fmt: skip
    assert again.canonical_json == spec.canonical_json
    assert replace(made) == made
