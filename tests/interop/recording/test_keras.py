"""What is recorded of Keras' models is what real builds start from; they are filled in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seedbed.errors import SpecError
from tests.interop.recording.checking import Findings, compare_arrays, conclude

pytestmark = pytest.mark.interop


def transformer(keras: Any) -> Any:
    """Attention, embeddings, norms, and initialisers by hand."""
    k, ids = keras.layers, keras.Input((20,))
    x = k.Embedding(100, 32)(ids)
    x = k.LayerNormalization()(k.MultiHeadAttention(4, 8)(x, x) + x)
    x = k.Dense(64, kernel_initializer="orthogonal", bias_initializer=constant(keras, -2.0))(x)
    x = k.Dense(64, kernel_initializer=keras.initializers.TruncatedNormal(0.1, 0.02))(x)
    x = k.Dense(64, kernel_initializer=keras.initializers.RandomNormal(0.0, 0.01))(x)
    x = k.Dense(64, kernel_initializer="lecun_normal", bias_initializer="random_uniform")(x)
    x = k.Conv1D(8, 3, kernel_initializer=keras.initializers.Orthogonal(0.5))(x)
    return keras.Model(ids, k.Conv1D(8, 3, kernel_initializer="he_uniform")(x))


def constant(keras: Any, value: float) -> Any:
    """An initialiser."""
    return keras.initializers.Constant(value)


def recurrent(keras: Any) -> Any:
    """An LSTM and a GRU."""
    layers = keras.layers
    x = inputs = keras.Input((6, 16))
    x = layers.LSTM(32, return_sequences=True)(x)
    return keras.Model(inputs, layers.GRU(24)(x))


def equal(keras: Any) -> Any:
    """One initialiser for layers of one shape, which Keras draws equal."""
    one = keras.initializers.HeNormal()
    layers = [keras.layers.Dense(16, kernel_initializer=one) for _ in range(2)]
    return keras.Sequential([keras.Input((16,)), *layers])


MODELS: dict[str, Callable[[Any], Any]] = {
    "ResNet50": lambda keras: keras.applications.ResNet50(weights=None),
    "transformer": transformer,
    "recurrent": recurrent,
    "equal": equal,
}


@pytest.mark.parametrize("name", MODELS)
def test_a_recording_is_what_real_builds_start_from(keras: Any, name: str) -> None:
    """Every variable is said, under the paths of a fresh process; real builds agree."""
    import seedbed.keras as sk

    def build() -> Any:
        return MODELS[name](keras)

    recording = sk.record(build)
    assert recording.report.is_complete, str(recording.report)
    if name == "ResNet50":
        assert recording.report.tensors == 320
    findings = Findings()
    for number in range(1 if name == "ResNet50" else 3):
        keras.backend.clear_session()
        keras.utils.set_random_seed(20_261_130 + number)
        real = {v.path: np.asarray(v) for v in build().weights}
        compare_arrays(recording.tensors, real, findings)
    conclude(findings)
    assert not findings.wrong, "\n".join(findings.wrong)


def test_recording_draws_nothing_and_leaves_nothing(keras: Any) -> None:
    """No variable is drawn, later scopes draw none either, and layers are numbered as before."""
    import seedbed.keras as sk

    drawn = []

    class Seen(keras.initializers.RandomNormal):
        def __init__(self) -> None:
            super().__init__()

    real = keras.initializers.RandomNormal.__call__

    def call(self: Any, *args: Any, **more: Any) -> Any:
        drawn.append(self)
        return real(self, *args, **more)

    keras.initializers.RandomNormal.__call__ = call
    keras.backend.clear_session()
    try:
        recording = sk.record(
            lambda: keras.Sequential(
                [keras.Input((8,)), keras.layers.Dense(8, kernel_initializer=Seen())]
            )
        )
        with keras.StatelessScope():
            pass
    finally:
        keras.initializers.RandomNormal.__call__ = real
    assert recording.report.is_complete
    assert not drawn
    assert keras.layers.Dense(3).name == "dense"


def test_what_no_spec_says_is_refused_by_name(keras: Any) -> None:
    """Functions that draw, and values assigned by the build."""
    import seedbed.keras as sk

    def build() -> Any:
        def own(shape: Any, dtype: Any = None) -> Any:
            return keras.random.normal(shape, dtype=dtype) ** 2

        x = inputs = keras.Input((6, 16))
        dense = keras.layers.Dense(8, kernel_initializer=own)
        x = dense(x)
        dense.bias.assign(np.arange(8.0))
        return keras.Model(inputs, x)

    refused = sk.record(build).report.refused
    assert {name: why.split(":")[0] for name, why in refused.items()} == {
        "dense/kernel": "law",
        "dense/bias": "law",
    }
    assert "own" in refused["dense/kernel"]
    with pytest.raises(SpecError, match="no variables"):
        sk.record(lambda: keras.Sequential([keras.layers.Dense(3)]))


def test_what_differs_in_the_next_build(keras: Any) -> None:
    """Numbers that Keras did not draw and that another build has otherwise are refused."""
    import seedbed.keras as sk

    count = iter(range(1, 9))

    def build() -> Any:
        spread = keras.initializers.RandomNormal(stddev=np.random.default_rng().uniform(1, 2))
        inputs = keras.Input((6,))
        return keras.Model(inputs, keras.layers.Dense(8, kernel_initializer=spread)(inputs))

    refused = sk.record(build).report.refused
    assert list(refused) == ["dense/kernel"]
    assert "other in every build" in refused["dense/kernel"]
    with pytest.raises(SpecError, match="other variables each time"):
        sk.record(
            lambda: keras.Sequential(
                [keras.Input((6,)), *(keras.layers.Dense(6) for _ in range(next(count)))]
            )
        )


def test_a_model_is_filled_in_place(keras: Any, server: Any) -> None:
    """By assign, with the file's bytes, though Keras has numbered its layers on; or not at all."""
    from safetensors.numpy import load

    import seedbed.keras as sk
    from seedbed.files import Checkpoint

    recording = sk.record(lambda: transformer(keras))
    transformer(keras)  # so that the next one is numbered on
    model = transformer(keras)
    names = sk.init_(model, recording, seed=11)
    file = Checkpoint(recording.spec.model_copy(update={"seed": 11})).whole
    served = load(b"".join(file.chunks()))
    assert set(names) == served.keys()
    for name, variable in zip(names, model.weights, strict=True):
        assert np.array_equal(np.asarray(variable), served[name]), name
    other = transformer(keras)
    url = recording.put(server.url, "keras/transformer")
    assert set(sk.init_(other, url, seed=11)) == served.keys()
    for one, two in zip(other.weights, model.weights, strict=True):
        assert np.array_equal(np.asarray(one), np.asarray(two)), one.path
    before = [np.asarray(v).copy() for v in model.weights]
    body = recording.json()
    body["model"]["list"].pop()
    with pytest.raises(SpecError, match="nothing was assigned"):
        sk.init_(model, body, seed=12)
    assert all(np.array_equal(a, np.asarray(v)) for a, v in zip(before, model.weights, strict=True))


def test_narrow_variables_hold_the_rounded_draw(keras: Any) -> None:
    """A bfloat16 model has what a bfloat16 file of the spec has."""
    import torch
    from safetensors.torch import load

    import seedbed.keras as sk
    from seedbed.files import Checkpoint

    def build() -> Any:
        return keras.Sequential(
            [keras.Input((16,), dtype="bfloat16"), keras.layers.Dense(32, dtype="bfloat16")]
        )

    recording = sk.record(build)
    model = build()
    sk.init_(model, recording, seed=5)
    file = Checkpoint(recording.spec.model_copy(update={"seed": 5})).whole
    served = load(b"".join(file.chunks()))
    assert recording.tensors[0].dtype == "BF16"
    bits = served[recording.tensors[0].name].view(torch.int16).numpy()
    assert np.asarray(model.weights[0].value).tobytes() == bits.tobytes()
