from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import httpx
import pytest
from safetensors.numpy import load

from seedbed.files import Checkpoint, CheckpointSpec
from seedbed.models import presets


def test_the_list(client: httpx.Client) -> None:
    """Every preset is listed with its size, and a search finds those whose name or summary fits."""
    listed = {one["name"]: one for one in client.get("/v1/models").json()}
    assert list(listed) == list(presets())
    resnet = listed["resnet50"]
    assert resnet["tensor_count"] == 320
    assert resnet["parameter_count"] == 25_557_032 + 53_120 + 53
    assert resnet["href"] == "/v1/models/resnet50"
    found = {one["name"] for one in client.get("/v1/models?search=ALEX").json()}
    assert "alexnet" in found
    assert len(found) < 5


def test_one_preset(client: httpx.Client) -> None:
    """A preset has its arguments and, for a seed, dtype and arguments, its files."""
    query = "seed=18446744073709551615&dtype=F16&num_classes=10"
    found = client.get(f"/v1/models/tiny-resnet?{query}").json()
    assert found["seed"] == "18446744073709551615"
    assert found["dtype"] == "F16"
    assert "num_classes" in {argument["name"] for argument in found["arguments"]}
    assert [file["name"] for file in found["files"]] == ["README.md", "model.safetensors"]
    for file in found["files"]:
        response = client.get(file["href"])
        assert len(response.content) == file["size_bytes"]
        assert response.headers["etag"] == f'"{file["etag"]}"'
    tensors = load(client.get(found["files"][1]["href"]).content)
    assert tensors["fc.weight"].shape[0] == 10


def test_a_file_is_that_of_the_spec(client: httpx.Client) -> None:
    """The one-line GET and a posted spec give the same bytes under the same ETag."""
    link = client.get("/v1/models/tiny-gpt2/model.safetensors?seed=7&dtype=F16&n_layer=1")
    body = {"model": {"preset": "tiny-gpt2", "n_layer": 1}, "seed": 7, "dtype": "F16"}
    posted = client.post("/v1/checkpoints", json=body)
    assert link.content == posted.content
    assert link.headers["etag"] == posted.headers["etag"]
    part = client.get(
        "/v1/models/tiny-gpt2/model.safetensors?seed=7&dtype=F16&n_layer=1",
        headers={"range": "bytes=5000-6000"},
    )
    assert (part.status_code, part.content) == (206, posted.content[5000:6001])


def test_files_beside_the_weights(client: httpx.Client) -> None:
    """A transformers model has its configurations and a card, with media types of their own."""
    for file, media_type in (
        ("config.json", "application/json"),
        ("generation_config.json", "application/json"),
        ("README.md", "text/markdown; charset=utf-8"),
    ):
        response = client.get(f"/v1/models/tiny-gpt2/{file}?dtype=BF16")
        assert response.status_code == 200
        assert response.headers["content-type"] == media_type
    config = client.get("/v1/models/tiny-gpt2/config.json?dtype=BF16&n_layer=3").json()
    assert (config["model_type"], config["n_layer"], config["dtype"]) == ("gpt2", 3, "bfloat16")


def test_shards(client: httpx.Client) -> None:
    """A preset in small files is the same as in one; its index says what is where."""
    query = "?seed=1&max_shard_size=50KB"
    found = client.get(f"/v1/models/tiny-gpt2{query}").json()
    shards = [one["href"] for one in found["files"] if one["name"].startswith("model-")]
    assert len(shards) > 1
    whole = load(client.get(f"/v1/models/tiny-gpt2/model.safetensors{query}").content)
    parts: dict[str, Any] = {}
    for href in shards:
        parts |= load(client.get(href).content)
    assert parts.keys() == whole.keys()
    assert all((parts[name] == whole[name]).all() for name in whole)
    index = client.get(f"/v1/models/tiny-gpt2/model.safetensors.index.json{query}").json()
    assert index["weight_map"].keys() == whole.keys()


def test_links_of_described_files(client: httpx.Client) -> None:
    """A described model links to every file of its directory."""
    body = {"model": {"preset": "tiny-gpt2"}, "max_shard_size": "50KB"}
    links = client.post("/v1/describe", json=body).json()["links"]["files"]
    names = {link.rpartition("/")[2] for link in links}
    assert names == set(Checkpoint(CheckpointSpec.model_validate(body)).names)
    for link in links:
        assert client.head(link).status_code == 200


def test_guesses_are_said(client: httpx.Client) -> None:
    """A plan says which inits are guesses, and how many."""
    body = {
        "model": {"manifest": {"a.weight": [2, 2], "a.bias": [2]}},
        "rules": [{"match": "*.bias", "init": "ones"}],
    }
    plan = client.post("/v1/describe", json=body).json()
    assert plan["guessed_count"] == 1
    assert {one["name"]: one["guessed"] for one in plan["tensors"]} == {
        "a.weight": True, "a.bias": False,
    }  # fmt: skip


def test_ignored_fields_are_said(client: httpx.Client) -> None:
    """A plan lists the fields of a config that change nothing."""
    config = {"model_type": "gpt2", "n_layer": 1, "made_up": 1}
    plan = client.post("/v1/describe", json={"model": {"config": config}}).json()
    assert plan["ignored"] == ["made_up"]
    plan = client.post("/v1/describe", json={"model": {"preset": "tiny-gpt2"}}).json()
    assert plan["ignored"] == []


def test_a_true_sum(client: httpx.Client) -> None:
    """Who wants the SHA-256 of a file gets it, by HEAD as well; who does not, waits for none."""
    link = "/v1/models/tiny-resnet/model.safetensors?seed=3"
    content = client.get(link).content
    expected = base64.b64encode(hashlib.sha256(content).digest()).decode()
    wants = {"want-repr-digest": "sha-512=3, sha-256=10, unixsum=0"}
    for answer in (client.head(link, headers=wants), client.get(link, headers=wants)):
        assert answer.headers["repr-digest"] == f"sha-256=:{expected}:"
    ranged = client.get(link, headers={**wants, "range": "bytes=0-9"})
    assert ranged.headers["repr-digest"] == f"sha-256=:{expected}:"
    for headers in ({}, {"want-repr-digest": "sha-256=0"}, {"want-repr-digest": "sha-512=1"}):
        assert "repr-digest" not in client.head(link, headers=headers).headers


@pytest.mark.parametrize(
    ("target", "status", "parameter"),
    [
        ("/v1/models/resnet51", 404, None),
        ("/v1/models/resnet51/model.safetensors", 404, None),
        ("/v1/models/tiny-resnet/nonesuch.bin", 404, None),
        ("/v1/models/tiny-resnet/model-00001-of-00002.safetensors", 404, None),
        ("/v1/models/tiny-resnet/model.safetensors?num_clases=10", 422, "num_clases"),
        ("/v1/models/tiny-resnet/model.safetensors?num_classes=ten", 422, "num_classes"),
        ("/v1/models/tiny-resnet/model.safetensors?seed=-1", 422, "seed"),
        ("/v1/models/tiny-resnet/model.safetensors?dtype=I8", 422, "dtype"),
        ("/v1/models/tiny-resnet/model.safetensors?max_shard_size=big", 422, "max_shard_size"),
        ("/v1/models/tiny-resnet/model.safetensors?preset=x", 422, "preset"),
        ("/v1/models/tiny-resnet/model.safetensors?seed=1&seed=2", 422, "seed"),
        ("/v1/models/tiny-resnet?nonesuch=1", 422, "nonesuch"),
        ("/v1/models/tiny-gpt2/config.json?n_layer=-3", 422, "n_layer"),
        (f"/v1/models/tiny-gpt2/config.json?n_layer={'[' * 5000}", 422, "n_layer"),
    ],
)
def test_refusals(client: httpx.Client, target: str, status: int, parameter: str | None) -> None:
    """What is not there is 404 with what is; what cannot be is 422 with the parameter."""
    response = client.get(target)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    if parameter is not None:
        (finding,) = response.json()["errors"]
        assert finding["parameter"] == parameter


def test_no_end_of_layers(client: httpx.Client) -> None:
    """A model without end is refused with the limit."""
    response = client.get("/v1/models/tiny-qwen3-moe/config.json?num_hidden_layers=10000")
    assert response.status_code == 422
    assert json.loads(response.content)["limit"] == "SEEDBED_MAX_TENSORS"
