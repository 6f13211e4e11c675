from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.files import Checkpoint, CheckpointSpec
from seedbed.hub import Revision, RevisionError, parse_revision, split_variants
from seedbed.hub.names import DTYPES_IN_COMMITS, QUANTIZATIONS_IN_COMMITS, form_of
from seedbed.quantization import SHORT
from seedbed.stream import FloatCode
from tests.hub.test_repository import commit_of
from tests.strategies import SEED_MAX, untimed


@pytest.mark.parametrize(
    ("text", "revision"),
    [
        ("main", Revision()),
        ("HEAD", Revision()),
        ("main-bf16", Revision(dtype="BF16")),
        ("0", Revision(0)),
        ("42", Revision(42)),
        ("seed-42", Revision(42)),
        ("seed-42-F16", Revision(42, "F16")),
        ("42-f8_e4m3", Revision(42, "F8_E4M3")),
        (f"seed-{SEED_MAX}", Revision(SEED_MAX)),
        ("seed-42.fp8-block", Revision(42, quantization="fp8-block")),
        ("main-bf16.gptq-4bit", Revision(None, "BF16", quantization="gptq-4bit")),
        ("000000000000002a03" + "0" * 22, Revision(42, "BF16", "0" * 22)),
    ],
)
def test_revisions(text: str, revision: Revision) -> None:
    """A revision is a branch, a seed with or without a dtype, or a commit."""
    assert parse_revision(text) == revision


@pytest.mark.parametrize(
    "text",
    [
        "", "v1.0", "seed", "seed-", "seed-042", "-1", "1.5", "refs/pr/1", "42-", "42-int8", "MAIN",
        f"seed-{SEED_MAX + 1}", "9" * 40, "f" * 16 + "ff" + "0" * 22, "٤٢", "42\n", "seed-1-bf16-x",
        "42.fp8", "42.fp8-block-bf16", "f" * 16 + "07" + "0" * 22,
    ],
)  # fmt: skip
def test_what_is_no_revision(text: str) -> None:
    """Anything else is none, a commit of a dtype that is none too."""
    with pytest.raises(RevisionError):
        parse_revision(text)


def test_every_dtype_of_weights_has_a_place() -> None:
    """A commit can hold every dtype that a checkpoint can have."""
    assert set(DTYPES_IN_COMMITS) == {*get_args(FloatCode)}
    assert len(QUANTIZATIONS_IN_COMMITS) < 32
    assert QUANTIZATIONS_IN_COMMITS[:4] == ("fp8-block", "fp8-dynamic", "fp8-static", "w8a8")
    assert DTYPES_IN_COMMITS[:4] == ("F32", "F64", "F16", "BF16")


@given(
    st.integers(0, SEED_MAX),
    st.sampled_from(DTYPES_IN_COMMITS),
    st.none() | st.sampled_from([one for one in QUANTIZATIONS_IN_COMMITS if one != "mxfp4"]),
)
@settings(untimed, max_examples=25)
def test_a_commit_leads_back(seed: int, dtype: str, quantization: str | None) -> None:
    """Seed, dtype and quantisation can be read from a commit, whatever they are."""
    tensor = {"name": "layers.0.a.weight", "shape": [128, 128], "init": "normal"}
    last = {"name": "norm.weight", "shape": [1], "init": "ones"}
    body: dict[str, Any] = {"seed": seed, "dtype": dtype, "tensors": [tensor, last]}
    if quantization is not None:
        body["quantization"] = quantization
    commit = commit_of(Checkpoint(CheckpointSpec.model_validate(body)))
    back = parse_revision(commit)
    assert (back.seed, back.dtype, back.quantization) == (seed, dtype, quantization)
    assert back.digest is not None
    assert commit.endswith(back.digest)


@pytest.mark.parametrize(
    "same", [{"bits": 4.0}, {"group_size": 128, "desc_act": 0}, {"desc_act": 0.0}]
)
def test_what_only_python_thinks_equal_has_no_short_name(same: dict[str, Any]) -> None:
    """A commit names a quantisation only if that is the spec's own, which has its digest."""
    exact = dict(reversed(SHORT["gptq-4bit"].items()))
    assert form_of("F32", exact) == form_of("F32", SHORT["gptq-4bit"]) != 0
    assert form_of("F32", {**exact, **same}) == form_of("F32", None) == 0


KNOWN = {"gpt2", "llama-3.1-8b", "resnet50", "a.b"}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("gpt2", ("gpt2", {})),
        ("gpt2.bf16", ("gpt2", {"dtype": "BF16"})),
        ("gpt2.fp8-block", ("gpt2", {"quantization": "fp8-block"})),
        ("gpt2.w8a8.bf16", ("gpt2", {"quantization": "w8a8", "dtype": "BF16"})),
        ("llama-3.1-8b", ("llama-3.1-8b", {})),
        ("llama-3.1-8b.shard-5GB.bf16",
         ("llama-3.1-8b", {"max_shard_size": "5GB", "dtype": "BF16"})),
        ("resnet50.num_classes-10", ("resnet50", {"num_classes": "10"})),
        ("resnet50.num_classes-10.zero_init_residual-true",
         ("resnet50", {"num_classes": "10", "zero_init_residual": "true"})),
        ("a.b.f16", ("a.b", {"dtype": "F16"})),
        ("gpt2.nonesuch", ("gpt2", {"dtype": "nonesuch"})),
        ("gpt3", None), ("", None), ("gpt2.bf16.f16", None), ("gpt2.n_layer-", None),
        ("GPT2", None), ("gpt2/x", None), ("a" * 97, None),
    ],
)  # fmt: skip
def test_variants(name: str, found: object) -> None:
    """A repository's name is a preset's, then options between dots; a preset may have dots too."""
    assert split_variants(name, KNOWN) == found
