from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from seedbed.compare import Budget, Cancelled, CompareRequest, CompareResult, Comparison
from seedbed.compare.budget import bytes_of, flops_of
from seedbed.compare.network import weights_of
from seedbed.errors import LimitError, ShapeError, SpecError
from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.stream import get_engine


def request(schemes: list[Any], seeds: int = 4, **network: Any) -> CompareRequest:
    """A small comparison."""
    given = {"depth": 6, "width": 48, **network}
    return CompareRequest.model_validate_json(
        json.dumps({"schemes": schemes, "network": given, "seeds": seeds, "batch": 32})
    )


def run(*given: Any, **fields: Any) -> CompareResult:
    """Its answer."""
    return Comparison(request(*given, **fields)).run()


def weights_in(file: VirtualFile, name: str) -> np.ndarray:
    """A float32 tensor of a file."""
    index = [tensor.name for tensor in file.tensors].index(name)
    start = file.offset(index)
    raw = file.read(start, start + file.tensors[index].size_bytes)
    return np.frombuffer(raw, "<f4").reshape(file.tensors[index].shape).astype(np.float64)


def test_a_wide_network_meets_its_theory() -> None:
    """In a wide ReLU network with He's variance, measurements stand by the predictions."""
    (scheme,) = run(["he_normal"], seeds=6, width=200, depth=4).schemes
    for name in (
        "activation_mean_square", "pre_activation_mean_square", "gradient_mean_square",
        "correlation", "singular_value_rms", "singular_value_max",
    ):  # fmt: skip
        column = scheme.columns[name]
        np.testing.assert_allclose(column.value, column.theory, rtol=0.15, err_msg=name)
        assert all(low < value < high for low, value, high in zip(
            column.low, column.value, column.high, strict=True))  # fmt: skip
    assert scheme.jacobian is not None
    assert scheme.jacobian.mean_square == pytest.approx(scheme.jacobian.mean_square_theory, rel=0.3)
    assert scheme.phase == "critical"
    assert scheme.sigma_w == pytest.approx(math.sqrt(2.0))


def test_weights_are_those_of_the_file() -> None:
    """What is measured of a weight is what NumPy says of the linked file's tensor."""
    asked = request(["he_uniform"], seeds=1, width=20, inputs=30)
    comparison = Comparison(asked)
    columns = comparison.run().schemes[0].columns
    file = VirtualFile(CheckpointSpec.model_validate(comparison.files[0].spec.model_dump()))
    for i, weight in enumerate(weights_of(asked.network)):
        values = weights_in(file, weight.name)
        kurtosis = stats.kurtosis(values, axis=None)
        assert columns["weight_kurtosis"].value[i] == pytest.approx(kurtosis)
        singular = np.linalg.svd(values, compute_uv=False)
        assert columns["singular_value_max"].value[i] == pytest.approx(singular[0])
        assert columns["singular_value_min"].value[i] == pytest.approx(singular[-1])
    assert columns["weight_kurtosis"].low == [None] * 6


def test_same_answer_again_and_by_the_definition() -> None:
    """An answer is a function of its request, whoever draws."""
    asked = request(["glorot_normal", "orthogonal"], norm="batch", seeds=2)
    first, again = Comparison(asked).run(), Comparison(asked, engine=get_engine("numpy")).run()
    assert first == again


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_norms_undo_the_scale(norm: str) -> None:
    """Behind a norm, weights ten times as large give the same signals and gradients a tenth."""
    schemes = [{"scheme": "normal", "std": 0.1}, {"scheme": "normal", "std": 1.0}]
    small, large = run(schemes, norm=norm, seeds=2).schemes
    pairs = {name: (small.columns[name], large.columns[name]) for name in small.columns}
    same = pairs["activation_mean_square"]
    np.testing.assert_allclose(same[0].value, same[1].value, rtol=1e-3)
    less = pairs["relative_gradient"]
    np.testing.assert_allclose(less[0].value, 100 * np.array(less[1].value), rtol=1e-2)


def test_shapes_at_equal_variance_differ_only_in_kurtosis() -> None:
    """Normal, truncated and uniform draws of one variance agree within their intervals."""
    schemes = ["he_normal", {"scheme": "he_normal", "convention": "keras"}, "he_uniform"]
    found = run(schemes, seeds=12, width=64).schemes
    for name in ("activation_mean_square", "gradient_mean_square", "correlation"):
        ends = [(s.columns[name].low[-1], s.columns[name].high[-1]) for s in found]
        assert max(low for low, _ in ends) < min(high for _, high in ends)
    kurtosis = [s.columns["weight_kurtosis"].value[0] for s in found]
    assert kurtosis == pytest.approx([0.0, -0.634, -1.2], abs=0.03)
    assert [s.excess_kurtosis for s in found] == pytest.approx([0.0, -0.634, -1.2], abs=1e-3)


def test_orthogonal_has_one_singular_value() -> None:
    """Orthogonal weights have all singular values equal to the gain, in theory and in fact."""
    (scheme,) = run([{"scheme": "orthogonal", "gain": 1.5}], activation="linear").schemes
    for which in ("min", "rms", "max"):
        column = scheme.columns[f"singular_value_{which}"]
        assert column.value == pytest.approx([1.5] * 6, rel=1e-5)
        assert column.theory == pytest.approx([1.5] * 6, rel=1e-5)
    assert scheme.jacobian is not None
    assert scheme.jacobian.spectrum == pytest.approx([1.5**6] * 48, rel=1e-4)


def test_overflow_and_silence_are_told() -> None:
    """Signals out of range are null, gradients that vanish are 0, and a note says so."""
    loud, silent = run([{"scheme": "normal", "std": 1e30}, "zeros"], depth=12, seeds=2).schemes
    assert loud.columns["activation_mean_square"].value[-1] is None
    assert any("range of float64" in note for note in loud.notes)
    assert silent.columns["gradient_mean_square"].value[0] == 0.0
    assert silent.columns["dead_units"].value == [1.0] * 12
    assert any("no gradient" in note for note in silent.notes)
    assert CompareResult.model_validate_json(
        Comparison(request(["zeros"], seeds=1)).run().model_dump_json()
    ).schemes


def test_rules_and_specs_and_dtypes() -> None:
    """An entry's rules, a whole spec and a narrow dtype are what is measured."""
    network = {"kind": "residual", "depth": 2, "width": 12}
    shapes = {w.name: w.shape for w in weights_of(request(["ones"], **network).network)}
    spec = {
        "dtype": "BF16",
        "tensors": [{"name": n, "shape": s, "init": "he_normal"} for n, s in shapes.items()],
    }
    rules = [{"match": "blocks.*.1.weight", "init": "zeros"}]
    asked = [{"init": "he_normal", "rules": rules, "label": "zero last"}, {"spec": spec}]
    zeroed, whole = run(asked, **network, seeds=2).schemes
    stream = zeroed.columns["activation_mean_square"].value
    assert stream[0] == stream[2] == stream[4]
    assert whole.columns["singular_value_max"].value[2] > 1.0
    assert (zeroed.label, whole.label[:5], whole.init) == ("zero last", "spec ", None)


@pytest.mark.parametrize(
    ("spec", "kind", "path", "said"),
    [
        ({"tensors": [{"name": "a", "shape": [2], "init": "ones"}]}, SpecError,
         ("schemes", 1, "spec"), "has no tensor 'layers.0.weight'"),
        ({"tensors": [{"name": "layers.0.weight", "shape": [2, 2], "init": "ones"}]}, ShapeError,
         ("schemes", 1, "spec"), "needs [48, 48]"),
        ({"tensors": [{"name": "layers.0.weight", "shape": [48, 48], "init": "ones",
                       "dtype": "I32"}]}, SpecError, ("schemes", 1, "spec"), "must be"),
    ],
)  # fmt: skip
def test_specs_that_do_not_fit(
    spec: dict[str, Any], kind: type[SpecError], path: tuple[Any, ...], said: str
) -> None:
    """A spec that lacks a weight, or has another shape or an integer there, is refused."""
    with pytest.raises(kind, match="layers") as caught:
        Comparison(request(["ones", {"spec": spec}], depth=1))
    assert caught.value.path[: len(path)] == path
    assert said in caught.value.message


def test_budget_is_kept_before_anything_is_done() -> None:
    """Work and memory beyond the budget are refused with both numbers."""
    asked = request(["he_normal", "he_uniform"])
    flops, size = flops_of(asked, Budget()), Comparison(asked).size_bytes
    assert size > bytes_of(asked, Budget())  # plans take memory as well
    Comparison(asked, Budget(max_compare_flops=flops, max_compare_bytes=size))
    for tight in (Budget(max_compare_flops=flops - 1), Budget(max_compare_bytes=size - 1)):
        with pytest.raises(LimitError) as caught:
            Comparison(asked, tight)
        assert caught.value.actual - 1 == caught.value.maximum
    assert Comparison(asked, Budget(max_jacobian=47)).run().schemes[0].jacobian is None
    assert flops_of(request(["he_normal", "he_uniform"], seeds=8), Budget()) > 1.3 * flops


def test_progress_and_end() -> None:
    """Every trial is told in order, and whatever the check raises ends the work."""
    told: list[tuple[int, str]] = []
    Comparison(request(["zeros", "ones"], seeds=2)).run(lambda d, label: told.append((d, label)))
    assert told == [(1, "zeros"), (2, "zeros"), (3, "ones"), (4, "ones")]

    def stop() -> None:
        if len(told) >= 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        Comparison(request(["zeros", "ones"], seeds=9)).run(
            lambda d, label: told.append((d, label)), stop
        )
    assert len(told) == 5
