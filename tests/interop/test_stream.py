"""docs/stream.md alone is enough: a reader in another language makes the same bytes from it."""

from __future__ import annotations

import base64
import itertools
import json
import subprocess
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seedbed.errors import SpecError
from seedbed.files import Checkpoint, CheckpointSpec, VirtualFile
from seedbed.init import SCHEMES
from seedbed.stream import DTYPES, SEED_MAX
from seedbed.web.schemas import properties_of
from tests.interop.running import run
from tests.neighbours import bodies_by_kind
from tests.oracles import APART, positive
from tests.serving import Server
from tests.strategies import (
    CODES,
    FLOATS,
    INTEGERS,
    ODD_NAMES,
    REQUIRED,
    bodies,
    float_codes,
    network_bodies,
    scheme_objects,
    seeds,
    shapes,
    untimed,
)

pytestmark = pytest.mark.interop

Body = dict[str, Any]

READER = Path(__file__).with_name("stream.mjs")
GOLDEN = Path(__file__).parents[1] / "golden" / "stream-v1.json"


def reader(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What the independent reader says."""
    return run("node", READER, *arguments, check=False)


def agrees(directory: Path, *files: VirtualFile) -> None:
    """Hold the reader to every byte of some files."""
    paths = [directory / f"{i}.safetensors" for i in range(len(files))]
    for path, file in zip(paths, files, strict=True):
        with path.open("wb") as out:
            out.writelines(file.chunks())
    answer = reader("file", *paths)
    assert answer.stdout.splitlines() == [f"{len(files)} passed, 0 failed"], answer.stdout
    assert answer.returncode == 0, answer.stderr


def identify(directory: Path, bodies: Sequence[Body]) -> list[dict[str, Any]]:
    """Which identities the reader gives to each request body."""
    path = directory / "bodies"
    path.write_text("\n".join(map(json.dumps, bodies)))
    answer = reader("identify", path)
    assert answer.returncode == 0, answer.stderr
    return [json.loads(line) for line in answer.stdout.rstrip("\n").split("\n")]


def identifies(directory: Path, *bodies: Body) -> None:
    """Hold the reader to the identities of bodies: canonical spec, digest, ETags, token."""
    for body, answer in zip(bodies, identify(directory, bodies), strict=True):
        checkpoint = Checkpoint(CheckpointSpec.model_validate(body))
        spec = checkpoint.spec
        assert answer["canonical"] == spec.canonical_json
        assert answer["token"] == zlib.decompress(unpadded(spec.token), -15).decode()
        said = spec.model is None or bool({"manifest", "list"} & body["model"].keys())
        assert ("digest" in answer) == said
        if "digest" in answer:
            names = [name for name in checkpoint.names if "safetensors" in name]
            files = [checkpoint.whole, *map(checkpoint.file, names)]
            assert answer["digest"] == spec.digest
            assert answer["etags"] == {file.name: file.etag for file in files if file}


def unpadded(text: str) -> bytes:
    """What a text in base64url stands for that has lost its padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def meaningful(body: Body) -> Checkpoint | None:
    """The checkpoint of a body, if it means one."""
    try:
        checkpoint = Checkpoint(CheckpointSpec.model_validate(body))
        made = bool(checkpoint.whole) and bool(checkpoint.shards)
    except ValueError:
        return None
    return checkpoint if made else None


def file_of(*tensors: dict[str, Any], **body: Any) -> VirtualFile:
    """The file of these tensors, which are named by their place unless they have a name."""
    named = [{"name": f"tensor{i}", **tensor} for i, tensor in enumerate(tensors)]
    return VirtualFile(CheckpointSpec.model_validate({"tensors": named, **body}))


def holds_spec(spec: CheckpointSpec) -> bool:
    """Whether the file says which spec made it, without which the reader cannot make it again."""
    return "seedbed.spec" in VirtualFile(spec).metadata


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For the files of all examples, each written over the last."""
    return tmp_path_factory.mktemp("files")


def test_vectors() -> None:
    """The reader makes every word and every draw of the golden vectors."""
    vectors = json.loads(GOLDEN.read_text())
    count = len(vectors["words"]) + len(vectors["draws"])
    answer = reader("vectors", GOLDEN)
    assert answer.stdout.splitlines() == [f"{count} passed, 0 failed"], answer.stderr
    assert answer.returncode == 0


def inits() -> Iterator[dict[str, Any]]:
    """Every scheme, in every convention, mode and distribution that it knows."""
    for name, scheme in SCHEMES.items():
        choices = {
            parameter: properties_of(scheme)[parameter]["enum"]
            for parameter in (
                *("convention", "mode", "distribution", "nonlinearity", "bounds"),
                *("gate", "per", "part", "layout"),
            )
            if parameter in scheme.model_fields
        }
        for values in itertools.product(*choices.values()):
            init = {"scheme": name, **REQUIRED.get(name, {}), **dict(zip(choices, values))}  # noqa: B905
            if init.get("convention") == "burn" and name.startswith("he_"):
                init = {**init, "gain": 1.5}
                del init["nonlinearity"]
            elif init.get("convention") == "mlx" and init.get("nonlinearity") != "leaky_relu":
                init.pop("nonlinearity", None)
            yield init


def takes(init: dict[str, Any], shape: list[int], code: str) -> bool:
    """Whether a scheme fills such a tensor."""
    try:
        file_of({"shape": shape, "init": init, "dtype": code})
    except SpecError:
        return False
    return True


def test_every_scheme_in_every_dtype(directory: Path) -> None:
    """Every scheme, convention, mode, distribution and nonlinearity, in every floating dtype."""
    files = [
        file_of(
            *(
                {"shape": shape, "init": init, "dtype": code}
                for code in FLOATS
                for shape in ([5, 3, 2, 2], [6, 4], [40, 70], [9])
                if takes(init, shape, code)
            ),
            seed=seed,
            dtype=FLOATS[seed % len(FLOATS)],
        )
        for seed, init in enumerate(inits())
    ]
    agrees(directory, *files)


def test_constants_in_every_dtype(directory: Path) -> None:
    """Zeros, ones and the ends of the range, in every dtype."""
    values = {
        code: (0, 1, *((0.5, -0.0, 300, 2**53 + 1) if dtype.is_float else ()))
        + ((int(dtype.lowest), int(dtype.highest)) if code in INTEGERS else ())
        for code, dtype in DTYPES.items()
        if code in CODES
    }
    files = [
        file_of(
            {"shape": [3], "init": "zeros", "dtype": code},
            {"shape": [3], "init": "ones", "dtype": code},
            *(
                {"shape": [3], "init": {"scheme": "constant", "value": value}, "dtype": code}
                for value in constants
                if abs(value) <= DTYPES[code].highest
            ),
        )
        for code, constants in values.items()
    ]
    agrees(directory, *files)


def test_dtypes_of_single_tensors(directory: Path) -> None:
    """Floats without a sign of zero, of powers of two, and of less than a byte."""
    draws = {"scheme": "uniform", "low": -5.0, "high": 5.0}
    files = [
        file_of({"shape": [40, 24], "init": init, "dtype": code})
        for code in APART
        for init in ("ones", {**draws, "low": 0.001} if positive(code) else draws)
    ]
    agrees(directory, *files)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param([], id="scalar"),
        pytest.param([0], id="empty"),
        pytest.param([3, 0, 2], id="empty-of-rank-3"),
        pytest.param([2**63 - 1, 0], id="empty-of-great-dimension"),
        pytest.param([1] * 32, id="rank-32"),
        pytest.param([1_048_579], id="odd-length-past-a-chunk"),
    ],
)
def test_shapes(directory: Path, shape: list[int]) -> None:
    """Scalars, tensors without elements and tensors of several chunks, between two others."""
    agrees(
        directory,
        file_of(
            {"shape": [3], "init": "normal"},
            {"shape": shape, "init": "normal", "dtype": "F16"},
            {"shape": shape, "init": "ones", "dtype": "U8"},
            {"shape": [5], "init": "uniform", "dtype": "F8_E5M2"},
        ),
    )


def test_seeds_names_rules_and_metadata(directory: Path) -> None:
    """Seeds past JavaScript's integers, odd names, rules and odd metadata."""
    tensors = [{"name": name, "shape": [9], "init": "normal"} for name in ODD_NAMES]
    agrees(
        directory,
        *(
            file_of(
                *tensors,
                seed=seed,
                dtype="BF16",
                rules=[
                    {"match": "*e*", "init": "uniform"},
                    {"match": "[!a-z]?*", "dtype": "F32"},
                    {"match": "encoder.*.query.*", "init": {"scheme": "normal", "std": 0.02}},
                ],
                metadata=dict.fromkeys(ODD_NAMES, 'a "quoted" \\ 重み') | {"empty": ""},
            )
            for seed in (0, 1, 2**53 - 1, 2**53 + 1, 2**63, SEED_MAX - 1, SEED_MAX)
        ),
    )


@settings(untimed, max_examples=40)
@given(st.lists(bodies(), min_size=1, max_size=8))
def test_any_tensors(directory: Path, drawn: list[Body]) -> None:
    """Whatever tensors are asked for, the reader makes the same file and identities."""
    specs = [CheckpointSpec.model_validate(body) for body in drawn]
    agrees(directory, *map(VirtualFile, filter(holds_spec, specs)))
    identifies(directory, *drawn)


@settings(untimed, max_examples=40)
@given(st.lists(network_bodies(), min_size=1, max_size=12))
def test_any_network(directory: Path, drawn: list[Body]) -> None:
    """So it does of layers and manifests in every framework and dtype, under rules, in shards."""
    checkpoints = {index: found for index, body in enumerate(drawn) if (found := meaningful(body))}
    assume(checkpoints)
    agrees(directory, *(one.whole for one in checkpoints.values() if holds_spec(one.spec)))
    identifies(directory, *(drawn[index] for index in checkpoints))


def test_every_kind_has_the_same_identities(directory: Path) -> None:
    """Every scheme, layer, and builder of models; of the last two what the document says."""
    identifies(directory, *bodies_by_kind().values())


@pytest.mark.parametrize("framework", ["torch", "keras", "flax", "nnx"])
def test_shards(tmp_path: Path, framework: str) -> None:
    """From a token alone the reader makes every shard, and the index of odd names."""
    body: Body = {
        "framework": framework,
        "layers": [{"type": "linear", "name": "é\u2028🌱", "in_features": 9, "out_features": 4}],
        "tensors": [
            {"name": "small", "shape": [2], "init": "normal"},
            {"name": "huge", "shape": [99], "init": "normal", "dtype": "F16"},
            {"name": "none", "shape": [0], "init": "normal"},
        ],
        "max_shard_size": 150,
        "seed": SEED_MAX,
    }
    if framework == "torch":
        body["model"] = {"manifest": {"z": [5], "a.bias": [5], "m": [7, 5]}}
    checkpoint = Checkpoint(CheckpointSpec.model_validate(body))
    weights = [name for name in checkpoint.names if "safetensors" in name]
    assert len(weights) > 3
    for name in weights:
        file = checkpoint.file(name)
        assert file
        (tmp_path / name).write_bytes(file.read(0, file.size))
    answer = reader("token", checkpoint.spec.token, tmp_path)
    assert answer.stdout.splitlines() == [f"{len(weights)} passed, 0 failed"], answer.stdout


def test_one_line(server: Server, directory: Path) -> None:
    """What a line of curl asks for has the identities of the spec that the document says it is."""
    query = "dtype=bf16&seed=9&std=2&name=w"
    answer = httpx.get(f"{server.url}/v1/tensors/normal/3x4.safetensors?{query}").raise_for_status()
    init = {"scheme": "normal", "std": 2}
    body = {"tensors": [{"name": "w", "shape": [3, 4], "init": init, "dtype": "BF16"}], "seed": 9}
    (found,) = identify(directory, [body])
    assert answer.headers["etag"] == f'"{found["etags"]["model.safetensors"]}"'
    path = directory / "one.safetensors"
    path.write_bytes(answer.content)
    assert reader("file", path).returncode == 0
    posted = httpx.post(f"{server.url}/v1/checkpoints", json=body).raise_for_status()
    assert posted.headers["etag"] == answer.headers["etag"]
    token = posted.headers["content-location"].split("/")[-2]
    assert zlib.decompress(unpadded(token), -15).decode() == found["token"]


@settings(untimed, max_examples=40)
@given(st.lists(st.tuples(scheme_objects(), shapes(), float_codes), min_size=1, max_size=40), seeds)
def test_any_parameters(
    directory: Path, drawn: list[tuple[dict[str, Any], list[int], str]], seed: int
) -> None:
    """Of parameters from anywhere, the reader makes the same draws wherever a file has any."""
    files = []
    for init, shape, code in drawn:
        try:
            files.append(file_of({"shape": shape, "init": init}, dtype=code, seed=seed))
        except ValueError:
            continue
    assume(files)
    agrees(directory, *files)


_globs = st.text("ab-!?*[]^\\", min_size=1, max_size=7)


@settings(untimed, max_examples=40)
@given(
    st.lists(st.text("ab-!^]\\[", min_size=1, max_size=3), min_size=1, max_size=40, unique=True),
    st.lists(_globs, min_size=1, max_size=40),
)
def test_any_glob(directory: Path, names: list[str], patterns: list[str]) -> None:
    """Rules match the same names, however odd the pattern."""
    tensors = [{"name": name, "shape": [1], "init": "zeros", "dtype": "I32"} for name in names]
    rules = [
        {"match": pattern, "init": {"scheme": "constant", "value": i}, "optional": True}
        for i, pattern in enumerate(patterns)
    ]
    file = file_of(*tensors, rules=rules)
    assume(holds_spec(file.spec))
    agrees(directory, file)


def _tensor(init: Any, *shape: int, **more: Any) -> Body:
    return {"tensors": [{"name": "w", "shape": list(shape), "init": init, **more}]}


def _constant(value: Any) -> Body:
    return {"scheme": "constant", "value": value}


def _integers(low: int, high: int) -> Body:
    return {"scheme": "random_integers", "low": low, "high": high}


def _layer(kind: str, framework: str = "torch", rules: Any = (), **arguments: Any) -> Body:
    layer = {"type": kind, "name": "x", **arguments}
    return {"layers": [layer], "framework": framework, "rules": list(rules)}


_LSTM: Body = {"input_size": 3, "hidden_size": 2}
_ZEROS = itertools.product((-0.0, 0.0), repeat=2)

CASES: dict[str, Body] = {
    # Each tells two readings of the document apart, and is as small as can be for that.
    "even-digit-of-a-tie-below": _tensor({"scheme": "normal", "std": 1125899906842624.25}, 2),
    "even-digit-of-a-tie-above": _tensor({"scheme": "normal", "std": 1125899906842624.75}, 2),
    "least-float": _tensor({"scheme": "normal", "std": 5e-324}, 2),
    "exponent-from-16": _tensor({"scheme": "uniform", "low": 1e15, "high": 1e16}, 2),
    "exponent-below-4": _tensor({"scheme": "uniform", "low": 0.00001, "high": 0.0001}, 2),
    "integer-for-a-float": _tensor({"scheme": "normal", "mean": 9007199254740993, "std": 2}, 2),
    "null-for-a-default": _tensor({"scheme": "he_normal", "gain": None, "in_axis": None}, 2, 2),
    "null-for-no-bound": _tensor({"scheme": "truncated_normal", "lower": None}, 2),
    "axes-in-order": _tensor({"scheme": "he_normal", "in_axis": [2, -3], "out_axis": [1]}, 2, 3, 5),
    "zero-of-a-parameter": _tensor({"scheme": "normal", "mean": -0.0}, 2),
    "zero-of-a-constant": _tensor(_constant(-0.0), 2),
    "literal-through-float64": _tensor(_constant(1.0000000596046448), 2),
    "integer-rounded-once": _tensor(_constant(2**53 + 2**29 + 1), 2),
    "integer-of-a-float": _tensor(_constant(1e19), 2, dtype="U64"),
    "float-past-integers": _tensor(_constant(2.0**64), 2),
    "true": _tensor({"scheme": "constant", "value": True}, 2, dtype="BOOL"),
    **{
        f"{value} in {code}": _tensor(_constant(value), 2, dtype=code)
        for code in FLOATS
        for value in ("NaN", "Infinity", "-Infinity")
        if (value, code) not in (("Infinity", "F8_E4M3"), ("-Infinity", "F8_E4M3"))
    },
    "nested-list": _tensor({"scheme": "literal", "values": [[1, 2.5], [-0.0, True]]}, 2, 2),
    "exact-steps": _tensor({"scheme": "arange", "start": 2**53, "axis": 0}, 3, 2, dtype="I64"),
    **{
        f"integers of {code}": _tensor(_integers(low, high), 10, 3, dtype=code)
        for code, low, high in (
            ("I64", -(2**63), 2**63), ("U64", 0, 2**64), ("U64", 7, 2**63 + 9), ("I8", -5, 6),
            ("BOOL", 0, 2), ("U16", 3, 4), ("F32", -(2**60), 2**61), ("F4", 0, 4),
        )
    },
    "integers-of-parts": _tensor(
        {
            "scheme": "parts",
            "init": _integers(0, 9),
            "parts": [{"box": [[1, 3]], "init": _integers(-9, 0)}],
        },
        4,
        3,
        dtype="I16",
    ),
    "complex": _tensor("normal", 5, 3, dtype="C64"),
    "complex-constant": _tensor(_constant(0.1), 3, dtype="C64"),
    "complex-parts": _tensor(
        {"scheme": "parts", "init": "zeros", "parts": [{"box": [[1, 2]], "init": "he_normal"}]},
        3,
        2,
        dtype="C64",
    ),
    "complex-of-keras": {
        **_layer("lstm", "keras", [{"match": "*", "dtype": "C64"}], **_LSTM),
    },
    "float-steps": _tensor({"scheme": "arange", "start": 0.1, "step": 0.3}, 2, 9),
    "parts-of-gates": _layer(
        "lstm",
        **_LSTM,
        defaults="flax",
        init={
            "weight_hh": {
                "scheme": "parts",
                "init": "normal",
                "parts": [{"box": [[0, 1], None], "init": "orthogonal"}],
            }
        },
    ),
    "narrow-mass": _tensor(
        {"scheme": "truncated_normal", "lower": 0.5, "upper": 0.50000000001}, 999
    ),
    "mass-to-13-digits": _tensor(
        {"scheme": "truncated_normal", "lower": 3.974036, "upper": None}, 2000
    ),
    "dtype-of-the-checkpoint": {**_tensor("normal", 2, dtype="BF16"), "dtype": "BF16"},
    "zero-of-a-parameter-that-is-said": _tensor({"scheme": "uniform", "low": -0.0, "high": 2}, 2),
    "no-minus-zero-beside-a-diagonal": _tensor({"scheme": "eye", "gain": -1}, 2, 3),
    "no-minus-zero-beside-blocks": _tensor({"scheme": "idinit", "tau": -2.5}, 2, 5),
    "even-centre": _tensor("dirac", 2, 2, 4, 2),
    "even-centre-of-delta": _tensor("delta_orthogonal", 2, 2, 4, 2),
    "several-panels": _tensor("orthogonal", 70, 40),
    "a-stack-in-the-middle": _tensor(
        {"scheme": "orthogonal", "gain": 2, "out_axis": [3, 0], "batch_axis": 1}, 2, 3, 5, 4
    ),
    "stacks-in-front": _tensor({"scheme": "orthogonal", "batch_axis": [1, 0]}, 2, 3, 4, 3, 2),
    "a-kernel-of-keras": _tensor({"scheme": "orthogonal", "out_axis": -1}, 3, 3, 2, 4),
    "one-column": _tensor({"scheme": "orthogonal", "out_axis": 0}, 7),
    "glob-backwards": {
        "tensors": [{"name": n, "shape": [], "init": "zeros"} for n in ("!", "a", "m", "z")],
        "rules": [{"match": "[z-a!]", "init": "ones"}, {"match": "[!z-a]", "dtype": "BF16"}],
    },
    "counter-last-dtype": _layer(
        "batch_norm",
        num_features=1,
        rules=[
            {"match": "*tracked", "dtype": "I32", "optional": True},
            {"match": "*", "dtype": "BF16"},
        ],
    ),
    "counter-last-init": _layer(
        "batch_norm",
        num_features=1,
        rules=[
            {"match": "*tracked", "init": "ones", "optional": True},
            {"match": "*", "init": _constant(0.5)},
        ],
    ),
    "counter-in-a-byte": _layer(
        "batch_norm",
        num_features=1,
        rules=[
            {"match": "*tracked", "init": _constant(200), "optional": True},
            {"match": "*tracked", "dtype": "I8"},
        ],
    ),
    **{
        f"zeros {first} {second}": _layer(
            "rnn",
            "keras",
            input_size=1,
            hidden_size=2,
            init={"bias_ih": _constant(first), "bias_hh": _constant(second)},
        )
        for first, second in _ZEROS
    },
    "zero-beside-a-draw": _layer("lstm", "flax", **_LSTM, init={"bias_hh": _constant(-0.0)}),
    "zeros-of-a-block": _layer(
        "lstm", "keras", **_LSTM, forget_bias=2, init={"bias_ih": _constant(-0.0)}, defaults="keras"
    ),
    "zeros-of-a-gate": _layer(
        "lstm", "nnx", **_LSTM, forget_bias=0, init={"bias": _constant(-0.0)}, defaults="flax"
    ),
    "sum-of-integers": _layer(
        "rnn",
        "keras",
        input_size=1,
        hidden_size=2,
        init={"weight": "ones", "bias_ih": _constant(2**62 + 1), "bias_hh": _constant(5)},
        rules=[{"match": "*", "dtype": "I64"}],
    ),
    "derived-draws-by-gate": _layer(
        "lstm", **_LSTM, defaults="flax", init={"weight_ih": "mamba_dt_bias", "weight_hh": "normal"}
    ),
    "gates-of-nnx": _layer(
        "gru", "nnx", **_LSTM, defaults="nnx", init={"bias_hh": "zeros", "weight_ih": "orthogonal"}
    ),
    "no-bias-in-flax": _layer("gru", "flax", **_LSTM, bias=False, dtype="F16", init="ones"),
    "zeros-of-no-parameter-dropped": _layer(
        "lstm",
        "flax",
        **_LSTM,
        bias=False,
        rules=[{"match": "x.weight_ih_l0", "drop": True}],
    ),
    "sum-dropped-and-kept": _layer(
        "rnn",
        "keras",
        **_LSTM,
        rules=[{"match": "x.*", "drop": True}, {"match": "x.b*", "drop": False}],
    ),
    "bidirectional-stack": _layer(
        "lstm", "keras", **_LSTM, num_layers=2, bidirectional=True, defaults="keras"
    ),
    "directions-of-nnx": _layer("rnn", "nnx", **_LSTM, num_layers=2, bidirectional=True),
    "directions-of-flax": _layer("gru", "flax", **_LSTM, num_layers=2, bidirectional=True),
    "role-of-norms-in-a-transformer": _layer(
        "transformer_encoder_layer",
        d_model=2,
        nhead=1,
        dim_feedforward=3,
        init={"weight": _constant(3), "bias": _constant(4)},
    ),
    "roles-of-attention": _layer(
        "multihead_attention",
        embed_dim=2,
        num_heads=1,
        kdim=3,
        add_bias_kv=True,
        init={"weight": _constant(3), "bias": _constant(4)},
    ),
    "roles-of-lora": _layer("lora", in_features=3, out_features=2, r=1, init=_constant(3)),
    "roles-before-weight": _layer(
        "lstm", **_LSTM, proj_size=1, init={"weight_hh": "zeros", "weight": "ones", "bias": "ones"}
    ),
    "flipped-kernel": _layer(
        "conv_transpose2d", "flax", in_channels=2, out_channels=3, kernel_size=[2, 3]
    ),
    "fans-of-a-layer": _layer(
        "embedding",
        num_embeddings=5,
        embedding_dim=2,
        padding_idx=-1,
        init={"weight": {"scheme": "glorot_normal", "convention": "keras", "fan_out": 9}},
    ),
    "guessed": {
        "model": {"manifest": {"a.bias": [2], "g": [2], "w": [2, 3], "it's": [2, 2]}},
        "rules": [{"match": "g", "init": "zeros"}],
    },
    "name-of-a-later-unicode": {"model": {"manifest": {"\U00016d40": [2], 'é"\'\\\u2028': [2]}}},
    "list-of-ranges": {
        "max_shard_size": 64,
        "model": {
            "list": [
                {"name": "z", "shape": [3], "init": "ones"},
                {"name": "l.{2..3}.w{0..1}", "shape": [2, 3], "init": "he_normal"},
                {"name": "l.{2..3}.a", "shape": [4], "init": {"scheme": "normal", "std": 0.5}},
                {"name": "m.{2..3}.b", "shape": [4], "same_as": "l.{2..3}.a", "dtype": "BF16"},
                {"name": "{1..01}", "shape": [1], "init": "zeros"},
            ]
        },
        "rules": [{"match": "l.3.*", "dtype": "F64"}],
    },
    "another-guess": {"model": {"manifest": {"w": {"shape": [2, 3]}}, "initializer_range": 1}},
    "counter-of-a-model": {
        "model": {"manifest": {"n": {"shape": [2], "dtype": "I16", "init": "ones"}, "v": [2]}},
        "rules": [{"match": "*", "dtype": "F16", "init": "normal"}],
    },
    "dropped-and-kept": {
        "model": {"manifest": {"head.w": [2, 2], "head.b": [2], "w": [2]}},
        "tensors": [{"name": "head.own", "shape": [2], "init": "normal"}],
        "rules": [{"match": "head.*", "drop": True}, {"match": "*.b", "drop": False}],
    },
    "equal-to-what-is-dropped": {
        "layers": [
            {"type": "lstm", "name": "a", **_LSTM, "defaults": "flax", "forget_bias": 3},
            {"type": "lstm", "name": "b", **_LSTM, "same_as": "a", "dtype": "BF16"},
        ],
        "framework": "keras",
        "rules": [
            {"match": "a.*", "drop": True},
            {"match": "a.weight_hh_l0", "init": "normal"},
            {"match": "a.*", "dtype": "F64", "optional": True},
        ],
    },
    "fill-of-what-is-dropped": {
        "model": {"manifest": {"head.w": [2, 2], "w": [2]}},
        "rules": [
            {"match": "head.w", "init": "ones", "optional": True},
            {"match": "head.*", "drop": True},
        ],
    },
    "stars-take-little": {
        "tensors": [
            {"name": "t.a/b.c", "shape": [3], "init": "normal"},
            {"name": "t.a.b/c", "shape": [3], "init": "uniform"},
            {"name": "s.a.b.c", "shape": [3]},
        ],
        "rules": [{"match": "s.*.*", "same_as": "t.*/*"}],
    },
    "shard-before-the-one-it-parts": {
        "tensors": [
            {"name": name, "shape": [size], "init": "normal"}
            for name, size in {"a": 1, "b": 99, "c": 1, "d": 0, "e": 2}.items()
        ],
        "max_shard_size": 8,
    },
    "preset-as-given": {
        "model": {"preset": "lenet5", "num_classes": 10},
        "seed": 2**53 + 1,
        "max_shard_size": 1000,
    },
    "config-as-given": {
        "model": {
            "config": {"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 2,
                       "vocab_size": 9, "initializer_range": 1e-05, "architectures": ["GPT2Model"]}
        }
    },
}  # fmt: skip


def test_readings(tmp_path: Path) -> None:
    """Where two readings of the document were possible, the reader has that of the service."""
    identifies(tmp_path, *CASES.values())
    within = (
        body
        for body in CASES.values()
        if {"manifest", "list"} & body.get("model", {"manifest": ()}).keys()
    )
    agrees(tmp_path, *(VirtualFile(CheckpointSpec.model_validate(body)) for body in within))


@pytest.mark.parametrize(
    "scheme",
    ["eye", "idinit", "hadamard", "hippo_legs", "hippo_legt", "hippo_normal", "sinusoidal"],
)
def test_matrices_have_two_dimensions(scheme: str) -> None:
    """Schemes of two dimensions are refused for others, and take matrices that are not square."""
    assert takes({"scheme": scheme}, [2, 4], "F32")
    assert not any(takes({"scheme": scheme}, shape, "F32") for shape in ([], [4], [4, 4, 3]))
    assert takes({"scheme": "dirac"}, [4, 4, 3], "F32")
    assert takes({"scheme": "zero_init"}, [4, 4, 3], "F32")


@pytest.mark.parametrize("place", ["header", "padding", "first byte", "last byte", "end"])
def test_reader_sees_a_change(directory: Path, place: str) -> None:
    """The reader is no yes-man: a changed, missing or added byte anywhere fails."""
    file = file_of({"shape": [4, 4], "init": "he_normal"}, {"shape": [3], "init": "normal"})
    content = file.read(0, file.size)
    at = {
        "header": content.index(b"tensor1"),
        "padding": len(file.header) - 1,
        "first byte": len(file.header),
        "last byte": file.size - 1,
        "end": file.size,
    }[place]
    altered = directory / "altered.safetensors"
    longer = content[:at] + b"\x01" + content[at:]
    shorter = content[:at] + content[at + 1 :] if at < file.size else content[:-1]
    changed = bytearray(content)
    changed[at - (at == file.size)] ^= 1
    for version in (longer, shorter, changed):
        altered.write_bytes(version)
        answer = reader("file", altered)
        assert answer.returncode == 1
        assert answer.stdout.splitlines()[-1] == "0 passed, 1 failed"


def test_tensors_that_are_equal(tmp_path: Path) -> None:
    """What equals another, by itself, by a rule with stars or in a chain, is made from there."""
    agrees(
        tmp_path,
        file_of(
            {"name": "t.0.w", "shape": [9, 6], "init": {"scheme": "sparse", "sparsity": 0.5}},
            {"name": "t.1.w", "shape": [9, 6], "init": "orthogonal"},
            {"name": "s.0.w", "shape": [9, 6], "init": "zeros"},
            {"name": "s.1.w", "shape": [9, 6], "dtype": "F16"},
            {"name": "chain", "shape": [9, 6], "same_as": "s.0.w", "dtype": "BF16"},
            {"name": "all", "shape": [9, 6], "init": "normal"},
            {"name": "also", "shape": [9, 6], "init": "ones"},
            rules=[
                {"match": "s.*.*", "same_as": "t.*.*"},
                {"match": "al*", "same_as": "all"},
                {"match": "[z-a!c]hain", "dtype": "F64"},
            ],
            seed=9,
        ),
    )  # fmt: skip
