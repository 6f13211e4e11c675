from __future__ import annotations

import inspect
import pickle
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from seedbed import errors
from seedbed.errors import Choices, LimitError, OutputError, SeedbedError, SpecError
from tests.strategies import untimed

CLASSES: dict[str, type[Exception]] = {
    name: kind
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, Exception)
}

_parts = st.lists(st.text() | st.integers(0), max_size=5).map(tuple)


def test_the_docstring_draws_the_whole_tree() -> None:
    """Every error is in the drawing, at its depth, under its parent, with the builtins it is."""
    drawn: list[tuple[int, str, str]] = [
        (len(line[: line.index(name)]) // 4, name, builtin or "")
        for line in (errors.__doc__ or "").splitlines()
        for name, builtin in re.findall(r"^ +[│├└─ ]*(\w+Error)(?: \((\w+)\))?", line)
    ]
    parents: dict[int, str] = {}
    assert [name for _, name, _ in drawn] == list(CLASSES)
    for depth, name, builtin in drawn:
        parents[depth] = name
        bases = [base.__name__ for base in CLASSES[name].__bases__]
        assert bases[0] == parents.get(depth - 1, "Exception")
        assert bases[1:] == ([builtin] if builtin else [])


def test_one_base_for_all() -> None:
    """Whoever catches SeedbedError catches everything that is raised on purpose."""
    assert all(issubclass(kind, SeedbedError) for kind in CLASSES.values())


SPEC_ERRORS = [kind for kind in CLASSES.values() if issubclass(kind, SpecError)]


@untimed
@given(st.sampled_from(SPEC_ERRORS), st.text(), _parts, st.lists(st.text()))
def test_spec_errors_carry_their_facts(kind: Any, message: str, path: Any, allowed: Any) -> None:
    """Message, place and what is allowed are attributes; the text is the message alone."""
    error = kind(message, path, allowed)
    assert (error.message, error.path, error.allowed) == (message, path, tuple(allowed))
    assert str(error) == message
    assert kind(message).path == ()
    assert kind(message).allowed == ()


@untimed
@given(st.sampled_from(SPEC_ERRORS), _parts, _parts)
def test_an_error_seen_from_outside(kind: Any, inner: Any, outer: Any) -> None:
    """Seen from an enclosing object the place is longer, and nothing else differs."""
    error = kind("wrong", inner, ("a", "b"))
    seen = error.within(*outer)
    assert type(seen) is kind
    assert seen.path == (*outer, *inner)
    assert (seen.message, seen.allowed) == (error.message, error.allowed)
    assert error.path == inner


def test_limit_errors_say_both_numbers() -> None:
    """The text names the setting, what was asked for and what is allowed."""
    error = LimitError("max_tensors", 12_345, 1000, "tensors")
    assert str(error) == "12,345 tensors asked for; max_tensors allows 1,000"


def test_output_errors_are_os_errors() -> None:
    """Their text is the message, without a number of the system's."""
    error: OSError = OutputError("no room")
    assert str(error) == "no room"
    assert error.errno is None


def test_choices_survive_another_process() -> None:
    """A list with the word that is not on it is whole again after it was pickled."""
    error = SpecError("x", ("a", 0), Choices(("b", "c"), "d", ("b", "c", "e")))
    error.others = (SpecError("y", ("z",)),)
    again = pickle.loads(pickle.dumps(error))
    assert (again.message, again.path, again.allowed) == (error.message, error.path, ("b", "c"))
    assert (again.allowed.word, again.allowed.known) == ("d", ("b", "c", "e"))
    assert again.others[0].path == ("z",)
    assert Choices((), 5).word == ""
