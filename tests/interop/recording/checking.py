"""Holds a recording against real builds on the CPU: every law against the numbers that come out.

Names, shapes and dtypes are compared with the file that the library itself saves; constants and
tables bit for bit; draws by Kolmogorov and Smirnov's test, by mean and variance of the whole and of
its quarters along the first and last axis, and by their bounds; matrices by their singular values.
Draws that no law foresees show as exact zeros, equal rows, or tensors equal to others.
"""

from __future__ import annotations

import json
import math
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import nn

from seedbed.files import Checkpoint, CheckpointSpec
from seedbed.init import Limits
from seedbed.recording import Entry
from seedbed.recording.saying import CODES as RECORDED_CODES
from seedbed.recording.saying import Unsaid
from seedbed.stream import get_engine
from seedbed.torch import RecordedTensor, Recording, record
from seedbed.torch.emission import said
from seedbed.torch.laws import Pieces
from seedbed.torch.values import Value

LEAST_P = 1e-9
"""Of a test; some 10⁵ are made in a sweep, so that one in 10⁴ sweeps fails by chance."""

MOST_SIGMA = 7.0
"""Of a mean or variance; the chance to be beyond is 3·10⁻¹²."""

FEW = 200
"""Elements below which the numbers of several tensors of one init are tested together."""

SAMPLE = 1 << 15
"""Elements of a tensor for the test of the distribution."""


@dataclass
class Findings:
    """What a comparison found.

    Attributes:
        wrong: how recording and builds differ; empty if they agree.
        counts: tensors by what could be said of them.
        tests: how many were made.
    """

    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    tests: int = 0
    pooled: dict[str, list[Any]] = field(default_factory=dict)


def check(
    build: Callable[[], nn.Module], builds: int = 1, recording: Recording | None = None
) -> tuple[Recording, Findings]:
    """Record a build, unless that has been done, build it for real a few times, and compare."""
    recording = recording or record(build, looks=True)
    findings = Findings()
    for tensor in recording.tensors:
        findings.counts[_kind(tensor)] += 1
    for number in range(builds):
        torch.manual_seed(20_261_130 + number)
        model = build()
        real = contents(model)
        compare(recording, real, findings)
        if not number:
            findings.wrong += in_other_order(recording, real)
        findings.wrong += elsewhere(recording, dict(model.state_dict()), real)
        del model
    conclude(findings)
    return recording, findings


def conclude(findings: Findings) -> None:
    """Test the numbers of small tensors of one init together."""
    for name, (init, samples) in findings.pooled.items():
        values = np.concatenate(samples)
        if len(values) >= 8 and (found := _distribution(init, values)):
            findings.wrong.append(f"tensors like {name}: {init} but {found}")


def _kind(tensor: RecordedTensor) -> str:
    if tensor.same_as is not None:
        return "equal"
    return "said" if tensor.problem is None else tensor.problem.split(":")[0]


def contents(model: nn.Module) -> dict[str, torch.Tensor]:
    """What a file of a model holds: as transformers saves it, or the state dict."""
    if hasattr(model, "save_pretrained") and hasattr(model, "_tied_weights_keys"):
        from safetensors.torch import load_file

        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.save_pretrained(folder)
            found: dict[str, torch.Tensor] = {}
            for file in sorted(Path(folder).glob("*.safetensors")):
                found |= in_file_order(file, load_file(file))
            return found
    return {name: x for name, x in model.state_dict().items() if isinstance(x, torch.Tensor)}


def in_file_order(file: Path, loaded: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors as they lie in a file."""
    with file.open("rb") as reader:
        header = json.loads(reader.read(int.from_bytes(reader.read(8), "little")))
    header.pop("__metadata__", None)
    return {name: loaded[name] for name in sorted(header, key=lambda n: header[n]["data_offsets"])}


def in_other_order(recording: Recording, real: Mapping[str, torch.Tensor]) -> list[str]:
    """How the file of the spec, or a state dict, has tensors otherwise than they should be."""
    names = [tensor.name for tensor in recording.tensors]
    if not recording.report.is_complete:
        return (
            [] if recording.report.library == "transformers" or names == list(real) else ["order"]
        )
    file = Checkpoint(recording.spec, Limits(), get_engine("auto")).whole
    if recording.report.library == "transformers":  # which saves, and so sorts
        names = [tensor.name for tensor in file.tensors]
    kinds = {t.name: (tuple(t.shape), t.dtype.code) for t in file.tensors}
    found = [n for n, x in real.items() if kinds.get(n) != (tuple(x.shape), _code(x))]
    return [f"{name} in the file" for name in found] + ["order"] * (names != list(real))


def elsewhere(
    recording: Recording, state: Mapping[str, torch.Tensor], file: Mapping[str, torch.Tensor]
) -> list[str]:
    """Tensors of the file that are not where their regions say they are in the module."""
    found = []
    for tensor in recording.tensors:
        if tensor.regions is None or tensor.name not in file:
            continue
        built = torch.empty(tensor.shape, dtype=file[tensor.name].dtype)
        for region in tensor.regions:
            whole, (offset, shape, strides) = state[region.parameter], region.part
            whole = whole.detach().clone(memory_format=torch.contiguous_format)
            part = whole.as_strided(shape, strides, offset)
            place = tuple(slice(*ends) for ends in region.at)
            built[place] = part.reshape(built[place].shape)
        if not torch.equal(built.nan_to_num(), file[tensor.name].detach().nan_to_num()):
            found.append(f"{tensor.name} is not at {tensor.regions}")
    return found


def compare(recording: Recording, real: Mapping[str, torch.Tensor], findings: Findings) -> None:
    """One build with what was recorded."""
    wrong = findings.wrong
    names = {tensor.name for tensor in recording.tensors}
    if names != real.keys():
        wrong.append(f"names differ: {sorted(names ^ real.keys())[:6]}")
    seen: dict[bytes, str] = {}
    for tensor in recording.tensors:
        x = real.get(tensor.name)
        if x is None:
            continue
        x = x.detach()
        if tuple(x.shape) != tensor.shape or x.dtype != tensor.value.dtype:
            wrong.append(
                f"{tensor.name}: {tensor.shape} {tensor.value.dtype}, is {x.shape} {x.dtype}"
            )
            continue
        if not x.numel():
            continue
        differs = "" if tensor.problem else _differs(tensor.value, x, findings)
        if not differs and tensor.value.is_random and not (tensor.problem or tensor.same_as):
            differs = _alike(x)
        if differs:
            wrong.append(f"{tensor.name}: {differs}")
        if repeats := _repeats(tensor, recording.report.copied.get(tensor.name), x, real, seen):
            wrong.append(f"{tensor.name} {repeats}")


def compare_arrays(entries: Sequence[Entry], arrays: Mapping[str, Any], findings: Findings) -> None:
    """One build of another framework, as NumPy has it, with what was recorded."""
    seen: dict[bytes, str] = {}
    if sorted(entry.name for entry in entries) != sorted(arrays):
        findings.wrong.append(f"names differ: {sorted(arrays)}")
        return
    for entry in entries:
        x = arrays[entry.name]
        if x.shape != entry.shape or RECORDED_CODES[x.dtype.name] != entry.dtype:
            findings.wrong.append(f"{entry.name}: {entry}, is {x.shape} {x.dtype}")
        elif entry.same_as is not None:
            if not np.array_equal(x, arrays[entry.same_as]):
                findings.wrong.append(f"{entry.name} is not {entry.same_as}")
        elif entry.init is not None:
            differs = _array_differs(entry.init, x, findings)
            twin = seen.setdefault(x.tobytes(), entry.name)
            if not differs and twin != entry.name and np.ptp(x.astype(np.float64)) > 0:
                differs = f"has the numbers of {twin}"
            if differs:
                findings.wrong.append(f"{entry.name}: {differs}")


def _array_differs(init: Any, x: Any, findings: Findings) -> str:
    init = {"scheme": init} if isinstance(init, str) else init
    if init["scheme"] == "parts":
        rest = np.ones(x.shape, bool)
        for part in init["parts"]:
            box = tuple(slice(*(ends or (None,))) for ends in part["box"])
            rest[box] = False
            if found := _array_differs(part["init"], x[box], findings):
                return f"{part['box']}: {found}"
        return _array_differs(init["init"], x[rest], findings) if "init" in init else ""
    tensor = torch.from_numpy(np.array(x, np.float32 if x.dtype.name == "bfloat16" else x.dtype))
    if x.dtype.name == "bfloat16":
        tensor = tensor.to(torch.bfloat16)
    if init["scheme"] in _KNOWN:
        return _drawn_alike(init, tensor) if x.size else ""
    return _random(init, tensor, findings) if x.size else ""


_KNOWN = {
    "zeros", "ones", "constant", "arange", "literal", "eye", "sinusoidal", "mamba_A_log",
    "s4d_real", "rope_inv_freq", "dirac", "alibi_slopes",
}  # fmt: skip
"""Schemes without draws."""


def _repeats(
    tensor: RecordedTensor,
    other: str | None,
    x: torch.Tensor,
    real: Mapping[str, torch.Tensor],
    seen: dict[bytes, str],
) -> str:
    """How the copies that were recorded differ from those that there are."""
    if tensor.same_as is not None:
        return "" if torch.equal(x, real[tensor.same_as]) else f"is not {tensor.same_as}"
    if other is None and not tensor.problem and tensor.value.is_random and x.numel() > 8:
        key = x.double().contiguous().numpy().tobytes()[: 1 << 12]
        earlier = seen.setdefault(key, tensor.name)
        return "" if earlier == tensor.name else f"has the numbers of {earlier}"
    return ""


def _differs(value: Value, x: torch.Tensor, findings: Findings) -> str:
    """How the numbers of a tensor differ from what was recorded; empty if they do not."""
    if value.is_known:
        if not _same(value.real(), x):
            far = (value.real().double() - x.double()).abs().max() if not x.is_complex() else "?"
            return f"known numbers differ, by up to {far}"
        init = said(value)
        return "" if isinstance(init, Unsaid) else _drawn_alike(init, x)
    if isinstance(value.law, Pieces):
        for box, piece in value.law.pieces:
            part = x[tuple(slice(*ends) for ends in box)]
            if found := _differs(piece, part, findings):
                return f"{box}: {found}"
        return ""
    init = said(value)
    if isinstance(init, Unsaid):
        return ""
    return _random(init, x, findings)


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    if a.dtype.is_floating_point or a.dtype.is_complex:
        other = b.reshape(a.shape)
        return bool(torch.allclose(a.to(b.dtype), other, rtol=0, atol=0, equal_nan=True))
    return bool(torch.equal(a, b.reshape(a.shape)))


def _drawn_alike(init: Any, x: torch.Tensor) -> str:
    """Whether Seedbed's own numbers for a scheme without draws are these."""
    body = {"tensors": [{"name": "x", "shape": list(x.shape), "init": init, "dtype": _code(x)}]}
    ours = seedbeds(body)["x"].to(torch.float64)
    room = 2e-6 + 1e-7 * len(x.shape and x)
    if torch.allclose(ours, x.to(torch.float64), rtol=1e-5, atol=room, equal_nan=True):
        return ""
    return f"{init} is off by {float((ours - x).abs().max())}"


def _code(x: torch.Tensor) -> str:
    from seedbed.torch.emission import CODES

    return CODES[x.dtype]


def seedbeds(body: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The tensors of a spec's file."""
    from safetensors.torch import load

    spec = CheckpointSpec.model_validate_json(json.dumps(body))
    file = Checkpoint(spec, Limits(), get_engine("auto")).whole
    return load(b"".join(file.chunks()))


def law_of(init: Any) -> Any:
    """SciPy's distribution of a scheme, if it has one."""
    s = init["scheme"]
    if s == "uniform":
        return stats.uniform(init["low"], init["high"] - init["low"])
    if s == "normal":
        return stats.norm(init["mean"], init["std"])
    if s == "truncated_normal":
        m, d = init["mean"], init["std"]
        lower = -math.inf if init["lower"] is None else init["lower"]
        upper = math.inf if init["upper"] is None else init["upper"]
        return stats.truncnorm((lower - m) / d, (upper - m) / d, m, d)
    if s == "log_uniform":
        return stats.loguniform(init["low"], init["high"])
    return None


def _random(init: Any, x: torch.Tensor, findings: Findings) -> str:  # noqa: PLR0911
    """How drawn numbers differ from a scheme."""
    if init["scheme"] == "orthogonal":
        return _orthogonal(init, x)
    if init["scheme"] == "sparse":
        zeros = (x == 0).sum(0)
        return "" if bool((zeros == math.ceil(init["sparsity"] * len(x))).all()) else "zeros"
    if init["scheme"] == "truncated_normal":
        x = _without_clamped(init, x)
    has_steps = init["scheme"] == "chain"  # a clamp, say
    if x.element_size() >= 4 and not has_steps and (found := _unforeseen(x)):
        return f"{init} but {found}"
    if (law := law_of(init)) is not None:
        if found := _moments(law, x, findings):
            return f"{init} but {found}"
        if found := _bounds(law, x):
            return f"{init} but {found}"
    values = _jittered(x)
    if x.numel() < FEW:
        key = json.dumps([init, str(x.dtype)], sort_keys=True)
        findings.pooled.setdefault(key, [init, []])[1].append(values)
        return ""
    findings.tests += 1
    found = _distribution(init, values)
    return f"{init} but {found}" if found else ""


def _alike(x: torch.Tensor) -> str:
    """Lines along the first or the last axis that are equal, but for those of one number."""
    if x.dim() < 2 or x.element_size() < 4 or not x.is_floating_point():
        return ""
    for axis in (0, -1):
        lines = x.movedim(axis, -1).reshape(-1, x.shape[axis])[:4096].contiguous().numpy()
        lines = lines[np.ptp(lines, axis=1) > 0]
        if x.shape[axis] > 8 and len(np.unique(lines, axis=0)) < len(lines):
            return f"lines along axis {axis} are equal"
    return ""


def _unforeseen(x: torch.Tensor) -> str:
    """What no independent draws of 24 bits and more show."""
    zeros = int((x == 0).sum())
    if zeros > (
        2 if x.numel() < 1 << 20 else 8 + x.numel() / (1 << 22)
    ):  # a uniform has 2⁻²⁴ of them
        return f"{zeros} zeros"
    if x.dim() > 1 and x.shape[-1] > 2:
        rows = x.reshape(-1, x.shape[-1])[:4096].contiguous().numpy()
        if len(np.unique(rows, axis=0)) < len(rows):
            return "rows are equal"
    return ""


def _without_clamped(init: Any, x: torch.Tensor) -> torch.Tensor:
    """The numbers with the mean for what timm's trunc_normal_ clamped.

    Its float32 erfinv gives −∞ where a uniform is −1, about once in 2²⁴ draws.
    """
    bounds = [init[key] for key in ("lower", "upper") if init[key] is not None]
    clamped = torch.zeros_like(x, dtype=torch.bool)
    for bound in bounds:
        if abs(bound - init["mean"]) > 6 * init["std"]:
            clamped |= x == bound
    few = int(clamped.sum()) <= 2 + x.numel() // (1 << 21)
    return torch.where(clamped, torch.full_like(x, init["mean"]), x) if few else x


def _jittered(x: torch.Tensor) -> Any:
    """Numbers in float64, those of a narrow dtype spread over what rounds to them."""
    rng = np.random.default_rng(5)
    flat = x.reshape(-1)
    if len(flat) > SAMPLE:  # elements of every region, none of them twice
        step = len(flat) * 618_033_989 // 1_000_000_000 | 1
        while math.gcd(step, len(flat)) > 1:
            step += 2
        flat = flat[torch.arange(SAMPLE) * step % len(flat)]
    values = flat.double().numpy()
    if x.dtype in (torch.float16, torch.bfloat16):
        _, exponent = np.frexp(values)
        step = np.ldexp(torch.finfo(x.dtype).eps, exponent - 1)
        values = values + rng.uniform(-0.5, 0.5, len(values)) * step
    return values


def _distribution(init: Any, values: Any) -> str:
    """How numbers differ from a scheme's; against a draw of Seedbed's, where SciPy has no law."""
    law = law_of(init)
    if law is not None:
        p = stats.kstest(values, law.cdf).pvalue
    else:
        body = {"seed": 3, "tensors": [{"name": "x", "shape": [1 << 16], "init": init}]}
        p = stats.ks_2samp(values, seedbeds(body)["x"].double().numpy()).pvalue
    return "" if p > LEAST_P else f"p = {p:.1e}, mean {values.mean():.6g}, std {values.std():.6g}"


def _moments(law: Any, x: torch.Tensor, findings: Findings) -> str:
    """Mean and variance, of the whole and of its quarters."""
    mean, var, _, kurtosis = (float(q) for q in law.stats("mvsk"))
    parts = [("", x)]
    for axis in {0, x.dim() - 1} if x.dim() else ():
        if x.shape[axis] >= 4:
            parts += [(f" of quarter {n} along {axis}", q) for n, q in enumerate(x.chunk(4, axis))]
    for where, part in parts:
        n, wide = part.numel(), part.double()
        if n < 64:
            continue
        findings.tests += 2
        z = (float(wide.mean()) - mean) / math.sqrt(var / n)
        if abs(z) > MOST_SIGMA:
            return f"the mean{where} is {float(wide.mean()):.6g}, {z:.1f} σ off"
        seen = float(((wide - mean) ** 2).mean())
        z = (seen - var) / (var * math.sqrt((kurtosis + 2) / n))
        # rounding to a narrow dtype adds to the variance
        room = 1e-3 if x.element_size() < 4 else 0.0
        if abs(z) > MOST_SIGMA and abs(seen / var - 1) > room:
            return f"the standard deviation{where} is {math.sqrt(seen):.6g}, {z:.1f} σ off"
    return ""


def _bounds(law: Any, x: torch.Tensor) -> str:
    low, high = law.support()
    room = 1e-6 if x.element_size() >= 4 else 1e-2
    least, most = float(x.min()), float(x.max())
    room *= max(abs(least), abs(most))
    if least < low - room or most > high + room:
        return f"reaches {least} … {most}"
    if law.dist.name == "uniform" and x.numel() > 1000:
        gap = max(high - most, least - low) / (high - low)
        if gap * x.numel() > 25:
            return f"ends at {least} … {most}"
    return ""


def _orthogonal(init: Any, x: torch.Tensor) -> str:
    """Whether every matrix of a stack has orthonormal rows or columns."""

    def axes(name: str) -> list[int]:
        said = init.get(name, [])
        return [axis % x.dim() for axis in (said if isinstance(said, list) else [said])]

    batch = axes("batch_axis")
    free = [axis for axis in range(x.dim()) if axis not in batch]
    rows = axes("out_axis") or free[:1]
    columns = [axis for axis in free if axis not in rows]
    count, height, width = (math.prod(x.shape[a] for a in some) for some in (batch, rows, columns))
    matrices = x.double().permute(*batch, *rows, *columns).reshape(count, height, width)
    for matrix in matrices:
        short = matrix.T if height > width else matrix
        want = init["gain"] ** 2 * torch.eye(len(short), dtype=torch.float64)
        if not torch.allclose(short @ short.T, want, atol=1e-3 if x.element_size() > 2 else 3e-2):
            return "is not orthogonal"
    return ""
