from __future__ import annotations

import httpx
import ml_dtypes
from jsonschema import Draft202012Validator

from seedbed.init import SCHEMES
from seedbed.stream import DTYPES
from tests.oracles import FLOAT_DTYPES
from tests.strategies import REQUIRED

OPTIONAL = {"init"}
"""Of `parts`, whose shape decides whether there is one."""


def test_schemes(client: httpx.Client) -> None:
    """The list has every scheme, with its parameters, formula and summary."""
    listed = {scheme["name"]: scheme for scheme in client.get("/v1/schemes").json()}
    assert list(listed) == list(SCHEMES)
    for name, scheme in SCHEMES.items():
        entry = listed[name]
        assert entry["formula"]
        assert entry["latex"]
        assert entry["summary"]
        assert entry["implied"].keys() <= set(entry["aliases"])
        assert [p["name"] for p in entry["parameters"]] == [*scheme.parameters()]
        needed = {p["name"] for p in entry["parameters"] if p["required"]}
        assert needed == REQUIRED.get(name, {}).keys() - OPTIONAL


def test_defaults_fit_their_schema(client: httpx.Client) -> None:
    """Each parameter has a description, and a default that its own JSON Schema accepts."""
    for scheme in client.get("/v1/schemes").json():
        for parameter in scheme["parameters"]:
            assert parameter["description"].endswith("."), parameter
            if not parameter["required"]:
                Draft202012Validator(parameter["json_schema"]).validate(parameter["default"])


def test_scheme_by_any_of_its_names(client: httpx.Client) -> None:
    """A scheme is found by its name and by its aliases, and is the entry of the list."""
    for entry in client.get("/v1/schemes").json():
        for name in (entry["name"], *entry["aliases"]):
            assert client.get(f"/v1/schemes/{name}").json() == entry, name


def test_what_an_alias_implies(client: httpx.Client) -> None:
    """An entry has its frameworks' defaults under their own names, and what to look out for."""
    entry = client.get("/v1/schemes/TruncatedNormal").json()
    assert entry["name"] == "truncated_normal"
    assert entry["implied"]["TruncatedNormal"] == {"std": 0.05, "bounds": "sigma"}
    assert entry["implied"]["trunc_normal_"]["bounds"] == "absolute"
    assert "0.8796" in entry["notes"]["keras"]


def test_no_such_scheme(client: httpx.Client) -> None:
    """A name that is none is 404, with those that are close."""
    response = client.get("/v1/schemes/hee_normal")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert "he_normal" in response.json()["detail"]


def test_dtypes(client: httpx.Client) -> None:
    """The list has every dtype, with the size and range that NumPy and ml_dtypes give it."""
    listed = {dtype["code"]: dtype for dtype in client.get("/v1/dtypes").json()}
    assert listed.keys() == DTYPES.keys()
    for code, entry in listed.items():
        assert entry["floating"] == (code in FLOAT_DTYPES)
        assert entry["about"]
        if code in FLOAT_DTYPES:
            info = ml_dtypes.finfo(FLOAT_DTYPES[code])
            assert (entry["lowest"], entry["highest"]) == (float(info.min), float(info.max))
            assert entry["bits"] == info.bits * (2 if code == "C64" else 1)
        elif code != "BOOL":
            bits, signed = int(code[1:]), code[0] == "I"
            assert entry["size_bytes"] * 8 == bits
            assert entry["highest"] == 2 ** (bits - signed) - 1
            assert entry["lowest"] == (-(2 ** (bits - 1)) if signed else 0)
    assert (listed["BOOL"]["size_bytes"], listed["BOOL"]["highest"]) == (1, 1)
