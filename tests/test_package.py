"""What is released: a wheel and an sdist, and the wheel installed where there is no repository."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import httpx
import pytest
from packaging.metadata import Metadata

from seedbed.version import VERSION
from tests.processes import PATIENCE_SECONDS, environment, run, start, wait_until
from tests.serving import free_port

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both, as `make dist` makes them."""
    folder = tmp_path_factory.mktemp("dist")
    done = run(sys.executable, "-m", "hatchling", "build", "--directory", folder, cwd=ROOT)
    assert done.returncode == 0, done.stderr.decode()
    return folder


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has the wheel, its dependencies, and no repository.

    Dependencies are those of this environment. Its own Seedbed is found by a .pth file, and those
    count in an environment's own folder only, not in one that is added to it.
    """
    folder = tmp_path_factory.mktemp("empty") / "env"
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    paths = [path for path in sys.path if path.endswith("site-packages")]
    assert sysconfig.get_path("purelib") in paths
    (site / "dependencies.pth").write_text("\n".join(paths) + "\n")
    return folder / "bin"


def test_metadata_is_valid(dist: Path) -> None:
    """Both say version, description and licence, in the words of the standard."""
    with zipfile.ZipFile(dist / f"seedbed-{VERSION}-py3-none-any.whl") as wheel:
        text = wheel.read(f"seedbed-{VERSION}.dist-info/METADATA")
        scripts = wheel.read(f"seedbed-{VERSION}.dist-info/entry_points.txt").decode()
        assert f"seedbed-{VERSION}.dist-info/licenses/LICENSE" in wheel.namelist()
    with tarfile.open(dist / f"seedbed-{VERSION}.tar.gz") as sdist:
        inner = sdist.extractfile(f"seedbed-{VERSION}/PKG-INFO")
        assert inner is not None
        assert inner.read() == text
        names = {name.partition("/")[2] for name in sdist.getnames()}
    metadata = Metadata.from_email(text, validate=True)
    assert (metadata.name, str(metadata.version)) == ("seedbed", VERSION)
    assert metadata.license_expression == "Apache-2.0"
    assert metadata.description_content_type == "text/markdown"
    assert (metadata.description or "").startswith("# Seedbed")
    assert set(metadata.provides_extra or ()) == PROJECT["optional-dependencies"].keys()
    assert "seedbed = seedbed.cli:app" in scripts
    assert {"LICENSE", "README.md", "CHANGELOG.md", "Makefile", "docs/spec.md"} <= names


def test_the_sdist_makes_the_same_wheel(dist: Path, tmp_path: Path) -> None:
    """Nothing that the wheel needs is left out of the sdist."""
    with tarfile.open(dist / f"seedbed-{VERSION}.tar.gz") as sdist:
        sdist.extractall(tmp_path, filter="data")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    assert run(*command, cwd=tmp_path / f"seedbed-{VERSION}").returncode == 0
    held = []
    for folder in (dist, tmp_path):
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            held.append({one.filename: one.CRC for one in wheel.infolist()})
    assert held[0] == held[1]


def test_installed_it_works_without_the_repository(installed: Path, tmp_path: Path) -> None:
    """`generate` writes, `serve` serves files and the page, from the installed package alone."""
    variables = environment(SEEDBED_ENGINE="numpy", SEEDBED_REGISTRY_URL="none")
    where = "import seedbed; print(seedbed.__file__)"
    done = run(installed / "python", "-c", where, env=variables, cwd=tmp_path)
    assert done.stdout.decode().startswith(str(installed.parent))
    program = (installed / "python", "-m", "seedbed.cli")
    done = run(*program, "--version", env=variables, cwd=tmp_path)
    assert done.stdout.decode().startswith(f"seedbed {VERSION},")
    done = run(
        *program, "generate", "he_normal", "3x4", "-o", "w", "-q", env=variables, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr.decode()
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        service = start(
            *program, "serve", "--port", str(port),
            env=variables, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: ready(url) or service.poll() is not None, "the service to be ready")
        assert service.poll() is None, (tmp_path / "log").read_text()
        answer = httpx.get(f"{url}/v1/tensors/he_normal/3x4.safetensors")
        assert answer.content == (tmp_path / "w").read_bytes()
        page = httpx.get(url)
        assert page.headers["content-type"].startswith("text/html")
        assert httpx.get(f"{url}/docs").status_code == 200
        assert httpx.get(f"{url}/v1/models/tiny-gpt2/tokenizer.json").status_code == 200
    finally:
        service.terminate()
        service.wait(PATIENCE_SECONDS)


def ready(url: str) -> bool:
    """Whether a service answers."""
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_each_extra_is_explained() -> None:
    """The page about installing names this version, and each extra that a user may want."""
    text = (ROOT / "docs/installing.md").read_text(encoding="utf-8")
    assert set(re.findall(r"seedbed-([\d.]+)-py3", text)) == {VERSION}
    named = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}
    assert named == PROJECT["optional-dependencies"].keys() - {"dev", "interop", "mutants"}
