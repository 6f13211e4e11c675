from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings

from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.web.keys import line_of, new_key
from tests.serving import PATIENCE_SECONDS, Server
from tests.strategies import bodies, untimed
from tests.web.local import Local, bytes_of

BODY: dict[str, Any] = {
    "seed": 7,
    "tensors": [
        {"name": "fc.weight", "shape": [30, 20], "init": "he_normal"},
        {"name": "fc.bias", "shape": [30], "init": "zeros"},
    ],
}
OTHER = {**BODY, "dtype": "BF16"}

_numbers = count()


@pytest.fixture
def path() -> str:
    """Of a name that no test has had yet."""
    return f"/v1/specs/team/net-{next(_numbers)}"


def put(client: httpx.Client, path: str, body: object, **conditions: str) -> httpx.Response:
    """Store a spec, under conditions by their names in Python's spelling."""
    headers = {name.replace("_", "-"): text for name, text in conditions.items()}
    return client.put(path, json=body, headers=headers)


def file_of(body: dict[str, Any], **changes: object) -> VirtualFile:
    """The file of a body, without HTTP."""
    return VirtualFile(CheckpointSpec.model_validate_json(json.dumps({**body, **changes})))


def problem(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """The problem that an answer is."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert (found["type"], found["status"]) == (f"urn:seedbed:problem:{kind}", status)
    return found


def test_stored_as_it_was_given(client: httpx.Client, path: str) -> None:
    """The JSON comes back byte for byte, with a digest of them as ETag, and conditions work."""
    text = json.dumps(BODY, indent=3).encode() + b"\n\n"
    before = datetime.now().astimezone()
    stored = client.put(path, content=text, headers={"content-type": "application/json"})
    assert stored.status_code == 201
    etag = f'"{hashlib.sha256(text).hexdigest()[:32]}"'
    assert stored.headers["etag"] == etag
    entry = stored.json()
    assert f"/v1/specs/{entry['id']}" == path
    assert f'"{entry["etag"]}"' == etag
    assert (entry["seed"], entry["size_bytes"]) == (7, len(text))
    assert entry["digest"] == file_of(BODY).spec.digest
    assert entry["created"] == entry["updated"]
    created = datetime.fromisoformat(entry["created"])
    assert before - timedelta(seconds=1) <= created <= datetime.now().astimezone()

    got = client.get(path)
    assert (got.status_code, got.content, got.headers["etag"]) == (200, text, etag)
    assert got.headers["content-type"] == "application/json"
    assert got.headers["cache-control"] == "no-cache"
    head = client.head(path)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", etag)
    for tags, status in ((etag, 304), (f'W/{etag}, "x"', 304), ("*", 304), ('"x"', 200)):
        known = client.get(path, headers={"if-none-match": tags})
        assert (known.status_code, known.headers["etag"]) == (status, etag)
        assert known.content == (text if status == 200 else b"")
    for tags, status in ((etag, 200), ("*", 200), ('"x"', 412), (f"W/{etag}", 412)):
        assert client.get(path, headers={"if-match": tags}).status_code == status


def test_replacing_takes_its_etag(client: httpx.Client, path: str) -> None:
    """Another spec replaces one only if the writer says which, or that any may be replaced."""
    first = put(client, path, BODY).headers["etag"]
    problem(put(client, path, OTHER), 428, "precondition-required")
    assert put(client, path, OTHER).headers["etag"] == first
    for conditions in (
        {"if_match": '"x"'}, {"if_match": f"W/{first}"}, {"if_match": first[1:-1]},
        {"if_none_match": "*"}, {"if_none_match": first}, {"if_match": first, "if_none_match": "*"},
    ):  # fmt: skip
        refused = put(client, path, OTHER, **conditions)
        problem(refused, 412, "precondition-failed")
        assert refused.headers["etag"] == first
    assert client.get(path).json() == BODY
    second = put(client, path, OTHER, if_match=f'"x", {first}')
    assert second.status_code == 200
    assert client.get(path).json() == OTHER
    problem(put(client, path, BODY, if_match=first), 412, "precondition-failed")
    third = put(client, path, {**BODY, "seed": 8}, if_match="*")
    assert third.status_code == 200
    assert third.json()["created"] == second.json()["created"]
    assert third.json()["updated"] > second.json()["updated"]


def test_the_same_again(client: httpx.Client, path: str) -> None:
    """The same spec may be stored again by anyone, in other words too; conditions still hold."""
    first = put(client, path, BODY)
    again = put(client, path, BODY)
    assert (again.status_code, again.json()) == (200, first.json())
    spelled = {"tensors": BODY["tensors"][::-1], "dtype": "F32", "seed": "7"}
    other = put(client, path, spelled)
    assert other.status_code == 200
    assert other.json()["digest"] == first.json()["digest"]
    assert client.get(path).json() == spelled
    problem(put(client, path, spelled, if_match=first.headers["etag"]), 412, "precondition-failed")
    problem(put(client, path, spelled, if_none_match="*"), 412, "precondition-failed")


def test_a_name_that_is_not_there(client: httpx.Client, path: str) -> None:
    """What nobody has stored is 404, or 412 for who expects something; then it may be made."""
    problem(client.get(path), 404, "not-found")
    problem(client.delete(path), 404, "not-found")
    problem(client.get(f"{path}/model.safetensors"), 404, "not-found")
    assert client.head(f"{path}/model.safetensors").status_code == 404
    for tags in ("*", '"x"'):
        problem(put(client, path, BODY, if_match=tags), 412, "precondition-failed")
        problem(client.delete(path, headers={"if-match": tags}), 412, "precondition-failed")
    assert put(client, path, BODY, if_none_match="*").status_code == 201


def test_deleting(client: httpx.Client, path: str) -> None:
    """A deleted name has nothing left, its pinned links neither, and may be given anew."""
    pinned = put(client, path, BODY).json()["links"]["pinned"]
    etag = put(client, path, OTHER, if_match="*").headers["etag"]
    assert client.get(pinned).status_code == 200
    problem(client.delete(path, headers={"if-match": '"x"'}), 412, "precondition-failed")
    problem(client.delete(f"{path}?seed=1"), 422, "invalid-spec")
    gone = client.delete(path, headers={"if-match": etag})
    assert (gone.status_code, gone.content) == (204, b"")
    for target in (path, pinned, f"{path}/model.safetensors"):
        problem(client.get(target), 404, "not-found")
    assert put(client, path, OTHER).status_code == 201
    problem(client.get(pinned), 404, "not-found")


@settings(
    untimed,
    max_examples=15,
    suppress_health_check=[*untimed.suppress_health_check, HealthCheck.function_scoped_fixture],
)
@given(body=bodies())
def test_files(client: httpx.Client, body: dict[str, Any]) -> None:
    """Whatever is stored, its file is that of the spec, whole and in ranges, for any seed."""
    path = f"/v1/specs/property/net-{next(_numbers)}"
    assert put(client, path, body).status_code == 201
    for changes in ({}, {"seed": 2**64 - 1}):
        file = file_of(body, **changes)
        whole = client.get(f"{path}/model.safetensors", params=changes)
        assert whole.content == bytes_of(file)
        assert whole.headers["etag"] == f'"{file.etag}"'
        assert whole.headers["cache-control"] == "no-cache"
        cut = client.get(f"{path}/model.safetensors", params=changes, headers={"range": "bytes=-9"})
        assert (cut.status_code, cut.content) == (206, whole.content[-9:])
        head = client.head(f"{path}/model.safetensors", params=changes)
        assert head.headers["content-length"] == str(file.size)
        known = client.get(
            f"{path}/model.safetensors",
            params=changes,
            headers={"if-none-match": whole.headers["etag"]},
        )
        assert (known.status_code, known.headers["cache-control"]) == (304, "no-cache")


def test_pinned_links_outlive_what_the_name_means(client: httpx.Client, path: str) -> None:
    """A link with digest and seed gives the same bytes or 404, whatever is stored later."""
    links = {}
    for i, body in enumerate([BODY, OTHER, {**BODY, "metadata": {"note": "x"}}]):
        links[i] = put(client, path, body, **({"if_match": "*"} if i else {})).json()["links"]
        file = file_of(body)
        for known in range(i + 1):
            answer = client.get(links[known]["pinned"])
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert (answer.headers["etag"] == f'"{file.etag}"') == (known == i)
        assert client.get(links[i]["file"]).headers["etag"] == f'"{file.etag}"'
        assert client.get(links[i]["file"]).headers["cache-control"] == "no-cache"
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(links[0]["pinned"]).query)
    digest = query["digest"][0]
    file = file_of(BODY)
    for digits in (24, 40, 64):
        # Without a seed it has the spec's own, which may be stored anew: to be asked about again.
        loose = client.get(links[0]["file"], params={"digest": digest[:digits]})
        assert (loose.headers["etag"], loose.headers["cache-control"]) == (
            f'"{file.etag}"',
            "no-cache",
        )
    problem(client.get(links[0]["file"], params={"digest": "0" * 24}), 404, "not-found")
    for wrong in ("", "0" * 23, "0" * 65, digest.upper(), "g" * 24, "*"):
        found = problem(client.get(links[0]["file"], params={"digest": wrong}), 422, "invalid-spec")
        assert found["errors"][0]["parameter"] == "digest"


def test_shards(client: httpx.Client, path: str) -> None:
    """A spec that says how large a shard is has its shards and index under the name."""
    body = {**BODY, "max_shard_size": 2000}
    assert put(client, path, body).status_code == 201
    index = client.get(f"{path}/model.safetensors.index.json")
    assert index.status_code == 200
    shards = set(index.json()["weight_map"].values())
    assert len(shards) == 2
    sizes = [len(client.get(f"{path}/{shard}").content) for shard in shards]
    assert index.json()["metadata"]["total_size"] < sum(sizes)
    missing = problem(client.get(f"{path}/pytorch_model.bin"), 404, "not-found")
    assert "model.safetensors" in missing["detail"]


@pytest.mark.parametrize("query", ["seed=-1", "seed=", "seed=1&seed=2", "seed=2x", f"seed={2**64}"])
def test_seeds_that_are_none(client: httpx.Client, path: str, query: str) -> None:
    """A seed that is none is refused where it stands."""
    put(client, path, BODY)
    found = problem(client.get(f"{path}/model.safetensors?{query}"), 422, "invalid-spec")
    assert found["errors"][0]["parameter"] == "seed"


@pytest.mark.parametrize("suffix", ["", "/model.safetensors"])
def test_other_parameters(client: httpx.Client, path: str, suffix: str) -> None:
    """A parameter that means nothing here is refused, not ignored."""
    put(client, path, BODY)
    found = problem(client.get(f"{path}{suffix}?dtype=BF16"), 422, "invalid-spec")
    assert found["errors"][0]["parameter"] == "dtype"


@pytest.mark.parametrize(
    ("body", "status", "kind", "pointer"),
    [
        ({}, 422, "invalid-spec", "#/tensors"),
        ([], 422, "invalid-spec", "#"),
        ({**BODY, "sed": 1}, 422, "invalid-spec", "#/sed"),
        ({"tensors": [{"name": "w", "shape": [2], "init": "he_normal"}]},
         422, "invalid-spec", "#/tensors/0/shape"),
        ({"tensors": [{"name": "w", "shape": [2**50, 2**20], "init": "zeros"}]},
         422, "invalid-spec", "#/tensors/0/shape"),
        ({"tensors": [{"name": "w", "shape": [2**50], "init": "zeros"}]}, 422, "limit", None),
    ],
)  # fmt: skip
def test_only_what_means_a_file_is_stored(
    client: httpx.Client, path: str, body: object, status: int, kind: str, pointer: str | None
) -> None:
    """What is no spec, or means no file, is refused with its place in the body, and not stored."""
    found = problem(put(client, path, body), status, kind)
    assert pointer is None or found["errors"][0]["pointer"].startswith(pointer)
    problem(client.get(path), 404, "not-found")


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"{", "application/json", 400), (b"", "application/json", 400),
        (json.dumps(BODY).encode(), "text/plain", 415), (b"\xff", "application/json", 400),
        (b'{"tensors": [], "tensors": []}', "application/json", 422),
        (b" " * (2**20 + 1), "application/json", 413),
    ],
)  # fmt: skip
def test_bodies_that_are_none(
    client: httpx.Client, path: str, content: bytes, media_type: str, status: int
) -> None:
    """What is no JSON, says to be something else, or is too long, is refused and not stored."""
    refused = client.put(path, content=content, headers={"content-type": media_type})
    assert refused.status_code == status
    assert status != 413 or "SEEDBED_MAX_SPEC_BYTES" in refused.json()["detail"]
    problem(client.get(path), 404, "not-found")


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("seedbed/gpt2", "namespace"), ("SeedBed/x", "namespace"), ("api/x", "namespace"),
        ("-a/x", "namespace"), ("a/x--y", "name"), ("a/x.git", "name"), ("a/%C3%A4", "name"),
        ("a/%00", "name"), (f"a/{'x' * 97}", "name"), ("a%20b/x", "namespace"), ("a/x%0a", "name"),
    ],
)  # fmt: skip
def test_names_that_cannot_be(client: httpx.Client, path: str, part: str) -> None:
    """A name that Hub clients refuse cannot be given, and is not there when asked for."""
    found = problem(put(client, f"/v1/specs/{path}", BODY), 422, "invalid-name")
    assert found["errors"][0]["parameter"] == part
    problem(client.get(f"/v1/specs/{path}"), 404, "not-found")
    problem(client.get(f"/v1/specs/{path}/model.safetensors"), 404, "not-found")
    problem(client.delete(f"/v1/specs/{path}"), 404, "not-found")


def test_methods(client: httpx.Client, path: str) -> None:
    """Other methods are 405, with those that there are."""
    for target, allowed in (
        (path, "GET, HEAD, PUT, DELETE"), ("/v1/specs", "GET, HEAD"),
        (f"{path}/model.safetensors", "GET, HEAD"),
    ):  # fmt: skip
        refused = client.post(target, json=BODY)
        assert (refused.status_code, refused.headers["allow"]) == (405, allowed)


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service with 23 specs, of three namespaces."""
    url = f"sqlite:///{tmp_path_factory.mktemp('listed')}/r.db"
    with Local(registry_url=url, max_listed=10) as local, local.client() as client:
        for i in range(23):
            assert put(client, f"/v1/specs/{'aBc'[i % 3]}/net-{i:02}", BODY).status_code == 201
        yield client


NAMES = sorted((f"{'aBc'[i % 3]}/net-{i:02}" for i in range(23)), key=lambda n: n.split("/"))


@pytest.mark.parametrize("limit", [None, 1, 4, 8, 10, 23, 1000])
@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ({}, lambda _: True),
        ({"namespace": "B"}, lambda name: name.startswith("B/")),
        ({"search": "NET-1"}, lambda name: "net-1" in name),
        ({"search": "b/"}, lambda name: name.startswith("B/")),
        ({"namespace": "a", "search": "1"}, lambda name: name.startswith("a/") and "1" in name),
        ({"search": "%"}, lambda _: False),
        ({"search": "\0ü"}, lambda _: False),
        ({"namespace": "no/body"}, lambda _: False),
    ],
)
def test_listing(listed: httpx.Client, query: dict[str, str], fits: Any, limit: int | None) -> None:
    """Pages by `next`, and by Link alike, are all that fits, in order, and no page is too long."""
    params = {**query, **({} if limit is None else {"limit": str(limit)})}
    found, target = [], str(httpx.URL("/v1/specs", params=params))
    while target:
        page = listed.get(target)
        assert page.status_code == 200
        names = [entry["id"] for entry in page.json()["specs"]]
        assert len(names) <= min(limit or 10, 10)
        found += names
        target = page.json()["next"] or ""
        assert page.headers.get("link", "") == (f'<{target}>; rel="next"' if target else "")
    assert found == [name for name in NAMES if fits(name)]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"), ("limit=x", "limit"), ("limit=-1", "limit"), ("page=2", "page"),
        ("cursor=x", "cursor"), ("cursor=", "cursor"), ("cursor=a/b/c", "cursor"),
        ("search=a&search=b", "search"),
    ],
)  # fmt: skip
def test_lists_that_cannot_be(listed: httpx.Client, query: str, parameter: str) -> None:
    """A parameter that cannot be meant is refused by its name."""
    refused = listed.get(f"/v1/specs?{query}")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["parameter"] == parameter


def test_limits(tmp_path: Path) -> None:
    """Past a limit another name is refused, and what is stored may still be replaced."""
    url = f"sqlite:///{tmp_path}/r.db"
    given = {"max_specs": 3, "max_specs_per_namespace": 2, "max_spec_versions": 2}
    with Local(registry_url=url, **given) as local, local.client() as client:
        assert [put(client, f"/v1/specs/a/{i}", BODY).status_code for i in range(3)] == [
            201, 201, 422,
        ]  # fmt: skip
        found = problem(put(client, "/v1/specs/a/2", BODY), 422, "limit")
        assert found["limit"] == "SEEDBED_MAX_SPECS_PER_NAMESPACE"
        assert put(client, "/v1/specs/b/0", BODY).status_code == 201
        found = problem(put(client, "/v1/specs/c/0", BODY), 422, "limit")
        assert (found["limit"], found["maximum"]) == ("SEEDBED_MAX_SPECS", 3)
        links = [
            put(client, "/v1/specs/a/0", {**BODY, "dtype": dtype}, if_match="*").json()["links"]
            for dtype in ("F16", "BF16", "F64")
        ]
        statuses = [client.get(link["pinned"]).status_code for link in links]
        assert statuses == [404, 200, 200]


@pytest.mark.parametrize("where", ["none", "sqlite:////dev/null/r.db"])
def test_without_a_registry(where: str) -> None:
    """Without one, or where there can be none, specs are 503 and say why; all else goes on."""
    with Local(registry_url=where) as local, local.client() as client:
        for method, target in (
            ("GET", "/v1/specs"), ("GET", "/v1/specs/a/b"), ("PUT", "/v1/specs/a/b"),
            ("DELETE", "/v1/specs/a/b"), ("GET", "/v1/specs/a/b/model.safetensors"),
        ):  # fmt: skip
            body = BODY if method == "PUT" else None
            refused = client.request(method, target, json=body)
            found = problem(refused, 503, "registry-unavailable")
            assert "retry-after" not in refused.headers
            assert where == "none" or "/dev/null" not in found["detail"]
        assert client.get("/readyz").status_code == 200
        assert client.get("/v1/tensors/ones/2.safetensors").status_code == 200


def test_killed_in_the_middle_of_putting(tmp_path: Path) -> None:
    """After `kill -9` under load each name is whole or not there, and all answered are there."""
    server = Server(tmp_path, engine="numpy")
    server.start()
    answered: dict[str, bytes] = {}
    sent: dict[str, bytes] = {}
    enough = threading.Event()

    def store(writer: int) -> None:
        with httpx.Client(base_url=server.url, timeout=PATIENCE_SECONDS) as client:
            for i in count():
                name = f"w{writer}/net-{i % 20}"
                text = json.dumps({**BODY, "seed": 1000 * writer + i}).encode() + b" " * 10_000
                sent[name] = text
                try:
                    answer = client.put(
                        f"/v1/specs/{name}", content=text,
                        headers={"content-type": "application/json"}
                        | ({"if-match": "*"} if i >= 20 else {}),
                    )  # fmt: skip
                except httpx.HTTPError:
                    return
                assert answer.status_code in (200, 201)
                answered[name] = text
                if len(answered) >= 60:
                    enough.set()

    try:
        with ThreadPoolExecutor(4) as pool:
            writers = [pool.submit(store, writer) for writer in range(4)]
            assert enough.wait(PATIENCE_SECONDS)
            os.kill(server.pid, signal.SIGKILL)
            for writer in writers:
                writer.result(PATIENCE_SECONDS)
        server.end(signal.SIGKILL)
        server.start()
        with httpx.Client(base_url=server.url, timeout=PATIENCE_SECONDS) as client:
            for name, last in sent.items():
                got = client.get(f"/v1/specs/{name}")
                if name not in answered and got.status_code == 404:
                    continue
                assert got.content in (answered.get(name), last)
                assert got.headers["etag"] == f'"{hashlib.sha256(got.content).hexdigest()[:32]}"'
                file = client.get(f"/v1/specs/{name}/model.safetensors")
                assert file.headers["etag"] == f'"{file_of(json.loads(got.content)).etag}"'
            assert put(client, "/v1/specs/after/all", BODY).status_code == 201
    finally:
        server.end()


SHA = "x-repo-commit"


def test_names_are_repositories(client: httpx.Client, path: str) -> None:
    """Hub clients see a name as a repository, whose commits stay when it is given another spec."""
    repository = path.removeprefix("/v1/specs")
    commits: dict[str, str] = {}
    for body in (BODY, {**BODY, "seed": 8}, OTHER):
        put(client, path, body, **({"if_match": "*"} if commits else {}))
        file = file_of(body)
        main = client.head(f"{repository}/resolve/main/model.safetensors")
        assert main.headers["etag"] == f'"{file.etag}"'
        commits[main.headers[SHA]] = file.etag
    assert len(commits) == 3
    for commit, etag in commits.items():
        kept = client.head(f"{repository}/resolve/{commit}/model.safetensors")
        assert (kept.status_code, kept.headers["etag"]) == (200, f'"{etag}"')
    client.delete(path)
    for commit in commits:
        gone = client.head(f"{repository}/resolve/{commit}/model.safetensors")
        assert (gone.status_code, gone.headers["x-error-code"]) == (404, "RepoNotFound")


@pytest.mark.parametrize("where", ["none", "sqlite:////dev/null/r.db", "damaged"])
def test_repositories_without_a_registry(tmp_path: Path, where: str) -> None:
    """Without a registry presets are there for Hub clients, and names are not, or not for now."""
    (tmp_path / "r.db").write_bytes(b"no database" * 1000)
    url = f"sqlite:///{tmp_path}/r.db" if where == "damaged" else where
    with Local(registry_url=url) as local, local.client() as client:
        listed = client.get("/api/models?search=tiny")
        assert (listed.status_code, bool(listed.json())) == (200, True)
        assert client.get(f"/api/models/{listed.json()[0]['id']}").status_code == 200
        answer = client.get("/team/net/resolve/main/config.json")
        if where == "damaged":
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
        else:
            assert (answer.status_code, answer.headers["x-error-code"]) == (404, "RepoNotFound")
        assert answer.json()["error"] == answer.headers["x-error-message"]


@pytest.mark.parametrize("limit", ["0", "1", "000001x", "9" * 5000, "-1", "٣", ""])
def test_limits_of_the_hubs_list(client: httpx.Client, limit: str) -> None:
    """Whatever the limit says, the list of repositories is a list."""
    answer = client.get("/api/models", params={"limit": limit})
    assert answer.status_code == 200
    assert len(answer.json()) <= (int(limit) if limit in ("0", "1") else 10**6)


def test_behind_a_prefix(tmp_path: Path) -> None:
    """Behind a proxy that takes away a prefix, links, pages and probes have it."""
    local = Local(
        registry_url=f"sqlite:///{tmp_path}/r.db",
        api_keys=line_of("w", frozenset({"read", "write"}), key := new_key()),
        anonymous="none",
    )
    local.app.root_path = "/weights"
    with local, local.client(headers={"authorization": f"Bearer {key}"}) as client:
        links = put(client, "/weights/v1/specs/a/b", BODY).json()["links"]
        put(client, "/weights/v1/specs/a/c", BODY)
        for link in links.values():
            assert link.startswith("/weights/")
            assert client.get(link).status_code == 200
        following = client.get("/weights/v1/specs?limit=1").json()["next"]
        assert client.get(following).json()["specs"][0]["id"] == "a/c"
        assert httpx.get(f"{local.url}/weights/readyz").status_code == 200
        assert httpx.get(f"{local.url}/weights/v1/specs").status_code == 401
