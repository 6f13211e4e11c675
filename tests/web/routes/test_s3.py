from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import httpx
import pytest

from seedbed.web.keys import line_of
from seedbed.web.settings import Settings
from tests.serving import serving

NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
TINY = "/s3/seedbed/tiny-gpt2"
SPEC = {"tensors": [{"name": "w", "shape": [4, 3], "init": "he_normal"}]}


def _all(answer: httpx.Response, path: str) -> list[str]:
    """Texts of elements by their path."""
    assert answer.status_code == 200, answer.text
    root = ET.fromstring(answer.content)
    return [e.text or "" for e in root.findall("/".join(NAMESPACE + p for p in path.split("/")))]


def _code(answer: httpx.Response) -> tuple[int, str | None]:
    """Status and S3's code of an error."""
    assert answer.headers["content-type"] == "application/xml"
    return answer.status_code, ET.fromstring(answer.content).findtext("Code")


def _list(client: httpx.Client, bucket: str = "seedbed", **query: str) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in query.items()}
    return client.get(f"/s3/{bucket}", params={"list-type": "2", **names})


def test_an_object_is_the_file(client: httpx.Client) -> None:
    """Whole, in a range, by HEAD, at any seed and dtype; the ETag is like no MD5."""
    for revision, query in (
        ("main", ""),
        ("seed-42", "seed=42"),
        ("42-bf16", "seed=42&dtype=BF16"),
    ):
        expected = client.get(f"/v1/models/tiny-gpt2/model.safetensors?{query}").content
        link = f"{TINY}/{revision}/model.safetensors"
        whole, head = client.get(link), client.head(link)
        assert whole.content == expected
        assert head.headers["content-length"] == str(len(expected))
        assert head.headers["etag"] == whole.headers["etag"]
        assert head.headers["etag"].endswith('-1"')
        assert head.headers["last-modified"]
        part = client.get(link, headers={"range": "bytes=100-199"})
        assert (part.status_code, part.content) == (206, expected[100:200])
        several = client.get(link, headers={"range": "bytes=0-0,5-5"})
        assert (several.status_code, several.content) == (200, expected)  # as S3 does


def test_conditions(client: httpx.Client) -> None:
    """On the ETag, and on dates where there is none on that."""
    link = f"{TINY}/42/config.json"
    etag = client.head(link).headers["etag"]
    old, new = "Wed, 01 Jan 2014 00:00:00 GMT", "Wed, 01 Jan 2025 00:00:00 GMT"
    for headers, status in (
        ({"if-match": etag}, 200),
        ({"if-match": '"x"'}, 412),
        ({"if-none-match": etag}, 304),
        ({"if-modified-since": new}, 304),
        ({"if-modified-since": old}, 200),
        ({"if-modified-since": "yesterday"}, 200),
        ({"if-modified-since": new, "if-none-match": '"x"'}, 200),
        ({"if-unmodified-since": old}, 412),
        ({"if-unmodified-since": new}, 200),
        ({"if-unmodified-since": old, "if-match": etag}, 200),
    ):
        answer = client.get(link, headers=headers)
        assert answer.status_code == status, headers
        if status == 412:
            assert _code(answer) == (412, "PreconditionFailed")
    past = client.get(link, headers={"range": "bytes=1000000-"})
    assert _code(past) == (416, "InvalidRange")
    assert past.headers["content-range"].startswith("bytes */")
    assert ET.fromstring(past.content).findtext("Resource") == link
    bare = etag.strip('"')
    for headers, status in (
        ({"if-match": bare}, 200),
        ({"if-match": f"x, {bare}"}, 200),
        ({"if-match": "x"}, 412),
        ({"if-match": "*"}, 200),
        ({"if-none-match": bare}, 304),
        ({"if-none-match": "x"}, 200),
        ({"if-none-match": "*"}, 304),
    ):
        assert client.get(link, headers=headers).status_code == status, headers


def test_heads_and_parts(client: httpx.Client) -> None:
    """HEAD knows ranges here, and every object is an upload of one part."""
    link = f"{TINY}/42/config.json"
    whole = client.get(link)
    size = len(whole.content)
    head = client.head(link, headers={"range": "bytes=10-19"})
    assert (head.status_code, head.headers["content-length"], head.content) == (206, "10", b"")
    assert head.headers["content-range"] == f"bytes 10-19/{size}"
    past = client.head(link, headers={"range": f"bytes={size}-"})
    assert (past.status_code, past.content) == (416, b"")
    for part in (client.get(link, params={"partNumber": 1}), client.head(f"{link}?partNumber=1")):
        assert (part.status_code, part.headers["x-amz-mp-parts-count"]) == (206, "1")
        assert part.headers["content-range"] == f"bytes 0-{size - 1}/{size}"
        assert part.content in {whole.content, b""}
    both = client.get(f"{link}?partNumber=1", headers={"range": "bytes=0-1"})
    assert _code(both) == (400, "InvalidRequest")


def test_listings(client: httpx.Client) -> None:
    """A tree: names, the branch, files; a seed is listed where it is named, and not else."""
    files = ["README.md", "config.json", "generation_config.json", "model.safetensors"]
    names = _all(_list(client, delimiter="/"), "CommonPrefixes/Prefix")
    assert names == sorted(names)
    assert "tiny-gpt2/" in names
    assert _all(_list(client, prefix="tiny-gpt2/", delimiter="/"), "CommonPrefixes/Prefix") == [
        "tiny-gpt2/main/"
    ]
    for revision in ("main", "seed-7", "7-bf16", "18446744073709551615"):
        folder = f"tiny-gpt2/{revision}/"
        keys = _all(_list(client, prefix=folder), "Contents/Key")
        assert set(keys) >= {folder + name for name in files}
        sizes = _all(_list(client, prefix=folder), "Contents/Size")
        head = client.head(f"/s3/seedbed/{keys[0]}")
        assert head.headers["content-length"] == sizes[0]
        assert [head.headers["etag"]] == _all(_list(client, prefix=keys[0]), "Contents/ETag")
        named = _list(client, prefix=folder.rstrip("/"), delimiter="/")
        assert folder in _all(named, "CommonPrefixes/Prefix")
    for nothing in (
        "tiny-gpt9/main/",
        "tiny-gpt2/seven/",
        "tiny-gpt2/7/x/",
        "tiny-gpt2/7/model.x",
        "\x01",
    ):
        assert _all(_list(client, prefix=nothing), "Contents/Key") == []
    variant = "tiny-resnet.num_classes-3/7/"
    assert f"{variant}model.safetensors" in _all(_list(client, prefix=variant), "Contents/Key")


def test_pages(client: httpx.Client) -> None:
    """Whatever the size of pages, they are the same keys in order, in both versions of the API."""
    whole = _all(_list(client, prefix="tiny-gpt2/3/"), "Contents/Key")
    by_token: list[str] = []
    token: dict[str, str] = {}
    for _ in whole:
        answer = _list(client, prefix="tiny-gpt2/3/", max_keys="2", **token)
        by_token += _all(answer, "Contents/Key")
        if _all(answer, "IsTruncated") == ["false"]:
            break
        token = {"continuation_token": _all(answer, "NextContinuationToken")[0]}
    assert by_token == whole
    query = {"prefix": "tiny-gpt2/3/", "max-keys": "1", "marker": whole[0]}
    assert _all(client.get("/s3/seedbed", params=query), "Contents/Key") == whole[1:2]
    start = _list(client, prefix="tiny-gpt2/3/", start_after=whole[1])
    assert _all(start, "Contents/Key") == whole[2:]
    assert _all(_list(client, max_keys="0"), "IsTruncated") == ["false"]


def test_a_recursive_listing_of_everything_is_cut(client: httpx.Client) -> None:
    """A page plans a few presets alone, and the next ones go on; no key is lost or told twice."""
    keys: list[str] = []
    token: dict[str, str] = {}
    for _ in range(3):
        answer = _list(client, prefix="tiny-", **token)
        page = _all(answer, "Contents/Key")
        assert len({key.partition("/")[0] for key in page}) <= 4
        keys += page
        token = {"continuation_token": _all(answer, "NextContinuationToken")[0]}
    names = [
        name
        for name in _all(_list(client, delimiter="/"), "CommonPrefixes/Prefix")
        if name.startswith("tiny-")
    ]
    assert list(dict.fromkeys(key.partition("/")[0] + "/" for key in keys)) == names[:12]
    assert keys == sorted(set(keys))


def test_buckets(tmp_path: Path) -> None:
    """Each namespace is one, with its specs at any seed; others are none."""
    with serving(tmp_path) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        for name in ("b", "b.c", "b-c"):
            client.put(f"/v1/specs/team/{name}", json=SPEC).raise_for_status()
        assert _all(client.get("/s3/"), "Buckets/Bucket/Name") == ["seedbed", "team"]
        assert client.get("/s3").content == client.get("/s3/").content
        page = client.get("/s3", params={"max-buckets": 1})
        assert _all(page, "Buckets/Bucket/Name") == ["seedbed"]
        (token,) = _all(page, "ContinuationToken")
        page = client.get("/s3", params={"max-buckets": 1, "continuation-token": token})
        assert _all(page, "Buckets/Bucket/Name") == ["team"]
        assert _all(page, "ContinuationToken") == []
        page = client.get("/s3", params={"prefix": "te"})
        assert _all(page, "Buckets/Bucket/Name") == ["team"]
        assert _all(page, "Prefix") == ["te"]
        names = _all(_list(client, "team", delimiter="/"), "CommonPrefixes/Prefix")
        assert names == ["b-c/", "b.c/", "b/"]  # in the order of whole keys
        expected = client.get("/v1/specs/team/b/model.safetensors?seed=9").content
        assert client.get("/s3/team/b/seed-9/model.safetensors").content == expected
        assert len(_all(_list(client, "team"), "Contents/Key")) == 6
        assert (
            _all(_list(client, "team", prefix="d/", delimiter="/"), "CommonPrefixes/Prefix") == []
        )
        assert client.head("/s3/team").status_code == 200
        assert _all(client.get("/s3/team?location"), "nothing") == []
        assert _code(_list(client, "others")) == (404, "NoSuchBucket")
        assert client.head("/s3/others").status_code == 404
        assert _code(client.get("/s3/others/b/9/x")) == (404, "NoSuchKey")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("PUT", f"{TINY}/7/config.json", 405, "MethodNotAllowed"),
        ("DELETE", f"{TINY}/7/config.json", 405, "MethodNotAllowed"),
        ("POST", f"{TINY}/7/config.json?uploads", 405, "MethodNotAllowed"),
        ("PUT", "/s3/bucket", 405, "MethodNotAllowed"),
        ("GET", f"{TINY}/7/nothing", 404, "NoSuchKey"),
        ("GET", f"{TINY}/seven/config.json", 404, "NoSuchKey"),
        ("GET", "/s3/seedbed/nothing", 404, "NoSuchKey"),
        ("GET", f"{TINY}/7/config.json?versionId=1", 404, "NoSuchVersion"),
        ("GET", f"{TINY}/7/config.json?partNumber=2", 416, "InvalidPartNumber"),
        ("GET", f"{TINY}/7/config.json?partNumber=0", 400, "InvalidArgument"),
        ("GET", f"{TINY}/7/config.json?partNumber=x", 400, "InvalidArgument"),
        ("GET", f"{TINY}/7/config.json?tagging", 501, "NotImplemented"),
        ("GET", f"{TINY}/7/config.json?response-content-type=text/html", 501, "NotImplemented"),
        ("GET", "/s3?max-buckets=0", 400, "InvalidArgument"),
        ("GET", "/s3?continuation-token=!", 400, "InvalidArgument"),
        ("GET", "/s3/seedbed?acl", 501, "NotImplemented"),
        ("GET", "/s3/seedbed?delimiter=x", 501, "NotImplemented"),
        ("GET", "/s3/seedbed?max-keys=-1", 400, "InvalidArgument"),
        ("GET", "/s3/seedbed?list-type=3", 400, "InvalidArgument"),
        ("GET", "/s3/seedbed?list-type=2&continuation-token=!", 400, "InvalidArgument"),
    ],
)
def test_errors(client: httpx.Client, method: str, path: str, status: int, code: str) -> None:
    """Each is the one that S3 has for it, in XML."""
    assert _code(client.request(method, path)) == (status, code)


def test_where_reads_need_keys(tmp_path: Path) -> None:
    """The buckets are off, whatever is shown; where only writing needs one, they are there."""
    key = "seedbed_" + "a" * 43
    line = line_of("ci", frozenset({"read", "write"}), key)
    for anonymous, status in (("none", 403), ("read", 200)):
        with serving(tmp_path, api_keys=line, anonymous=anonymous) as server:
            for headers in (
                {},
                {"authorization": f"Bearer {key}"},
                {"authorization": "AWS4-HMAC-SHA256 x"},
            ):
                answer = httpx.get(f"{server.url}{TINY}/7/config.json", headers=headers)
                assert answer.status_code == status
                if status == 403:
                    assert _code(answer) == (403, "AccessDenied")
            refused = httpx.put(f"{server.url}{TINY}/7/config.json", content=b"x")
            assert _code(refused)[0] in {403, 405}
    assert not Settings(buckets="none").buckets_are_on
