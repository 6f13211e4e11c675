"""A scope in which a model is built and no variable is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras.src.backend.common import global_state

_WAITING, _NUMBERS = "uninitialized_variables", "object_name_uids"


@contextmanager
def undrawn() -> Iterator[Any]:
    """Let variables wait for ever, and be numbered as in a fresh process: `dense`, `dense_1`.

    What waited and was numbered before does so afterwards; these are of this thread.
    """
    before = {name: global_state.get_global_attribute(name) for name in (_WAITING, _NUMBERS)}
    global_state.set_global_attribute(_WAITING, [])
    global_state.set_global_attribute(_NUMBERS, None)
    try:
        with keras.StatelessScope(initialize_variables=False) as scope:
            yield scope
    finally:
        for name, value in before.items():
            global_state.set_global_attribute(name, value)


def built(build: Callable[[], Any]) -> list[tuple[Any, Any]]:
    """The variables that a model's file holds, each with its initialiser, in order.

    One that has been given other values since has none.
    """
    with undrawn() as scope:
        return [
            (v, v._initializer if scope.get_current_value(v) is None else None)
            for v in build().weights
        ]
