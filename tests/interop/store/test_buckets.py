"""The service read as a bucket, by clients of S3 as they are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import obstore
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from obstore.store import S3Store

from seedbed.files import Checkpoint, spec_of_preset
from tests.processes import PATIENCE_SECONDS, environment, run, start, wait_until
from tests.serving import Server, free_port

pytestmark = pytest.mark.interop

NAME = "tiny-llama"
FOLDER = f"{NAME}/seed-42"
CLIENTS = Path(sys.prefix) / "s3-clients"
KEYS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """What the core makes of it."""
    checkpoint = Checkpoint(spec_of_preset(NAME, {"seed": "42"}))
    return {file.name: bytes(file.read(0, file.size)) for file in checkpoint.files()}


def _there(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _python(text: str, *arguments: str | Path, **variables: str) -> str:
    """What a program prints that has the clients of an environment apart."""
    told = environment(PYTHONPATH=str(CLIENTS), **KEYS, **variables)
    done = run(sys.executable, "-c", text, *arguments, env=told)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture(scope="module", params=["unsigned", "signed"])
def client(server: Server, request: pytest.FixtureRequest) -> Iterator[Any]:
    """boto3, with and without signatures."""
    more = {"signature_version": UNSIGNED} if request.param == "unsigned" else {}
    made = boto3.client(
        "s3", endpoint_url=f"{server.url}/s3", region_name="us-east-1", aws_access_key_id="any",
        aws_secret_access_key="any", config=Config(proxies={}, **more),
    )  # fmt: skip
    yield made
    made.close()


def test_boto3(client: Any, files: dict[str, bytes], tmp_path: Path) -> None:
    """Listings by pages, heads, downloads in parts, ranges, conditions and refusals."""
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket="seedbed", Prefix=f"{FOLDER}/", PaginationConfig={"PageSize": 4}
    )
    listed = {o["Key"]: o["Size"] for page in pages for o in page["Contents"]}
    assert listed == {f"{FOLDER}/{name}": len(content) for name, content in files.items()}
    key, weights = f"{FOLDER}/model.safetensors", files["model.safetensors"]
    head = client.head_object(Bucket="seedbed", Key=key)
    assert head["ContentLength"] == len(weights)
    client.download_file("seedbed", key, str(tmp_path / "w"))
    assert (tmp_path / "w").read_bytes() == weights
    part = client.get_object(Bucket="seedbed", Key=key, Range="bytes=8-99", IfMatch=head["ETag"])
    assert part["Body"].read() == weights[8:100]
    assert client.get_bucket_location(Bucket="seedbed")["LocationConstraint"] is None
    assert "seedbed" in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    assert client.head_bucket(Bucket="seedbed")["BucketRegion"] == "us-east-1"
    pages = client.get_paginator("list_buckets").paginate(PaginationConfig={"PageSize": 1})
    assert "seedbed" in {bucket["Name"] for page in pages for bucket in page["Buckets"]}
    bare = head["ETag"].strip('"')
    part = client.get_object(Bucket="seedbed", Key=key, PartNumber=1, IfMatch=bare)
    assert part["Body"].read() == weights
    for code, call in (
        ("NoSuchKey", lambda: client.get_object(Bucket="seedbed", Key=f"{FOLDER}/none")),
        ("NoSuchBucket", lambda: client.list_objects_v2(Bucket="nobody-s")),
        ("PreconditionFailed", lambda: client.get_object(Bucket="seedbed", Key=key, IfMatch='"x"')),
        (
            "InvalidRange",
            lambda: client.get_object(Bucket="seedbed", Key=key, Range="bytes=9999999-"),
        ),
        ("MethodNotAllowed", lambda: client.put_object(Bucket="seedbed", Key=key, Body=b"x")),
        ("MethodNotAllowed", lambda: client.delete_object(Bucket="seedbed", Key=key)),
        ("MethodNotAllowed", lambda: client.create_multipart_upload(Bucket="seedbed", Key=key)),
    ):
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["Error"]["Code"] == code


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_signed_urls(server: Server, files: dict[str, bytes], version: str) -> None:
    """An object by a URL that boto3 has signed, in the older way and in the newer."""
    client = boto3.client(
        "s3", endpoint_url=f"{server.url}/s3", region_name="us-east-1", aws_access_key_id="any",
        aws_secret_access_key="any", config=Config(signature_version=version),
    )  # fmt: skip
    key = {"Bucket": "seedbed", "Key": f"{FOLDER}/config.json"}
    url = client.generate_presigned_url("get_object", Params=key, ExpiresIn=60)
    client.close()
    assert "Signature=" in url
    assert httpx.get(url, trust_env=False).content == files["config.json"]


@pytest.mark.parametrize("unsigned", [True, False])
def test_obstore(server: Server, files: dict[str, bytes], *, unsigned: bool) -> None:
    """Listed, whole and in ranges."""
    store = S3Store(
        "seedbed", prefix=FOLDER, endpoint=f"{server.url}/s3", skip_signature=unsigned,
        access_key_id="any", secret_access_key="any", region="us-east-1",
        client_options={"allow_http": True},
    )  # fmt: skip
    there = {o["path"]: o["size"] for page in obstore.list(store) for o in page}
    assert there == {name: len(content) for name, content in files.items()}
    for name, content in files.items():
        assert bytes(obstore.get(store, name).bytes()) == content
    part = obstore.get_range(store, "model.safetensors", start=1000, end=2000)
    assert bytes(part) == files["model.safetensors"][1000:2000]


@pytest.mark.parametrize("how", ["", "--no-sign-request"])
def test_aws(server: Server, files: dict[str, bytes], tmp_path: Path, how: str) -> None:
    """`aws s3 cp --recursive` has all files, and `ls` shows the tree."""
    words = [word for word in ("--endpoint-url", f"{server.url}/s3", how) if word]
    call = "import sys; from awscli.clidriver import main; sys.exit(main())"
    _python(call, *words, "s3", "cp", f"s3://seedbed/{FOLDER}/", tmp_path / "out", "--recursive")
    assert _there(tmp_path / "out") == files
    assert f"PRE {NAME}/" in _python(call, *words, "s3", "ls", "s3://seedbed/")
    assert "seedbed" in _python(call, *words, "s3", "ls", "--page-size", "1")
    same = ("s3", "sync", f"s3://seedbed/{FOLDER}/", tmp_path / "out", "--no-progress")
    assert _python(call, *words, *same) == ""


def test_s3fs(server: Server, files: dict[str, bytes], tmp_path: Path) -> None:
    """A file system: listed, asked about, read at a place, and copied."""
    text = """
import json, sys, s3fs
url, folder, out = sys.argv[1:]
fs = s3fs.S3FileSystem(anon=True, endpoint_url=url)
assert fs.isdir(folder) and not fs.exists(folder + "/none")
with fs.open(folder + "/model.safetensors") as file:
    file.seek(5000)
    part = file.read(100)
fs.get(folder + "/", out, recursive=True)
print(json.dumps([fs.ls(folder), part.hex()]))
"""
    said = _python(text, f"{server.url}/s3", f"seedbed/{FOLDER}", tmp_path / "out")
    listed, part = json.loads(said)
    assert sorted(listed) == sorted(f"seedbed/{FOLDER}/{name}" for name in files)
    assert bytes.fromhex(part) == files["model.safetensors"][5000:5100]
    assert _there(tmp_path / "out") == files


def _answers(process: subprocess.Popen[bytes], http: httpx.Client) -> bool:
    assert process.poll() is None
    try:
        return http.get("").is_success
    except httpx.TransportError:
        return False


def test_rclone(server: Server, files: dict[str, bytes], tmp_path: Path) -> None:
    """A copy that rclone finds equal, size and content, a range of a file, and both served on."""
    config = tmp_path / "rclone.conf"
    config.write_text(
        f"[s]\ntype = s3\nprovider = Other\nendpoint = {server.url}/s3\nenv_auth = true\n"
    )
    out = tmp_path / "out"

    def rclone(*words: str | Path) -> bytes:
        done = run("rclone", "--config", config, *words, env=environment(**KEYS))
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    rclone("copy", f"s:seedbed/{FOLDER}", out)
    assert _there(out) == files
    rclone("check", "--download", f"s:seedbed/{FOLDER}", out)
    weights = f"s:seedbed/{FOLDER}/model.safetensors"
    part = rclone("cat", "--offset", "1000", "--count", "50", weights)
    assert part == files["model.safetensors"][1000:1050]
    address = f"127.0.0.1:{free_port()}"
    words = ("serve", "http", f"s:seedbed/{FOLDER}", "--addr", address, "--read-only")
    process = start("rclone", "--config", config, *words, env=environment(**KEYS))
    try:
        with httpx.Client(base_url=f"http://{address}", trust_env=False) as http:
            wait_until(lambda: _answers(process, http), "rclone to serve")
            part = http.get("model.safetensors", headers={"range": "bytes=1000-1049"}).content
            assert part == files["model.safetensors"][1000:1050]
            assert {name: http.get(name).content for name in files} == files
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize("how", ["", "--no-sign-request"])
def test_s5cmd(server: Server, files: dict[str, bytes], tmp_path: Path, how: str) -> None:
    """Everything under a prefix at once, and the tree."""

    def s5cmd(*words: str | Path) -> str:
        options = [word for word in ("--endpoint-url", f"{server.url}/s3", how) if word]
        done = run(CLIENTS / "s5cmd/bin/s5cmd", *options, *words, env=environment(**KEYS))
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    s5cmd("cp", f"s3://seedbed/{FOLDER}/*", f"{tmp_path / 'out'}/")
    assert _there(tmp_path / "out") == files
    assert f"{NAME}/" in s5cmd("ls", "s3://seedbed/")


def test_runai_model_streamer(server: Server, files: dict[str, bytes], tmp_path: Path) -> None:
    """The loader that vLLM uses streams tensors from the bucket, equal to the file's."""
    (tmp_path / "model.safetensors").write_bytes(files["model.safetensors"])
    text = """
import sys
from runai_model_streamer import SafetensorsStreamer
from safetensors.torch import load_file
expected = load_file(sys.argv[2])
with SafetensorsStreamer() as streamer:
    streamer.stream_files([sys.argv[1]])
    streamed = {name: tensor.clone() for name, tensor in streamer.get_tensors()}
assert streamed.keys() == expected.keys()
assert all(streamed[name].equal(expected[name]) for name in expected)
"""
    _python(
        text, f"s3://seedbed/{FOLDER}/model.safetensors", tmp_path / "model.safetensors",
        AWS_ENDPOINT_URL=f"{server.url}/s3", RUNAI_STREAMER_S3_USE_VIRTUAL_ADDRESSING="0",
        AWS_EC2_METADATA_DISABLED="true",
    )  # fmt: skip
