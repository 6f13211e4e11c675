from __future__ import annotations

import urllib.parse
from typing import Any

import httpx
import pytest

from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.init import SCHEMES, canonical_name
from seedbed.stream import SEED_MAX
from tests.strategies import CODES, FLOATS, ODD_NAMES, REQUIRED, in_query
from tests.web.local import Local, bytes_of


def one(
    shape: list[int], init: Any, seed: int = 0, dtype: str = "F32", name: str = "weight"
) -> bytes:
    """The file of one tensor, from a spec as POST takes it."""
    tensor = {"name": name, "shape": shape, "init": init, "dtype": dtype}
    return bytes_of(VirtualFile(CheckpointSpec.model_validate({"seed": seed, "tensors": [tensor]})))


@pytest.mark.parametrize("name", [*SCHEMES, "HeNormal", "trunc_normal_", "Const"])
def test_every_scheme(client: httpx.Client, name: str) -> None:
    """A scheme by its name or an alias is the spec with that scheme, parameters from the query."""
    canonical = canonical_name(name)
    parameters = REQUIRED.get(canonical, {})
    response = client.get(f"/v1/tensors/{name}/6x4.safetensors", params=in_query(parameters))
    assert response.status_code == 200
    assert response.content == one([6, 4], {"scheme": name, **parameters})
    filename = f'attachment; filename="{canonical}-6x4-seed0.safetensors"'
    assert response.headers["content-disposition"] == filename


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("seed", [0, 42, SEED_MAX])
def test_seed_and_dtype(client: httpx.Client, seed: int, dtype: str) -> None:
    """Both are the spec's; the seed is any unsigned 64-bit number."""
    url = f"/v1/tensors/normal/7.safetensors?seed={seed}&dtype={dtype}"
    assert client.get(url).content == one([7], "normal", seed, dtype)


@pytest.mark.parametrize("dtype", CODES)
def test_constants_of_every_dtype(client: httpx.Client, dtype: str) -> None:
    """Constants may have any dtype."""
    url = f"/v1/tensors/constant/3.safetensors?value=1&dtype={dtype}"
    assert client.get(url).content == one([3], {"scheme": "constant", "value": 1}, dtype=dtype)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names(client: httpx.Client, name: str) -> None:
    """Any name that a tensor may have can be given, percent-encoded or as plain UTF-8."""
    wanted = one([4], "uniform", name=name)
    url = "/v1/tensors/uniform/4.safetensors?name="
    assert client.get(url + urllib.parse.quote(name)).content == wanted


@pytest.mark.parametrize(
    ("query", "init"),
    [
        ("std=0.02&mean=-1e-3", {"scheme": "normal", "std": 0.02, "mean": -1e-3}),
        ("std=2", {"scheme": "normal", "std": 2.0}),
        ("", "normal"),
    ],
)
def test_numbers(client: httpx.Client, query: str, init: Any) -> None:
    """Numbers are read as JSON would read them."""
    assert client.get(f"/v1/tensors/normal/4.safetensors?{query}").content == one([4], init)


def test_null_is_no_bound(client: httpx.Client) -> None:
    """`null` takes a bound away."""
    url = "/v1/tensors/truncated_normal/4.safetensors?lower=null&upper=1.5"
    init = {"scheme": "truncated_normal", "lower": None, "upper": 1.5}
    assert client.get(url).content == one([4], init)


@pytest.mark.parametrize(
    ("text", "shape"),
    [("scalar", []), ("0", [0]), ("5x0x2", [5, 0, 2]), ("2x1x1x1x1x1x2", [2, 1, 1, 1, 1, 1, 2])],
)
def test_shapes(client: httpx.Client, text: str, shape: list[int]) -> None:
    """Shapes are dimensions joined by x, and `scalar` is the one without any."""
    assert client.get(f"/v1/tensors/ones/{text}.safetensors").content == one(shape, "ones")


def test_same_bytes_same_etag(client: httpx.Client) -> None:
    """However it is spelled, one file has one ETag, that of POST and of links included."""
    urls = (
        "/v1/tensors/he_normal/6x5.safetensors?seed=3&dtype=F16",
        "/v1/tensors/kaiming_normal_/6x5.safetensors?dtype=F16&seed=3",
        "/v1/tensors/he_normal/6x5.safetensors?seed=3&dtype=F16&name=weight&mode=fan_in",
    )
    tensor = {"name": "weight", "shape": [6, 5], "init": "he_normal", "dtype": "F16"}
    posted = client.post("/v1/checkpoints", json={"seed": 3, "tensors": [tensor]})
    answers = [client.get(url) for url in urls]
    assert {answer.content for answer in answers} == {posted.content}
    assert {answer.headers["etag"] for answer in answers} == {posted.headers["etag"]}


SHAPES = ["256x784", "64,3,7,7", "(256, 784)", "[256, 784]", "10", "scalar"]

REFUSED = {
    "unknown parameter": ("normal/4", "gain=2", "gain", ["seed", "dtype", "name", "mean", "std"]),
    "parameter of nothing": ("zeros/4", "Seed=2", "Seed", ["seed", "dtype", "name"]),
    "given twice": ("normal/4", "seed=1&seed=2", "seed", None),
    "given twice, alike": ("normal/4", "std=1&std=1", "std", None),
    "no number": ("normal/4", "std=wide", "std", None),
    "NaN": ("normal/4", "mean=nan", "mean", None),
    "infinity": ("normal/4", "mean=inf", "mean", None),
    "empty": ("normal/4", "std=", "std", None),
    "out of range": ("normal/4", "std=-1", "std", None),
    "together out of range": ("uniform/4", "low=2&high=1", "high", None),
    "a seed too large": ("normal/4", f"seed={SEED_MAX + 1}", "seed", None),
    "a seed with a sign": ("normal/4", "seed=-1", "seed", None),
    "a seed that is no integer": ("normal/4", "seed=1.0", "seed", None),
    "no dtype": ("normal/4", "dtype=F31", "dtype", None),
    "a dtype that cannot hold it": ("normal/4", "dtype=I32", "dtype", None),
    "draws past the dtype": ("normal/4", "dtype=F16&std=60000", "scheme", None),
    "an empty name": ("normal/4", "name=", "name", None),
    "a reserved name": ("normal/4", "name=__metadata__", "name", None),
    "a control character": ("normal/4", "name=a%0Ab", "name", None),
    "no UTF-8": ("normal/4", "name=%FF", None, None),
    "missing": ("constant/4", "", "value", None),
    "no scheme": ("hee_normal/4x4", "", "scheme", sorted(SCHEMES)),
    "no shape": ("normal/4x", "", "shape", SHAPES),
    "a negative shape": ("normal/-4", "", "shape", SHAPES),
    "leading zeros": ("normal/04", "", "shape", SHAPES),
    "other digits": ("normal/٤", "", "shape", SHAPES),
    "a dimension past 63 bits": (f"normal/{2**63}", "", "shape", None),
    "elements past 63 bits": (f"normal/{2**40}x{2**40}", "", "shape", None),
    "no fans": ("he_normal/4", "", "shape", None),
    "a gain given twice": ("he_normal/4x4", "gain=1&a=2", None, None),
}


@pytest.mark.parametrize(("path", "query", "parameter", "allowed"), REFUSED.values(), ids=REFUSED)
def test_refusals(
    client: httpx.Client, path: str, query: str, parameter: str | None, allowed: list[str] | None
) -> None:
    """What cannot be meant is 422, with the parameter and, if it can be listed, what may be."""
    response = client.get(f"/v1/tensors/{path}.safetensors?{query}")
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    (finding,) = response.json()["errors"]
    assert finding.get("parameter") == parameter
    assert "pointer" not in finding
    assert finding["detail"] == response.json()["detail"]
    if allowed is not None:
        assert finding["allowed"] == allowed


@pytest.mark.parametrize("seed", ["-1", "1.5", "", "18446744073709551616", "null", "0x1"])
def test_a_seed_is_refused_alike_whatever_is_planned(client: httpx.Client, seed: str) -> None:
    """Seeds share a plan; a wrong one is told of no less for that, before the plan and after it."""
    path = f"/v1/tensors/he_normal/7x{len(seed) + 3}.safetensors"
    before = client.get(path, params={"seed": seed})
    assert client.get(path).content == one([7, len(seed) + 3], "he_normal")
    after = client.get(path, params={"seed": seed})
    assert before.status_code == after.status_code == 422
    assert before.json()["errors"] == after.json()["errors"]
    assert client.get(f"{path}?seed=1&seed=1").status_code == 422


def test_seeds_share_a_plan() -> None:
    """A tensor of another seed, in another order of parameters too, is not planned again."""
    path = "/v1/tensors/trunc_normal/9x8.safetensors"
    with Local(engine="numpy") as local, local.client() as client:
        for seed in range(5):
            options = f"?std=0.5&seed={seed}&mean=3" if seed % 2 else f"?seed={seed}&mean=3&std=0.5"
            init = {"scheme": "trunc_normal", "std": 0.5, "mean": 3}
            assert client.get(path + options).content == one([9, 8], init, seed)
        assert len(local.service.cache) == 1
