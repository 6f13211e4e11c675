"""A whole comparison: weights from Seedbed's own files, trial after trial, and the answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from seedbed.compare import budget as budgets
from seedbed.compare.activations import Doubles
from seedbed.compare.budget import Budget
from seedbed.compare.measure import GEOMETRIC, METRICS, QUANTILES, Trial, cotangent_shape, measure
from seedbed.compare.network import Weight, input_shape, is_residual, weights_of
from seedbed.compare.request import CompareRequest, Network, SchemeEntry, SpecEntry, label_of
from seedbed.compare.result import (
    ActivationTheory,
    Column,
    CompareResult,
    JacobianResult,
    SchemeResult,
    WeightDescription,
)
from seedbed.compare.student import CONFIDENCE, interval
from seedbed.compare.theory import Prediction, Spread, numbers_of, predict
from seedbed.errors import ShapeError, SpecError
from seedbed.files import CheckpointSpec, VirtualFile, seed_to_json
from seedbed.init import Dense, Limits, MatrixCache, TensorPlan
from seedbed.stream import DTYPES, SEED_MAX, Engine, Normal, get_engine

_SPECTRUM = 256
_CRITICAL = 0.01

_TENSOR_BYTES = 3000
"""Of a plan, for each tensor, with its spec."""


class Comparison:
    """A comparison that may be done: planned and within its budget, but not begun.

    Args:
        request: what to compare.
        budget: what it may cost.
        limits: of the specs.
        engine: who draws.
        matrices: where whole matrices are kept.

    Raises:
        LimitError: it would cost too much.
        SpecError: a scheme cannot fill the network's weights, or a spec lacks one.
    """

    def __init__(
        self,
        request: CompareRequest,
        budget: Budget | None = None,
        limits: Limits | None = None,
        engine: Engine | None = None,
        matrices: MatrixCache | None = None,
    ) -> None:
        budget = budget or Budget()
        self.request = request
        self.flops = budgets.check(request, budget)
        self._jacobian = budgets.has_jacobian(request, budget)
        self._limits = limits or Limits()
        self._engine = engine or get_engine()
        self._matrices = matrices or MatrixCache(2**26, threads=1)
        self._weights = weights_of(request.network)
        self.files = [self._plan(i, entry) for i, entry in enumerate(request.schemes)]
        tensors = sum(len(file.tensors) for file in self.files)
        self.size_bytes = budgets.bytes_of(request, budget) + _TENSOR_BYTES * tensors
        budget.require("max_compare_bytes", self.size_bytes, "bytes of memory")
        self.held: object = None
        """What lives as long as this does."""

    @property
    def steps(self) -> int:
        """Trials: one for each scheme and seed."""
        return len(self.request.schemes) * self.request.seeds

    def run(
        self,
        tell: Callable[[int, str], None] = lambda _done, _label: None,
        check: Callable[[], None] = lambda: None,
    ) -> CompareResult:
        """Measure everything; the answer is the same each time, to rounding.

        Args:
            tell: hears after each trial how many are done, and of which scheme it was.
            check: called often; whatever it raises ends the work.
        """
        request = self.request
        schemes = []
        for index, (entry, file) in enumerate(zip(request.schemes, self.files, strict=True)):
            trials = []
            for trial in self._trials(file, check):
                trials.append(trial)
                tell(index * request.seeds + len(trials), label_of(entry))
            schemes.append(self._summarise(entry, file, trials))
        activation = request.network.activation
        return CompareResult(
            network=request.network,
            layers=[
                WeightDescription(
                    name=w.name, shape=list(w.shape), fan_in=w.fan_in, fan_out=w.fan_out
                )
                for w in self._weights
            ],
            seeds=[seed_to_json(seed) for seed in self._seeds],
            batch=request.batch,
            correlation=request.correlation,
            confidence=CONFIDENCE,
            metrics=list(METRICS),
            activation_theory=ActivationTheory(
                activation=activation, **vars(numbers_of(activation, request.network.slope))
            ),
            schemes=schemes,
            flops=self.flops,
        )

    @property
    def _seeds(self) -> range:
        return range(self.request.seed, self.request.seed + self.request.seeds)

    def _plan(self, index: int, entry: SchemeEntry | SpecEntry) -> VirtualFile:
        """The file of an entry's first seed, once it is sure that the network can use it."""
        place = ("schemes", index)
        if isinstance(entry, SpecEntry):
            spec = entry.spec.with_seed(self.request.seed)
        else:
            spec = CheckpointSpec.model_validate(
                {
                    "seed": self.request.seed,
                    "tensors": [
                        {"name": w.name, "shape": w.shape, "init": entry.init}
                        for w in self._weights
                    ],
                    "rules": entry.rules,
                }
            )
        try:
            file = self._open(spec)
            self._read_plans(file)
        except SpecError as error:
            inner = ("spec", *error.path) if isinstance(entry, SpecEntry) else ()
            raise type(error)(error.message, (*place, *inner), error.allowed) from error
        return file

    def _open(self, spec: CheckpointSpec) -> VirtualFile:
        return VirtualFile(spec, self._limits, self._engine, matrices=self._matrices)

    def _read_plans(self, file: VirtualFile) -> list[tuple[int, TensorPlan]]:
        """Place and plan of each weight of the network, in its order.

        Raises:
            SpecError: one is missing.
            ShapeError: one has another shape.
        """
        by_name = {tensor.name: (i, tensor) for i, tensor in enumerate(file.tensors)}
        for weight in self._weights:
            if weight.name not in by_name:
                wanted = [f"{w.name} {list(w.shape)}" for w in self._weights[:20]]
                raise SpecError(
                    f"the spec has no tensor {weight.name!r}, which the network needs", (), wanted
                )
            tensor = by_name[weight.name][1]
            if tensor.shape != weight.shape:
                raise ShapeError(
                    f"{weight.name!r} has shape {list(tensor.shape)}; the network needs "
                    f"{list(weight.shape)}"
                )
            if not tensor.dtype.is_float:
                raise SpecError(f"{weight.name!r} is {tensor.dtype.code}; weights must be floats")
        return [by_name[weight.name] for weight in self._weights]

    def _trials(self, file: VirtualFile, check: Callable[[], None]) -> Iterator[Trial]:
        """The measurements of one entry, seed by seed."""
        request = self.request
        network = request.network
        for seed in self._seeds:
            check()
            weights = self._draw(file if seed == request.seed else self._reseeded(file, seed))
            check()
            shape = (request.batch, *input_shape(network))
            first = self._gaussian("compare.input", seed, shape)
            other = self._gaussian("compare.partner", seed, shape)
            rho = request.correlation
            second = rho * first + math.sqrt(1.0 - rho * rho) * other
            cotangents = self._gaussian(
                "compare.cotangent", seed, cotangent_shape(network, request.batch)
            )
            yield measure(
                network, weights, (first, second), cotangents,
                jacobian=self._jacobian, check=check,
            )  # fmt: skip

    def _reseeded(self, file: VirtualFile, seed: int) -> VirtualFile:
        spec = file.spec.with_seed(min(seed, SEED_MAX))
        return VirtualFile(
            spec, self._limits, self._engine, matrices=self._matrices, tensors=file.tensors
        )

    def _draw(self, file: VirtualFile) -> dict[str, Doubles]:
        """The network's weights as float64."""
        weights = {}
        for i, tensor in self._read_plans(file):
            start = file.offset(i)
            raw = file.read(start, start + tensor.size_bytes)
            weights[tensor.name] = decode(raw, tensor)
        return weights

    def _gaussian(self, name: str, seed: int, shape: tuple[int, ...]) -> Doubles:
        """Standard Gaussian numbers of Seedbed's stream, the same for every scheme."""
        out = np.empty(math.prod(shape), np.float32)
        self._engine.draw(seed, name, Normal(0.0, 1.0), DTYPES["F32"], 0, out.view(np.uint8).data)
        return out.astype(np.float64).reshape(shape)

    def _summarise(
        self, entry: SchemeEntry | SpecEntry, file: VirtualFile, trials: Sequence[Trial]
    ) -> SchemeResult:
        """Intervals over the trials, beside theory."""
        network = self.request.network
        plans = [tensor for _, tensor in self._read_plans(file)]
        notes: list[str] = []
        spreads = _spreads(plans, notes)
        theory = predict(network, spreads, self.request.correlation) if spreads else None
        columns = {
            metric.name: _column(
                [trial.columns[metric.name] for trial in trials],
                _theory_column(metric.name, theory, spreads, self._weights),
                geometric=metric.name in GEOMETRIC,
            )
            for metric in METRICS
        }
        if any(v is None for v in columns["activation_mean_square"].value):
            notes.append("the signal left the range of float64; those layers are null")
        elif not all(columns["gradient_mean_square"].value):
            notes.append("no gradient reaches some of the layers")
        typical = spreads[min(1, len(spreads) - 1)] if spreads else None
        fan_in = self._weights[min(1, len(self._weights) - 1)].fan_in
        chi = _number(theory.chi) if theory else None
        return SchemeResult(
            label=label_of(entry),
            init=entry.init.canonical() if isinstance(entry, SchemeEntry) else None,
            spec_sha256=file.spec.digest,
            sigma_w=math.sqrt(fan_in * typical.variance) if typical else None,
            excess_kurtosis=typical.excess_kurtosis if typical else None,
            chi_1=chi,
            fixed_correlation=_number(theory.fixed_correlation) if theory else None,
            phase=_phase(network, chi),
            columns=columns,
            jacobian=_jacobian(trials, theory, network) if self._jacobian else None,
            notes=notes,
        )


def decode(raw: bytes | bytearray, tensor: TensorPlan) -> Doubles:
    """The bytes of a tensor as float64."""
    code = tensor.dtype.code
    if code == "BF16":
        values = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    elif code in ("F64", "F32", "F16"):
        values = np.frombuffer(raw, f"<f{tensor.dtype.size_bytes}")
    else:
        raise SpecError(f"{tensor.name!r} is {code}; use F64, F32, F16 or BF16 here")
    return values.astype(np.float64).reshape(tensor.shape)


def _spreads(plans: Sequence[TensorPlan], notes: list[str]) -> list[Spread]:
    """What theory needs of the weights; nothing, with a note, if it does not apply."""
    spreads = []
    for plan in plans:
        summary = plan.fill.summary()
        if abs(summary.mean) > 1e-6 * max(summary.std, 1e-30):
            notes.append(f"no theory: the mean of {plan.name!r} is not 0")
            return []
        dense = isinstance(plan.fill, Dense)
        spreads.append(
            Spread(
                summary.std**2,
                None if dense else summary.excess_kurtosis,
                independent=not dense,
                orthogonal=plan.scheme.scheme == "orthogonal",
            )
        )
    return spreads


def _theory_column(
    metric: str, theory: Prediction | None, spreads: Sequence[Spread], weights: Sequence[Weight]
) -> list[float | None] | None:
    """The prediction for a metric, if there is one."""
    if theory is None:
        return None
    by_name: dict[str, Sequence[float | None]] = {
        "activation_mean_square": theory.signal,
        "pre_activation_mean_square": theory.product,
        "gradient_mean_square": theory.gradient,
        "correlation": theory.correlation,
        "weight_kurtosis": [s.excess_kurtosis for s in spreads],
        "pre_activation_kurtosis": theory.kurtosis,
    }
    if metric.startswith("singular_value"):
        which = metric.removeprefix("singular_value_")
        pairs = zip(spreads, weights, strict=True)
        return [_number(_singular(which, s, w)) for s, w in pairs]
    values = by_name.get(metric)
    return None if values is None else [_number(value) for value in values]


def _singular(which: str, spread: Spread, weight: Weight) -> float | None:
    """Marchenko and Pastur's edges; of orthogonal matrices the one value that all have."""
    rows, columns = weight.shape[0], weight.fan_in
    sigma = math.sqrt(spread.variance)
    rms = sigma * math.sqrt(max(rows, columns))
    if which == "rms" or spread.orthogonal:
        return rms
    if not spread.independent:
        return None
    if which == "max":
        return sigma * (math.sqrt(rows) + math.sqrt(columns))
    return sigma * abs(math.sqrt(rows) - math.sqrt(columns)) or None


def _column(
    values: Sequence[Doubles], theory: list[float | None] | None, *, geometric: bool
) -> Column:
    """A metric over the weights, from its values in each trial."""
    ends = [interval(row, geometric=geometric) for row in np.stack(values, axis=1)]
    return Column(
        value=[value for value, _, _ in ends],
        low=[low for _, low, _ in ends],
        high=[high for _, _, high in ends],
        theory=theory,
    )


def _jacobian(
    trials: Sequence[Trial], theory: Prediction | None, network: Network
) -> JacobianResult:
    """Singular values over the trials."""
    squares = [trial.jacobian_mean_square for trial in trials]
    mean, low, high = interval(squares, geometric=True)
    spectra = [trial.jacobian for trial in trials if trial.jacobian is not None]
    quantiles = {
        f"{q:g}": interval([float(np.quantile(v, q)) for v in spectra], geometric=True)[0]
        for q in QUANTILES
    }
    first = spectra[0]
    chosen = np.unique(np.linspace(0, len(first) - 1, _SPECTRUM).round().astype(int))
    sides = [math.prod(shape) for shape in (cotangent_shape(network, 1)[1:], input_shape(network))]
    ratio = sides[0] / sides[1]
    return JacobianResult(
        shape=sides,
        mean_square=mean,
        mean_square_low=low,
        mean_square_high=high,
        mean_square_theory=_number(theory.jacobian * ratio) if theory else None,
        singular_values=quantiles,
        spectrum=[_number(float(first[i])) for i in chosen],
    )


def _phase(network: Network, chi: float | None) -> str | None:
    """By χ₁, where a phase means something."""
    if chi is None or network.norm != "none" or is_residual(network):
        return None
    if abs(chi - 1.0) <= _CRITICAL:
        return "critical"
    return "ordered" if chi < 1.0 else "chaotic"


def _number(value: float | None) -> float | None:
    """A number that JSON can carry."""
    return value if value is not None and math.isfinite(value) else None
