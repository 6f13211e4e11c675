from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving import Server
from tests.web.local import Local

TINY = "/seedbed/tiny-gpt2"
API = "/api/models/seedbed/tiny-gpt2"


@pytest.fixture(params=["", "/hub"])
def hub(request: pytest.FixtureRequest, server: Server) -> Iterator[httpx.Client]:
    """A client of the protocol, at the root and apart."""
    with httpx.Client(base_url=f"{server.url}{request.param}", timeout=60) as client:
        yield client


def test_a_file_has_what_clients_need(hub: httpx.Client) -> None:
    """HEAD, GET and ranges agree on size, ETag and commit; the ETag can be a file's name."""
    link = f"{TINY}/resolve/seed-42/model.safetensors"
    head, whole = hub.head(link), hub.get(link)
    assert head.status_code == whole.status_code == 200
    assert head.headers["content-length"] == str(len(whole.content))
    for name in ("etag", "x-repo-commit", "accept-ranges"):
        assert head.headers[name] == whole.headers[name]
    assert head.headers["etag"].strip('"').isalnum()
    assert len(head.headers["x-repo-commit"]) == 40
    first = hub.get(link, headers={"range": "bytes=0-0"})
    assert (first.status_code, first.content) == (206, whole.content[:1])
    assert first.headers["content-range"] == f"bytes 0-0/{len(whole.content)}"
    assert first.headers["x-repo-commit"] == head.headers["x-repo-commit"]
    past = hub.get(link, headers={"range": f"bytes={len(whole.content)}-"})
    assert (past.status_code, past.headers["content-range"]) == (
        416, f"bytes */{len(whole.content)}",
    )  # fmt: skip
    assert hub.get(f"{TINY}/raw/seed-42/config.json").json()["model_type"] == "gpt2"


def test_a_commit_is_for_ever_and_a_branch_is_not(hub: httpx.Client) -> None:
    """A commit's files may be kept, a branch's have to be asked for; both are the same bytes."""
    link = f"{TINY}/resolve/seed-42/model.safetensors"
    by_seed = hub.get(link)
    commit = by_seed.headers["x-repo-commit"]
    by_commit = hub.get(f"{TINY}/resolve/{commit}/model.safetensors")
    assert by_commit.content == by_seed.content
    assert by_commit.headers["x-repo-commit"] == commit
    assert "immutable" in by_commit.headers["cache-control"]
    assert by_seed.headers["cache-control"] == "no-cache"
    assert hub.get(f"{API}/revision/{commit}").json()["sha"] == commit


def test_seeds_dtypes_and_variants(hub: httpx.Client, client: httpx.Client) -> None:
    """Ids and revisions say what a query says."""
    for path, query in (
        ("tiny-gpt2/resolve/main", ""),
        ("tiny-gpt2/resolve/HEAD", "seed=0"),
        ("tiny-gpt2/resolve/7", "seed=7"),
        ("tiny-gpt2/resolve/seed-7-bf16", "seed=7&dtype=BF16"),
        ("tiny-gpt2.f16/resolve/seed-7", "seed=7&dtype=F16"),
        ("tiny-gpt2.f16/resolve/seed-7-bf16", "seed=7&dtype=BF16"),
        ("tiny-resnet.num_classes-3/resolve/7", "seed=7&num_classes=3"),
    ):
        preset = path.partition("/")[0].partition(".")[0]
        expected = client.get(f"/v1/models/{preset}/model.safetensors?{query}")
        found = hub.get(f"/seedbed/{path}/model.safetensors")
        assert found.content == expected.content, path
        assert found.headers["etag"] == expected.headers["etag"]


def test_listings_agree(hub: httpx.Client) -> None:
    """Siblings, tree and paths-info have the same files with true sums; paths as form and JSON."""
    info = hub.get(f"{API}/revision/seed-42?blobs=true").json()
    tree = hub.get(f"{API}/tree/seed-42?recursive=true&expand=false").json()
    names = [one["path"] for one in tree]
    assert [one["rfilename"] for one in info["siblings"]] == names
    assert {"config.json", "generation_config.json", "model.safetensors", "README.md"} <= set(names)
    for leaf, sibling in zip(tree, info["siblings"], strict=True):
        content = hub.get(f"{TINY}/resolve/seed-42/{leaf['path']}").content
        assert leaf["size"] == sibling["size"] == len(content)
        if leaf["path"] == "model.safetensors":
            digest = hashlib.sha256(content).hexdigest()
            assert leaf["lfs"]["oid"] == sibling["lfs"]["sha256"] == digest
        else:
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            assert leaf["oid"] == sibling["blobId"] == blob
            assert "lfs" not in leaf
    asked = ["config.json", "nonesuch", "model.safetensors"]
    form = hub.post(f"{API}/paths-info/seed-42", data={"paths": asked, "expand": "false"}).json()
    whole = hub.post(f"{API}/paths-info/seed-42", json={"paths": asked, "expand": True}).json()
    assert [one["path"] for one in form] == ["config.json", "model.safetensors"]
    assert [one["lastCommit"]["id"] for one in whole] == [info["sha"]] * 2
    expanded = hub.get(f"{API}/tree/seed-42?expand=True").json()
    assert {one["lastCommit"]["id"] for one in expanded} == {info["sha"]}


def test_what_a_repository_is(hub: httpx.Client) -> None:
    """A repository's JSON has every key that a client reads, and refs lead to its commit."""
    info = hub.get(API).json()
    assert info.keys() >= {
        "_id", "id", "modelId", "author", "sha", "private", "gated", "disabled", "downloads",
        "likes", "lastModified", "createdAt", "tags", "siblings", "library_name", "pipeline_tag",
    }  # fmt: skip
    assert info["safetensors"]["total"] == sum(info["safetensors"]["parameters"].values())
    refs = hub.get(f"{API}/refs").json()
    assert refs["branches"] == [
        {"name": "main", "ref": "refs/heads/main", "targetCommit": info["sha"]}
    ]
    assert "pullRequests" in hub.get(f"{API}/refs?include_prs=1").json()
    for revision, sha in (("main", info["sha"]), ("seed-7", None), (info["sha"], info["sha"])):
        (commit,) = hub.get(f"{API}/commits/{revision}?expand[]=formatted").json()
        assert commit["id"] == (sha or hub.get(f"{API}/revision/{revision}").json()["sha"])
        assert commit["title"] == commit["formatted"]["title"]
        assert "Random weights" in commit["title"]
    unknown = hub.get(f"{API}/commits/nothing")
    assert unknown.headers["x-error-code"] == "RevisionNotFound"
    found = hub.get("/api/models?search=TINY-G&limit=3").json()
    assert len(found) == 3
    assert all("tiny-g" in one["id"] for one in found)
    assert hub.get("/api/models?author=nobody").json() == []


@pytest.mark.parametrize(
    ("target", "code", "with_commit"),
    [
        (f"{TINY}/resolve/seed-42/nonesuch", "EntryNotFound", True),
        (f"{TINY}/resolve/seed-42/onnx/model.onnx", "EntryNotFound", True),
        (f"{TINY}/resolve/seed-42/", "EntryNotFound", True),
        (f"{TINY}/resolve/seed-42/raw/x", "EntryNotFound", True),
        (f"{TINY}/raw/seed-42/resolve/x", "EntryNotFound", True),
        (f"{API}/tree/seed-42/folder", "EntryNotFound", True),
        (f"{TINY}/resolve/v1.0/config.json", "RevisionNotFound", False),
        (f"{TINY}/resolve/refs%2Fpr%2F1/config.json", "RevisionNotFound", False),
        (f"{API}/revision/refs%2Fpr%2F1", "RevisionNotFound", False),
        (f"{API}/revision/{'0' * 40}", "RevisionNotFound", False),
        (f"{API}/tree/{'9' * 21}", "RevisionNotFound", False),
        ("/seedbed/nonesuch/resolve/main/config.json", "RepoNotFound", False),
        ("/seedbed/gpt-2/resolve/main/config.json", "RepoNotFound", False),
        ("/nobody/nothing/resolve/main/config.json", "RepoNotFound", False),
        ("/tiny-gpt2/resolve/main/config.json", "RepoNotFound", False),
        ("/api/models/tiny-gpt2", "RepoNotFound", False),
        ("/api/models/tiny-gpt2/tree/main", "RepoNotFound", False),
        ("/api/models/nobody/nothing", "RepoNotFound", False),
        ("/seedbed/tiny-resnet.nonesuch-1/resolve/main/x", "RepoNotFound", False),
        ("/%F0%9F%8C%B1/%00/resolve/main/config.json", "RepoNotFound", False),
    ],
)
def test_errors_that_clients_tell_apart(
    hub: httpx.Client,
    target: str,
    code: str,
    with_commit: bool,  # noqa: FBT001
) -> None:
    """Whatever is unknown is said by a code, and in the body as clients show it."""
    answer = hub.get(target)
    assert answer.status_code == 404
    assert answer.headers["x-error-code"] == code
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]
    assert ("x-repo-commit" in answer.headers) == with_commit
    assert hub.head(target).headers["x-error-code"] == code


@pytest.mark.parametrize("body", [b"{}", b'{"paths": []}', b'{"expand": true}'])
def test_no_paths(hub: httpx.Client, body: bytes) -> None:
    """A body without paths asks for nothing."""
    headers = {"content-type": "application/json"}
    answer = hub.post(f"{API}/paths-info/main", content=body, headers=headers)
    assert (answer.status_code, answer.json()) == (200, [])


@pytest.mark.parametrize("body", [b"[]", b'{"paths": 5}', b'{"paths": [5, {}]}'])
def test_paths_that_are_none(hub: httpx.Client, body: bytes) -> None:
    """What should be paths and is something else is refused."""
    headers = {"content-type": "application/json"}
    answer = hub.post(f"{API}/paths-info/main", content=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:seedbed:problem:invalid-paths"


def test_a_body_that_is_no_json(hub: httpx.Client) -> None:
    """A broken body is refused."""
    headers = {"content-type": "application/json"}
    answer = hub.post(f"{API}/paths-info/main", content=b"{", headers=headers)
    assert answer.status_code == 400


def test_named_specs_are_repositories(client: httpx.Client) -> None:
    """A stored spec is a repository; replaced, its old commits still lead to its old files."""
    spec: dict[str, Any] = {
        "seed": 5, "tensors": [{"name": "a", "shape": [9], "init": "normal"}],
    }  # fmt: skip
    first = client.put("/v1/specs/hubtest/one", json=spec)
    assert first.status_code == 201
    old = client.get("/hubtest/one/resolve/main/model.safetensors")
    commit = old.headers["x-repo-commit"]
    assert int(commit[:16], 16) == 5
    spec["tensors"][0]["name"] = "b"
    client.put("/v1/specs/hubtest/one", json=spec, headers={"if-match": first.headers["etag"]})
    new = client.get("/hubtest/one/resolve/main/model.safetensors")
    assert new.content != old.content
    pinned = client.get(f"/hubtest/one/resolve/{commit}/model.safetensors")
    assert pinned.content == old.content
    assert client.get(f"/api/models/hubtest/one/revision/{commit}").json()["sha"] == commit
    assert "hubtest/one" in [one["id"] for one in client.get("/api/models?search=hubtest").json()]
    client.delete("/v1/specs/hubtest/one", headers={"if-match": "*"})
    gone = client.get(f"/hubtest/one/resolve/{commit}/model.safetensors")
    assert gone.headers["x-error-code"] == "RepoNotFound"


@pytest.mark.parametrize(
    "name",
    [
        "words/my-revision",
        "tree/tree",
        "raw/resolve",
        "resolve/raw",
        "paths-info/refs",
        "commits/commits",
    ],
)
def test_names_may_be_words_of_the_protocol(
    client: httpx.Client, hub: httpx.Client, name: str
) -> None:
    """What a part of a path means is said by its place, not by a word in it."""
    spec = {"tensors": [{"name": "a", "shape": [2], "init": "normal"}]}
    assert client.put(f"/v1/specs/{name}", json=spec).status_code in (200, 201)
    sha = hub.get(f"/api/models/{name}").raise_for_status().json()["sha"]
    for revision in ("main", "seed-0", sha):
        info = hub.get(f"/api/models/{name}/revision/{revision}").raise_for_status().json()
        assert info["sha"] == sha
        tree = hub.get(f"/api/models/{name}/tree/{revision}").raise_for_status().json()
        assert [one["path"] for one in tree] == ["README.md", "model.safetensors"]
        paths = hub.post(f"/api/models/{name}/paths-info/{revision}", json={"paths": ["README.md"]})
        assert len(paths.raise_for_status().json()) == 1
        for verb in ("resolve", "raw"):
            file = hub.get(f"/{name}/{verb}/{revision}/model.safetensors").raise_for_status()
            assert file.headers["x-repo-commit"] == sha
        commits = hub.get(f"/api/models/{name}/commits/{revision}").raise_for_status().json()
        assert [one["id"] for one in commits] == [sha]
    assert hub.get(f"/api/models/{name}/refs").raise_for_status()


def test_published_ids() -> None:
    """With the setting, ids of the Hub itself lead to random weights that say what they are."""
    with Local(published_ids=True) as local, local.client() as client:
        for id_ in ("openai-community/gpt2", "gpt2"):
            head = client.head(f"/{id_}/resolve/main/model.safetensors")
            assert (head.status_code, head.headers["content-length"]) == (200, str(497774392)), id_
            assert head.headers["x-seedbed-weights"] == "Random weights, not trained: seed 0"
            absent = client.head(f"/{id_}/resolve/main/vocab.json")
            assert absent.status_code == 404
            assert absent.headers["x-error-code"] == "EntryNotFound"
            info = client.get(f"/api/models/{id_}/revision/seed-3").json()
            assert (info["id"], info["sha"][:16]) == ("openai-community/gpt2", f"{3:016x}")
            assert "random-weights" in info["tags"]
            tree = client.get(f"/api/models/{id_}/tree/{info['sha']}?expand=true").json()
            assert {leaf["lastCommit"]["title"] for leaf in tree} == {
                "Random weights, not trained: seed 3"
            }
            card = client.get(f"/{id_}/resolve/{info['sha']}/README.md").text
            assert "**These weights are not trained.**" in card
        narrow = client.get("/Qwen/Qwen2.5-0.5B/resolve/main/config.json").json()
        assert (narrow["dtype"], narrow["hidden_size"]) == ("bfloat16", 896)
        listed = client.get("/api/models?search=qwen2.5-0").json()
        assert {entry["id"] for entry in listed} == {"Qwen/Qwen2.5-0.5B", "seedbed/qwen2.5-0.5b"}
        assert client.get("/api/models/nobody/nothing").headers["x-error-code"] == "RepoNotFound"


def test_published_ids_are_off(hub: httpx.Client) -> None:
    """Without the setting there is none, and no list has one."""
    for id_ in ("openai-community/gpt2", "gpt2"):
        for path in ("{}/resolve/main/a", "api/models/{}", "api/models/{}/revision/main",
                     "api/models/{}/tree/main"):  # fmt: skip
            answer = hub.get(f"/{path.format(id_)}")
            assert (answer.status_code, answer.headers["x-error-code"]) == (404, "RepoNotFound")
    assert "openai-community/gpt2" not in {e["id"] for e in hub.get("/api/models").json()}


def test_a_stored_spec_goes_before_a_published_id(tmp_path: Path) -> None:
    """Whoever stores a spec under such a name has that."""
    url = f"sqlite:///{tmp_path}/registry.db"
    spec = {"tensors": [{"name": "a", "shape": [3], "init": "ones"}]}
    with Local(published_ids=True, registry_url=url) as local, local.client() as client:
        link = "/openai-community/gpt2/resolve/main/model.safetensors"
        before = client.head(link).headers
        assert client.put("/v1/specs/openai-community/gpt2", json=spec).status_code == 201
        after = client.head(link).headers
        assert int(after["content-length"]) < 1000 < int(before["content-length"])
        by_commit = client.head(link.replace("main", before["x-repo-commit"]))
        assert by_commit.status_code == 404
