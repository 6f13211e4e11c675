"""Tensors filled where they are, in one process: sources, memory, names, refusals."""

from __future__ import annotations

import copy
import json
import math
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.interop

torch = pytest.importorskip("torch")
from safetensors.torch import load, load_file  # noqa: E402
from torch import nn  # noqa: E402
from torch.distributed.tensor import Replicate, Shard  # noqa: E402
from torch.distributed.tensor.placement_types import _StridedShard  # noqa: E402

from seedbed.errors import SpecError  # noqa: E402
from seedbed.files import CheckpointSpec, VirtualFile  # noqa: E402
from seedbed.recording import fetching  # noqa: E402
from seedbed.stream import DTYPES, Box  # noqa: E402
from seedbed.torch import init_, initialise, local, portions, record  # noqa: E402
from seedbed.torch.geometry import Geometry  # noqa: E402
from seedbed.torch.names import without_wrappers  # noqa: E402
from tests.interop.recording.gathered import digests  # noqa: E402
from tests.interop.recording.networks import compiled, wrapped  # noqa: E402
from tests.interop.recording.ranks import Network  # noqa: E402
from tests.interop.recording.test_libraries import TRANSFORMERS  # noqa: E402
from tests.serving import PATIENCE_SECONDS, Server  # noqa: E402

ROOT = Path(__file__).parents[3]

BOUND_SECONDS = 600
"""Of a program that takes ten; a bound on a hang."""


def contents_of(spec: CheckpointSpec) -> dict[str, Any]:
    """The tensors of a spec's file, by safetensors' own reader."""
    file = VirtualFile(spec)
    tensors: dict[str, Any] = load(bytes(file.read(0, file.size)))
    return tensors


def test_sources(server: Server, tmp_path: Path) -> None:
    """Every way to name one checkpoint gives the same model, that of `load_state_dict`."""
    rec = record(Network)
    spec = rec.spec.with_seed(7)
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(rec.json()))
    url = rec.put(server.url, "team/sources")
    posted = httpx.post(f"{server.url}/v1/checkpoints", json={**rec.json(), "seed": 7})
    link = server.url + posted.headers["content-location"]
    loaded = Network()
    loaded.load_state_dict(load(posted.content))
    wanted = digests(loaded.state_dict())
    for source, seed in [
        (rec, 7), (spec, None), (rec.json(), 7), (json.dumps({**rec.json(), "seed": 7}), None),
        (path, 7), (url, 7), (f"{url}?seed=7", None), (f"{url}/model.safetensors", 7), (link, None),
    ]:  # fmt: skip
        model = Network()
        done = init_(model, source, seed=seed, threads=3)
        assert digests(model.state_dict()) == wanted
        assert set(done.tensors) == wanted.keys()
        assert done.size_bytes == sum(x.nbytes for x in model.state_dict().values())


def test_preset_in_shards(server: Server) -> None:
    """A preset is drawn by its name, and fetched from its shards by its address."""
    transformers = pytest.importorskip("transformers")
    config = httpx.get(f"{server.url}/v1/models/tiny-llama/config.json").json()
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**config))
    drawn, fetched = copy.deepcopy(model), copy.deepcopy(model)
    init_(drawn, "tiny-llama", seed=3)
    url = f"{server.url}/v1/models/tiny-llama?max_shard_size=100KB"
    init_(fetched, url, seed=3)
    for name, tensor in drawn.state_dict().items():
        assert torch.equal(tensor, fetched.state_dict()[name])
        assert (
            name == "model.norm.weight"
            or not torch.equal(tensor, model.state_dict()[name])
            or tensor.unique().numel() == 1
        )


def test_dtypes_and_memory() -> None:
    """A tensor has its own dtype and strides: the one draw, rounded as torch rounds it."""
    spec = CheckpointSpec.model_validate(
        {"seed": 5, "tensors": [{"name": "w", "shape": [6, 10, 4], "init": "normal"}]}
    )
    wanted = contents_of(spec)["w"]
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16,
                  torch.float8_e4m3fn, torch.float8_e5m2):  # fmt: skip
        base = torch.zeros(12, 4, 10, dtype=dtype)
        tensor = base[::2].transpose(1, 2)
        init_({"w": tensor}, spec)
        assert torch.equal(tensor.float(), wanted.to(dtype).float()), dtype
        assert not base[1::2].float().any()


def test_pieces_and_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pieces, and buffers on the way to another device, change no byte."""
    rec = record(Network)
    wanted = contents_of(rec.spec)
    monkeypatch.setattr(initialise, "PIECE", 7)
    model = Network()
    init_(model, rec)
    assert all(torch.equal(x, wanted[name]) for name, x in model.state_dict().items())


def test_memory_of_a_process() -> None:
    """One of eight processes needs its shard by columns, of 161 MB, and not 64 MB beside it."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.in_place", "--one", "rank columns"],
        cwd=ROOT, capture_output=True, text=True, timeout=BOUND_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["bytes"] > 160 << 20
    assert found["beside"] < 64 << 20


def test_versions() -> None:
    """Autograd notices that a tensor which it keeps for a gradient was written over."""
    model = nn.Linear(3, 3)
    loss = (model(torch.ones(1, 3)) @ model.weight).sum()
    init_(model, record(lambda: nn.Linear(3, 3)))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def _two_layers() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 4))


@pytest.mark.parametrize("wrap", [compiled, lambda _: wrapped()], ids=["whole", "inner"])
def test_wrappers(wrap: Any) -> None:
    """Prefixes of wrappers are no part of a name, in a module as in a recording."""
    rec = record(lambda: wrap(_two_layers()))
    model = wrap(_two_layers())
    init_(model, rec, seed=2)
    wanted = contents_of(rec.spec.with_seed(2))
    found = dict(without_wrappers(model))
    assert found.keys() == wanted.keys()
    assert all(torch.equal(x, wanted[name]) for name, x in found.items())
    assert all("_orig_mod" not in name and "module" not in name for name in wanted)


@pytest.mark.parametrize(
    "name", ["MixtralForCausalLM", "DeepseekV3ForCausalLM", "Qwen3MoeForCausalLM"]
)
def test_saved_names(name: str, tmp_path: Path) -> None:
    """Where files have other names, what the model saves is the file, and what loads is it."""
    transformers = pytest.importorskip("transformers")
    transformers.utils.logging.disable_progress_bar()
    family, fields = TRANSFORMERS[name]
    config = getattr(transformers, f"{family}Config")(**fields)
    rec = record(lambda: getattr(transformers, name)(config))
    model = getattr(transformers, name)(config)
    init_(model, rec, seed=4)
    wanted = contents_of(rec.spec.with_seed(4))
    assert wanted.keys() != model.state_dict().keys()
    model.save_pretrained(tmp_path / "saved")
    saved = load_file(tmp_path / "saved" / "model.safetensors")
    assert saved.keys() == wanted.keys()
    assert all(torch.equal(x, wanted[key]) for key, x in saved.items())
    config.save_pretrained(tmp_path)
    file = VirtualFile(rec.spec.with_seed(4))
    (tmp_path / "model.safetensors").write_bytes(file.read(0, file.size))
    loaded = getattr(transformers, name).from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(x, loaded[key]) for key, x in model.state_dict().items())
    by_spec = getattr(transformers, name)(config)
    init_(by_spec, rec.json(), seed=4, recording=rec)
    assert all(torch.equal(x, loaded[key]) for key, x in by_spec.state_dict().items())


class Tied(nn.Module):
    """One tensor of two names, one that is a part of another, and buffers that no file has."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(5, 4), nn.Linear(4, 5, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("mask", torch.ones(3), persistent=False)


def test_tied_and_not_persistent() -> None:
    """A tied tensor is filled once; what no file has is named, and left."""
    rec = record(Tied)
    model = Tied()
    done = init_(model, rec, seed=1)
    assert torch.equal(model.head.weight, contents_of(rec.spec.with_seed(1))["embed.weight"])
    assert model.head.weight is model.embed.weight
    assert list(done.left) == ["mask"]


def _hooked() -> nn.Module:
    model = nn.Linear(3, 2)
    model.register_state_dict_post_hook(
        lambda *given: given[1].update(weight=given[1]["weight"].clone())
    )
    return model


def _meta() -> nn.Module:
    with torch.device("meta"):
        return nn.Linear(3, 2)


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "shape": (lambda: nn.Linear(2, 3), {}, r"weight: its shape is \[3, 2\]"),
    "name": (lambda: nn.ModuleDict({"weigth": nn.Linear(3, 2)}), {}, "no such tensor"),
    "meta": (_meta, {}, "to_empty"),
    "lazy": (lambda: nn.LazyLinear(2), {}, "lazy"),
    "hook": (_hooked, {}, "copy"),
    "expanded": (lambda: {"weight": torch.zeros(1, 3).expand(2, 3)}, {}, "expanded"),
    "complex": (lambda: {"weight": torch.zeros(2, 3, dtype=torch.complex64)}, {}, "no code"),
    "integers": (lambda: {"weight": torch.zeros(2, 3, dtype=torch.int64)}, {}, "whole numbers"),
    "sparse": (lambda: {"weight": torch.zeros(2, 3).to_sparse()}, {}, "layout"),
    "prefix": (lambda: nn.Linear(3, 2), {"prefix": "fc."}, "no such tensor"),
    "nothing": (lambda: {"fc": torch.zeros(3)}, {"strict": False}, "no such tensor"),
    "key": (lambda: nn.Linear(3, 2), {"key": "k"}, "URL"),
    "seed": (lambda: nn.Linear(3, 2), {"seed": -1}, "seed|greater"),
}


@pytest.mark.parametrize(
    ("quantization", "codes", "others"),
    [
        ("fp8-block", "weight", (torch.bfloat16, torch.float8_e5m2, torch.uint8)),
        ("w8a8", "weight", (torch.uint8, torch.float32)),
        ("gptq-4bit", "qweight", (torch.int64, torch.float32, torch.uint8)),
        ("awq-4bit", "qweight", (torch.float16,)),
    ],
)
def test_codes_are_of_one_dtype(quantization: str, codes: str, others: tuple[Any, ...]) -> None:
    """Quantised tensors are filled as in the file, also apart in memory, or refused by name."""
    tensors = [
        {"name": "layers.0.a.weight", "shape": [256, 256], "init": "normal"},
        {"name": "lm_head.weight", "shape": [4, 256], "init": "ones"},
    ]
    source = {"tensors": tensors, "quantization": quantization}
    file = VirtualFile(CheckpointSpec.model_validate({**source, "seed": 7}))
    wanted = load(bytes(file.read(0, file.size)))
    empty = {name: torch.zeros_like(tensor) for name, tensor in wanted.items()}
    empty[f"layers.0.a.{codes}"] = torch.zeros_like(wanted[f"layers.0.a.{codes}"].T.contiguous()).T
    init_(empty, source, seed=7)
    as_bytes = {n: t.contiguous().reshape(-1).view(torch.uint8) for n, t in empty.items()}
    for name, tensor in wanted.items():
        assert torch.equal(as_bytes[name], tensor.reshape(-1).view(torch.uint8)), name
    for other in others:
        state = {
            **empty,
            f"layers.0.a.{codes}": torch.zeros(empty[f"layers.0.a.{codes}"].shape, dtype=other),
        }
        with pytest.raises(SpecError, match=f"layers.0.a.{codes}: codes of a quantised weight are"):
            init_(state, source, seed=7)


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    """What does not fit is refused with the reason before anything is written."""
    build, options, reason = REFUSED[case]
    rec = record(lambda: nn.Linear(3, 2))
    model = build()
    state = model if isinstance(model, dict) else dict(model.named_parameters())
    state = {k: x for k, x in state.items() if case != "lazy" and not x.is_meta and not x.is_sparse}
    before = {name: x.detach().clone() for name, x in state.items()}
    with pytest.raises(SpecError, match=reason):
        init_(model, rec, **options)
    assert all(torch.equal(x, before[name]) for name, x in state.items())


@pytest.mark.parametrize("page", ["README.md", "docs/training.md"])
def test_three_lines(page: str, server: Server) -> None:
    """The lines that README and docs show record, put and fill; the file loads to the same."""
    text = (ROOT / page).read_text(encoding="utf-8")
    (lines,) = re.findall(r"```python\n(import seedbed\.torch\n.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(lines.replace("http://127.0.0.1:8000", server.url), names)
    served = httpx.get(f"{names['url']}/model.safetensors?seed=42").raise_for_status().content
    loaded = names["build"]()
    loaded.load_state_dict(load(served))
    for name, tensor in names["model"].state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("resnet51", "did you mean|there is no preset"),
        ('{"tensors": [{"name": "weight"}]}', "shape|required"),
        ({"tensors": [{"name": "weight", "shape": [2, 3], "init": "hee_normal"}]}, "hee_normal"),
        ({"framework": "keras", "layers": [
            {"type": "linear", "name": "x", "in_features": 3, "out_features": 2}]}, "keras"),
    ],
)  # fmt: skip
def test_sources_that_mean_nothing(source: Any, reason: str) -> None:
    """What is no spec, or no preset, or of another framework, is refused as a spec is."""
    with pytest.raises(SpecError, match=reason):
        init_(nn.Linear(3, 2), source)


def test_nearest_and_not_strict() -> None:
    """A misspelt name has its nearest, and stays as it is where that is asked for."""
    rec = record(lambda: nn.ModuleDict({"attention": nn.Linear(3, 2)}))
    model = nn.ModuleDict({"attention": nn.Linear(3, 2), "atention": nn.Linear(3, 2)})
    before = model["atention"].weight.detach().clone()
    with pytest.raises(SpecError, match=r"did you mean attention\.weight"):
        init_(model, rec)
    done = init_(model, rec, strict=False)
    assert set(done.left) == {"atention.weight", "atention.bias"}
    assert torch.equal(model["atention"].weight, before)


def test_a_narrower_file_is_refused(server: Server) -> None:
    """By URL, a file that has rounded is not taken for draws; in its own dtype it is."""
    spec = record(lambda: nn.Linear(3, 2)).json()
    link = httpx.post(f"{server.url}/v1/checkpoints", json={**spec, "dtype": "BF16"})
    url = server.url + link.headers["content-location"]
    wide = httpx.post(f"{server.url}/v1/checkpoints", json=spec)
    spec_url = server.url + wide.headers["content-location"]
    with pytest.raises(SpecError, match="BF16, of which F32"):
        init_(nn.Linear(3, 2), url)
    model = nn.Linear(3, 2, dtype=torch.bfloat16)
    init_(model, url)
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        drawn, fetched = nn.Linear(3, 2, dtype=dtype), nn.Linear(3, 2, dtype=dtype)
        init_(drawn, spec)
        init_(fetched, spec_url)
        assert torch.equal(drawn.weight, fetched.weight)
    assert torch.equal(model.weight, load(link.content)["weight"])
    with pytest.raises(SpecError, match=r"there is no"):
        init_(nn.Linear(3, 2), f"{server.url}/v1/specs/team/nothing")


@st.composite
def placed(draw: st.DrawFn) -> tuple[int, list[Any], list[int], list[int]]:
    """A length, placements of it, a mesh, and a place in the mesh."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    one = st.one_of(
        st.just(Shard(0)), st.just(Replicate()),
        st.integers(1, 4).map(lambda n: _StridedShard(0, split_factor=n)),
    )  # fmt: skip
    placements = [draw(one) for _ in sizes]
    return draw(st.integers(1, 40)), placements, sizes, [draw(st.integers(0, n - 1)) for n in sizes]


@settings(deadline=None)
@given(placed())
def test_runs_are_those_of_torch(case: tuple[int, list[Any], list[int], list[int]]) -> None:
    """Which elements a process has, of any length and placements, is what torch's split says."""
    length, placements, sizes, coordinate = case
    here = torch.arange(length)
    for placement, size, place in zip(placements, sizes, coordinate, strict=True):
        if not isinstance(placement, Replicate):
            pieces, _ = placement._split_tensor(here, size, with_padding=False, contiguous=True)
            here = pieces[place]
    (runs,) = local.runs_at((length,), placements, sizes, coordinate)
    assert [i for start, stop in runs for i in range(start, stop)] == here.tolist()


@settings(deadline=None)
@given(st.data())
def test_portions(data: st.DataObject) -> None:
    """Elements that a file's tensor has of a module's are found again in any ranges of it."""
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    axes = data.draw(st.permutations(range(len(shape))))
    inner = tuple(
        sorted(data.draw(st.tuples(st.integers(0, n - 1), st.integers(1, n)))) for n in shape
    )
    numbers = np.arange(math.prod(shape)).reshape(shape)
    inner = tuple((low, max(high, low + 1)) for low, high in inner)
    part = numbers[tuple(slice(*ends) for ends in inner)].transpose(axes)
    if data.draw(st.booleans()):
        part = part.reshape(-1, *part.shape[2:]) if part.ndim > 1 else part[None]
    if not np.shares_memory(part, numbers):
        return  # no view
    steps = tuple(stride // numbers.itemsize for stride in part.strides)
    before = data.draw(st.integers(0, 3))
    file = (part.shape[0] + before, *part.shape[1:])
    at = ((before, file[0]), *((0, n) for n in part.shape[1:]))
    made = portions.portion("x", file, at, Geometry(int(part.flat[0]), part.shape, steps), shape)
    assert made is not None
    ranges = tuple(
        (low, data.draw(st.integers(low + 1, n)))
        for n in shape for low in [data.draw(st.integers(0, n - 1))]
    )  # fmt: skip
    out = np.full([b - a for a, b in ranges], -1)
    for box, place in made.within(ranges, out):
        place[...] = box.indices().reshape(place.shape)
    whole = np.full(math.prod(shape), -1)
    whole[part] = np.arange(math.prod(file)).reshape(file)[before:]
    assert np.array_equal(out, whole.reshape(shape)[tuple(slice(*ends) for ends in ranges)])


@pytest.fixture(scope="module")
def busy() -> Iterator[tuple[str, CheckpointSpec]]:
    """A server that says 503 to every other request, and a spec that it serves."""
    spec = CheckpointSpec.model_validate(
        {"tensors": [{"name": "w", "shape": [40, 6, 10], "init": "normal"}]}
    )
    file = VirtualFile(spec)
    turns = iter(range(10**9))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if next(turns) % 2 == 0:
                self.send_response(503)
                self.send_header("retry-after", "0")
                self.send_header("content-length", "0")
                self.end_headers()
                return
            first, _, last = self.headers["range"].removeprefix("bytes=").partition("-")
            body = bytes(file.read(int(first), int(last) + 1))
            self.send_response(206)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/model.safetensors", spec
        server.shutdown()
        thread.join(PATIENCE_SECONDS)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_fetched_boxes(busy: tuple[str, CheckpointSpec], data: st.DataObject) -> None:
    """Any box comes in small ranges, from a server that is busy every other time."""
    url, spec = busy
    wanted = contents_of(spec)["w"].numpy()
    ranges = [sorted(data.draw(st.tuples(*[st.integers(0, n)] * 2))) for n in wanted.shape]
    axes = data.draw(st.permutations(range(3)))
    here = wanted[tuple(slice(*ends) for ends in ranges)].transpose(axes)
    steps = [(60, 10, 1)[axis] for axis in axes]
    first = sum(low * step for (low, _), step in zip(ranges, (60, 10, 1), strict=True))
    out = np.zeros(here.shape, np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetching, "SPAN_BYTES", data.draw(st.sampled_from([64, 400, 4000, 1 << 22])))
        contents = fetching.Fetching(url)
        contents.write("w", DTYPES["F32"], Box(first, here.shape, tuple(steps)), out)
        contents.close()
    assert np.array_equal(out, here)
