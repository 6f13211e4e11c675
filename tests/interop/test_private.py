"""A service that answers nobody without a key, for clients that know nothing of Seedbed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors.numpy import load_file

from seedbed.web.keys import line_of, new_key
from tests.interop.running import run
from tests.serving import Server, serving

pytestmark = pytest.mark.interop

READER, WRITER = new_key(), new_key()

SPEC = {"tensors": [{"name": "w", "shape": [300, 200], "init": "he_normal"}]}


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with two keys and one spec."""
    directory = tmp_path_factory.mktemp("private")
    keys = directory / "keys"
    keys.write_text(
        f"{line_of('reader', frozenset({'read'}), READER)}\n"
        f"{line_of('writer', frozenset({'read', 'write'}), WRITER)}\n"
    )
    (directory / "spec.json").write_text(json.dumps(SPEC))
    with serving(directory, api_keys_file=keys, anonymous="none") as server:
        run(
            "curl", "-sS", "--fail-with-body", "-X", "PUT", "--json", f"@{directory / 'spec.json'}",
            "-H", f"Authorization: Bearer {WRITER}", f"{server.url}/v1/specs/team/net",
        )  # fmt: skip
        yield server


def test_the_hubs_client(private: Server, tmp_path: Path) -> None:
    """With a key as its token huggingface_hub reads; without one, or another's, it is refused."""
    given = {"repo_id": "team/net", "filename": "model.safetensors", "endpoint": private.url}
    path = hf_hub_download(**given, revision="seed-3", token=READER, cache_dir=tmp_path)
    assert load_file(path)["w"].shape == (300, 200)
    api = HfApi(endpoint=private.url, token=READER)
    assert [model.id for model in api.list_models(search="team/")] == ["team/net"]
    assert api.model_info("team/net").id == "team/net"
    for token in (False, "hf_somebody"):
        with pytest.raises(HfHubHTTPError, match="API key"):
            HfApi(endpoint=private.url, token=token).model_info("team/net")
        with pytest.raises((HfHubHTTPError, LocalEntryNotFoundError)):
            hf_hub_download(**given, token=token, cache_dir=tmp_path / f"{token}")


@pytest.mark.parametrize("program", ["curl", "wget", "aria2c"])
def test_download_tools(private: Server, tmp_path: Path, program: str) -> None:
    """Tools that can send a header download in whole and in parts, and fail without the key."""
    url = f"{private.url}/v1/specs/team/net/model.safetensors?seed=3"
    target = tmp_path / "w.safetensors"
    command = {
        "curl": ["curl", "-sS", "--fail", "-o", target],
        "wget": ["wget", "-q", "-O", target],
        "aria2c": ["aria2c", "-q", "-x4", "-k1M", "-d", tmp_path, "-o", target.name],
    }[program]
    header = ["--header", f"Authorization: Bearer {READER}"]
    assert run(*command, url, check=False).returncode != 0
    target.unlink(missing_ok=True)
    run(*command, *header, url)
    assert load_file(target)["w"].shape == (300, 200)
