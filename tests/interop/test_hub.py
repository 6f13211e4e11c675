"""The tools that people use with the Hub, pointed at the service: they cannot tell the difference.

What each client asks for was measured with the real ones; here they are again, both the current
line (httpx) and the last one before it (requests), against a service with specs of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import socketserver
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from safetensors.numpy import load_file

from tests import processes
from tests.interop.running import run
from tests.serving import PATIENCE_SECONDS, Server, serving, wait_until

pytestmark = pytest.mark.interop

OLD = Path(sys.prefix) / "old-clients"

GPT2 = {
    "model_type": "gpt2",
    "architectures": ["GPT2LMHeadModel"],
    "vocab_size": 96,
    "n_positions": 32,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 2,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
PARAMETERS = 96 * 32 + 32 * 32 + 2 * (12 * 32 * 32 + 13 * 32) + 2 * 32
LLAMA_405B = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 128256,
    "hidden_size": 16384,
    "intermediate_size": 53248,
    "num_hidden_layers": 126,
    "num_attention_heads": 128,
    "num_key_value_heads": 8,
}
SPECS: dict[str, dict[str, Any]] = {
    "tests/gpt2": {"model": {"config": GPT2}},
    "tests/sharded": {"model": {"config": GPT2}, "max_shard_size": "40KB"},
    "tests/huge": {"model": {"config": LLAMA_405B}, "dtype": "BF16"},
    "tests/long": {"tensors": [{"name": "w", "shape": [10 << 20], "init": "normal"}]},
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with named specs, which logs its requests as JSON."""
    with serving(tmp_path_factory.mktemp("hub"), log_format="json") as server:
        put_specs(server)
        yield server


def put_specs(server: Server) -> None:
    """Store the specs."""
    for name, spec in SPECS.items():
        httpx.put(f"{server.url}/v1/specs/{name}", json=spec).raise_for_status()


Client = Callable[..., Any]


@pytest.fixture(params=["new", "old"])
def line(request: pytest.FixtureRequest) -> str:
    """The current line of huggingface_hub and transformers, or the one before."""
    return str(request.param)


def environment(endpoint: str, home: Path, line: str = "new") -> dict[str, str]:
    """For a client of a line, with a cache of its own."""
    quiet = (
        "HF_HUB_DISABLE_TELEMETRY",
        "HF_HUB_DISABLE_UPDATE_CHECK",
        "HF_HUB_DISABLE_PROGRESS_BARS",
    )
    return {
        **os.environ,
        **dict.fromkeys(quiet, "1"),
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "PYTHONPATH": str(OLD) if line == "old" else "",
        "PYTHONWARNINGS": "ignore",
    }


def ask(code: str, endpoint: str, home: Path, line: str = "new", **more: str) -> Any:
    """What a program of a client, in a process of its own, gives as `answer`."""
    program = (
        f"import json\n{textwrap.dedent(code)}\nprint('\\n' + json.dumps(answer, default=str))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment(endpoint, home, line), **more},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@contextlib.contextmanager
def requests_of(server: Server) -> Iterator[list[dict[str, Any]]]:
    """The requests of Hub clients that the service answers meanwhile, as its log has them."""
    _logged(server)
    found: list[dict[str, Any]] = []
    start = server.log.stat().st_size
    yield found
    for text in _logged(server)[start:].splitlines():
        entry = json.loads(text)
        if entry.get("event") == "request" and not entry["target"].startswith("/v1/"):
            found.append(entry)


def _logged(server: Server) -> bytes:
    """The log, once all that has been answered by now is in it."""
    mark = f"/v1/nothing/{time.monotonic_ns()}"
    httpx.get(f"{server.url}{mark}")
    wait_until(lambda: mark.encode() in server.log.read_bytes(), "the log")
    return server.log.read_bytes()


def sha256(path: str | Path) -> str:
    """Of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def bytes_of(server: Server, name: str, query: str) -> bytes:
    """The file of a named spec, by the service's own interface."""
    return httpx.get(f"{server.url}/v1/specs/{name}?{query}").raise_for_status().content


@pytest.mark.parametrize("prefix", ["", "/hub"])
def test_snapshots_are_cached(hub: Server, line: str, tmp_path: Path, prefix: str) -> None:
    """A whole repository comes once; the second time one request finds that nothing has changed."""
    code = """
        from huggingface_hub import snapshot_download
        answer = snapshot_download("tests/gpt2", revision="seed-42")
    """
    folder = Path(ask(code, f"{hub.url}{prefix}", tmp_path, line))
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "config.json", "generation_config.json", "model.safetensors",
        "tokenizer_config.json",
    ]  # fmt: skip
    expected = bytes_of(hub, "tests/gpt2/model.safetensors", "seed=42")
    assert (folder / "model.safetensors").read_bytes() == expected
    with requests_of(hub) as again:
        assert ask(code, f"{hub.url}{prefix}", tmp_path, line) == str(folder)
    assert [(one["method"], one["target"]) for one in again] == [
        ("GET", f"{prefix}/api/models/tests/gpt2/revision/seed-42")
    ]


def test_command_line(hub: Server, tmp_path: Path) -> None:
    """`hf download` into the cache, into a folder, and as a dry run, which draws nothing."""
    env = environment(hub.url, tmp_path / "home")
    hf = Path(sys.executable).with_name("hf")

    def call(*words: str) -> str:
        return subprocess.run(
            [hf, *words], env=env, capture_output=True, text=True, timeout=120, check=True
        ).stdout

    place = ["tests/gpt2", "--revision", "seed-42"]
    assert "snapshots" in call("download", *place)
    call("download", *place, "--local-dir", str(tmp_path / "d"))
    expected = bytes_of(hub, "tests/gpt2/model.safetensors", "seed=42")
    assert (tmp_path / "d" / "model.safetensors").read_bytes() == expected
    with requests_of(hub) as asked:
        said = call("download", "tests/huge", "--revision", "seed-43", "--dry-run")
    assert "model-00017-of-00017.safetensors" in said
    assert sum(one["sent_bytes"] for one in asked) < 1_000_000


def test_verify(tmp_path: Path) -> None:
    """`hf cache verify` compares true sums: of small weights at once, of others when asked for."""
    for hash_bytes in (2**30, 0):
        home = tmp_path / str(hash_bytes)
        home.mkdir()
        with serving(home, hash_bytes=hash_bytes) as server:
            put_specs(server)
            env = environment(server.url, home)
            hf = Path(sys.executable).with_name("hf")
            place = ["tests/sharded", "--revision", "seed-42"]
            got = processes.run(hf, "download", *place, env=env)
            assert got.returncode == 0, got.stderr
            verify = (hf, "cache", "verify", *place)
            done = processes.run(*verify, env=env, text=True)
            assert (done.returncode == 0) == (hash_bytes > 0), done.stdout + done.stderr
            if hash_bytes == 0:
                files = httpx.get(f"{server.url}/api/models/tests/sharded/tree/seed-42").json()
                for file in (one["path"] for one in files if "model-" in one["path"]):
                    link = f"{server.url}/tests/sharded/resolve/seed-42/{file}"
                    wanted = {"want-repr-digest": "sha-256=1"}
                    assert "repr-digest" in httpx.head(link, headers=wanted).headers
                done = processes.run(*verify, env=env, text=True)
                assert done.returncode == 0, done.stdout + done.stderr


def test_metadata(hub: Server, line: str, tmp_path: Path) -> None:
    """What a repository is and has, by every call that lists it."""
    code = """
        from huggingface_hub import HfApi
        api, name, at = HfApi(), "tests/gpt2", "seed-42"
        info = api.model_info(name, revision=at, files_metadata=True)
        answer = {
            "sha": info.sha,
            "siblings": {
                one.rfilename: [one.size, one.lfs and one.lfs.sha256] for one in info.siblings
            },
            "files": api.list_repo_files(name, revision=at),
            "tree": {one.path: one.size for one in api.list_repo_tree(name, revision=at)},
            "paths": [
                one.path
                for one in api.get_paths_info(name, ["model.safetensors", "no"], revision=at)
            ],
            "refs": [one.name for one in api.list_repo_refs(name).branches],
            "commits": [one.commit_id for one in api.list_repo_commits(name, revision=at)],
            "file": [api.file_exists(name, "no"), api.file_exists(name, "config.json")],
            "repo": [api.repo_exists("tests/none"), api.repo_exists(name)],
            "revision": [api.revision_exists(name, one) for one in ("no", "7", "main", info.sha)],
            "found": [one.id for one in api.list_models(search="tests/")],
        }
    """
    found = ask(code, hub.url, tmp_path, line)
    weights = bytes_of(hub, "tests/gpt2/model.safetensors", "seed=42")
    names = [
        "README.md", "config.json", "generation_config.json", "model.safetensors",
        "tokenizer_config.json",
    ]  # fmt: skip
    assert len(found["sha"]) == 40
    assert sorted(found["siblings"]) == found["files"] == sorted(found["tree"]) == names
    assert found["siblings"]["model.safetensors"] == [
        len(weights), hashlib.sha256(weights).hexdigest(),
    ]  # fmt: skip
    assert found["tree"]["model.safetensors"] == len(weights)
    assert found["paths"] == ["model.safetensors"]
    assert found["refs"] == ["main"]
    assert found["commits"] == [found["sha"]]
    assert found["file"] == found["repo"] == [False, True]
    assert found["revision"] == [False, True, True, True]
    assert found["found"] == sorted(SPECS)


@pytest.mark.parametrize("name", ["tests/gpt2", "tests/sharded"])
def test_safetensors_metadata(hub: Server, line: str, tmp_path: Path, name: str) -> None:
    """Parameters are counted from headers alone, one small range a file."""
    code = f"""
        from huggingface_hub import HfApi
        answer = HfApi().get_safetensors_metadata("{name}", revision="seed-42").parameter_count
    """
    with requests_of(hub) as asked:
        found = ask(code, hub.url, tmp_path, line)
    assert found == {"F32": PARAMETERS}
    for one in asked:
        assert one["sent_bytes"] <= 100_001, one


def test_file_system(hub: Server, line: str, tmp_path: Path) -> None:
    """`hf://` opens, seeks, reads and globs."""
    code = """
        from huggingface_hub import HfFileSystem
        fs, name = HfFileSystem(), "tests/long@seed-42"
        with fs.open(f"{name}/model.safetensors", block_size=4096) as file:
            file.seek(30_000_001)
            answer = [file.read(1000).hex(), file.size, fs.glob(f"{name}/*.safetensors")]
    """
    weights = bytes_of(hub, "tests/long/model.safetensors", "seed=42")
    part, size, globbed = ask(code, hub.url, tmp_path, line)
    assert part == weights[30_000_001:30_001_001].hex()
    assert size == len(weights)
    assert globbed == ["tests/long@seed-42/model.safetensors"]


def test_errors(hub: Server, line: str, tmp_path: Path) -> None:
    """An unknown file, revision and repository are each told apart."""
    code = """
        from huggingface_hub import hf_hub_download
        answer = []
        for name, file, revision in [
            ("tests/gpt2", "no", "seed-1"), ("tests/gpt2", "config.json", "v1"),
            ("tests/gpt2", "config.json", "refs/pr/1"), ("tests/none", "config.json", "seed-1"),
            ("gpt2", "config.json", "main"), ("seedbed/none", "config.json", "main"),
        ]:
            try:
                hf_hub_download(name, file, revision=revision)
            except Exception as error:
                answer.append(type(error).__name__.replace("Remote", ""))
    """
    assert ask(code, hub.url, tmp_path, line) == [
        "EntryNotFoundError", "RevisionNotFoundError", "RevisionNotFoundError",
        "RepositoryNotFoundError", "RepositoryNotFoundError", "RepositoryNotFoundError",
    ]  # fmt: skip


def test_from_pretrained(hub: Server, line: str, tmp_path: Path) -> None:
    """A model loads by seed, another by another seed, in shards, by commit, and offline."""
    code = """
        import torch, warnings
        from huggingface_hub import HfApi
        from transformers import AutoModelForCausalLM
        from safetensors.torch import save_file
        sha = HfApi().model_info("tests/gpt2", revision="seed-42").sha
        answer = {}
        for name, at in [("gpt2", "seed-42"), ("gpt2", "seed-43"), ("sharded", "seed-42"),
                         ("gpt2", sha), ("gpt2", "main")]:
            model, info = AutoModelForCausalLM.from_pretrained(
                f"tests/{name}", revision=at, output_loading_info=True)
            assert not any(info.values()), info
            with torch.no_grad():
                out = model(torch.arange(10)[None]).logits
            assert torch.isfinite(out).all()
            answer[f"{name}@{at}"] = out.flatten()[:5].tolist()
            if at == "seed-42" and name == "gpt2":
                answer["c_attn"] = model.transformer.h[1].attn.c_attn.weight[0, :5].tolist()
        answer["sha"] = sha
    """
    found = ask(code, hub.url, tmp_path, line)
    by_seed = found["gpt2@seed-42"]
    assert found["sharded@seed-42"] == found[f"gpt2@{found['sha']}"] == by_seed
    assert found["gpt2@seed-43"] != by_seed != found["gpt2@main"]
    path = tmp_path / "direct.safetensors"
    path.write_bytes(bytes_of(hub, "tests/gpt2/model.safetensors", "seed=42"))
    direct = load_file(path)["transformer.h.1.attn.c_attn.weight"]
    assert found["c_attn"] == direct[0, :5].tolist()
    offline = """
        from transformers import AutoModelForCausalLM
        model = AutoModelForCausalLM.from_pretrained("tests/gpt2", revision="seed-42")
        answer = model.transformer.h[1].attn.c_attn.weight[0, :5].tolist()
    """
    with requests_of(hub) as asked:
        alone = ask(offline, hub.url, tmp_path, line, HF_HUB_OFFLINE="1")
    assert alone == found["c_attn"]
    assert asked == []


def test_a_pipeline(hub: Server, line: str, tmp_path: Path) -> None:
    """A tiny preset has a tokenizer, so that a whole pipeline speaks, whatever the seed."""
    code = """
        from transformers import AutoTokenizer, pipeline
        name, words = "seedbed/tiny-gpt2", "Grüße, 世界"
        tokenizer = AutoTokenizer.from_pretrained(name)
        ids = tokenizer(words)["input_ids"]
        answer = [tokenizer.decode(ids, skip_special_tokens=True)]
        for revision in ("seed-1", "seed-2"):
            speak = pipeline("text-generation", name, revision=revision)
            said = speak(words, max_new_tokens=8, do_sample=False, return_tensors=True)
            answer.append([int(one) for one in said[0]["generated_token_ids"]])
        answer.append(ids)
    """
    text, one, two, asked = ask(code, hub.url, tmp_path, line)
    assert text == "Grüße, 世界"
    assert one[: len(asked)] == two[: len(asked)] == asked
    assert len(asked) < len(one) <= len(asked) + 8


def test_no_tokenizer(hub: Server, line: str, tmp_path: Path) -> None:
    """A preset without a tokenizer has none: no client makes an empty one of its model type."""
    code = """
        from transformers import AutoTokenizer
        answer = {}
        for name in ("gpt2", "llama-3-8b", "bert-base-uncased", "vit-base-patch16-224",
                     "whisper-tiny", "t5-small", "clip-vit-base-patch32", "resnet50"):
            try:
                found = AutoTokenizer.from_pretrained(f"seedbed/{name}")
            except (OSError, ValueError, KeyError):  # KeyError: 4.57, where a type reads no text
                answer[name] = None
            else:
                answer[name] = f"{type(found).__name__} of {len(found)} tokens"
    """
    answer = ask(code, hub.url, tmp_path, line)
    assert len(answer) == 8
    assert not any(answer.values()), answer


def test_torchs_reader_of_hub_checkpoints(hub: Server, tmp_path: Path) -> None:
    """torch.distributed.checkpoint's own reader loads a sharded snapshot, by slices."""
    code = """
        import torch
        import torch.distributed as dist
        import torch.distributed.checkpoint as dcp
        from huggingface_hub import snapshot_download
        from safetensors import safe_open
        from torch.distributed.checkpoint import HuggingFaceStorageReader
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor import Shard, distribute_tensor
        folder = snapshot_download("tests/sharded", revision="seed-42")
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        name = "transformer.h.0.mlp.c_fc.weight"
        mesh = init_device_mesh("cpu", (1,))
        state = {name: distribute_tensor(torch.zeros(32, 128), mesh, [Shard(1)])}
        dcp.load(state, storage_reader=HuggingFaceStorageReader(folder))
        answer = state[name].full_tensor().flatten().tolist()
    """
    found = ask(code, hub.url, tmp_path)
    path = tmp_path / "direct.safetensors"
    path.write_bytes(bytes_of(hub, "tests/sharded/model.safetensors", "seed=42"))
    direct = load_file(path)["transformer.h.0.mlp.c_fc.weight"]
    assert found == direct.flatten().tolist()


def test_a_restart_between_two_requests(tmp_path: Path) -> None:
    """A commit leads back to its files after a restart."""
    with serving(tmp_path) as server:
        put_specs(server)
        api = f"{server.url}/api/models/tests/gpt2/revision/seed-42"
        commit = httpx.get(api).json()["sha"]
        before = bytes_of(server, "tests/gpt2/model.safetensors", "seed=42")
        server.end()
        server.start()
        link = f"{server.url}/tests/gpt2/resolve/{commit}/model.safetensors"
        assert httpx.get(link).raise_for_status().content == before
        assert httpx.get(api).json()["sha"] == commit


class Cutter:
    """A proxy that cuts the first long answer after so many bytes, and notes the requests."""

    def __init__(self, port: int, after_bytes: int) -> None:
        self.heads: list[str] = []
        self._left = after_bytes
        cutter = self

        class Handler(socketserver.BaseRequestHandler):
            """One connection, passed on in both directions."""

            def handle(self) -> None:
                with socket.create_connection(("127.0.0.1", port)) as service:
                    asking = threading.Thread(
                        target=cutter.pass_on, args=(self.request, service, cutter.note)
                    )
                    asking.start()
                    cutter.pass_on(service, self.request, cutter.count)
                    asking.join(PATIENCE_SECONDS)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        """End it, when all connections have ended."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE_SECONDS)

    def note(self, data: bytes) -> bool:
        """What a client sends."""
        self.heads.append(data.decode("latin-1"))
        return True

    def count(self, data: bytes) -> bool:
        """What the service sends, and whether it may."""
        if self._left > 0:
            self._left -= len(data)
            return self._left > 0
        return True

    @staticmethod
    def pass_on(source: socket.socket, target: socket.socket, may: Callable[[bytes], bool]) -> None:
        """Pass bytes on until one side ends or may not; then neither goes on."""
        with contextlib.suppress(OSError):
            while (data := source.recv(1 << 16)) and may(data):
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def test_cut_downloads_are_resumed(hub: Server, line: str, tmp_path: Path) -> None:
    """A download that is cut goes on where it was: in the same call, or, of old, in the next."""
    cutter = Cutter(hub.port, 25 << 20)
    code = """
        from huggingface_hub import hf_hub_download
        try:
            answer = hf_hub_download("tests/long", "model.safetensors", revision="seed-42")
        except Exception as error:
            answer = type(error).__name__
    """
    try:
        found = ask(code, cutter.url, tmp_path, line)
        if line == "old":
            found = ask(code, cutter.url, tmp_path, line)
    finally:
        cutter.close()
    expected = bytes_of(hub, "tests/long/model.safetensors", "seed=42")
    assert sha256(found) == hashlib.sha256(expected).hexdigest()
    ranges = [
        text.split(":")[1].strip()
        for head in cutter.heads
        for text in head.lower().splitlines()
        if text.startswith("range:")
    ]
    (resumed,) = ranges
    start = int(resumed.removeprefix("bytes=").removesuffix("-"))
    assert 20 << 20 <= start <= 25 << 20


@pytest.mark.parametrize("name", ["tests/gpt2", "tests/sharded"])
def test_node(hub: Server, packages: Path, tmp_path: Path, name: str) -> None:
    """@huggingface/hub lists, parses, reads ranges and downloads snapshots, once."""
    script = packages / "repository.mjs"
    said = run("node", script, hub.url, name, "seed-42", tmp_path / "cache").stdout
    found = json.loads(said.splitlines()[-1])  # after what the library itself says
    assert "config.json" in found["files"]
    weights = [path for path in found["files"] if path.endswith(".safetensors")]
    link = f"{hub.url}/{name}/resolve/seed-42/{weights[0]}"
    content = httpx.get(link).raise_for_status().content
    assert found["size"] == len(content)
    assert bytes.fromhex(found["head"]) == content[:8]
    assert found["sha256"] == hashlib.sha256(content).hexdigest()
    assert found["sharded"] == (len(weights) > 1)
    assert found["parameters"] == PARAMETERS
    assert found["sha"] != found["main"]
    assert found["sha"] in found["snapshot"]
    assert found["same"]
    assert (found["known"], found["unknown"]) == (True, False)
    assert (found["there"], found["absent"], found["nothing"]) == (True, False, None)
    assert found["paths"] == [{"path": weights[0], "size": len(content)}]


def test_more_than_any_file_may_have(hub: Server, tmp_path: Path) -> None:
    """800 GB are listed, headed, and read anywhere in any shard; no file passes 50 GB."""
    tree = httpx.get(f"{hub.url}/api/models/tests/huge/tree/main").raise_for_status().json()
    shards = [one for one in tree if one["path"].endswith(".safetensors")]
    assert sum(one["size"] for one in shards) > 800 * 10**9
    assert all(one["size"] < 50 * 10**9 for one in shards)
    for shard in shards:
        link = f"{hub.url}/tests/huge/resolve/main/{shard['path']}"
        assert httpx.head(link).headers["content-length"] == str(shard["size"])
        last = httpx.get(link, headers={"range": "bytes=-1024"})
        assert (last.status_code, len(last.content)) == (206, 1024)
    code = """
        from huggingface_hub import HfApi
        meta = HfApi().get_safetensors_metadata("tests/huge")
        answer = [sum(meta.parameter_count.values()), len(meta.files_metadata)]
    """
    assert ask(code, hub.url, tmp_path) == [405_853_388_800, len(shards)]
    whole = httpx.get(f"{hub.url}/tests/huge/resolve/main/model.safetensors")
    assert (whole.status_code, whole.headers["x-error-code"]) == (404, "EntryNotFound")
