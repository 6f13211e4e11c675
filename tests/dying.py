"""Write a virtual file while being killed, again and again; run by test_disk in its own process.

Every child of this process is killed (SIGKILL, as by `kill -9`) just before its n-th system call
that touches a file, and in the middle of it where it is a write; n goes through all calls there
are. Says on standard output, as JSON, what it found.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seedbed import disk
from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.stream import NUMPY, get_engine

WINDOW = 1 << 16

SPEC = {"seed": 9, "tensors": [{"name": "w", "shape": [5 * WINDOW // 4 + 77], "init": "uniform"}]}

MOST_POINTS = 200
"""More calls than there are; whoever comes so far is killed at none."""

CALLS = ("open", "ftruncate", "pwrite", "fsync", "replace", "link", "unlink")


def die_at(count: int) -> None:
    """Let this process be killed at its `count`-th call from now on."""
    made = 0
    lock = threading.Lock()

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            nonlocal made
            with lock:
                made += 1
                if made == count:
                    if name == "pwrite":
                        descriptor, data, place = arguments
                        real(descriptor, data[: len(data) // 2], place)
                    os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **more)

        return call

    for name in CALLS:
        setattr(os, name, watched(name, getattr(os, name)))


def write(file: VirtualFile, target: Path, die: int = 0, *, replace: bool = True) -> bool:
    """Write in a child, which is killed at its `die`-th call; whether it lived to the end."""
    child = os.fork()
    if child == 0:
        die_at(die)
        disk.write(file, target, threads=2, window_bytes=WINDOW, replace=replace)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0 or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL)
    return status == 0


def main(directory: Path, way: str) -> None:
    """Kill at each point and mend; then kill many times over before mending.

    Args:
        directory: where to write.
        way: in which a complete file gets its name: `replace`, `rename` or `link`.
    """
    file = VirtualFile(CheckpointSpec.model_validate(SPEC), engine=get_engine(NUMPY))
    whole = hashlib.sha256(file.read(0, file.size)).hexdigest()
    replace = way == "replace"
    if way == "link":
        disk._rename_to_nothing = lambda _old, _new: False

    def is_whole(target: Path) -> bool:
        return hashlib.sha256(target.read_bytes()).hexdigest() == whole

    points, incomplete, unmended, left = 0, 0, 0, 0
    survived = False
    while not survived and points < MOST_POINTS:
        place = directory / str(points)
        place.mkdir()
        target = place / "w.safetensors"
        survived = write(file, target, points + 1, replace=replace)
        incomplete += target.exists() and not is_whole(target)
        unmended += not (write(file, target) and is_whole(target))
        left += len(list(place.iterdir())) - 1
        shutil.rmtree(place)
        points += not survived
    choice = random.Random(5)
    target = directory / "often.safetensors"
    deaths = 0
    for _ in range(25):
        if not replace:
            target.unlink(missing_ok=True)
        deaths += not write(file, target, choice.randrange(1, points), replace=replace)
        incomplete += target.exists() and not is_whole(target)
    unmended += not (write(file, target) and is_whole(target))
    left += len(list(directory.iterdir())) - 1
    found = {
        "points": points,
        "deaths": deaths,
        "incomplete": incomplete,
        "unmended": unmended,
        "left": left,
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
