"""One spec, one file: what has one name is equal in every byte, over all kinds of spec."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from seedbed.errors import SeedbedError
from seedbed.files import Checkpoint, CheckpointSpec, VirtualFile, spec_from_token
from seedbed.init import SCHEMES
from tests.neighbours import Body, bodies_by_kind, neighbours, together
from tests.strategies import untimed

MAX_BYTES = 2**20

KINDS = sorted(bodies_by_kind())

MOST_CHANGES = 60
"""Of one builder of models that are tried; each takes milliseconds."""


class Look:
    """All that decides the bytes of a spec's files."""

    def __init__(self, spec: CheckpointSpec) -> None:
        self.spec = spec
        self.checkpoint = Checkpoint(spec)
        self.header = self.checkpoint.whole.header

    @cached_property
    def tensors(self) -> str:
        """Names, shapes, dtypes and fills in the order of the file; −0.0 is not 0.0."""
        return _short(
            [
                (one.name, one.shape, one.dtype.code, one.fill, one.guessed)
                for one in self.checkpoint.whole.tensors
            ]
        )

    @cached_property
    def files(self) -> Mapping[tuple[str, str], str]:
        """By name and ETag of each file what its bytes are a function of."""
        seed, whole = self.spec.seed, self.checkpoint.whole
        found = {(whole.name, whole.etag): _short((self.header, seed, self.tensors))}
        for name in {*self.checkpoint.names} - {whole.name}:
            file = self.checkpoint.file(name)
            assert file is not None
            decides = (file.header, seed, self.tensors) if isinstance(file, VirtualFile) else file
            content = decides if isinstance(decides, tuple) else file.read(0, file.size)
            found[name, file.etag] = _short(content)
        return found


def _short(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()


def look(body: Body) -> Look | None:
    """What a body means; none if it is refused."""
    try:
        return Look(CheckpointSpec.model_validate_json(json.dumps(body)))
    except (ValidationError, SeedbedError):
        return None


class Names:
    """Identities met so far, each with what it stands for."""

    def __init__(self) -> None:
        self._meanings: dict[object, object] = {}

    def add(self, one: Look) -> None:
        """Refuse a second meaning of a name, and a link that means something else."""
        spec = one.spec
        link = Look(spec_from_token(spec.token, MAX_BYTES))
        assert link.spec.canonical_json == spec.canonical_json
        assert link.spec.max_shard_size == spec.max_shard_size
        assert link.spec.files == spec.files
        assert link.tensors == one.tensors
        assert link.header == one.header
        assert link.files == one.files
        meanings: dict[object, object] = {
            spec.digest: (one.tensors, spec.framework, spec.metadata),
            **one.files,
        }
        for name, meaning in meanings.items():
            assert self._meanings.setdefault(name, meaning) == meaning, name


@pytest.mark.parametrize("kind", KINDS)
def test_one_change_is_another_name_or_no_change(kind: str) -> None:
    """Of a kind and all its neighbours, those of one name are one file, and links mean it."""
    body = bodies_by_kind()[kind]
    names = Names()
    within = ("tensors", 0, "init") if kind in SCHEMES else ()
    changes = [*neighbours(body, within)]
    some = (
        changes[:: 1 + len(changes) // MOST_CHANGES]
        if "preset" in body.get("model", {})
        else changes
    )
    sound = [one for one in map(look, (body, *some)) if one is not None]
    assert len(sound) > 2
    for one in sound:
        names.add(one)


@settings(untimed, max_examples=30)
@given(st.data())
def test_several_changes_one_after_the_other(data: st.DataObject) -> None:
    """Also of whole specs, of several kinds together and some steps away from any example."""
    kinds = data.draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=3))
    body = together([bodies_by_kind()[kind] for kind in kinds])
    names = Names()
    for _ in range(4):
        changes = [*neighbours(body)]
        start = data.draw(st.integers(0, len(changes) - 1))
        for change in (*changes[start:], *changes[:start])[:20]:  # many are refused
            if (one := look(change)) is not None:
                names.add(one)
                body = change
                break


# Rules overrule each other, and what they say does not always apply: lists of them are drawn from
# few patterns, so that they meet.

NORM = {"type": "batch_norm", "num_features": 2}
LINEAR = {"type": "linear", "in_features": 2, "out_features": 2}
RECURRENT = {"type": "gru", "input_size": 2, "hidden_size": 2}
RULED: list[Body] = [
    {
        "layers": [{**NORM, "name": "a"}, {**NORM, "name": "b"}],
        "tensors": [{"name": "t", "shape": [2], "same_as": "a.weight"}],
    },
    {
        "layers": [{**LINEAR, "name": "a"}, {**LINEAR, "name": "b", "same_as": "a"}],
        "tensors": [{"name": "t", "shape": [2], "init": "ones"}],
    },
    {"framework": "keras", "layers": [{**LINEAR, "name": "a"}, {**RECURRENT, "name": "b"}]},
    {
        "model": {
            "manifest": {
                "a.weight": [2, 2],
                "b.bias": {"shape": [2], "same_as": "t"},
                "a.num_batches_tracked": {"shape": [], "dtype": "I64"},
            }
        },
        "tensors": [{"name": "t", "shape": [2], "init": "ones"}],
    },
]
PATTERNS = ("*", "a.*", "*.weight", "*.bias", "a.bias", "t", "*tracked", "a.num*", "*.bias_*")
INITS = ("zeros", "ones", "normal", "orthogonal")
EQUALS = ("t", "a.weight", "b.*", "*", "a.bias")


def rules_of(*changes: st.SearchStrategy[Body], most: int) -> st.SearchStrategy[list[Body]]:
    """Lists of rules with a pattern and one or two of some changes each."""
    match = st.sampled_from(PATTERNS).map(lambda pattern: {"match": pattern})
    change = st.one_of(changes)
    one = st.builds(lambda *parts: {k: v for part in parts for k, v in part.items()}, match, change)
    two = st.builds(lambda rule, more: {**more, **rule}, one, change)
    return st.lists(st.one_of(one, two), min_size=1, max_size=most)


def says(key: str, *values: object) -> st.SearchStrategy[Body]:
    """One change that a rule makes."""
    return st.sampled_from(values).map(lambda value: {key: value})


_ANOTHER = {"init": {"scheme": "constant", "value": 5}, "dtype": "U8"}

DROPS = st.booleans().map(lambda drop: {"drop": drop})


@settings(untimed, max_examples=150)
@given(
    st.sampled_from(RULED),
    rules_of(
        says("init", *INITS),
        says("same_as", *EQUALS),
        says("dtype", "BF16", "I8", "I32", "F64"),
        DROPS,
        most=4,
    ),
)
def test_rules_that_overrule_each_other(body: Body, rules: list[Body]) -> None:
    """What a rule keeps others from deciding is in the canonical spec too, and links mean it."""
    for rule in rules:
        rule["optional"] = True
    if (one := look({**body, "rules": rules})) is not None:
        Names().add(one)


def test_every_two_rules_of_a_few() -> None:
    """Also of a narrow rule after a wide one, and where what they speak of is dropped."""
    patterns = ("a.*", "a.bias", "*tracked", "a.num*")
    changes = [*({"init": init} for init in INITS[1:]), {"dtype": "I32"}, {"dtype": "BF16"}]
    few = [{"match": match, "optional": True, **one} for match in patterns for one in changes]
    drop = {"match": "a.bias", "drop": True}
    for rules in product(few, few):
        for more in ((), (drop,)):
            if (one := look({**RULED[0], "rules": [*rules, *more]})) is not None:
                Names().add(one)


@settings(untimed, max_examples=100)
@given(
    st.sampled_from(RULED),
    rules_of(says("init", None), says("dtype", None), DROPS, most=3),
)
def test_every_part_of_an_accepted_rule_has_an_effect(body: Body, rules: list[Body]) -> None:
    """Whatever part of a rule says something else, there are other tensors, or it is refused."""
    dtypes = ("F64", "BF16", "F16")
    for index, rule in enumerate(rules):
        if "init" in rule:
            rule["init"] = {"scheme": "constant", "value": 10 + index}
        if "dtype" in rule:
            rule["dtype"] = dtypes[index]
    whole = look({**body, "rules": rules})
    if whole is None:
        return
    for index, rule in enumerate(rules):
        for key in rule.keys() - {"match"}:
            other_value = not rule[key] if key == "drop" else _ANOTHER[key]
            changed = [*rules[:index], {**rule, key: other_value}, *rules[index + 1 :]]
            other = look({**body, "rules": changed})
            assert other is None or other.tensors != whole.tensors, (rule, key)
