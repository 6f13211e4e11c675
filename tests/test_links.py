from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from seedbed.errors import SeedbedError, SpecError
from seedbed.files import CheckpointSpec, TextLimits
from seedbed.init import Limits
from seedbed.links import is_link, named_spec, spec_of_link
from tests.processes import PATIENCE_SECONDS
from tests.serving import Server, serving

BOUNDS = TextLimits(Limits())
SPEC = {"seed": 5, "tensors": [{"name": "w", "shape": [4, 3], "init": "he_normal"}]}


def _same(left: CheckpointSpec, right: CheckpointSpec) -> bool:
    return (left.digest, left.seed, left.dtype) == (right.digest, right.seed, right.dtype)


def _spec_of(link: str) -> CheckpointSpec:
    return spec_of_link(link, BOUNDS, 1 << 20)


def test_links_that_say_everything() -> None:
    """A token, a preset or a tensor is read off the link, whatever host it names."""
    spec = CheckpointSpec.model_validate(SPEC)
    host = "http://nowhere.invalid/root"
    assert is_link(host)
    assert _same(_spec_of(f"{host}/v1/checkpoints/{spec.token}/model.safetensors"), spec)
    preset = _spec_of(f"{host}/v1/models/gpt2/model.safetensors?seed=7&dtype=BF16&n_layer=2")
    assert (preset.seed, preset.dtype) == (7, "BF16")
    tensor = _spec_of(f"{host}/v1/tensors/he_normal/4x3.safetensors?seed=5&name=w")
    assert _same(tensor, spec)


@pytest.mark.parametrize("path", ["", "/v1/schemes", "/v1/checkpoints/!/x", "/v1/specs/a--b/c"])
def test_links_to_nothing(path: str) -> None:
    """Other links are refused, before anybody is asked."""
    with pytest.raises(SpecError):
        _spec_of(f"http://nowhere.invalid{path}")


def test_named_specs(tmp_path: Path) -> None:
    """A stored spec is had by link from its service, or by name where its registry is."""
    spec = CheckpointSpec.model_validate(SPEC)
    registry = f"sqlite:///{tmp_path}/registry.db"
    assert named_spec("team/net", registry, BOUNDS) is None
    assert list(tmp_path.iterdir()) == []  # asking makes none
    with serving(tmp_path, registry_url=registry) as server:
        url = f"{server.url}/v1/specs/team/net"
        httpx.put(url, json=SPEC).raise_for_status()
        assert _same(_spec_of(url), spec)
        assert _same(_spec_of(f"{url}/model.safetensors?seed=9"), spec.with_seed(9))
        with pytest.raises(SpecError, match="404"):
            _spec_of(f"{server.url}/v1/specs/team/other")
        with pytest.raises(SeedbedError):
            _spec_of(f"{url}?sead=9")
        named = named_spec("team/net", registry, BOUNDS)
        assert named is not None
        assert _same(named, spec)
        assert named_spec("team/other", registry, BOUNDS) is None
        assert named_spec("no name", registry, BOUNDS) is None
        _gone(server)


def _gone(server: Server) -> None:
    """What a service says that is not there."""
    server.end()
    with pytest.raises(SpecError, match="refused"):
        _spec_of(f"{server.url}/v1/specs/team/net")


def test_only_a_service_s_own_key_is_sent_and_only_to_it() -> None:
    """A token of the Hub goes to no host that a link names, nor any key to where that redirects."""
    seen: list[str | None] = []

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers["authorization"])
            is_first = "team/net" in self.path
            self.send_response(302 if is_first else 200)
            if is_first:
                self.send_header("location", "/elsewhere")
            self.end_headers()
            if not is_first:
                self.wfile.write(json.dumps(SPEC).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            link = f"http://127.0.0.1:{server.server_port}/v1/specs/team/net"
            for key in ("hf_secret", "seedbed_key", None):
                spec = spec_of_link(link, BOUNDS, 1 << 20, key)
                assert _same(spec, CheckpointSpec.model_validate(SPEC))
        finally:
            server.shutdown()
            thread.join(PATIENCE_SECONDS)
    assert seen == [None, None, "Bearer seedbed_key", None, None, None]
