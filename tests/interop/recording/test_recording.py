"""What is recorded of networks is what real builds start from."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.interop

torch = pytest.importorskip("torch")
from safetensors.torch import load  # noqa: E402
from torch import nn  # noqa: E402

from seedbed.errors import SpecError  # noqa: E402
from seedbed.files import VirtualFile  # noqa: E402
from seedbed.torch import Recording, RecordingError, record  # noqa: E402
from seedbed.torch.recorder import ForeignWriteError  # noqa: E402
from tests.interop.recording.checking import check, seedbeds  # noqa: E402
from tests.interop.recording.networks import CASES, NETWORKS, compiled, data_parallel, wrapped  # noqa: E402

OLD_CODE = {
    name: getattr(nn.init, name).__code__
    for name in ("orthogonal_", "sparse_", "dirac_", "_no_grad_trunc_normal_")
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str) -> None:
    """Every law of networks that many people train is that of three real builds."""
    _, findings = check(NETWORKS[name], builds=3)
    assert findings.wrong == []
    assert findings.counts["said"] > 0


@pytest.mark.parametrize("name", CASES)
def test_cases(name: str) -> None:
    """What code does to weights comes out right or is refused, in three real builds."""
    _, findings = check(CASES[name], builds=3)
    assert findings.wrong == []


def problems(name: str) -> dict[str, str]:
    """Kinds of refusals of a case, by tensor."""
    found = record(CASES[name]).report.refused
    return {tensor: reason.split(":")[0] for tensor, reason in found.items()}


def inits(name: str) -> dict[str, Any]:
    """Schemes of a case, by tensor."""
    tensors = record(CASES[name]).tensors
    return {
        t.name: t.init if isinstance(t.init, str) else t.init["scheme"] for t in tensors if t.init
    }


def test_what_is_refused() -> None:
    """Each tensor that no scheme says is refused by name, with the kind of the reason."""
    assert problems("deep_copies") == problems("tied") == {}
    assert problems("from_numpy") == {"table": "literal", "seeded": "literal"}
    assert problems("no_scheme") == dict.fromkeys(
        ("rows", "lower", "noisy_eye", "repeated", "q", "shuffled", "integers"), "law"
    )
    assert problems("running_statistics") == {
        "norm.running_mean": "law", "norm.running_var": "law",
    }  # fmt: skip
    assert problems("tables")["rotations"] == "dtype"
    assert problems("same_draws_in_another_form") == dict.fromkeys("bcd", "copy")
    own = ("row", "column", "shifted", "negated", "mixed")
    assert problems("lines_of_its_own") == dict.fromkeys(own, "copy")
    turned = ("sparse", "as_three", "other_rows")
    assert problems("turned_matrices") == dict.fromkeys(turned, "law")
    assert problems("rescaled_parts") == {}
    parametrised = problems("parametrised")
    assert set(parametrised.values()) == {"law"}
    assert len(parametrised) == 4


def test_known_numbers_are_listed_if_asked() -> None:
    """With the fallback, tables that no scheme gives are in the spec, and the report names them."""
    listed = record(CASES["from_numpy"], fallback="literal")
    assert listed.report.is_complete
    assert {"table", "seeded"} <= set(listed.report.literals)
    real = CASES["from_numpy"]().state_dict()
    file = VirtualFile(listed.spec)
    loaded = load(bytes(file.read(0, file.size)))
    assert loaded["table"].equal(real["table"])


def test_parts_and_counts_are_said() -> None:
    """Padding rows are parts, position ids are counted, and masks hold infinities."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(50, 8, padding_idx=0)
            self.qkv = nn.Linear(8, 24, bias=False)
            nn.init.normal_(self.qkv.weight[:16], std=0.5)
            nn.init.zeros_(self.qkv.weight[16:, 2:4])
            self.register_buffer("ids", torch.arange(12).expand(1, -1))
            self.register_buffer("low", torch.full((2, 2), float("-inf")))

    inits = {t.name: t.init for t in record(Net).tensors}
    assert inits["embed.weight"] == {
        "scheme": "parts", "init": {"scheme": "normal", "mean": 0.0, "std": 1.0},
        "parts": [{"box": [[0, 1], None], "init": "zeros"}],
    }  # fmt: skip
    assert inits["qkv.weight"]["scheme"] == "parts"
    assert inits["ids"] == "arange"
    assert inits["low"] == {"scheme": "constant", "value": "-Infinity"}
    file = VirtualFile(record(Net).spec)
    loaded = load(bytes(file.read(0, file.size)))
    assert loaded["ids"].equal(torch.arange(12).expand(1, -1))
    assert not loaded["embed.weight"][0].any()
    assert not loaded["qkv.weight"][16:, 2:4].any()
    assert 0.4 < float(loaded["qkv.weight"][:16].std()) < 0.6


def test_what_is_recognised() -> None:
    """Sums of operations come to the scheme that they are."""
    assert inits("matrices") == {
        "a": "orthogonal", "b": "orthogonal", "sparse": "sparse", "eye": "eye",
        "view": "orthogonal", "by_hand": "orthogonal", "conv.weight": "dirac",
        "conv.bias": "uniform", "scaled": "orthogonal",
    }  # fmt: skip
    assert inits("by_functions") == {
        "log_uniform": "log_uniform", "gate": "chrono_bias", "ring": "lru_nu_log",
        "phase": "lru_theta_log", "decay": "rglru", "cut": "truncated_normal",
        "exponential": "chain", "gumbel": "chain", "log_normal": "chain",
    }  # fmt: skip
    assert inits("seen_as_one") == {"gates": "uniform", "stacked": "normal"}
    assert inits("tables")["frequencies"] == "rope_inv_freq"
    assert inits("tables")["waves"] == "sinusoidal"
    mixer = {t.name: t.init for t in record(NETWORKS["mamba"]).tensors}
    bias = mixer["dt_proj.bias"]
    assert isinstance(bias, dict)
    assert bias["scheme"] == "mamba_dt_bias"
    assert bias["dt_min"] == pytest.approx(0.001, rel=1e-6)
    assert bias["dt_max"] == pytest.approx(0.1, rel=1e-6)
    assert mixer["A_log"] == {"scheme": "mamba_A_log"}


def test_steps_are_not_smoothed() -> None:
    """A rounded draw, one with a hole or an atom, is no scheme that is near it at its quantiles."""
    assert problems("steps") == dict.fromkeys(("rounded", "floored", "nothing", "hole"), "law")
    assert inits("steps") == {"wide": "chain", "end": "chain"}


def test_a_seed_that_is_set_again() -> None:
    """Draws that begin where a generator has stood before are equal ones, or are refused."""
    recording = record(CASES["seeds"])
    assert {t.name: t.same_as for t in recording.tensors if t.same_as} == {
        "equal.weight": "first.weight", "equal.bias": "first.bias", "as_forked": "forked",
        "own_again": "own",
    }  # fmt: skip
    assert set(problems("seeds")) == {"shifted.weight", "shifted.bias", "following"}
    assert "seed that the build sets" in recording.report.noted["first.weight"]
    state = torch.get_rng_state()
    record(nn.Module)
    record(lambda: nn.Linear(3, 3))
    assert torch.equal(state, torch.get_rng_state())


def test_where_another_tensor_is() -> None:
    """What torch puts where a tensor is that it sees on meta is on the CPU, with its numbers."""
    assert problems("where_another_is") == {"numbers": "literal", "signs": "literal"}
    assert problems("another_default_dtype") == {"tenths": "literal"}
    listed = {t.name: t.init for t in record(CASES["listed_rows"], fallback="literal").tensors}
    assert [part["box"] for part in listed["rows"]["parts"]] == [[[0, 2], None], [[5, 6], None]]
    assert listed["columns"]["parts"][0]["box"] == [[3, 5], [7, 8]]
    assert [part["box"][1] for part in listed["filled"]["parts"]] == [[2, 3], [15, 16]]
    assert listed["chosen"]["values"] == [0, 1, 2, 9, 10, 11, 3, 4, 5, 6, 7, 8]


def test_names_are_those_without_wrappers() -> None:
    """Prefixes of torch.compile, of checkpoint wrappers and of parallel modules are left out."""
    assert [t.name for t in record(wrapped).tensors] == [
        "compiled.0.weight", "compiled.0.bias", "parallel.weight", "parallel.bias",
    ]  # fmt: skip
    outer = record(lambda: compiled(data_parallel(nn.Linear(2, 2))))
    assert [t.name for t in outer.tensors] == ["weight", "bias"]


def test_equal_tensors() -> None:
    """Tied tensors and copies are said to be the same as the first that has the numbers."""
    tensors = {t.name: t.same_as for t in record(CASES["deep_copies"]).tensors}
    assert tensors == {
        "student.weight": None, "student.bias": None, "teacher.weight": "student.weight",
        "teacher.bias": "student.bias", "ema.weight": "student.weight", "ema.bias": "student.bias",
    }  # fmt: skip
    model = CASES["tied"]()
    model.load_state_dict(seedbeds(record(CASES["tied"]).json()), strict=True)
    assert record(CASES["tied"]).tensors[2].same_as == "a.weight"


def test_tied_and_not_persistent() -> None:
    """The report names both; the second are in no file."""
    report = record(NETWORKS["nanogpt"]).report
    assert report.tied == {"lm_head.weight": "transformer.wte.weight"}
    assert report.left_out == {f"transformer.h.{n}.bias": "not persistent" for n in range(3)}
    assert "tied: lm_head.weight: transformer.wte.weight" in str(report)


def refusal(build: Callable[[], Any]) -> RecordingError:
    """The error that asking for a spec ends in."""
    recording: Recording = record(build)
    with pytest.raises(RecordingError) as caught:
        _ = recording.spec
    return caught.value


def test_memory_that_nothing_fills() -> None:
    """A tensor that is left as it was found, in whole or in part, is refused as a defect."""

    def build() -> nn.Module:
        m = nn.Module()
        m.whole, m.part = nn.Parameter(torch.empty(4, 4)), nn.Parameter(torch.empty(4, 4))
        with torch.no_grad():
            m.part[1:].zero_()
        m.sum = nn.Parameter(torch.empty(4) + 1)
        return m

    report = refusal(build).report
    assert report.unfilled == ("whole", "part", "sum")
    assert "[0:1, 0:4]: never filled" in report.refused["part"]


def test_what_stays_on_meta() -> None:
    """A model left on meta has no weights; a copy out of there fails as it does in torch."""

    def on_meta() -> nn.Module:
        with torch.device("meta"):
            return nn.Linear(3, 3)

    assert refusal(on_meta).report.unfilled == ("weight", "bias")
    with pytest.raises(NotImplementedError, match="meta"):
        record(lambda: on_meta().to("cpu"))


LOOKS: dict[str, Callable[[Any], object]] = {
    "item": lambda w: w.max().item(),
    "bool": lambda w: bool((w > 9).any()),
    "float": lambda w: float(w.detach()[0, 0]),
    "tolist": lambda w: w.tolist(),
    "numpy": lambda w: w.detach().numpy(),
    "equal": lambda w: torch.equal(w, torch.zeros(4, 4)),
    "nonzero": lambda w: w.nonzero(),
    "unique": lambda w: w.unique(),
}


@pytest.mark.parametrize("how", LOOKS)
def test_looks_at_random_values(how: str) -> None:
    """Code that asks for a number that another build would not have is refused, with its line."""

    def build() -> nn.Module:
        layer = nn.Linear(4, 4)
        LOOKS[how](layer.weight)
        return layer

    report = refusal(build).report
    (place,) = report.looked
    assert place.startswith(f"{__file__}:")
    assert record(build, looks=True).json()["model"]["list"][0]["name"] == "weight"


def test_looks_at_known_values() -> None:
    """Numbers that are the same in every build may be asked for."""

    def build() -> nn.Module:
        rates = [x.item() for x in torch.linspace(0, 0.3, 4)]
        return nn.Sequential(*(nn.Dropout(rate) for rate in rates), nn.Linear(2, 2))

    assert record(build).report.is_complete


def test_nothing_stays() -> None:
    """After a recording, a failed one and one within another, torch is what it was."""

    def within() -> nn.Module:
        assert record(lambda: nn.Linear(4, 4)).report.tensors == 2
        layer = nn.Linear(2, 3)
        nn.init.orthogonal_(layer.weight)
        return layer

    state = torch.get_rng_state()
    assert record(within).report.schemes == {"orthogonal": 1, "uniform": 1}
    with pytest.raises(ZeroDivisionError):
        record(lambda: nn.Linear(1 // 0, 1))
    assert torch.equal(state, torch.get_rng_state())
    assert {name: getattr(nn.init, name).__code__ for name in OLD_CODE} == OLD_CODE
    assert nn.Linear(2, 2).weight.device.type == "cpu"


def test_other_threads_draw() -> None:
    """While one thread records, what another one builds is real."""
    inside, done = threading.Event(), threading.Event()
    real: list[Any] = []

    def other() -> None:
        assert inside.wait(60)
        weight = nn.init.orthogonal_(torch.empty(3, 3))
        real.append(weight @ weight.T)
        done.set()

    def build() -> nn.Module:
        inside.set()
        assert done.wait(60)
        layer = nn.Linear(3, 3)
        nn.init.orthogonal_(layer.weight)
        return layer

    thread = threading.Thread(target=other)
    thread.start()
    recording = record(build)
    thread.join(60)
    assert recording.report.schemes == {"orthogonal": 1, "uniform": 1}
    assert torch.allclose(real[0], torch.eye(3), atol=1e-5)


def test_what_was_there_before_is_not_touched() -> None:
    """A build that fills a tensor of somebody else's is stopped before it does."""
    layer = nn.Linear(3, 3)
    before = layer.weight.clone()

    def build() -> nn.Module:
        nn.init.zeros_(layer.weight)
        return layer

    with pytest.raises(ForeignWriteError, match="test_recording"):
        record(build)
    assert torch.equal(layer.weight, before)
    assert "before the recording" in record(lambda: layer).report.noted["weight"]


def test_files_that_are_read(tmp_path: Path) -> None:
    """A build that reads tensors is refused by its line; what was read before is known numbers."""
    from safetensors.torch import load_file, save_file

    save_file({"w": torch.arange(6.0)}, tmp_path / "w.safetensors")
    torch.save({"w": torch.arange(6.0)}, tmp_path / "w.pt")
    for read in (
        lambda: load_file(tmp_path / "w.safetensors"), lambda: torch.load(tmp_path / "w.pt"),
    ):  # fmt: skip
        with pytest.raises(SpecError, match=r"reads tensors from a file at .*test_recording\.py:"):
            record(read)
        tensors = read()
        (tensor,) = record(lambda tensors=tensors: {"w": tensors["w"].clone()}).tensors
        assert tensor.init == "arange"


def test_lazy_modules() -> None:
    """A parameter without a shape is refused; one that a forward pass has shaped is recorded."""
    with pytest.raises(SpecError, match="weight is lazy"):
        record(lambda: nn.LazyLinear(3))

    def build() -> nn.Module:
        layer = nn.LazyLinear(3)
        layer(torch.zeros(2, 4))
        return layer

    assert record(build).tensors[0].shape == (3, 4)


def test_overlapping_tensors() -> None:
    """Two tensors that have some numbers in common are not said to be independent."""

    def build() -> nn.Module:
        m = nn.Module()
        numbers = torch.empty(100).normal_()
        m.a, m.b = nn.Parameter(numbers[:60].view(6, 10)), nn.Parameter(numbers[40:].view(6, 10))
        m.c, m.d = nn.Parameter(numbers[:50].view(5, 10)), nn.Parameter(numbers[50:].view(5, 10))
        return m

    report = record(build).report
    assert report.copied == {"b": "a", "c": "a", "d": "b"}
    assert set(report.refused) == {"b", "c", "d"}


def test_what_others_draw() -> None:
    """Numbers of Python and NumPy that differ between two builds are no known numbers."""

    def build() -> nn.Module:
        m = nn.Module()
        m.numpy = nn.Parameter(torch.from_numpy(np.random.default_rng().standard_normal(5)))
        m.python = nn.Parameter(torch.full((3,), random.random()))
        m.bounds = nn.Parameter(torch.empty(3).uniform_(0, random.random()))
        m.seeded = nn.Parameter(torch.from_numpy(np.random.default_rng(1).standard_normal(5)))
        return m

    kinds = {name: text.split(":")[0] for name, text in record(build).report.refused.items()}
    assert kinds == {"numpy": "law", "python": "law", "bounds": "law", "seeded": "literal"}
    random_ = ("constant", "spread", "scalar", "rows", "seed", "single")
    assert problems("numbers_from_outside") == dict.fromkeys(random_, "law")


def test_builds_that_differ() -> None:
    """A build whose tensors, ties or order are random is refused, with their names."""
    count = iter(range(1, 9))

    def many() -> nn.Module:
        return nn.Sequential(*(nn.Linear(2, 2, bias=False) for _ in range(next(count))))

    def tied() -> nn.Module:
        model = nn.Sequential(*(nn.Linear(2, 2, bias=False) for _ in range(3)))
        model[1 + next(count) % 2].weight = model[0].weight
        return model

    def ordered() -> nn.Module:
        names = ["a", "b"] if next(count) % 2 else ["b", "a"]
        return nn.ModuleDict({name: nn.Linear(2, 2, bias=False) for name in names})

    for build, which in ((many, "1.weight"), (tied, "1.weight, 2.weight"), (ordered, "another or")):
        with pytest.raises(SpecError, match=f"other tensors each time that it runs: .*{which}"):
            record(build)


def test_memory_of_others() -> None:
    """What NumPy writes to a tensor's memory is in it, and what it has of draws is refused."""
    assert set(problems("memory_of_arrays").values()) == {"law", "literal"}
    assert problems("memory_of_arrays")["copied"] == "law"
    assert inits("memory_of_arrays") == {
        "diagonal": "eye", "columns": "parts", "drawn": "normal", "filled": "arange",
    }  # fmt: skip
    assert problems("turned_in_place") == {"table": "literal"}
    assert problems("ends_of_dtypes") == {"float64_least": "literal"}


def test_what_has_no_elements() -> None:
    """Sparse, nested and quantised tensors, and products under autocast, are refused by line."""

    def under_autocast() -> dict[str, Any]:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return {"w": torch.ones(4, 4) @ torch.ones(4, 4)}

    for build, what in (
        (lambda: {"w": torch.eye(4).to_sparse()}, "a sparse tensor"),
        (lambda: {"w": torch.sparse_coo_tensor([[0], [1]], [1.0], (2, 2))}, "a sparse tensor"),
        (lambda: {"w": torch.nested.nested_tensor([torch.ones(2)])}, "a nested tensor"),
        (lambda: torch.ao.nn.quantized.Linear(4, 4), "a quantised tensor"),
        (under_autocast, "mm under torch.autocast"),
    ):
        with pytest.raises(SpecError, match=rf"test_recording\.py:\d+: {what}"):
            record(build)


def test_a_spec_loads_where_the_module_would() -> None:
    """The file of a recorded spec is a state dict that the module takes, strictly."""
    recording = record(NETWORKS["torchtitan"])
    model = NETWORKS["torchtitan"]()
    model.load_state_dict(seedbeds({**recording.json(), "seed": 5}), strict=True)
    assert float(model.layers["1"].weight.detach().std()) == pytest.approx(0.01, rel=0.1)
    assert recording.spec.canonical_json


def test_a_large_model_takes_no_memory() -> None:
    """A layer of terabytes is recorded as any other."""
    recording = record(lambda: nn.Linear(1 << 20, 1 << 19, bias=False))
    assert recording.report.elements == 1 << 39
    init = recording.tensors[0].init
    assert isinstance(init, dict)
    assert init["high"] == -init["low"] == pytest.approx(1 / (1 << 10), rel=1e-15)


def test_another_release_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release whose initialisers nobody has read is refused, by its number."""
    monkeypatch.setattr(torch, "__version__", "2.99.0+cpu")
    with pytest.raises(SpecError, match=r"tested with torch 2\.13, and this is 2\.99\.0"):
        record(lambda: nn.Linear(2, 2))
    monkeypatch.undo()
    assert record(lambda: nn.Linear(2, 2)).report.is_complete
