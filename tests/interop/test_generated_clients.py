"""Clients that are generated from the OpenAPI document, without a warning, call every tag."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.models import presets
from tests.interop.running import run
from tests.serving import PATIENCE_SECONDS, Server

pytestmark = pytest.mark.interop

DOCUMENT = Path(__file__).parents[2] / "openapi" / "openapi.json"

GENERATOR = Path(sys.prefix) / "client-generator"
"""openapi-python-client, apart: see tests/interop/client-generator.txt."""

SPEC = {
    "seed": 7,
    "layers": [
        {"type": "conv2d", "name": "stem", "in_channels": 3, "out_channels": 8, "kernel_size": 3}
    ],
    "tensors": [
        {"name": "a", "shape": [8, 4], "init": {"scheme": "he_normal", "gain": 3.0}},
        {"name": "b", "shape": [8], "dtype": "I32", "init": "zeros"},
        {"name": "c", "shape": [8, 4], "init": {"scheme": "HeNormal"}},
    ],
    "rules": [{"match": "stem.bias", "init": "ones"}],
}
"""What both clients say in their own words."""

TENSOR = {
    "seed": 42,
    "tensors": [
        {
            "name": "weight",
            "shape": [64, 32],
            "init": {"scheme": "he_normal", "gain": 2.0},
            "dtype": "F32",
        }
    ],
}

OTHER_TENSOR = {"tensors": [{"name": "weight", "shape": [64, 32], "init": "he_normal"}]}

PRESET = {"model": {"preset": "tiny-resnet", "num_classes": 5}}

IN_A_LINE = {"model": {**PRESET["model"], "layers": [1, 1, 1, 1]}}

Client = Callable[[Server], Any]


@pytest.fixture(scope="session")
def python_client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    """The client of openapi-python-client, generated with every warning an error."""
    place = tmp_path_factory.mktemp("python-client") / "generated"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # it calls ruff
    said = _python(
        ["-m", "openapi_python_client", "generate", "--fail-on-warning",
         "--path", str(DOCUMENT), "--output-path", str(place)],
        GENERATOR, PATH=path,
    )  # fmt: skip
    assert said.splitlines() == [f"Generating {place}"]
    script = Path(__file__).with_name("generated_client.py")
    return lambda server: json.loads(_python([str(script), server.url], place))


def _python(arguments: list[str], packages: Path, **environment: str) -> str:
    """What a Python program says, which finds these packages before all others."""
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        env={**os.environ, "PYTHONPATH": str(packages), **environment},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def typescript_client(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """openapi-fetch with the types of openapi-typescript, checked by tsc as strictly as it can."""
    folder = tmp_path_factory.mktemp("typescript-client") / "node"
    shutil.copytree(packages, folder, symlinks=True)
    bin_ = folder / "node_modules" / ".bin"
    said = run(
        bin_ / "openapi-typescript", DOCUMENT, "--default-non-nullable=false", "-o", "schema.d.ts",
        cwd=folder,
    )  # fmt: skip
    assert "warn" not in f"{said.stdout}{said.stderr}".lower()
    assert run(bin_ / "tsc", "--project", ".", cwd=folder).stdout == ""
    return lambda server: json.loads(run("node", folder / "built" / "client.js", server.url).stdout)


def sha256_of(spec: dict[str, Any], start: int = 0, stop: int | None = None) -> str:
    """Digest of a part of the file that a spec means."""
    file = VirtualFile(CheckpointSpec.model_validate(spec))
    return hashlib.sha256(bytes(file.read(start, stop or file.size))).hexdigest()


@pytest.mark.parametrize("kind", ["python", "typescript"])
def test_every_tag(server: Server, request: pytest.FixtureRequest, kind: str) -> None:
    """A generated client gets the right bytes, plans, stored specs, comparisons and problems."""
    said = request.getfixturevalue(f"{kind}_client")(server)
    spec = CheckpointSpec.model_validate(SPEC)
    whole = VirtualFile(spec)
    model = CheckpointSpec.model_validate(PRESET)
    file = VirtualFile(model)
    sizes = said["model"][1]
    assert sizes.pop("README.md") > 0
    name = {"python": "generated-py", "typescript": "generated-ts"}[kind]
    said["listed"] = [one for one in said["listed"] if "generated" in one]  # other tests store too
    assert said == {
        "tensor": sha256_of(TENSOR),
        "range": sha256_of(OTHER_TENSOR, 100, 200),
        "posted": sha256_of(SPEC),
        "spec_sha256": spec.digest,
        "names": [tensor.name for tensor in whole.tensors],
        "linked": sha256_of(SPEC, 0, 100),
        "resnets": [
            one.name
            for one in presets().values()
            if "resnet" in one.name or "resnet" in one.summary.lower()
        ],
        "model": [model.digest, {"model.safetensors": file.size}],
        "preset": sha256_of(PRESET),
        "preset in a line": sha256_of(IN_A_LINE),
        "kept": [spec.digest, spec.digest],
        "named": sha256_of({**SPEC, "seed": 8}),
        "listed": [f"team/{name}"],
        "deleted": 204,
        "catalogue": ["he_normal", "conv2d"],
        "compared": ["he_normal", "he_normal(gain=1.0)"],
        "advice": "he_normal",
        "operations": ["ready", True],
        "problems": [
            "urn:seedbed:problem:not-found",
            "urn:seedbed:problem:invalid-spec",
            422,
            "#/tensors/0/init",
        ],
    }
