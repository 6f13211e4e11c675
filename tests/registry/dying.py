"""Write to a registry while being killed, again and again; run by the suite in its own process.

Children of this process are killed (SIGKILL, as by `kill -9`) before each statement of a write and
before it is committed, then at random moments of many writes. Says on standard output, as JSON,
what it found.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import event

from seedbed.errors import UnknownSpecError
from seedbed.files import CheckpointSpec
from seedbed.registry import Database, Expected, SpecId, SpecStore, etag_of, registry_url

NAME = SpecId.of("team", "net")

ANYWAY = Expected(anything=True)

ROUNDS = 10
"""Deaths at random moments."""

ROOM_BYTES = 50_000
"""Blanks at the end of a text, so that storing it takes many pages."""


def text_of(elements: int) -> bytes:
    """A spec's JSON, with room for a death."""
    tensor = {"name": "w", "shape": [elements], "init": "zeros"}
    return json.dumps({"tensors": [tensor]}).encode() + b" " * ROOM_BYTES


def store_at(url: str, before: Callable[[], None] = lambda: None) -> SpecStore:
    """A store that calls `before` before each statement, and before it commits."""
    database = Database(registry_url(url), 1, 60.0)
    for engine in database.engines:
        for name in ("before_cursor_execute", "commit"):
            event.listen(engine, name, lambda *_: before())
    return SpecStore(database)


def put(store: SpecStore, elements: int, expected: Expected) -> None:
    """Store one of the texts."""
    text = text_of(elements)
    store.put(NAME, text, CheckpointSpec.model_validate_json(text), expected)


def in_child(work: Callable[[], None]) -> bool:
    """Do something in a child; whether it lived to the end."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0 or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL)
    return status == 0


def is_whole(store: SpecStore) -> bool:
    """Whether all that is stored fits together."""
    try:
        stored = store.get(NAME)
    except UnknownSpecError:
        return store.versions(NAME) == ()
    contents = store.versions(NAME)
    return (
        etag_of(stored.text) == stored.entry.etag
        and stored.content in contents
        and all(content.spec().digest == content.digest for content in contents)
    )


def die_at_every_point(url: str) -> dict[str, int]:
    """Kill before each statement of creating, replacing and deleting."""
    writes: tuple[tuple[int, Callable[[SpecStore], None]], ...] = (
        (0, lambda store: put(store, 1, Expected(nothing=True))),
        (1, lambda store: put(store, 2, ANYWAY)),
        (1, lambda store: store.delete(NAME, ANYWAY)),
    )
    points = half = unusable = 0
    keeper = store_at(url)
    for there, write in writes:
        survived, point = False, 0
        while not survived:
            point += 1
            if keeper.versions(NAME):
                keeper.delete(NAME, Expected())
            if there:
                put(keeper, there, Expected())
            survived = in_child(partial(_dying_at, url, point, write))
            half += not is_whole(keeper)
            try:
                put(keeper, 9, Expected(anything=bool(keeper.versions(NAME))))
            except Exception:  # noqa: BLE001  # whatever it is, it is counted
                unusable += 1
        points += point - 1
    keeper.close()
    return {"points": points, "half": half, "unusable": unusable}


def _dying_at(url: str, point: int, write: Callable[[SpecStore], None]) -> None:
    made = 0

    def count() -> None:
        nonlocal made
        made += 1
        if made == point and armed:
            os.kill(os.getpid(), signal.SIGKILL)

    armed = False
    store = store_at(url, count)
    store.open()
    made, armed = 0, True
    write(store)


def die_at_random(url: str) -> dict[str, int]:
    """Kill a child that replaces as fast as it can; what it was told is stored must be there."""
    choice = random.Random(3)
    acknowledged = half = forgotten = 0
    keeper = store_at(url)
    if not keeper.versions(NAME):
        put(keeper, 1, Expected())
    keeper.close()
    for round_ in range(ROUNDS):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            store = store_at(url)
            for i in range(1_000_000):
                elements = 1000 * round_ + i + 10
                put(store, elements, ANYWAY)
                os.write(writer, elements.to_bytes(8, "little"))
        os.close(writer)
        select.select([reader], [], [], 60)  # the first answer
        time.sleep(choice.random() * 0.05)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        told = b""
        while more := os.read(reader, 1 << 16):
            told += more
        os.close(reader)
        answers = [int.from_bytes(told[i : i + 8], "little") for i in range(0, len(told), 8)]
        acknowledged += len(answers)
        keeper = store_at(url)
        half += not is_whole(keeper)
        (size,) = keeper.get(NAME).content.spec().tensors[0].shape
        # The last one answered, or the one after it, whose answer was not given any more.
        forgotten += size not in (answers[-1], answers[-1] + 1)
        keeper.close()
    return {"acknowledged": acknowledged, "half": half, "forgotten": forgotten}


def main(url: str) -> dict[str, Any]:
    """Everything, added up."""
    first, second = die_at_every_point(url), die_at_random(url)
    return {name: first.get(name, 0) + second.get(name, 0) for name in {*first, *second}}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1])))
