"""What is recorded of JAX's networks is what real inits draw; shards are those of the file."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

pytestmark = pytest.mark.interop

jax = pytest.importorskip("jax")
import equinox as eqx  # noqa: E402
import flax.linen as nn  # noqa: E402
from flax import nnx  # noqa: E402
from jax import numpy as jnp  # noqa: E402

import seedbed.jax as sj  # noqa: E402
from seedbed.errors import SpecError  # noqa: E402
from tests.interop.recording.checking import Findings, compare_arrays, conclude  # noqa: E402
from tests.processes import environment, run  # noqa: E402

ROOT = Path(__file__).parents[3]
inits = jax.nn.initializers


class CNN(nn.Module):
    """Convolutions, batch statistics, orthogonal and cut kernels."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Ten numbers of an image."""
        x = nn.relu(nn.Conv(16, (3, 3))(x))
        x = nn.BatchNorm(use_running_average=True)(x).reshape(x.shape[0], -1)
        x = nn.Dense(24, kernel_init=inits.orthogonal(2.0))(x)
        x = nn.Dense(48, kernel_init=inits.orthogonal(0.5), bias_init=inits.constant(0.1))(x)
        return nn.Dense(10, kernel_init=inits.truncated_normal(0.02, lower=-1.0, upper=3.0))(x)


class Block(nn.Module):
    """A layer of a transformer."""

    @nn.compact
    def __call__(self, x: Any, _: Any) -> tuple[Any, None]:
        """As `nn.scan` wants it."""
        y = nn.LayerNorm()(x)
        x = x + nn.MultiHeadDotProductAttention(4)(y, y)
        depth = inits.variance_scaling(1 / 6, "fan_in", "uniform")
        y = nn.gelu(nn.Dense(64)(nn.LayerNorm()(x)))
        return x + nn.Dense(32, kernel_init=depth)(y), None


class Transformer(nn.Module):
    """Blocks one after the other, or scanned."""

    is_scanned: bool
    split: bool = True

    @nn.compact
    def __call__(self, ids: Any) -> Any:
        """Scores of the next token."""
        x = nn.Embed(100, 32)(ids) + self.param("pos", inits.normal(0.02), (16, 32))
        if self.is_scanned:
            axes = {"params": 0}
            scanned = nn.scan(Block, axes, split_rngs={"params": self.split}, length=3)
            x, _ = scanned()(x, None)
        else:
            x, _ = Block()(x, None)
        return nn.Dense(100, use_bias=False)(x)


class Recurrent(nnx.Module):
    """nnx's cells, LoRA, and what holds a generator."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.embed = nnx.Embed(50, 16, rngs=rngs)
        self.cell = nnx.LSTMCell(16, 32, rngs=rngs)
        self.fused = nnx.OptimizedLSTMCell(16, 32, rngs=rngs)
        self.lora = nnx.LoRA(16, 4, 32, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)
        self.norm = nnx.BatchNorm(16, rngs=rngs)


def stacked(seed: Any) -> nnx.Module:
    """Linear layers of nnx.vmap."""

    @nnx.split_rngs(splits=4)
    @nnx.vmap(in_axes=(0,), out_axes=0)
    def make(rngs: nnx.Rngs) -> nnx.Linear:
        return nnx.Linear(16, 32, rngs=rngs)

    return make(nnx.Rngs(seed))


def equinox(key: Any) -> Any:
    """Equinox's layers, some of which draw biases too."""
    keys = jax.random.split(key, 4)
    return {
        "mlp": eqx.nn.MLP(16, 4, 32, 2, key=keys[0]),
        "conv": eqx.nn.Conv2d(3, 16, 3, key=keys[1]),
        "lstm": eqx.nn.LSTMCell(16, 32, key=keys[2]),
        "attention": eqx.nn.MultiheadAttention(4, 32, key=keys[3]),
    }


def custom(key: Any) -> dict[str, Any]:
    """What is made by hand: scaled, converted, split, of exp, equal, and a small table."""
    k = jax.random.split(key, 6)
    fused = jax.random.normal(k[0], (96, 32)) * jnp.float32(0.03) / jnp.sqrt(2.0)
    first, second, third = jnp.split(fused, 3)
    return {
        "q": first, "k": second, "v": third.astype(jnp.float16),
        "rate": jnp.exp(jax.random.uniform(k[1], (256,), minval=-3.0, maxval=-1.0)),
        "shifted": 1.0 - jax.random.uniform(k[2], (300,)) * 0.25,
        "student": 2.0 * jax.random.normal(k[3], (20, 20)),
        "teacher": jax.random.normal(k[3], (20, 20)) * 2.0,
        "tall": jnp.transpose(inits.orthogonal()(k[4], (8, 24))),
        "fused": jnp.concatenate([jnp.zeros((8, 40)), jax.random.normal(k[5], (8, 300))], 1),
        "steps": jnp.full((3,), 7, jnp.int32),
    }  # fmt: skip


def layouts(key: Any) -> dict[str, Any]:
    """Orthogonal matrices in every layout, parts, chains, and what is known."""
    k = jax.random.split(key, 17)
    ortho, stack, inside = inits.orthogonal, *jax.random.split(k[0], (2, 3))
    step = jnp.exp(jax.random.uniform(k[1], (512,)) * np.log(100.0) + np.log(0.001))
    step = jnp.maximum(step, 1e-4)
    draw = jax.random.normal(k[2], (40, 64))
    mask = jnp.concatenate([jnp.ones(32), jnp.full(32, 0.25)])
    return {
        "kernel": ortho(2.0)(k[3], (3, 3, 4, 16)),
        "rows": ortho(column_axis=1)(k[4], (4, 6, 8)),
        "stack": jax.vmap(lambda key: ortho(0.5)(key, (3, 4, 8)))(stack),
        "inside": jax.vmap(lambda key: ortho()(key, (16, 8)), out_axes=1)(inside),
        "delta": inits.delta_orthogonal()(k[5], (3, 3, 4, 8)),
        "heads": ortho()(k[6], (32, 24)).reshape(32, 4, 6),
        "padding": draw.at[0].set(0.0).at[jnp.array([7, 9])].set(1.0).at[3:5, 2].set(-1.0),
        "chosen": jnp.where(jnp.arange(40)[:, None] == 5, 0.0, jax.random.normal(k[7], (40, 64))),
        "fused": jax.random.normal(k[8], (40, 64)) * mask,
        "within": jax.lax.dynamic_update_slice(
            jnp.zeros((40, 8)), jax.random.uniform(k[9], (20, 8)), (10, 0)
        ),
        "stacked": jnp.stack([jax.random.uniform(k[16], (8, 8)), jnp.ones((8, 8))], 1),
        "padded": jnp.pad(jax.random.normal(k[10], (30, 30)), 2)[:, 1:].T,
        "gumbel": jax.random.gumbel(k[11], (600,)),
        "exponential": jax.random.exponential(k[12], (600,)) * 2.0,
        "lognormal": jax.random.lognormal(k[13], 0.5, (600,)),
        "rates": jnp.log(jax.random.uniform(k[14], (600,), minval=1.0, maxval=16.0)),
        "step": step + jnp.log(-jnp.expm1(-step)),
        "positions": jnp.arange(12)[None] + jnp.zeros((3, 1), jnp.int32),
        "floor": jnp.maximum(jax.random.normal(jax.random.fold_in(key, 101), (600,)), -1.0),
        "ceiling": jnp.minimum(jax.random.normal(jax.random.fold_in(key, 102), (600,)), 1.0),
        "spaced": jnp.arange(5.0) * 0.5,
        "unit": jnp.eye(6) * 3.0,
        "narrow": inits.lecun_normal()(k[15], (64, 64), jnp.bfloat16),
    }  # fmt: skip


IDS, IMAGE = np.ones((2, 16), np.int32), np.ones((1, 8, 8, 3), np.float32)

NETWORKS: dict[str, Callable[[Any], Any]] = {
    "linen CNN": lambda key: CNN().init(key, IMAGE),
    "linen transformer": lambda key: Transformer(is_scanned=False).init(key, IDS),
    "nn.scan": lambda key: Transformer(is_scanned=True).init(key, IDS),
    "nnx": lambda key: Recurrent(nnx.Rngs(key)),
    "nnx.vmap": stacked,
    "equinox": equinox,
    "custom": custom,
    "layouts": layouts,
}


def arrays(recording: sj.Recording, made: Any) -> dict[str, Any]:
    """A real init by the names of its recording."""
    if isinstance(made, nnx.Module):
        made = nnx.to_pure_dict(nnx.state(made, nnx.Not(nnx.RngState)))
    leaves = [x for x in jax.tree_util.tree_leaves(made) if isinstance(x, jax.Array)]
    names = recording.structure.names
    return {name: np.asarray(x) for name, x in zip(names, leaves, strict=True)}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_recording_is_what_real_inits_draw(name: str) -> None:
    """Every array is said, and three real inits have those constants and distributions."""
    init = NETWORKS[name]
    recording = sj.record(init, jax.random.key(0))
    assert recording.report.is_complete, str(recording.report)
    findings = Findings()
    for seed in range(3):
        real = arrays(recording, init(jax.random.key(20_261_130 + seed)))
        compare_arrays(recording.tensors, real, findings)
    conclude(findings)
    assert not findings.wrong, "\n".join(findings.wrong)


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a part of a matrix": (
        lambda k: inits.orthogonal()(k, (8, 4))[:5],
        "law: slice(matrix)",
    ),
    "a draw and its negative": (
        lambda k: jnp.stack([(x := jax.random.normal(k, (4,))), -x]),
        "law: the same numbers in several of its parts",
    ),
    "a row that is another's": (
        lambda k: (x := jax.random.normal(k, (4, 4))).at[0].set(x[1]),
        "law: the same numbers in several of its parts",
    ),
    "signs left as they are": (
        lambda k: jnp.linalg.qr(jax.random.normal(k, (8, 4)))[0],
        "law: Q of a Gaussian matrix, whose columns' signs are not made uniform",
    ),
    "one key for all": (
        lambda k: jax.vmap(lambda _: jax.random.normal(k, (4,)))(jnp.arange(3.0)),
        "law: broadcast_in_dim(normal)",
    ),
    "a scan of one key": (
        lambda k: jax.lax.scan(lambda c, _: (c, jax.random.normal(k, (4,))), 0, None, 3)[1],
        "law: the same numbers in several of its parts",
    ),
    "a primitive": (lambda k: jax.random.cauchy(k, (4,)), "law: tan(uniform)"),
    "a draw over itself": (
        lambda k: jax.random.logistic(k, (4,)),
        "law: a uniform put through functions that no scheme has",
    ),
    "rows that are added to": (
        lambda k: jax.random.normal(k, (4, 8)).at[0].add(1.0),
        "law: scatter-add(normal, 0, 1)",
    ),
    "a product": (
        lambda k: jax.random.normal(k, (400,)) * jnp.arange(400.0),
        "law: mul(normal, known)",
    ),
    "a table": (lambda _: jnp.arange(5.0) ** 2, "literal: 5 known numbers"),
    "NumPy's numbers": (
        lambda _: jnp.full((4,), np.random.normal()),  # noqa: NPY002
        "law: other in every run, by numbers from outside of JAX",
    ),
    "a spread of a generator without a seed": (
        lambda k: jax.random.normal(k, (4,)) * np.random.default_rng().uniform(1, 2),
        "law: other in every run, by numbers from outside of JAX",
    ),
    "complex": (lambda _: jnp.ones(3, jnp.complex64), "dtype: complex64 has no code in specs"),
    "a draw for an index": (
        lambda k: jax.random.randint(k, (4,), 0, 9).astype(jnp.float32),
        "law: ",
    ),
}


def test_other_arrays_each_time() -> None:
    """A function whose arrays are random is refused."""
    count = iter(range(1, 9))
    with pytest.raises(SpecError, match="other arrays each time"):
        sj.record(lambda _: [jnp.ones(3)] * next(count), jax.random.key(0))


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_spec_says_is_refused_by_name(name: str) -> None:
    """The array and the primitive that made it so are named; no spec comes out."""
    init, reason = REFUSED[name]
    recording = sj.record(lambda k: {"x": init(k)}, jax.random.key(0))
    assert recording.report.refused["x"].startswith(reason), recording.report.refused
    with pytest.raises(sj.RecordingError, match=r"x: "):
        recording.json()


def test_one_key_for_two_arrays_is_seen() -> None:
    """Layers of `nn.scan` without split keys are equal, and other draws of one key are refused."""
    shared = sj.record(
        lambda k: Transformer(is_scanned=True, split=False).init(k, IDS), jax.random.key(0)
    )
    assert "params.ScanBlock_0.Dense_0.kernel" in shared.report.refused
    twice = sj.record(
        lambda k: {"a": jax.random.normal(k, (4,)), "b": jax.random.uniform(k, (4,))},
        jax.random.key(0),
    )
    assert twice.report.refused == {"b": "copy: drawn from a key that a is drawn from"}
    turned = sj.record(
        lambda k: {"a": (x := jax.random.normal(k, (4,))), "b": -x},
        jax.random.key(0),
    )  # of one distribution, but not equal
    assert turned.report.refused["b"] == "copy: drawn from a key that a is drawn from"


def test_known_numbers_can_be_listed() -> None:
    """With `fallback`, a table that no scheme gives is in the spec."""
    made = sj.record(lambda: {"x": jnp.arange(4.0) ** 2}, fallback="literal")
    assert made.tensors[0].init == {"scheme": "literal", "values": [0.0, 1.0, 4.0, 9.0]}


def test_bfloat16_is_what_is_meant() -> None:
    """JAX draws bfloat16 in 128 steps; recorded is the normal, finite, and noted."""
    recording = sj.record(
        lambda k: inits.normal(0.02)(k, (256, 256), jnp.bfloat16), jax.random.key(0)
    )
    (tensor,) = recording.tensors
    assert tensor.init == {"scheme": "normal", "mean": 0.0, "std": pytest.approx(0.02, rel=1e-3)}
    assert "array" in recording.report.noted
    real = np.asarray(inits.normal(0.02)(jax.random.key(1), (256, 256), jnp.bfloat16), np.float32)
    assert real.std() == pytest.approx(0.02, rel=0.03)


def test_full_size_takes_no_memory() -> None:
    """A table of 10¹² elements is recorded, as its numbers are never made."""
    shape = (1 << 20, 1 << 20)
    recording = sj.record(
        lambda k: {"w": inits.he_normal()(k, shape), "b": jnp.zeros(shape)}, jax.random.key(0)
    )
    assert recording.report.is_complete
    assert recording.report.elements == 2 << 40


MESHES = """
import json, sys
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
import seedbed.jax
from seedbed.errors import SpecError
from seedbed.recording.contents import Drawing

spec = json.loads(sys.argv[1])
drawn = []
write = Drawing.write
def counted(self, name, dtype, box, out):
    write(self, name, dtype, box, out)
    drawn.append((name, out.size))
Drawing.write = counted
devices = np.array(jax.devices())
assert len(devices) == 8
found = {}
for shape, axes, way in (
    ((1,), "x", ()), ((8,), "x", ("x",)), ((2, 4), "xy", ("x", "y")), ((2, 4), "xy", (None, "y")),
    ((4, 2), "xy", (("y", "x"),)), ((2, 2, 2), "xyz", ("z", "x")),
):
    mesh = Mesh(devices[: int(np.prod(shape))].reshape(shape), tuple(axes))
    drawn.clear()
    arrays = seedbed.jax.fill(spec, lambda n, s: NamedSharding(mesh, P(*way[: len(s)])), seed=9)
    for name, x in arrays.items():
        mine = [size for other, size in drawn if other == name]
        assert sum(mine) == x.size, (name, mine)  # every element once, whoever shares it
        for shard in x.addressable_shards:
            assert np.asarray(shard.data).tobytes() == np.asarray(x)[shard.index].tobytes()
        found.setdefault(name, set()).add(np.asarray(x).tobytes().hex())
mesh = Mesh(devices, "x")
for bad in (P("x"),):
    try:
        seedbed.jax.fill(
            {"tensors": [{"name": "a", "shape": [3], "init": "ones"}]}, NamedSharding(mesh, bad))
    except SpecError as error:
        assert "'a'" in error.message
    else:
        raise AssertionError
try:
    seedbed.jax.fill(
        {"dtype": "F64", "tensors": [{"name": "a", "shape": [8], "init": "ones"}]},
        NamedSharding(mesh, P()))
except SpecError as error:
    assert "jax_enable_x64" in error.message
else:
    raise AssertionError
print(json.dumps({name: list(some) for name, some in found.items()}))
"""

EIGHT = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}


def test_no_mesh_changes_a_byte() -> None:
    """On six meshes of 8 devices arrays are the file's, and each device's part is made alone."""
    from seedbed.files import Checkpoint, CheckpointSpec

    spec = {
        "tensors": [
            {"name": "w", "shape": [64, 48], "init": "he_normal"},
            {"name": "half", "shape": [16, 8, 8], "init": "uniform", "dtype": "BF16"},
            {"name": "q", "shape": [16, 16], "init": "orthogonal", "dtype": "F16"},
            {"name": "scalar", "shape": [], "init": {"scheme": "normal", "std": 1.0}},
            {"name": "ids", "shape": [8], "init": "ones", "dtype": "I32"},
            {"name": "mask", "shape": [8, 8], "init": "ones", "dtype": "BOOL"},
        ]
    }
    done = run(sys.executable, "-c", MESHES, json.dumps(spec), env=environment(**EIGHT), cwd=ROOT)
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    file = Checkpoint(CheckpointSpec.model_validate_json(json.dumps({**spec, "seed": 9}))).whole
    whole = b"".join(file.chunks())
    header = int.from_bytes(whole[:8], "little")
    entries = json.loads(whole[8 : 8 + header])
    for name, some in found.items():
        start, stop = entries[name]["data_offsets"]
        assert some == [whole[8 + header + start : 8 + header + stop].hex()], name


def test_whatever_says_the_weights_gives_the_same(server: Any) -> None:
    """By recording, JSON, preset and URL, on one thread and several: the file's own bytes."""
    from safetensors.numpy import load

    mesh = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    recording = sj.record(custom, jax.random.key(0))
    url = recording.put(server.url, "jax/custom")
    file = httpx.get(f"{url}/model.safetensors?seed=5").raise_for_status().content
    served = load(file)
    for source, threads in ((recording, 1), (json.dumps(recording.json()), 3), (url, 2)):
        arrays = sj.fill(source, mesh, seed=5, threads=threads)
        assert arrays.keys() == served.keys()
        for name, x in arrays.items():
            assert np.asarray(x).tobytes() == served[name].tobytes(), (name, threads)
    preset = sj.fill("tiny-gpt2", mesh, seed=1)
    served_by = sj.fill(f"{server.url}/v1/models/tiny-gpt2", mesh, seed=1)
    assert preset.keys() == served_by.keys()
    for name, x in preset.items():
        assert np.asarray(x).tobytes() == np.asarray(served_by[name]).tobytes(), name
    with pytest.raises(SpecError, match="only a URL takes a key"):
        sj.fill(recording, mesh, key="x")


def test_the_documented_example_runs() -> None:
    """The Flax example of docs/recording.md, on a mesh of 8 devices."""
    text = (ROOT / "docs/recording.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(import flax.*?)```", text, re.DOTALL)
    done = run(sys.executable, "-c", code, env=environment(**EIGHT), cwd=ROOT)
    assert done.returncode == 0, done.stderr.decode()
    assert b"tensors" in done.stdout


def test_a_filled_tree_is_the_models_own() -> None:
    """A tree of filled arrays updates an nnx module, and calls as an equinox module."""
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    recording = sj.record(lambda: Recurrent(nnx.Rngs(0)))
    assert set(recording.report.left_out) == {"dropout.rngs.key", "dropout.rngs.count"}
    filled = sj.fill(recording, device, seed=3)
    model = Recurrent(nnx.Rngs(1))
    nnx.update(model, recording.tree(filled))
    assert np.array_equal(model.cell.ii.kernel[...], filled["cell.ii.kernel"])
    key = jax.random.key(0)
    recording = sj.record(equinox, key)
    mlp = recording.tree(sj.fill(recording, device))["mlp"]
    assert mlp(jnp.ones(16)).shape == (4,)
    with pytest.raises(SpecError, match="shardings and tensors differ"):
        sj.fill(recording, {"x": device})
