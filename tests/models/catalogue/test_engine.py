"""Whole models from configs: against what the real library saved."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest

from seedbed.errors import LimitError, ParameterError, SpecError
from seedbed.init.schemes import Scheme
from seedbed.init.schemes.sequences import RopeInvFreq
from seedbed.models.catalogue import build, engine, types
from seedbed.stream import Normal

GOLDEN = Path(__file__).parents[2] / "golden" / "models"


def golden() -> list[Any]:
    """Fixtures of the classes that the catalogue has."""
    found = []
    for path in sorted(GOLDEN.glob("*.json.gz")):
        one = json.loads(gzip.decompress(path.read_bytes()))
        if one["library"] != "transformers":
            continue
        states = types().get(one["config"]["model_type"], {})
        if states.get(one["architecture"], {}).get("status") == "exact":
            found.append(pytest.param(one, id=one["id"]))
    return found


def spread(scheme: Scheme, shape: tuple[int, ...]) -> float | None:
    """Standard deviation of what a scheme draws, if it draws one distribution."""
    drawn = getattr(scheme.fill(shape), "distribution", None)
    return None if drawn is None else drawn.std


@pytest.mark.parametrize("one", golden())
@pytest.mark.parametrize("which", ["config", "config_json"])
def test_names_shapes_dtypes_and_inits_are_the_librarys(one: dict[str, Any], which: str) -> None:
    """A sparse config and the full one that the library wrote both give the tensors it saved."""
    model = build(one[which])
    found = {p.name: [list(p.shape), p.dtype or "F32"] for p in model.parameters}
    assert found == {name: [t["shape"], t["dtype"]] for name, t in one["tensors"].items()}
    for parameter in model.parameters:
        measured = one["tensors"][parameter.name].get("init")
        if measured is None or parameter.name in model.guessed:
            continue
        kind = parameter.init.scheme
        if measured["kind"] in {"zeros", "ones"}:
            assert kind == measured["kind"]
        elif measured["kind"] == "constant":
            assert getattr(parameter.init, "value", None) == pytest.approx(measured["value"])
        elif measured["kind"] == "normal":
            std = spread(parameter.init, parameter.shape)
            assert std is not None
            assert std == pytest.approx(
                measured["std"], rel=5 / math.sqrt(2 * measured.get("n", 4096))
            )
            rows = [r for block in parameter.blocks for r in range(block.start, block.stop)]
            assert rows == measured.get("zero_rows", [])
        elif measured["kind"] == "uniform" and "bound" in measured:
            assert getattr(parameter.init, "high", None) == pytest.approx(
                measured["bound"], rel=0.05
            )


LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}


@pytest.mark.parametrize(
    ("config", "path", "words"),
    [
        ({"model_type": "lama"}, ("model_type",), "not a model type"),
        ({}, ("model_type",), "model_type"),
        ({"model_type": "llama"}, ("architectures",), "which class"),
        ({**LLAMA, "architectures": ["LlamaForCauslLM"]}, ("architectures", 0), "studied"),
        ({**LLAMA, "hidden_size": "4096"}, ("hidden_size",), "not known"),
        ({**LLAMA, "hidden_size": 4100}, ("hidden_size",), "not a multiple"),
        ({**LLAMA, "hidden_size": -64}, ("hidden_size",), "not known"),
        ({**LLAMA, "num_attention_heads": 0}, ("num_attention_heads",), "not known"),
        ({**LLAMA, "hidden_act": "xielu"}, ("hidden_act",), "not known"),
        ({**LLAMA, "mlp_bias": 1}, ("mlp_bias",), "not known"),
        ({**LLAMA, "quantization_config": {"bits": 4}}, ("quantization_config",), "quantised"),
        ({**LLAMA, "id2label": {"0": "a"}, "num_labels": 3}, ("num_labels",), "1 labels"),
    ],
)
def test_what_was_not_studied_is_refused(
    config: dict[str, Any], path: tuple[str | int, ...], words: str
) -> None:
    """A type, class, field or value that the catalogue does not know is an error at its place."""
    with pytest.raises(SpecError, match=words) as refused:
        build(config)
    assert refused.value.path == path


def test_near_names_are_offered() -> None:
    """A misspelt model type or class is answered with those that are like it."""
    with pytest.raises(SpecError) as refused:
        build({"model_type": "lama"})
    assert "llama" in refused.value.allowed
    with pytest.raises(SpecError) as refused:
        build({**LLAMA, "architectures": ["LlamaForCauslLM"]})
    assert "LlamaForCausalLM" in refused.value.allowed


def test_whole_numbers_are_known() -> None:
    """What holds whole numbers says which, since none are drawn, but for indices of windows."""
    unknown = set()
    for path in (Path(engine.__file__).parent / "data").glob("*.json.gz"):
        for parts in json.loads(gzip.decompress(path.read_bytes())).get("classes", {}).values():
            for name, _, _, dtype, init in parts["tensors"]:
                if dtype.startswith("I") and not parts["inits"][init]:
                    unknown.add(name.rpartition(".")[2])
    assert unknown == {"relative_position_index", "summary_idxs"}


def test_the_wavelengths_of_bros() -> None:
    """The inverse frequencies of boxes are the library's; of small boxes alone they are ones."""
    bros = build({"model_type": "bros", "architectures": ["BrosModel"]})
    found = [p for p in bros.parameters if p.name.endswith("inv_freq")]
    assert [p.shape for p in found] == [(12,), (12,)]
    for parameter in found:
        assert isinstance(parameter.init, RopeInvFreq)
        assert parameter.init.theta == 10000


def test_padding_rows_and_rescaled_projections() -> None:
    """BERT's padding row is zero, and GPT-2's residual projections shrink with depth."""
    bert = build({"model_type": "bert", "architectures": ["BertForMaskedLM"], "pad_token_id": 3})
    words = next(p for p in bert.parameters if p.name.endswith("word_embeddings.weight"))
    assert [(b.start, b.stop, b.value) for b in words.blocks] == [(3, 4, 0.0)]
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_layer": 8}
    gpt2 = {p.name: p for p in build(config).parameters}
    fill = gpt2["transformer.h.7.mlp.c_proj.weight"].init.fill((4, 4))
    assert fill.distribution == Normal(0.0, 0.02 / math.sqrt(16))


def stages(**fields: Any) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a class made for these tests: a norm, then a convolution, in turns."""
    one = {
        "fixed": {}, "alike": {}, "choices": {}, "kinds": {}, "heard": {}, "derived": [],
        "loops": {"stages.": ["0", "count"]},
        "tensors": [
            ["stages.*.weight", "i % 2 == 0", ["widths[i]"], "", 0],
            ["stages.*.weight", "i % 2 == 1", ["widths[i]", "widths[i - 1]"], "", 0],
        ],
        "inits": [[]],
    }  # fmt: skip
    data = {
        "aliases": {}, "nested": {}, "activations": [],
        "defaults": {"widths": [2, 3, 5], "count": 3}, "classes": {"Stages": one},
    }  # fmt: skip
    program = engine._Program(data, "Stages")
    run = engine._Run(program, program.settled.settle(fields), 9)
    return [(p.name, p.shape) for p in run.parameters(program.body)]


def test_one_name_may_stand_for_two_kinds() -> None:
    """A list that holds a norm, then a convolution: both are there, each at its index."""
    assert stages() == [
        ("stages.0.weight", (2,)), ("stages.1.weight", (3, 2)), ("stages.2.weight", (5,)),
    ]  # fmt: skip


def test_what_is_no_count_is_refused() -> None:
    """A number of layers that a config leaves open is a question, not a failure."""
    with pytest.raises(ParameterError, match=r"None of stages\.\*") as refused:
        stages(count=None)
    assert refused.value.path == ("count",)
    with pytest.raises(ParameterError, match="a dimension of None") as refused:
        stages(widths=[2, None, 5])
    assert refused.value.path == ("widths",)
    with pytest.raises(LimitError):
        stages(count=10)


def test_the_number_of_tensors_is_bounded() -> None:
    """A config with absurdly many layers is refused before they are listed."""
    with pytest.raises(LimitError):
        build({**LLAMA, "num_hidden_layers": 10**12})
    with pytest.raises(LimitError):
        build({**LLAMA, "num_hidden_layers": 100}, most=500)


def test_aliases_and_harmless_fields_are_read() -> None:
    """Other names of a field are that field; what the library ignores is ignored."""
    plain = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": 48, "n_head": 4}
    other = {
        "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "hidden_size": 48,
        "num_attention_heads": 4, "torch_dtype": "float16", "transformers_version": "4.1.0",
        "task_specific_params": {}, "my_own_note": "hello",
    }  # fmt: skip
    assert build(plain).parameters == build(other).parameters
    with pytest.raises(SpecError, match="one field"):
        build({**plain, "hidden_size": 96})
