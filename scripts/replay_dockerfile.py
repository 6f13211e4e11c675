"""Carry out the Dockerfile without a Docker engine, and try what comes out.

    sudo .venv/bin/python scripts/replay_dockerfile.py /var/tmp/replay

Each stage is a Debian made by debootstrap, of the release that the base image names and with that
release's own Python, which must have the version that the image's name promises. The steps are the
Dockerfile's own: RUN in a chroot, COPY from the files that .dockerignore lets through. Then the
service is started as the image would be: its entry point as process 1, its user, its environment, a
root file system that cannot be written but for its volumes; and without Numba, so that it must have
been compiled at the build. It must pass the image's own health check, send the bytes that this
repository's NumPy definition makes, store a spec, and end on the stop signal.

What this does not replay: the base image itself, image layers, and an engine's network. Needs
root, debootstrap, util-linux, and a package index for pip.
"""

from __future__ import annotations

import fnmatch
import json
import os
import posixpath
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.files.one_tensor import spec_of_one
from seedbed.stream import get_engine

ROOT = Path(__file__).parent.parent
PATIENCE_SECONDS = 300.0

PASSED_ON = ("PIP_CERT", "PIP_INDEX_URL", "http_proxy", "https_proxy", "no_proxy")
"""What pip may need to reach its index; in a build an engine would see to it."""

ENTER = """\
mount -t proc proc "$0/proc"
mount --rbind /dev "$0/dev"
mount --bind /etc/resolv.conf "$0/etc/resolv.conf"
mount --bind /etc/ssl/certs "$0/etc/ssl/certs"
exec chroot "$@"
"""
READ_ONLY = """\
mount --bind "$0" "$0"
mount -o remount,bind,ro "$0"
for volume in $VOLUMES; do
    owner=$(stat --format=uid=%u,gid=%g,mode=%a "$0$volume")
    mount -t tmpfs -o "$owner" none "$0$volume"
done
for numba in "$0"/opt/seedbed/lib/python*/site-packages/numba; do mount -t tmpfs none "$numba"; done
"""


@dataclass
class Stage:
    """A root file system in the making, and what an image says of itself."""

    root: Path
    name: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    user: str = "0:0"
    health: list[str] = field(default_factory=list)
    entry_point: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    stop_signal: str = "SIGTERM"
    volumes: list[str] = field(default_factory=list)

    def process(self, argv: Sequence[str], *, read_only: bool = False) -> list[str]:
        """The command that runs another in this root, as its user, in mounts of its own."""
        script = "set -e\n" + READ_ONLY * read_only + ENTER
        variables = [f"{name}={text}" for name, text in self.environment.items()]
        enter = ["sh", "-c", script, str(self.root), f"--userspec={self.user}", "--groups="]
        step = 'cd "$0"; exec "$@"'
        run = ["env", "-i", *variables, "sh", "-c", step, self.directory, *argv]
        volumes = f"VOLUMES={' '.join(self.volumes)}"
        return ["env", volumes, "unshare", "--mount", *enter, str(self.root), *run]


def parse(text: str) -> Iterator[tuple[str, str]]:
    """Instructions of a Dockerfile, continued lines joined and comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    for line in joined.splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield name.upper(), rest.strip()


def context() -> list[Path]:
    """The files that an engine would be sent: those that .dockerignore lets through."""
    patterns = [
        line.strip()
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return [
        Path(name)
        for name in tracked.split("\0")
        if name and (ROOT / name).is_file() and _sent(Path(name), patterns)
    ]


def _sent(path: Path, patterns: Sequence[str]) -> bool:
    """Whether the last pattern that matches a file or a folder around it lets it through."""
    sent = True
    for pattern in patterns:
        glob = pattern.removeprefix("!")
        names = [path, *path.parents[:-1]]
        if any(fnmatch.fnmatch(str(name), glob.removeprefix("**/")) for name in names) or (
            glob.startswith("**/") and glob[3:] in path.parts
        ):
            sent = pattern.startswith("!")
    return sent


def debian(image: str, work: Path) -> Path:
    """A root file system in place of an image `python:VERSION-slim-RELEASE`.

    Raises:
        SystemExit: the image is not of that kind, or the release's Python has another version.
    """
    match = re.fullmatch(r"python:(\d+\.\d+)-slim-(\w+)", image)
    if match is None:
        raise SystemExit(f"no way to stand in for the image {image!r}")
    python, release = match.groups()
    root = work / f"base-{release}"
    if not (root / "usr/local/bin/python").exists():
        shutil.rmtree(root, ignore_errors=True)
        include = "--include=python3,python3-venv,ca-certificates"
        subprocess.run(["debootstrap", "--variant=minbase", include, release, root], check=True)
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    found = str((root / "usr/bin/python3").readlink())
    if found != f"python{python}":
        raise SystemExit(f"{release} has {found}, not {python}")
    return root


def build(work: Path) -> Stage:
    """Carry out every step; gives the last stage."""
    stages: list[Stage] = []
    arguments: dict[str, str] = {}
    for name, rest in parse((ROOT / "Dockerfile").read_text()):
        print(f"\n── {name} {rest}", flush=True)
        if name == "ARG" and not stages:
            key, _, default = rest.partition("=")
            arguments[key] = default
        elif name == "FROM":
            image, _, alias = expand(rest, arguments).partition(" AS ")
            root = work / f"stage-{len(stages)}"
            shutil.rmtree(root, ignore_errors=True)
            subprocess.run(["cp", "-a", "--reflink=auto", debian(image, work), root], check=True)
            path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
            stages.append(Stage(root, alias, {"PATH": path}))
        else:
            carry_out(name, rest, stages)
    return stages[-1]


def carry_out(name: str, rest: str, stages: Sequence[Stage]) -> None:
    """One instruction, on the last stage."""
    stage = stages[-1]
    if name == "RUN":
        network = {key: os.environ[key] for key in PASSED_ON if key in os.environ}
        step = replace(stage, environment={**network, **stage.environment})
        subprocess.run(step.process(["/bin/sh", "-c", rest]), check=True)
    elif name == "COPY":
        copy(rest, stages)
    elif name == "ENV":
        for assignment in shlex.split(rest):
            key, _, text = assignment.partition("=")
            stage.environment[key] = expand(text, stage.environment)
    elif name == "WORKDIR":
        stage.directory = posixpath.join(stage.directory, rest)
        _inside(stage, stage.directory).mkdir(parents=True, exist_ok=True)
    else:
        record(name, rest, stage)


def record(name: str, rest: str, stage: Stage) -> None:
    """What an image says of itself.

    Raises:
        SystemExit: an instruction that this script does not know.
    """
    if name == "USER":
        stage.user = rest
    elif name == "HEALTHCHECK":
        stage.health = json.loads(rest[rest.index("CMD") + 3 :])
    elif name == "ENTRYPOINT":
        stage.entry_point = json.loads(rest)
    elif name == "CMD":
        stage.command = json.loads(rest)
    elif name == "VOLUME":
        stage.volumes += shlex.split(rest)
    elif name == "STOPSIGNAL":
        stage.stop_signal = rest
    elif name not in ("LABEL", "EXPOSE"):
        raise SystemExit(f"this script does not know {name}")


def copy(rest: str, stages: Sequence[Stage]) -> None:
    """COPY, from the context or from another stage.

    Raises:
        SystemExit: there is nothing to copy.
    """
    *words, target = shlex.split(rest)
    to = _inside(stages[-1], posixpath.join(stages[-1].directory, target))
    if words[0].startswith("--from="):
        origins = {f"--from={stage.name}": stage for stage in stages}
        origin = origins[words.pop(0)]
        for source in words:
            shutil.copytree(_inside(origin, source), to, symlinks=True, dirs_exist_ok=True)
        return
    for source in words:
        found = [path for path in context() if path.is_relative_to(source)]
        if not found:
            raise SystemExit(f"COPY finds no {source}, or .dockerignore hides it")
        for path in found:
            below = path.relative_to(source) if path != Path(source) else Path(path.name)
            (to / below).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, to / below)


def expand(text: str, environment: Mapping[str, str]) -> str:
    """A text with the values of variables, of the image or of its build."""
    return re.sub(r"\$\{?(\w+)\}?", lambda match: environment.get(match[1], ""), text)


def _inside(stage: Stage, path: str) -> Path:
    return stage.root / path.lstrip("/")


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def trial(stage: Stage, log: Path) -> None:
    """Start the service as the image would, and hold it to what the docstring above says.

    Raises:
        SystemExit: it fails.
    """
    port = free_port()
    ports = {"SEEDBED_PORT": str(port), "SEEDBED_PROBE_PORT": str(free_port())}
    image = replace(stage, environment={**stage.environment, **ports})
    started = time.monotonic()
    with log.open("wb") as out:
        outer = subprocess.Popen(
            _as_process_1(image.process([*stage.entry_point, *stage.command], read_only=True)),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        while subprocess.run(
            image.process(stage.health), capture_output=True, check=False
        ).returncode:
            if outer.poll() is not None or time.monotonic() - started > PATIENCE_SECONDS:
                raise SystemExit(f"the service is not healthy:\n{log.read_text()}")
            time.sleep(0.2)
        print(f"healthy after {time.monotonic() - started:.1f} s")
        service = int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text())
        status = Path(f"/proc/{service}/status").read_text()
        print(re.findall(r"^[UG]id:.+$", status, re.MULTILINE))
        root = replace(image, user="0:0")
        attempt = root.process(["sh", "-c", ": > /tmp/x || : > /opt/seedbed/x"], read_only=True)
        if not subprocess.run(attempt, capture_output=True, check=False).returncode:
            raise SystemExit("the root file system can be written")
        compare(f"http://127.0.0.1:{port}")
        os.kill(service, signal.Signals[stage.stop_signal])
        outer.wait(60)
        print(f"ended on {stage.stop_signal}")
    finally:
        outer.kill()
    ready = re.search(r'"engine": "(\w+)"', log.read_text())
    if ready is None or ready[1] == "numpy":
        raise SystemExit(f"the kernels compiled at the build were not used:\n{log.read_text()}")
    print(f"drawn by the kernel {ready[1]}, compiled at the build")


def _as_process_1(command: Sequence[str]) -> list[str]:
    at = command.index("unshare") + 1
    return [*command[:at], "--pid", "--fork", "--kill-child", *command[at:]]


def compare(url: str) -> None:
    """Hold what the service sends equal to the NumPy definition.

    Raises:
        SystemExit: a byte differs.
    """
    body = (ROOT / "examples" / "mlp.json").read_bytes()
    by_post = urllib.request.Request(
        f"{url}/v1/checkpoints", body, {"Content-Type": "application/json"}
    )
    by_get = urllib.request.Request(f"{url}/v1/tensors/he_normal/256x784.safetensors?seed=42")
    for request, spec in (
        (by_get, spec_of_one("he_normal", "256x784", {"seed": "42"})),
        (by_post, CheckpointSpec.model_validate_json(body)),
    ):
        with urllib.request.urlopen(request) as response:
            sent = response.read()
        if sent != b"".join(VirtualFile(spec, engine=get_engine("numpy")).chunks()):
            raise SystemExit("the image sends other bytes than the definition makes")
        print(f"{request.get_method()}: {len(sent):,} bytes as the definition makes them")
    named = urllib.request.Request(
        f"{url}/v1/specs/team/mlp", body, {"Content-Type": "application/json"}, method="PUT"
    )
    with urllib.request.urlopen(named) as response:
        print(f"PUT: {response.status}, a spec is stored in the volume")


def main(arguments: Sequence[str]) -> None:
    """Build and try, in a directory that is kept for the next time."""
    if len(arguments) != 1:
        raise SystemExit(__doc__)
    work = Path(arguments[0]).resolve()
    work.mkdir(parents=True, exist_ok=True)
    image = build(work)
    print()
    trial(image, work / "service.log")


if __name__ == "__main__":
    main(sys.argv[1:])
