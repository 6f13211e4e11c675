from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import Field, ValidationError

from seedbed.errors import Choices, LimitError, SpecError
from seedbed.files import Checkpoint, CheckpointSpec, spec_from_token
from seedbed.files.findings import errors_of
from seedbed.init import Parameter
from seedbed.init.layers.base import scheme
from seedbed.models import Architecture, Preset, collect, registry


class Stack(Architecture):
    """So many matrices."""

    library = "tests 1.0"

    depth: int = Field(2, ge=1, description="Matrices.")
    width: int = Field(3, ge=1, le=10, description="Rows and columns.")

    def parameters(self) -> Iterator[Parameter]:
        """One after the other, the last first."""
        for i in reversed(range(self.depth)):
            yield Parameter(f"{i}.weight", (self.width, self.width), scheme("normal", std=0.5))


@pytest.fixture(autouse=True)
def _stack(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"stack": Preset("stack", "Matrices.", Stack, {"depth": 4})}
    monkeypatch.setattr(registry, "presets", lambda: known)


def spec_of(model: Any, **fields: Any) -> CheckpointSpec:
    """A spec of one model, as a request body would give it."""
    return CheckpointSpec.model_validate_json(json.dumps({"model": model, **fields}))


def names(spec: CheckpointSpec) -> list[str]:
    """Of the tensors, in the order of the plan."""
    return [tensor.name for tensor in Checkpoint(spec).tensors]


def test_a_preset_and_its_arguments() -> None:
    """A preset has its own defaults, arguments replace them, and tensors keep their order."""
    assert names(spec_of({"preset": "stack"})) == ["3.weight", "2.weight", "1.weight", "0.weight"]
    assert names(spec_of({"preset": "stack", "depth": 1, "width": 2})) == ["0.weight"]


@pytest.mark.parametrize(
    ("model", "path", "allowed"),
    [
        ({"preset": "stak"}, ("model", "preset"), ("stack",)),
        ({"preset": "stack", "depht": 1}, ("model", "depht"), ("depth", "width")),
        ({"preset": "stack", "depth": "3"}, ("model", "depth"), ()),
        ({"preset": "stack", "width": 11}, ("model", "width"), ()),
        ({"config": {"model_type": "nonesuch"}}, ("model", "config", "model_type"), None),
    ],
)
def test_what_no_model_is(model: Any, path: tuple[str, ...], allowed: Any) -> None:
    """A preset, argument or model type that is none is said with its place and what there is."""
    with pytest.raises(SpecError) as caught:
        Checkpoint(spec_of(model))
    assert caught.value.path == path
    if allowed is not None:
        assert caught.value.allowed == allowed


@pytest.mark.parametrize(
    ("model", "path", "allowed"),
    [
        ({}, ("model",), ("preset", "config", "manifest", "list")),
        (5, ("model",), ("preset", "config", "manifest", "list")),
        ({"preset": 5}, ("model", "preset"), ()),
        ({"config": 5}, ("model", "config"), ()),
        (
            {"config": {}, "x": 1},
            ("model", "x"),
            ("config", "ignore_quantization", "recorded"),
        ),
        ({"manifest": {"a": [1]}, "x": 1}, ("model", "x"), ("manifest", "initializer_range")),
        ({"manifest": {"a": [-1]}}, ("model", "manifest", "a"), ()),
    ],
)
def test_findings_have_places(model: Any, path: tuple[str, ...], allowed: Any) -> None:
    """What the models of the body find wrong has a place in the body itself."""
    body = {"model": model}
    with pytest.raises(ValidationError) as caught:
        CheckpointSpec.model_validate_json(json.dumps(body))
    (finding,) = errors_of(caught.value, body)
    assert (finding.path[: len(path)], finding.allowed) == (path, allowed)


def test_no_end() -> None:
    """A model without end is refused, and soon."""
    with pytest.raises(LimitError) as caught:
        Checkpoint(spec_of({"preset": "stack", "depth": 10**9}))
    assert caught.value.limit == "max_tensors"
    with pytest.raises(LimitError):
        collect(Stack(depth=10**9).parameters())


def test_rules_over_a_model() -> None:
    """Rules change inits and dtypes of a model's tensors, leave some out, and take others in."""
    spec = spec_of(
        {"preset": "stack"},
        rules=[
            {"match": "*", "drop": True},
            {"match": "[123].weight", "drop": False, "dtype": "F64"},
            {"match": "2.*", "init": "orthogonal"},
        ],
        tensors=[{"name": "0.weight", "shape": [1], "init": "ones"}],
    )
    found = {tensor.name: tensor for tensor in Checkpoint(spec).tensors}
    assert {name: (one.dtype.code, one.scheme.scheme) for name, one in found.items()} == {
        "0.weight": ("F32", "ones"),
        "3.weight": ("F64", "normal"),
        "2.weight": ("F64", "orthogonal"),
        "1.weight": ("F64", "normal"),
    }
    with pytest.raises(SpecError, match="every tensor"):
        Checkpoint(spec_of({"preset": "stack"}, rules=[{"match": "*", "drop": True}]))
    with pytest.raises(SpecError, match=r"also names") as caught:
        Checkpoint(
            spec_of(
                {"preset": "stack"}, tensors=[{"name": "1.weight", "shape": [1], "init": "ones"}]
            )
        )
    assert caught.value.path[0] == "model"


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        (
            {"match": "1.*", "init": {"scheme": "dirac", "groups": 2}},
            ("rules", 0, "init", "groups"),
        ),
        ({"match": "1.*", "dtype": "I64"}, ("rules", 0, "dtype")),
    ],
)
def test_a_rule_that_cannot_be(rule: Any, path: tuple[str | int, ...]) -> None:
    """A rule that a model's tensor cannot take is the rule's fault, and names the tensor."""
    with pytest.raises(SpecError, match=r"'1\.weight'") as caught:
        Checkpoint(spec_of({"preset": "stack"}, rules=[rule]))
    assert caught.value.path == path


def test_other_frameworks_have_other_names() -> None:
    """A model in Keras' layout is refused, not served with wrong names."""
    with pytest.raises(SpecError, match="not of keras") as caught:
        Checkpoint(spec_of({"preset": "stack"}, framework="keras"))
    assert caught.value.path == ("framework",)


def test_values_do_not_depend_on_the_model() -> None:
    """A tensor of a model is the same as that tensor alone."""
    model = Checkpoint(spec_of({"preset": "stack"}, seed=9)).whole
    alone = CheckpointSpec.model_validate(
        {
            "seed": 9,
            "tensors": [
                {
                    "name": "2.weight",
                    "shape": [3, 3],
                    "init": {"scheme": "normal", "std": 0.5},
                }
            ],
        }
    )
    (index,) = [i for i, tensor in enumerate(model.tensors) if tensor.name == "2.weight"]
    start = model.offset(index)
    single = Checkpoint(alone).whole
    assert model.read(start, start + 36) == single.read(single.offset(0), single.size)


def test_the_digest_is_the_same_in_every_python() -> None:
    """A character that only later versions of Unicode know is spelled as in earlier ones."""
    line = "'\\U00016d40' [2] None \"ones\" [] [] 1\n"
    model = spec_of({"manifest": {"\U00016d40": [2]}}).built
    assert model is not None
    assert model.digest == hashlib.sha256(line.encode()).hexdigest()


def test_the_digest_is_of_what_the_model_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a preset comes to mean other tensors, its files have another digest."""
    before = spec_of({"preset": "stack"})
    assert before.digest == spec_of({"preset": "stack"}).digest
    known = {"stack": Preset("stack", "Matrices.", Stack, {"depth": 5})}
    monkeypatch.setattr(registry, "presets", lambda: known)
    assert before.canonical_json == spec_of({"preset": "stack"}).canonical_json
    assert before.digest != spec_of({"preset": "stack"}).digest


def test_tokens_and_seeds() -> None:
    """A model survives a link, and another seed; the size of shards goes with the link only."""
    spec = spec_of({"preset": "stack", "width": 2}, seed=5, max_shard_size="1KB")
    back = spec_from_token(spec.token, 10_000)
    assert back == spec
    assert back.max_shard_size == 1000
    assert back.digest == spec.digest == spec_of({"preset": "stack", "width": 2}).digest
    other = spec.with_seed(6)
    assert (other.seed, other.digest) == (6, spec.digest)


def test_numbers_that_are_not_finite() -> None:
    """Infinity in a config is spelled as transformers 5 spells it, so that the spec is JSON."""
    text = '{"model": {"config": {"model_type": "x", "limit": [0.0, Infinity], "low": -Infinity}}}'
    spec = CheckpointSpec.model_validate_json(text)
    assert json.loads(spec.canonical_json)["model"]["config"] == {
        "limit": [0.0, {"__float__": "Infinity"}],
        "low": {"__float__": "-Infinity"},
        "model_type": "x",
    }


def test_all_that_is_wrong_with_a_config() -> None:
    """Each field that is refused is named at once, with its place; what to do is said once."""
    config = {
        "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"],
        "activation_function": "nonesuch", "add_cross_attention": True,
        "scale_attn_weights": "yes", "pruned_heads": {"1": [2]},
    }  # fmt: skip
    with pytest.raises(SpecError) as caught:
        Checkpoint(spec_of({"config": config}))
    faults = [caught.value, *caught.value.others]
    names = {fault.path[2] for fault in faults}
    assert {fault.path[:2] for fault in faults} == {("model", "config")}
    assert names >= {"add_cross_attention", "pruned_heads"}
    assert len(names) == len(faults)
    assert sum("seedbed record" in fault.message for fault in faults) == 1


def test_no_fault_follows_from_leaving_out_another() -> None:
    """After a number that is wrong nothing is said that may only follow from its default."""
    config = {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"],
        "hidden_size": -7, "num_attention_heads": 7,
    }  # fmt: skip
    with pytest.raises(SpecError) as caught:
        Checkpoint(spec_of({"config": config}))
    assert (caught.value.path, caught.value.others) == (("model", "config", "hidden_size"), ())


def test_no_other_network_is_suggested() -> None:
    """Another spelling of a class or type is; what only resembles it would be another network."""
    for model_type, name, suggested in (
        ("llama", "LlamaForCausalLMs", ()), ("llama", "Llama_ForCausalLM", ("LlamaForCausalLM",)),
        ("clip_vision_model", "CLIPVisionModelWithSomething", ()),
    ):  # fmt: skip
        with pytest.raises(SpecError) as caught:
            Checkpoint(spec_of({"config": {"model_type": model_type, "architectures": [name]}}))
        assert isinstance(caught.value.allowed, Choices)
        assert caught.value.allowed.known == suggested
