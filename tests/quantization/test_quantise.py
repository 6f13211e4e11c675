"""Quantised checkpoints by the definition; `tests/interop` reads them with their owners' code."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.errors import LimitError, SpecError
from seedbed.files import Checkpoint, CheckpointSpec, VirtualFile, is_short
from seedbed.files.price import price
from seedbed.init import Limits, MatrixCache, Source
from seedbed.init.views import View
from seedbed.quantization import METHODS, MOST_OF_A_WEIGHT, SHORT
from seedbed.quantization.modules import compressed_patterns, module_of, transformers_patterns
from seedbed.quantization.scales import scale_up, value_of
from seedbed.quantization.steps import work
from seedbed.stream import DTYPES, Box, get_engine
from tests.strategies import byte_ranges, untimed

VECTORS = Path(__file__).with_name("vectors.json")

TENSORS = [
    {"name": "layers.0.k_proj.weight", "shape": [16, 128], "init": "he_normal"},
    {"name": "layers.0.mlp.weight", "shape": [8, 256], "init": {"scheme": "uniform", "low": -0.5}},
    {"name": "layers.0.experts.down_proj", "shape": [2, 64, 8], "init": "normal"},
    {"name": "layers.0.mlp.bias", "shape": [16], "init": "zeros"},
    {"name": "embed_tokens.weight", "shape": [8, 8], "init": "normal"},
    {"name": "layers.0.mlp.gate.weight", "shape": [4, 128], "init": "normal"},
    {"name": "norm.weight", "shape": [8], "init": "ones"},
]


def checkpoint(quantization: Any, engine: str = "auto", **more: Any) -> Checkpoint:
    """Those tensors, quantised, of seed 3."""
    body = {"seed": 3, "tensors": TENSORS, "quantization": quantization, **more}
    return Checkpoint(CheckpointSpec.model_validate(body), engine=get_engine(engine))


def contents(found: Checkpoint) -> dict[str, list[Any]]:
    """Dtype, shape and bytes of each tensor."""
    file = found.whole
    return {
        tensor.name: [
            tensor.dtype.code,
            list(tensor.shape),
            bytes(file.read(file.offset(i), file.offset(i) + tensor.size_bytes)).hex(),
        ]
        for i, tensor in enumerate(file.tensors)
    }


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.parametrize("engine", ["numpy", "auto"])
def test_vectors(name: str, engine: str) -> None:
    """Every byte is that of version 1, by the definition and by the kernels."""
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))[name]
    found = contents(checkpoint(name, engine))
    assert {
        key: [code, shape, text[:64], hashlib.sha256(bytes.fromhex(text)).hexdigest()]
        for key, (code, shape, text) in found.items()
    } == vectors


@cache
def whole(name: str) -> bytes:
    """The quantised file."""
    file = checkpoint(name).whole
    return bytes(file.read(0, file.size))


@settings(untimed, max_examples=40)
@given(st.sampled_from([*SHORT]), st.data())
def test_any_range_is_that_of_the_whole(name: str, data: st.DataObject) -> None:
    """Words are put together alike wherever a range begins and ends."""
    file = checkpoint(name).whole
    start, stop = data.draw(byte_ranges(file.size))
    assert file.read(start, stop) == whole(name)[start:stop]


RULES = (
    {"match": "*.k_proj.weight", "init": "uniform"},
    {"match": "*.mlp.weight", "dtype": "F16"},
    {"match": "*.mlp.weight", "init": "ones"},
    {"match": "*.bias", "drop": True},
    {"match": "layers.0.k_proj.*", "drop": True},
    {"match": "norm.weight", "same_as": "layers.0.n2"},
    {"match": "*experts*", "init": {"scheme": "normal", "std": 0.5}},
)
"""Of the unquantised names, each of which leaves every method a weight."""


@settings(untimed, max_examples=150)
@given(
    st.sampled_from([*SHORT]),
    st.lists(st.sampled_from(RULES), max_size=4, unique_by=str),
    st.integers(700, 40_000),
    st.data(),
)
def test_shards_rules_and_slices(
    name: str, rules: list[Any], most: int, data: st.DataObject
) -> None:
    """A tensor is the same in any shard; a slice along any axes, in any order, is one of it.

    So are those of ranks, also where they cut a group or a block: all of these have one scale.
    """
    extra = {"name": "layers.0.n2", "shape": [8], "init": "ones", "dtype": "F32"}
    optional = [{**rule, "optional": True} for rule in rules]
    more: dict[str, Any] = {"rules": optional, "tensors": [*TENSORS, extra], "max_shard_size": most}
    found = checkpoint(name, **more)
    whole, whole_of = found.whole, contents(found)
    stored: dict[str, bytes] = {}
    for shard in (found.file(file) for file in found.names if file.endswith(".safetensors")):
        assert isinstance(shard, VirtualFile)
        for i, tensor in enumerate(shard.tensors):
            start = shard.offset(i)
            stored[tensor.name] = bytes(shard.read(start, start + tensor.size_bytes))
    assert {key: text for key, (_, _, text) in whole_of.items()} == {
        key: one.hex() for key, one in stored.items()
    }

    tensor = data.draw(st.sampled_from(whole.tensors))
    elements = np.frombuffer(stored[tensor.name], tensor.dtype.storage).reshape(tensor.shape)
    ranges = [sorted(data.draw(st.tuples(*[st.integers(0, e)] * 2))) for e in tensor.shape]
    axes = data.draw(st.permutations(range(elements.ndim)))
    strides = [math.prod(tensor.shape[axis + 1 :]) for axis in range(elements.ndim)]
    part = elements[tuple(slice(*pair) for pair in ranges)]
    start = sum(low * stride for (low, _), stride in zip(ranges, strides, strict=True))
    out = np.empty([part.shape[axis] for axis in axes], tensor.dtype.storage)
    box = Box(start, part.shape, tuple(strides))
    source = Source(get_engine("auto"), 3, tensor.name, tensor.dtype, MatrixCache(1 << 20, 1))
    if part.size:
        tensor.fill.write_box(source, box, out.transpose(np.argsort(axes)))
        assert out.tobytes() == part.transpose(axes).tobytes()


def test_what_is_left_alone() -> None:
    """Embeddings, routers, norms and biases are the unquantised ones, to the byte."""
    plain = contents(checkpoint(None))
    for name in SHORT:
        found = contents(checkpoint(name))
        kept = {key for key in plain if found.get(key) == plain[key]}
        assert {"embed_tokens.weight", "layers.0.mlp.gate.weight", "norm.weight"} <= kept
        assert kept < plain.keys()


@pytest.mark.parametrize("code", ["F32", "F16", "BF16", "F8_E4M3", "F8_E8M0"])
@given(wanted=st.floats(2.0**-14, 400.0))
@untimed
def test_a_scale_is_the_least_that_is_not_below(code: Any, wanted: float) -> None:
    """No number of the dtype lies between what was wanted and the scale."""
    found = scale_up(wanted, code).value
    types: dict[str, Any] = {
        "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16,
        "F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E8M0": ml_dtypes.float8_e8m0fnu,
    }  # fmt: skip
    dtype = types[code]
    assert float(np.array(found).astype(dtype)) == found
    pattern = int(np.array(found).astype(dtype).view(f"u{np.dtype(dtype).itemsize}"))
    assert value_of(DTYPES[code], pattern) == found
    assert value_of(DTYPES[code], pattern - 1) < wanted <= found


def test_a_rule_is_of_the_unquantised_name() -> None:
    """What a rule says of a weight decides what its codes are a view of."""
    rules = [{"match": "*.k_proj.weight", "init": "zeros"}]
    found = contents(checkpoint("gptq-4bit", rules=rules))
    assert {*bytes.fromhex(found["layers.0.k_proj.qweight"][2])} == {0x88}


UNSOUND = ("a{99999999999}", "(" * 3000 + ")" * 3000, "a)|(?:b", "(?<=a+)b", "(?P<a>b")


def _by(weights: Any) -> Any:
    """compressed-tensors with these arguments of weights."""
    group = {"targets": ["Linear"], "weights": weights}
    return {"quant_method": "compressed-tensors", "config_groups": {"a": group}}


@pytest.mark.parametrize(
    ("quantization", "said"),
    [
        ("fp9", "there is no quantization"),
        ({"quant_method": "hqq"}, "is not taken"),
        ({"quant_method": "gptq", "bits": 5}, "2, 3, 4"),
        ({"quant_method": "gptq", "group_size": 100}, "multiple of 100"),
        ({"quant_method": "fp8", "weight_blok_size": [1, 1]}, "Extra inputs"),
        ({"quant_method": "fp8", "modules_to_not_convert": ["("]}, "no regular expression"),
        *(({"quant_method": "fp8", "modules_to_not_convert": ["x", one]}, "no regular expression")
          for one in ("(?i)X", *UNSOUND)),
        *(({**SHORT["w4a16"], "ignore": ["re:x", f"re:{one}"]}, "no regular expression")
          for one in UNSOUND),
        ({"quant_method": "fp8", "modules_to_not_convert": ["layers"]}, "quantises no tensor"),
        *(({"quant_method": method, "group_size": size}, "at least 1 column")
          for method in ("gptq", "awq") for size in (0, -2)),
        ({"quant_method": "fp8", "ignored_layers": ["a"], "modules_to_not_convert": []}, "differ"),
        ({**SHORT["modelopt-fp8"], "kv_cache_scheme": {"num_bits": 4, "type": "float"}}, "Input"),
        ({**SHORT["modelopt-fp8"], "kv_cache_scheme": {"bits": 8}}, "required"),
        ({**SHORT["w8a8"], "kv_cache_scheme": {"symmetric": False}}, "without zero points"),
        *((_by({"num_bits": 8, **arguments}), said) for arguments, said in (
            ({"actorder": True}, "weight"),
            ({"group_size": 0}, "at least 1 column"),
            ({"group_size": 16, "strategy": "channel"}, "strategy is channel"),
            ({"block_structure": [8, 8]}, "strategy is tensor"),
            ({"dynamic": True}, "not dynamic"),
            ({"type": "float", "symmetric": False}, "symmetric must be true"),
        )),
        ({"quant_method": "fp8", "modules_to_not_convert": ["x"] * 5000}, "5,001 values"),
        ({**SHORT["w4a16"], "format": "marlin-24"}, "is not taken"),
        ({**SHORT["w4a16"], "config_groups": {"a": {"targets": ["Embedding"], "weights": {}}}},
         "only one that is taken"),
    ],
)  # fmt: skip
def test_what_is_not_taken_is_refused(quantization: Any, said: str) -> None:
    """By name, with what is."""
    with pytest.raises((SpecError, ValueError), match=said):
        checkpoint(quantization)


def test_every_method_has_a_short_name() -> None:
    """Each can be asked for by a word, and each word means a method."""
    assert {config["quant_method"] for config in SHORT.values()} == {*METHODS}


def test_patterns_of_modules() -> None:
    """A pattern ends at the end of a name, or is an end; `re:` is an expression."""
    match = transformers_patterns(("layers.1", "mlp.gate", r"model\.\w+\.2"), "x")
    wanted = {"layers.1": 1, "layers.1.a": 1, "layers.11": 0, "a.mlp.gate": 1, "a.mlp.gate_proj": 0,
              "model.h.2.a": 1, "model.h.21": 0}  # fmt: skip
    assert {name: bool(match(name)) for name in wanted} == wanted
    match = transformers_patterns(("x", r"(a)\.1", r"(b)\1", "(?P<z>c)", "(?P<z>d)"), "x")
    wanted = {"a.1": 1, "bb.x": 1, "ba": 0, "ab": 0, "x": 1, "c": 1, "d.x": 1, "dd": 0}
    assert {name: bool(match(name)) for name in wanted} == wanted
    match = compressed_patterns(("re:x", r"re:(?i)LAYERS\.\d+\.MLP", "re:(?x) b . c # d"), "x")
    wanted = {"layers.0.mlp": 1, "X": 0, "b.c": 1, "b . c": 0}
    assert {name: bool(match(name)) for name in wanted} == wanted
    match = compressed_patterns(("lm_head", r"re:.*\.q_proj$"), "x")
    wanted = {"lm_head": 1, "a.lm_head": 0, "a.q_proj": 1, "a.q_proj.b": 0}
    assert {name: bool(match(name)) for name in wanted} == wanted


def test_a_config_says_how_it_is_quantised() -> None:
    """`quantization_config` in a config means what `quantization` does, and can be left aside."""
    config = {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 128,
        "intermediate_size": 128, "num_hidden_layers": 1, "num_attention_heads": 2,
        "vocab_size": 64,
    }  # fmt: skip

    def made(model: Any, **more: Any) -> Checkpoint:
        return Checkpoint(CheckpointSpec.model_validate({"model": model, **more}))

    said = {**config, "quantization_config": dict(SHORT["fp8-block"])}
    plain, given, own = made({"config": config}), made({"config": said}), None
    own = made({"config": config}, quantization="fp8-block")
    left = made({"config": said, "ignore_quantization": True})
    assert contents(given) == contents(own) != contents(plain)
    assert contents(left) == contents(plain)
    assert len({one.whole.etag for one in (plain, given, own, left)}) == 4
    for one, quantised in ((given, True), (own, True), (left, False), (plain, False)):
        file = one.file("config.json")
        assert file is not None
        written = json.loads(bytes(file.read(0, file.size)))
        assert (written.get("quantization_config") == SHORT["fp8-block"]) is quantised
        again = CheckpointSpec.model_validate_json(one.spec.canonical_json)
        assert (again.canonical_json, again.digest) == (one.spec.canonical_json, one.spec.digest)
    with pytest.raises(SpecError, match="ignore_quantization"):
        made({"config": said}, quantization="w4a16")
    with pytest.raises(SpecError, match="to ignore"):
        made({"config": config, "ignore_quantization": True})


def test_the_group_that_names_a_module_best() -> None:
    """By its name, then by an expression, then by class; of equals the first, of any number."""
    weights = {"num_bits": 8, "strategy": "channel"}
    groups = {
        "a": {"targets": ["Linear"], "weights": {**weights, "num_bits": 4}},
        **{f"{i}": {"targets": [f"re:x{i}"], "weights": weights} for i in range(200)},
        "b": {"targets": ["re:.*k_proj", "re:.*mlp"], "weights": {**weights, "num_bits": 2}},
        "c": {"targets": ["re:.*mlp"], "weights": weights},
        "d": {"targets": ["layers.0.k_proj"], "weights": weights},
    }
    tensors = [*TENSORS, {"name": "o.weight", "shape": [8, 32], "init": "ones"}]
    found = contents(checkpoint({**_by({}), "config_groups": groups}, tensors=tensors))
    names = {"layers.0.k_proj": [16, 32], "layers.0.mlp": [8, 16], "o": [8, 4]}
    assert {name: found[f"{name}.weight_packed"][1] for name in names} == names


def methods() -> Iterator[tuple[str, Any]]:
    """Short names, and arguments of methods that store more than those."""
    yield from ((name, dict(config)) for name, config in SHORT.items())
    nested = {"load_in_4bit": True, "bnb_4bit_use_double_quant": True}
    yield "nested", {"quant_method": "bitsandbytes", **nested}
    static = {"num_bits": 8, "strategy": "tensor", "symmetric": False}
    uneven = {"num_bits": 4, "strategy": "group", "group_size": 32, "symmetric": False}
    group = {"targets": ["Linear"], "input_activations": static, "output_activations": static}
    groups = {"a": {**group, "weights": uneven, "format": "pack-quantized"}}
    cache = {"num_bits": 8, "type": "float"}
    yield (
        "w8-zero",
        {
            **SHORT["w8a8"],
            "config_groups": {"a": {"targets": ["Linear"], "weights": static}},
        },
    )
    yield "static", {
        "quant_method": "compressed-tensors", "config_groups": groups, "kv_cache_scheme": cache,
    }  # fmt: skip


@pytest.mark.parametrize(("name", "config"), list(methods()))
def test_what_stands_beside_codes_starts_as_it_says(name: str, config: Any) -> None:
    """Any tensor that is no weight's codes is made alike by the init that it is described by."""
    quantised = checkpoint(config)
    beside = [t for t in quantised.whole.tensors if t.view_of and not isinstance(t.fill, View)]
    assert beside or name == "mxfp4"
    tensors = [
        {"name": t.name, "shape": t.shape, "dtype": t.dtype.code, "init": t.scheme.canonical()}
        for t in beside
    ]
    if tensors:
        alone = contents(checkpoint(None, tensors=tensors))
        assert alone == {t.name: contents(quantised)[t.name] for t in beside}
    drawn = {t.name: t.scheme for t in checkpoint(None).whole.tensors}
    for tensor in quantised.whole.tensors:
        if isinstance(tensor.fill, View) and tensor.view_of:
            assert tensor.scheme == drawn[tensor.view_of]


@pytest.mark.parametrize(("name", "config"), list(methods()))
@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16"])
def test_no_part_of_a_quantised_header_is_guessed(name: str, config: Any, dtype: str) -> None:
    """Each entry for itself is refused, so any that are left over are; plain ones are taken."""
    for tensor in checkpoint(config, dtype=dtype).whole.tensors:
        entry = {"shape": tensor.shape, "dtype": tensor.dtype.code, "data_offsets": [0, 1]}
        header = {"__metadata__": {}, tensor.name: entry}
        spec = CheckpointSpec.model_validate({"model": {"manifest": header}})
        if tensor.view_of is None:
            assert Checkpoint(spec).whole.tensors, name
        else:
            with pytest.raises(SpecError, match="nothing says what"):
                Checkpoint(spec)


@pytest.mark.parametrize(("name", "config"), list(methods()))
def test_its_cost_is_known_before(name: str, config: Any) -> None:
    """Tensors and their names are counted exactly, and few of them are planned at once."""
    spec = checkpoint(config).spec
    assert isinstance(spec, CheckpointSpec)
    planned = Checkpoint(spec).whole.tensors
    counted = price(spec, Limits())
    assert counted.tensors == len(planned), name
    assert counted.name_bytes == sum(len(tensor.name.encode()) for tensor in planned)
    of_weights = Counter(tensor.view_of for tensor in planned if tensor.view_of)
    assert max(of_weights.values()) <= MOST_OF_A_WEIGHT
    assert is_short(spec, 200, 2**20)


def test_too_many_tensors_are_refused_before_they_are_planned() -> None:
    """What is counted is the quantised checkpoint, and no weight of it is looked at twice."""
    entry = {"name": "h.{0..59999}.up.weight", "shape": [16, 128], "init": "ones"}
    body = {"model": {"list": [entry]}, "quantization": "gptq-4bit"}
    with pytest.raises(LimitError) as refused:
        price(CheckpointSpec.model_validate(body), Limits())
    assert (refused.value.limit, refused.value.actual) == ("max_tensors", 240_000)


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(a|a)*b", "(a|aa)+$", "(?:a?){64}a{64}", "(x+x+)+y"]
)
@pytest.mark.parametrize("field", ["modules_to_not_convert", "ignore"])
def test_a_pattern_that_would_take_years_is_refused(pattern: str, field: str) -> None:
    """Nothing is matched with what a regular expression may go back over without an end."""
    tensors = [{"name": f"h.{'a' * 200}.weight", "shape": [16, 128], "init": "ones"}]
    config = {"quant_method": "fp8", field: [f"h.{pattern}"]}
    if field == "ignore":
        config = {**SHORT["w4a16"], field: [f"re:h.{pattern}"]}
    body = {"tensors": tensors, "quantization": config}
    spec = CheckpointSpec.model_validate(body)
    assert not is_short(spec, 200, 2**20)
    with pytest.raises(LimitError) as refused:
        price(spec, Limits())
    assert refused.value.limit == "max_rule_work"


def test_patterns_of_published_configs_cost_little() -> None:
    """The bound on going back over names refuses none that people write."""
    written = [
        r".*mlp\.(gate|up|gate_up|down)_proj.*", r"model\.layers\.\d+\.self_attn\..*",
        r".*layers\.(?:0|1|2)\..*proj$", r"^(?!.*(mlp|attn)).*$", "model.layers.*.self_attn",
        r".*\.experts\.\d+\..*_proj$", "lm_head", r"(?:model\.)?visual.*",
    ]  # fmt: skip
    assert all(work(pattern, 120) < 2**24 for pattern in written)


def test_conv1d_is_not_linear() -> None:
    """GPT-2's projections are stored (in, out), and no library quantises them as linear ones."""
    body = {"model": {"preset": "tiny-gpt2"}, "quantization": "fp8-dynamic"}
    with pytest.raises(SpecError, match="quantises no tensor"):
        _ = Checkpoint(CheckpointSpec.model_validate(body)).whole


def test_modules_by_name() -> None:
    """A matrix called weight is linear, but in modules that look up or choose."""
    plans = {plan.name: module_of(plan) for plan in checkpoint(None).tensors}
    assert {name for name, module in plans.items() if module} == {
        "layers.0.k_proj.weight", "layers.0.mlp.weight",
    }  # fmt: skip
    assert math.isfinite(value_of(DTYPES["F16"], 1))
