from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.errors import IdError
from seedbed.registry import RESERVED, SpecId
from tests.strategies import untimed

INNER = string.ascii_letters + string.digits + "_-."


@pytest.mark.parametrize(
    "part", ["a", "_", "7", "a.b", "A-b_c.d", "x" * 96, "git", "a.gitx", ".x"[1:]]
)
def test_what_hub_clients_take(part: str) -> None:
    """Letters, digits, _ and, within, - and . make a namespace or a name."""
    assert SpecId.of(part, part) == (part, part)
    assert SpecId.parse(f"{part}/{part}") == SpecId(part, part)
    assert str(SpecId(part, "y")) == f"{part}/y"


@pytest.mark.parametrize(
    "part",
    [
        "", " ", "-a", "a-", ".a", "a.", "a--b", "a..b", "a.git", "x" * 97, "a/b", "a b", "a\n",
        "ä", "a%2Fb", "a\0", "..", ".", "a@b", "a:b", "a=b", "\u0663", "a\u200b",
    ],
)  # fmt: skip
@pytest.mark.parametrize("which", ["namespace", "name"])
def test_what_they_refuse(part: str, which: str) -> None:
    """Anything else is refused, and the error says which part it is and what would do."""
    parts = {"namespace": "a", "name": "b", which: part}
    with pytest.raises(IdError) as caught:
        SpecId.of(**parts)
    assert caught.value.path == (which,)
    assert "96 letters" in caught.value.allowed[0]


@pytest.mark.parametrize("namespace", sorted(RESERVED))
@pytest.mark.parametrize("spelled", [str.lower, str.upper, str.title])
def test_reserved(namespace: str, spelled: type[str]) -> None:
    """Namespaces that paths would be taken for are nobody's, however they are spelled."""
    with pytest.raises(IdError, match="reserved"):
        SpecId.of(spelled(namespace), "x")
    assert SpecId.of("x", namespace).name == namespace


@untimed
@given(st.text(INNER, max_size=100))
def test_grammar(part: str) -> None:
    """A part is taken exactly if it keeps each rule of the grammar, one by one."""
    sound = (
        1 <= len(part) <= 96
        and not part.startswith(("-", "."))
        and not part.endswith(("-", ".", ".git"))
        and "--" not in part
        and ".." not in part
    )
    try:
        SpecId.of("x", part)
    except IdError:
        assert not sound
    else:
        assert sound
