# ruff: noqa: PLC0415, B008, C901, PLW0108  (a table of networks; each set imports its framework)
"""Record many networks of Flax, equinox and Keras, and hold each against real inits.

    python -m scripts.recording_sweep_arrays flax --log build/arrays.jsonl
    python -m scripts.recording_sweep_arrays equinox keras

Names, shapes and dtypes, constants bit for bit, draws by their distributions, each with `--seeds`
inits. What the log has already is not done again. A line for each is printed and appended to the
log; the counts at the end are of the whole log.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1])]
os.environ.update(KERAS_BACKEND="jax", JAX_PLATFORMS="cpu", TF_CPP_MIN_LOG_LEVEL="3")

import jax  # noqa: E402
import numpy as np  # noqa: E402
from jax import numpy as jnp  # noqa: E402

from scripts.resumable import logged  # noqa: E402
from tests.interop.recording.checking import Findings, compare_arrays, conclude  # noqa: E402

Init = Callable[[Any], Any]


def of_flax() -> dict[str, Init]:
    """Layers of linen and nnx, in the forms that flax's examples use them in."""
    from flax import linen as nn
    from flax import nnx

    inits = jax.nn.initializers
    image, tokens, x = jnp.ones((1, 8, 8, 6)), jnp.ones((1, 6), jnp.int32), jnp.ones((1, 6, 24))
    line = jnp.ones((1, 12, 6))

    def linen(module: Any, *args: Any, **more: Any) -> Init:
        return lambda key: module.init(key, *args, **more)

    def of(make: Callable[[Any], Any]) -> Init:
        return lambda key: make(nnx.Rngs(key))

    class VAE(nn.Module):
        """As flax's example."""

        @nn.compact
        def __call__(self, z: Any) -> Any:
            """An image again."""
            h = nn.relu(nn.Dense(40, name="fc1")(z))
            mean, spread = nn.Dense(12, name="mean")(h), nn.Dense(12, name="spread")(h)
            return nn.Dense(24, name="out")(nn.relu(nn.Dense(40, name="fc3")(mean + spread)))

    class ResidualBlock(nn.Module):
        """ResNet's, with the last scale at 0."""

        @nn.compact
        def __call__(self, y: Any) -> Any:
            """The image after the block."""
            conv = {
                "use_bias": False,
                "kernel_init": inits.variance_scaling(2.0, "fan_out", "normal"),
            }
            z = nn.BatchNorm(use_running_average=True)(nn.Conv(6, (3, 3), **conv)(y))
            z = nn.Conv(6, (1, 1), **conv)(z)
            scale = nn.initializers.zeros_init()
            return y + nn.BatchNorm(use_running_average=True, scale_init=scale)(z)

    class Actor(nn.Module):
        """PPO's: orthogonal convolutions and heads."""

        @nn.compact
        def __call__(self, y: Any) -> Any:
            """Logits and value."""
            ortho = inits.orthogonal(np.sqrt(2))
            y = nn.relu(nn.Conv(16, (3, 3), kernel_init=ortho)(y)).reshape(1, -1)
            y = nn.Dense(32, kernel_init=ortho)(y)
            return (
                nn.Dense(5, kernel_init=inits.orthogonal(0.01))(y),
                nn.Dense(1, kernel_init=inits.orthogonal(1.0))(y),
            )

    class Stack(nn.Module):
        """Layers of nn.scan with orthogonal kernels, under remat."""

        @nn.compact
        def __call__(self, y: Any) -> Any:
            """After four of them."""

            def body(module: Any, carry: Any, _: Any) -> tuple[Any, None]:
                return module(carry), None

            dense = nn.remat(nn.Dense)(24, kernel_init=inits.orthogonal())
            scanned = nn.scan(
                body, variable_axes={"params": 0}, split_rngs={"params": True}, length=4
            )
            return scanned(dense, y, None)[0]

    class Ensemble(nn.Module):
        """nn.vmap over heads."""

        @nn.compact
        def __call__(self, y: Any) -> Any:
            """All of them."""
            heads = nn.vmap(
                nn.Dense, variable_axes={"params": 1}, split_rngs={"params": True},
                in_axes=None, axis_size=5,
            )  # fmt: skip
            return heads(8, kernel_init=inits.orthogonal())(y)

    class Sinusoids(nn.Module):
        """Positions as a parameter, and a padding row."""

        @nn.compact
        def __call__(self, ids: Any) -> Any:
            """Embedded."""

            def padded(key: Any, shape: Any, dtype: Any = jnp.float32) -> Any:
                return inits.normal(0.02)(key, shape, dtype).at[0].set(0.0)

            table = self.param("table", lambda _: jnp.arange(6.0))
            return nn.Embed(50, 24, embedding_init=padded)(ids) + table[None, :, None]

    bf16 = jnp.bfloat16
    stacked = nnx.vmap(lambda rngs: nnx.Linear(8, 12, rngs=rngs), in_axes=(0,), out_axes=0)
    return {
        "linen VAE": linen(VAE(), jnp.ones((1, 24))),
        "linen residual block": linen(ResidualBlock(), image),
        "linen PPO": linen(Actor(), image),
        "linen scan of remat, orthogonal": linen(Stack(), x),
        "linen vmap, orthogonal": linen(Ensemble(), x),
        "linen padding and positions": linen(Sinusoids(), tokens),
        "linen attention, orthogonal": linen(
            nn.MultiHeadDotProductAttention(4, kernel_init=inits.orthogonal()), x, x
        ),
        "linen attention": linen(nn.SelfAttention(4), x),
        "linen ConvTranspose": linen(
            nn.ConvTranspose(8, (3, 3), kernel_init=inits.he_uniform()), image
        ),
        "linen ConvLocal": linen(nn.ConvLocal(4, (3,)), line),
        "linen grouped Conv": linen(nn.Conv(12, (3, 3), feature_group_count=3), image),
        "linen DenseGeneral": linen(nn.DenseGeneral((4, 6), axis=(-2, -1)), x),
        "linen LSTM": linen(nn.RNN(nn.LSTMCell(16)), x),
        "linen OptimizedLSTM": linen(nn.RNN(nn.OptimizedLSTMCell(16)), x),
        "linen GRU": linen(nn.RNN(nn.GRUCell(16)), x),
        "linen ConvLSTM": linen(
            nn.RNN(nn.ConvLSTMCell(4, (3, 3))), jnp.ones((1, 2, 8, 8, 3))
        ),
        "linen norms": linen(nn.Sequential([nn.LayerNorm(), nn.GroupNorm(4), nn.RMSNorm()]), x),
        "linen WeightNorm": linen(nn.WeightNorm(nn.Dense(8)), x),
        "linen bf16": linen(nn.Dense(64, param_dtype=bf16), x),
        "linen Einsum": linen(nn.Einsum((24, 4, 6), "abc,cde->abde"), x),
        "linen PReLU and Embed": linen(nn.Sequential([nn.Embed(40, 16), nn.PReLU()]), tokens),
        "nnx MLP": of(lambda r: nnx.Sequential(
            nnx.Linear(24, 64, rngs=r), nnx.BatchNorm(64, rngs=r), nnx.Dropout(0.1, rngs=r),
            nnx.Linear(64, 10, kernel_init=inits.zeros, rngs=r))),
        "nnx CNN": of(lambda r: nnx.Sequential(
            nnx.Conv(1, 32, (3, 3), rngs=r),
            nnx.Conv(32, 64, (3, 3), kernel_init=inits.delta_orthogonal(), rngs=r))),
        "nnx attention": of(lambda r: nnx.MultiHeadAttention(4, 24, decode=False, rngs=r)),
        "nnx GRU and LSTM": of(lambda r: nnx.Sequential(
            nnx.GRUCell(8, 16, rngs=r), nnx.LSTMCell(8, 16, rngs=r))),
        "nnx LoRA": of(lambda r: nnx.LoRA(16, 4, 32, rngs=r)),
        "nnx vmap": lambda key: stacked(nnx.Rngs(key).fork(split=3)),
        "nnx ConvTranspose": of(lambda r: nnx.ConvTranspose(4, 8, (3, 3), rngs=r)),
        "nnx bf16": of(lambda r: nnx.Linear(64, 64, param_dtype=bf16, rngs=r)),
        "nnx Einsum": of(lambda r: nnx.Einsum("abc,cde->abde", (24, 4, 6), (4, 6), rngs=r)),
    }  # fmt: skip


def of_equinox() -> dict[str, Init]:
    """Every kind of layer, and stacks of them."""
    import equinox as eqx

    n = eqx.nn
    return {
        "Linear": lambda key: n.Linear(16, 32, key=key),
        "MLP": lambda key: n.MLP(16, 4, 32, 3, key=key),
        "Conv1d": lambda key: n.Conv1d(4, 8, 3, key=key),
        "Conv3d grouped": lambda key: n.Conv3d(4, 8, 3, groups=2, key=key),
        "ConvTranspose2d": lambda key: n.ConvTranspose2d(4, 8, 3, key=key),
        "Embedding": lambda key: n.Embedding(100, 16, key=key),
        "GRUCell": lambda key: n.GRUCell(16, 24, key=key),
        "LSTMCell": lambda key: n.LSTMCell(16, 24, key=key),
        "MultiheadAttention": lambda key: n.MultiheadAttention(4, 32, use_query_bias=True, key=key),
        "norms": lambda _: [n.LayerNorm(8), n.GroupNorm(2, 8), n.RMSNorm(8), n.PReLU(0.1)],
        "vmapped MLP": lambda key: eqx.filter_vmap(lambda k: n.MLP(8, 2, 16, 1, key=k))(
            jax.random.split(key, 5)
        ),
        "Sequential": lambda key: n.Sequential(
            [n.Linear(8, 8, key=k) for k in jax.random.split(key, 3)]
        ),
        "orthogonal by tree_at": lambda key: eqx.tree_at(
            lambda m: m.weight, n.Linear(16, 32, key=key),
            jax.nn.initializers.orthogonal()(jax.random.fold_in(key, 7), (32, 16)),
        ),
    }  # fmt: skip


def of_keras() -> dict[str, Callable[[], Any]]:
    """Applications, and layers of all kinds."""
    import keras

    k, app, inits = keras.layers, keras.applications, keras.initializers
    built = {
        name: (lambda make=getattr(app, name): make(weights=None))
        for name in (
            "ResNet50V2", "MobileNet", "MobileNetV2", "MobileNetV3Small",
            "DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "InceptionV3", "Xception",
            "NASNetMobile", "ConvNeXtTiny",
        )
    }  # fmt: skip

    def of(shape: tuple[int, ...], *layers: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: keras.Sequential([keras.Input(shape), *(make() for make in layers)])

    def attention() -> Any:
        q = keras.Input((6, 16))
        y = k.MultiHeadAttention(4, 8)(q, q)
        return keras.Model(q, k.GroupQueryAttention(4, 4, 2)(y, y))

    ortho = inits.Orthogonal(0.5)
    return {
        **built,
        "dense": of((16,), lambda: k.Dense(32), lambda: k.Dense(8, kernel_initializer="identity")),
        "einsum": of((6, 16), lambda: k.EinsumDense("abc,cd->abd", (None, 12), bias_axes="d")),
        "convolutions": of((12, 12, 3), lambda: k.Conv2D(8, 3, kernel_initializer=ortho),
                           lambda: k.SeparableConv2D(8, 3), lambda: k.DepthwiseConv2D(3),
                           lambda: k.Conv2DTranspose(4, 3)),
        "volumes": of((6, 6, 6, 2), lambda: k.Conv3D(4, 3), lambda: k.Conv3DTranspose(4, 3)),
        "recurrent": of((6, 8), lambda: k.LSTM(12, return_sequences=True),
                        lambda: k.Bidirectional(k.GRU(8, return_sequences=True)),
                        lambda: k.SimpleRNN(8)),
        "ConvLSTM": of((3, 8, 8, 2), lambda: k.ConvLSTM2D(4, 3)),
        "norms": of((8, 8, 6), lambda: k.BatchNormalization(), lambda: k.LayerNormalization(),
                    lambda: k.GroupNormalization(3), lambda: k.UnitNormalization(),
                    lambda: k.PReLU()),
        "embedding": of((7,), lambda: k.Embedding(30, 8, mask_zero=True)),
        "spectral": of((16,), lambda: k.SpectralNormalization(k.Dense(8))),
        "attention": attention,
        "variance scaling": of((16,), *(
            lambda m=m, d=d: k.Dense(40, kernel_initializer=inits.VarianceScaling(0.7, m, d))
            for m in ("fan_in", "fan_out", "fan_avg")
            for d in ("truncated_normal", "untruncated_normal", "uniform"))),
        "bfloat16": of((16,), lambda: k.Dense(64, dtype="bfloat16")),
    }  # fmt: skip


def arrays_of_jax(recording: Any, made: Any) -> dict[str, Any]:
    """A real init by the names of its recording."""
    nnx = sys.modules.get("flax.nnx")
    if nnx is not None and isinstance(made, nnx.Module):
        made = nnx.to_pure_dict(nnx.state(made, nnx.Not(nnx.RngState)))
    leaves = [x for x in jax.tree_util.tree_leaves(made) if isinstance(x, jax.Array)]
    return dict(zip(recording.structure.names, map(np.asarray, leaves), strict=True))


def tried(case: Any, seeds: int, *, is_keras: bool) -> dict[str, Any]:
    """What came of one network."""
    if is_keras:
        import keras

        import seedbed.keras

        recording: Any = seedbed.keras.record(case)
    else:
        import seedbed.jax

        recording = seedbed.jax.record(case, jax.random.key(0))
    findings = Findings()
    for seed in range(seeds):
        if is_keras:
            keras.backend.clear_session()
            keras.utils.set_random_seed(1000 + seed)
            real = {v.path: np.asarray(v) for v in case().weights}
        else:
            real = arrays_of_jax(recording, case(jax.random.key(1000 + seed)))
        compare_arrays(recording.tensors, real, findings)
    conclude(findings)
    return {
        "tensors": recording.report.tensors,
        "refused": dict(recording.report.refused),
        "wrong": findings.wrong[:8],
    }


SETS: Mapping[str, Callable[[], Mapping[str, Any]]] = {
    "flax": of_flax, "equinox": of_equinox, "keras": of_keras,
}  # fmt: skip


def main() -> int:
    """Exit code: 1 if a law is wrong, or a network could not be recorded or built."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+", choices=SETS)
    parser.add_argument("--log", type=Path, default=Path("build/recording-arrays.jsonl"))
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    done = {(line["set"], line["name"]): line for line in logged(options.log)}
    for kind in options.sets:
        for name, case in SETS[kind]().items():
            if (kind, name) in done:
                continue
            start = time.process_time()
            try:
                found = tried(case, options.seeds, is_keras=kind == "keras")
            except Exception as error:  # noqa: BLE001  counted, and shown
                found = {"failed": f"{type(error).__name__}: {error}"[:400]}
            line = {"set": kind, "name": name, **found}
            line["seconds"] = round(time.process_time() - start, 1)
            done[kind, name] = line
            with options.log.open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)
    counts = Counter[str]()
    for (kind, _), line in done.items():
        counts[f"{kind}: networks"] += 1
        counts[f"{kind}: failed"] += "failed" in line
        counts[f"{kind}: wrong"] += bool(line.get("wrong"))
        counts[f"{kind}: complete"] += not line.get("refused", "failed" in line)
        counts[f"{kind}: tensors"] += line.get("tensors", 0)
        counts[f"{kind}: tensors refused"] += len(line.get("refused", ()))
    print(json.dumps(counts, indent=1))
    return int(any("failed" in line or line.get("wrong") for line in done.values()))


if __name__ == "__main__":
    sys.exit(main())
