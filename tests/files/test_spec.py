from __future__ import annotations

import base64
import hashlib
import json
import random
import string
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from seedbed.errors import TokenError
from seedbed.files import CheckpointSpec, VirtualFile, seed_to_json, spec_from_token
from seedbed.init import LAYERS, SCHEMES
from seedbed.stream import DTYPES, NUMPY, SEED_MAX, Dtype, get_engine
from tests.strategies import FLOATS, bodies, names, seeds, specs, untimed

MAX_BYTES = 2**20

TINY: dict[str, Any] = {"tensors": [{"name": "a", "shape": [2], "init": "zeros"}]}


def spec_of(**fields: Any) -> CheckpointSpec:
    """A spec of one small tensor and these fields, from JSON text."""
    return CheckpointSpec.model_validate_json(json.dumps({**TINY, **fields}))


def findings(text: str | bytes) -> list[tuple[tuple[str | int, ...], str]]:
    """Places and messages of what is wrong with JSON text."""
    with pytest.raises(ValidationError) as caught:
        CheckpointSpec.model_validate_json(text)
    return [(one["loc"], one["msg"]) for one in caught.value.errors(include_input=False)]


# Seeds


@untimed
@given(seeds)
def test_seeds_are_numbers_or_decimal_strings(seed: int) -> None:
    """Any 64-bit seed is read in either form, and written as a string where JavaScript needs it."""
    assert spec_of(seed=seed).seed == spec_of(seed=str(seed)).seed == seed
    written = seed_to_json(seed)
    assert int(written) == seed
    assert isinstance(written, int) == (seed == int(float(seed)) and seed < 2**53)


@pytest.mark.parametrize(
    ("seed", "written"),
    [(0, 0), (2**53 - 1, 2**53 - 1), (2**53, "9007199254740992"), (SEED_MAX, str(SEED_MAX))],
)
def test_seeds_as_json(seed: int, written: int | str) -> None:
    """The change of form is at the last integer that a float64 tells from the next."""
    assert seed_to_json(seed) == written


@pytest.mark.parametrize(
    "seed",
    ["-1", "18446744073709551616", "1.5", "1.0", "1e3", "true", "null", "NaN", "[1]", '""', '"-1"',
     '"01"', '"+1"', '" 1"', '"1 "', '"1_000"', '"0x1"', '"１"', '"1.0"', '"18446744073709551616"',
     '"99999999999999999999999"', '"1\\n"', "1" + 400 * "0"],
)  # fmt: skip
def test_what_is_no_seed(seed: str) -> None:
    """Anything but a canonical decimal within 64 bits is refused at `seed`."""
    ((place, message),) = findings(f'{{"seed": {seed}, {json.dumps(TINY)[1:]}')
    assert place == ("seed",)
    assert message


def test_the_default_seed() -> None:
    """A spec without a seed has seed 0."""
    assert spec_of().seed == 0


@untimed
@given(specs(), seeds)
def test_the_same_checkpoint_from_another_seed(spec: CheckpointSpec, seed: int) -> None:
    """Only the seed changes, and with it the token, however much was worked out before."""
    before = spec.token, spec.digest, spec.seed
    other = spec.with_seed(str(seed))
    assert other.seed == seed
    assert other.canonical_json == spec.canonical_json
    assert spec_from_token(other.token, MAX_BYTES).seed == seed
    assert (spec.token, spec.digest, spec.seed) == before


@pytest.mark.parametrize("seed", [-1, 2**64, "01", 1.5, True])
def test_another_seed_is_checked(seed: Any) -> None:
    """`with_seed` takes what a spec takes."""
    with pytest.raises(ValidationError):
        spec_of().with_seed(seed)


# Fields


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"framwork": "torch"}, ("framwork",)),
        ({"dtype": "float31"}, ("dtype",)),
        ({"dtype": "I64"}, ("dtype",)),  # the default of floating tensors
        ({"dtype": None}, ("dtype",)),
        ({"tensors": []}, ("tensors",)),
        ({"tensors": None}, ("tensors",)),
        ({"tensors": {"a": [2]}}, ("tensors",)),
        ({"tensors": [5]}, ("tensors", 0)),
        ({"tensors": [{"name": "a", "shape": [2], "dtype": "FP7"}]}, ("tensors", 0, "dtype")),
        ({"tensors": [{"name": "a"}]}, ("tensors", 0, "shape")),
        ({"tensors": [*TINY["tensors"], {"shape": []}]}, ("tensors", 1, "name")),
        ({"tensors": [{"name": 5, "shape": []}]}, ("tensors", 0, "name")),
        ({"rules": [{"match": "*"}]}, ("rules", 0)),
        ({"rules": [{"init": "zeros"}]}, ("rules", 0, "match")),
        ({"rules": {"*": "zeros"}}, ("rules",)),
        ({"metadata": {"note": 5}}, ("metadata", "note")),
        ({"metadata": {"note": "a\nb"}}, ("metadata", "note")),
        ({"metadata": ["note"]}, ("metadata",)),
    ],
)
def test_wrong_fields_are_refused_at_their_place(fields: Any, place: tuple[str | int, ...]) -> None:
    """Unknown fields, unknown codes and wrong kinds of value are one finding where they stand."""
    ((found, message),) = findings(json.dumps({**TINY, **fields}))
    assert found == place
    assert message


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=lambda dtype: dtype.code)
def test_a_dtype_by_any_name_is_one_spec(dtype: Dtype) -> None:
    """Wherever a dtype stands, what a framework calls it is the code, in all of its names."""
    body = {
        "tensors": [{"name": "a", "shape": [2], "init": "zeros", "dtype": "?"}],
        "rules": [{"match": "b.*", "dtype": "?"}],
        "model": {"manifest": {"b.c": {"shape": [2], "init": "ones", "dtype": "?"}}},
    }
    if dtype.code in FLOATS:
        body |= {"dtype": "?", "layers": [{"type": "prelu", "name": "p", "dtype": "?"}]}
    text = json.dumps(body)
    coded = CheckpointSpec.model_validate_json(text.replace("?", dtype.code))
    assert f'"dtype":"{dtype.code}"' in coded.canonical_json or dtype.code == "F32"
    for name in dtype.spellings:
        for spelling in (name, name.upper(), f"torch.{name.removeprefix('torch.')}"):
            other = CheckpointSpec.model_validate_json(text.replace("?", spelling))
            assert other == coded
            assert (other.canonical_json, other.digest, other.token) == (
                coded.canonical_json, coded.digest, coded.token,
            )  # fmt: skip


@pytest.mark.parametrize("key", ["format", "seedbed.spec", "seedbed.", "seedbed.x", "", "a\x00"])
def test_reserved_metadata_keys(key: str) -> None:
    """Keys that Seedbed writes itself, and keys that are no text, are refused."""
    ((place, _message),) = findings(json.dumps({**TINY, "metadata": {key: "x"}}))
    assert place[:2] == ("metadata", key)


@pytest.mark.parametrize("key", ["Format", "seedbed", "formats", "a.seedbed.", "größe"])
def test_other_metadata_keys(key: str) -> None:
    """Keys that only resemble those are the caller's."""
    assert spec_of(metadata={key: ""}).metadata == {key: ""}


def test_several_faults_are_reported_together() -> None:
    """Faults in different fields of a spec are all found; of many tensors, the first wrong one."""
    wrong = {"seed": -1, "dtype": "X", "tensors": [{"name": ""}] * 100_000, "rules": [5] * 1000}
    places = {place for place, _ in findings(json.dumps(wrong))}
    assert places == {
        ("seed",), ("dtype",), ("tensors", 0, "name"), ("tensors", 0, "shape"), ("rules", 0),
    }  # fmt: skip


# JSON text


@pytest.mark.parametrize(
    "text",
    ["", "{", "[", "nul", "{}}", '{"seed": 01}', '{"a" 1}', "\ufeff{}", b"\xff", b'{"a": "\xff"}',
     '{"tensors": "\\ud800"}', '{"tensors": ["\\x"]}', '{"seed": 1,}', "'a'",
     "[" * 100_000, '{"a":' * 100_000, '{"tensors":' + "[" * 250 + "]" * 250 + "}",
     '{"seed": ' + "1" * 100_000 + "}"],
    ids=lambda text: str(text)[:12],
)  # fmt: skip
def test_text_that_is_no_json(text: str | bytes) -> None:
    """Damaged, deeply nested and absurdly long JSON is one finding, and nothing crashes."""
    ((place, message),) = findings(text)
    assert place == ()
    assert "JSON" in message


@pytest.mark.parametrize("text", ["5", "null", '"text"', "[]", "true"])
def test_json_that_is_no_object(text: str) -> None:
    """Any other JSON value is refused as a whole."""
    ((place, _message),) = findings(text)
    assert place == ()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('"init": {"scheme": "normal", "std": 1e400}', ("init", "normal", "std")),
        ('"init": {"scheme": "normal", "std": NaN}', ("init", "normal", "std")),
        ('"init": {"scheme": "normal", "mean": -Infinity}', ("init", "normal", "mean")),
        ('"init": {"scheme": "constant", "value": 1e400}', ("init", "constant", "value")),
        ('"init": {"scheme": "constant", "value": 1' + "0" * 400 + "}",
         ("init", "constant", "value")),
        ('"init": {"scheme": "constant", "value": NaN}', ("init", "constant", "value")),
        ('"init": ' + "[" * 100 + "]" * 100, ("init",)),
        ('"init": ' + '{"scheme":' * 100 + "1" + "}" * 100, ("init",)),
        ('"shape": [1e1]', ("shape", 0)),
        ('"shape": [1' + "0" * 4000 + "]", ("shape", 0)),
        ('"shape": ' + "[" * 100 + "]" * 100, ("shape", 0)),
        ('"shape": [' + "-1," * 100_000 + "1]", ("shape", 0)),
    ],
    ids=lambda part: str(part)[:40],
)  # fmt: skip
def test_hostile_values_are_one_finding(text: str, place: tuple[str | int, ...]) -> None:
    """Infinities, huge numbers and nests in a tensor are refused where they stand, once."""
    tensor = {"name": '"a"', "shape": "[2]", "init": '"zeros"'}
    tensor.pop(text.split('"')[1])
    fields = ", ".join([*(f'"{key}": {value}' for key, value in tensor.items()), text])
    ((found, _message),) = findings(f'{{"tensors": [{{{fields}}}]}}')
    assert found == ("tensors", 0, *place)


def test_of_two_equal_keys_the_last_counts() -> None:
    """A JSON object with a key twice means its last value, at every level."""
    text = (
        '{"seed": 1, "seed": 2, "tensors": [], "tensors": [{"name": "b", "name": "a", "shape": [2],'
        ' "init": {"scheme": "ones", "scheme": "zeros"}}], "metadata": {"k": "1", "k": "2"}}'
    )
    assert CheckpointSpec.model_validate_json(text) == spec_of(seed=2, metadata={"k": "2"})


def test_specs_do_not_change() -> None:
    """A spec, its tensors, rules and inits are frozen."""
    spec = spec_of(rules=[{"match": "*", "init": "normal"}])
    for part, field in ((spec, "seed"), (spec.tensors[0], "name"), (spec.rules[0], "match")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(part, field, "x")
    with pytest.raises(ValidationError, match="frozen"):
        spec.rules[0].init.std = 2.0  # type: ignore[union-attr, attr-defined]


# Canonical form


ONE = '"tensors":[{"init":"zeros","name":"a","shape":[2]}]}'

CANONICAL: list[tuple[dict[str, Any], str]] = [
    ({}, "{" + ONE),
    ({"seed": 7, "dtype": "F32", "rules": [], "metadata": {}}, "{" + ONE),
    (
        {"dtype": "BF16", "metadata": {"z": "ö", "a": '\u2028"\\'}},
        '{"dtype":"BF16","metadata":{"a":"\u2028\\"\\\\","z":"ö"},' + ONE,
    ),
    (
        {
            "rules": [
                {"match": "a*", "dtype": "F16", "optional": True},
                {"match": "b", "init": "zeros", "optional": True},
                {"match": "*", "init": "kaiming_normal_"},
            ]
        },
        '{"rules":[{"dtype":"F16","match":"a*"},{"init":"he_normal","match":"*"}],' + ONE,
    ),
    (
        {
            "tensors": [
                {"name": "ö", "shape": [], "init": {"scheme": "normal", "std": 1}},
                {"name": "\U0001f331", "shape": [1], "init": {"scheme": "full", "value": 1.0},
                 "dtype": "I8"},
                {"name": "z", "shape": [0], "dtype": "F32"},
                {"name": "\uffff", "shape": [1, 2], "init": {"scheme": "normal", "std": 2e-7}},
            ]
        },
        (
            '{"tensors":[{"name":"z","shape":[0]},{"init":"normal","name":"ö","shape":[]},'
            '{"init":{"scheme":"normal","std":2e-07},"name":"\uffff","shape":[1,2]},{"dtype":"I8",'
            '"init":{"scheme":"constant","value":1},"name":"\U0001f331","shape":[1]}]}'
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "text"), CANONICAL)
def test_canonical_json_by_hand(fields: dict[str, Any], text: str) -> None:
    """Keys sorted, tensors by the bytes of their names, no defaults, no seed, no spaces."""
    assert spec_of(**fields).canonical_json == text


def test_the_digest_is_written_down() -> None:
    """SHA-256 of a tag with the stream version and the canonical JSON: these digests stay."""
    assert spec_of().digest == "8bbef86bab48daef7c2b720254f21b522f6a413b57fd86c67cbb4341d3fedb93"
    spec = CheckpointSpec.model_validate_json(
        '{"dtype":"BF16","tensors":[{"name":"fc.weight","shape":[256,784],"init":"he_normal"},'
        '{"name":"fc.bias","shape":[256],"init":"zeros","dtype":"F32"}]}'
    )
    assert spec.digest == "739c3291fbbffa8bb1b1094d298ac88da741fa9155caec79ee1feab7b7049a26"


@untimed
@given(bodies(), st.randoms(use_true_random=False))
def test_spelling_does_not_matter(body: dict[str, Any], choice: Any) -> None:
    """Order of tensors and keys, defaults written out, aliases, whole floats: one digest."""
    spec = CheckpointSpec.model_validate(body)
    other = respelled(body, choice)
    assert CheckpointSpec.model_validate_json(json.dumps(other)).digest == spec.digest


def respelled(body: dict[str, Any], choice: random.Random) -> dict[str, Any]:
    """Another body that means the same."""
    tensors = [
        {**one, "init": _respelled_init(one["init"], choice), "dtype": one.get("dtype")}
        for one in body["tensors"]
    ]
    for one in tensors:
        if one["dtype"] in (None, body["dtype"]):
            one["dtype"] = choice.choice((None, body["dtype"]))
    choice.shuffle(tensors)
    full = {"rules": [], "metadata": {}, **body, "tensors": [_shuffled(t, choice) for t in tensors]}
    full["metadata"] = _shuffled(full["metadata"], choice)
    return _shuffled(full, choice)


def _respelled_init(init: Any, choice: random.Random) -> Any:
    fields = dict(init) if isinstance(init, dict) else {"scheme": init}
    scheme = SCHEMES[fields["scheme"]]
    defaults = {
        name: field.default
        for name, field in scheme.model_fields.items()
        if name not in ("scheme", "gain") and not field.is_required() and "gain" not in fields
    }
    fields = {**defaults, **fields}
    alike = [alias for alias, implied in scheme.aliases.items() if implied.keys() <= fields.keys()]
    fields["scheme"] = choice.choice((fields["scheme"], *alike))
    for name, value in fields.items():
        if isinstance(value, float) and value.is_integer() and str(value) != "-0.0":
            fields[name] = choice.choice((value, int(value)))
    return _shuffled(fields, choice)


def _shuffled(fields: dict[str, Any], choice: random.Random) -> dict[str, Any]:
    keys = list(fields)
    choice.shuffle(keys)
    return {key: fields[key] for key in keys}


@untimed
@given(specs())
def test_the_canonical_form_is_a_spec(spec: CheckpointSpec) -> None:
    """Canonical JSON reads back to the same canonical JSON, digest and bytes."""
    again = CheckpointSpec.model_validate_json(spec.canonical_json)
    assert again.canonical_json == spec.canonical_json
    assert again.digest == spec.digest
    assert again.seed == 0
    files = [
        VirtualFile(one, engine=get_engine(NUMPY)) for one in (spec, again.with_seed(spec.seed))
    ]
    assert files[0].read(0, files[0].size) == files[1].read(0, files[1].size)


@pytest.mark.parametrize(
    "change",
    [{"dtype": "F64"}, {"metadata": {"a": ""}}, {"rules": [{"match": "a", "init": "zeros"}]},
     {"tensors": [{"name": "a", "shape": [2], "init": "ones"}]},
     {"tensors": [{"name": "a", "shape": [2, 1], "init": "zeros"}]},
     {"tensors": [{"name": "b", "shape": [2], "init": "zeros"}]},
     {"tensors": [{"name": "a", "shape": [2], "init": {"scheme": "constant", "value": -0.0}}]},
     {"tensors": [{"name": "a", "shape": [2], "init": "zeros", "dtype": "F64"}]}],
)  # fmt: skip
def test_another_spec_has_another_digest(change: dict[str, Any]) -> None:
    """Whatever changes what the spec says changes its digest; the seed is not part of it."""
    assert spec_of(**change).digest != spec_of().digest
    assert spec_of(seed=5).digest == spec_of().digest


def test_the_order_of_rules_is_part_of_the_spec() -> None:
    """The last match wins, so two orders are two specs."""
    rules = [{"match": "a", "init": "zeros"}, {"match": "*", "init": "ones"}]
    assert spec_of(rules=rules).digest != spec_of(rules=rules[::-1]).digest


# Tokens


@untimed
@given(specs())
def test_a_token_is_the_spec_both_ways(spec: CheckpointSpec) -> None:
    """A token is URL-safe text, and decodes to the same file: canonical JSON and seed."""
    assert set(spec.token) <= set(string.ascii_letters + string.digits + "-_")
    again = spec_from_token(spec.token, MAX_BYTES)
    assert again.canonical_json == spec.canonical_json
    assert again.seed == spec.seed
    assert again.token == spec.token


def token_of(body: bytes, tail: bytes = b"") -> str:
    """A token that spells these bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.urlsafe_b64encode(packer.compress(body) + packer.flush() + tail).decode()


def test_any_spelling_of_a_token_decodes() -> None:
    """Padding, other compression and spaces in the JSON lead to the same spec."""
    spec = spec_of(seed=SEED_MAX)
    stored = zlib.compressobj(0, zlib.DEFLATED, -15)
    body = json.dumps({"seed": SEED_MAX, **TINY}, indent=8).encode()
    plain = base64.urlsafe_b64encode(stored.compress(body) + stored.flush()).decode()
    for token in (plain, plain.rstrip("="), token_of(body), token_of(body).rstrip("=")):
        assert spec_from_token(token, MAX_BYTES).token == spec.token


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_the_limit_of_a_token_is_the_largest_spec(over: int) -> None:
    """A token that inflates to just the limit is read; one byte more is refused."""
    spec = spec_of(metadata={"note": "x" * 5000})
    size = len(f'{{"seed":0,{spec.canonical_json[1:]}')
    if over <= 0:
        assert spec_from_token(spec.token, size - over) == spec
        return
    with pytest.raises(TokenError, match=f"more than {size - over:,} bytes"):
        spec_from_token(spec.token, size - over)


@untimed
@given(specs(), st.data())
def test_damaged_tokens_are_refused(spec: CheckpointSpec, data: st.DataObject) -> None:
    """A token that is cut, lengthened or changed is an error, or by chance another sound spec."""
    token = spec.token
    place = data.draw(st.integers(0, len(token) - 1))
    junk = data.draw(st.text(st.characters(), max_size=3))
    damaged = data.draw(
        st.sampled_from(
            (token[:place], token[:place] + junk + token[place + 1 :], token + junk, junk)
        )
    )
    try:
        read = spec_from_token(damaged, MAX_BYTES)
    except TokenError as error:
        message = error.message
    else:
        message = f"a sound spec: {read.digest}"
    assert message


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("", "cut short"),
        ("é", "damaged"),
        ("a", "damaged"),
        ("!!!!", "damaged"),
        ("AAAA\n", "damaged"),
        (token_of(b"{}")[:2], "damaged"),
        (token_of(json.dumps(TINY).encode(), b"more"), "tail"),
        (token_of(json.dumps(TINY).encode()) * 2, "damaged"),
        (token_of(b""), "Invalid JSON"),
        (token_of(b"{}"), "at least one tensor or layer"),
        (token_of(b"5"), "no valid spec"),
        (token_of(b"\xff"), "Invalid JSON"),
        (token_of(b"[" * 100_000), "recursion"),
        (token_of(json.dumps({**TINY, "seed": -1}).encode()), "seed: "),
    ],
)
def test_what_is_no_token(token: str, said: str) -> None:
    """Each is refused with what is wrong: the text, the compression, the JSON or the spec."""
    with pytest.raises(TokenError, match=said):
        spec_from_token(token, MAX_BYTES)


def test_a_decompression_bomb_is_not_inflated() -> None:
    """A token of 100 KB that would inflate to 100 MB is refused in a few megabytes of memory."""
    bomb = token_of(b" " * 100_000_000)
    assert len(bomb) < 200_000
    tracemalloc.start()
    try:
        with pytest.raises(TokenError, match="more than 1,048,576 bytes"):
            spec_from_token(bomb, MAX_BYTES)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MAX_BYTES


def test_the_stream_version_is_part_of_the_digest() -> None:
    """The digest's message is what docs/stream.md says, byte for byte."""
    spec = spec_of(metadata={"größe": "重み"})
    message = b"seedbed/spec/1\n" + spec.canonical_json.encode()
    assert spec.digest == hashlib.sha256(message).hexdigest()


def test_every_dtype_can_be_asked_for() -> None:
    """A tensor takes each code of the table, and the checkpoint each that holds draws."""
    for code in DTYPES:
        tensor = {"name": "a", "shape": [], "init": "zeros", "dtype": code}
        assert spec_of(tensors=[tensor]).tensors[0].dtype == code
        if code in FLOATS:
            assert spec_of(dtype=code).dtype == code


# Layers


@st.composite
def layers(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Layers of any kind with unique names, some of their options given."""
    found = []
    for name in draw(st.lists(names, min_size=1, max_size=4, unique=True)):
        kind = draw(st.sampled_from(sorted(LAYERS)))
        layer: dict[str, Any] = {"type": kind, "name": name, **LAYERS[kind].example}
        takes = LAYERS[kind].model_validate(layer).takes
        if takes and draw(st.booleans()):
            keys = draw(st.lists(st.sampled_from(takes), unique=True))
            inits = st.sampled_from(("zeros", {"scheme": "normal", "std": 0.5}, "kaiming_normal_"))
            layer["init"] = {key: draw(inits) for key in keys}
        if draw(st.booleans()):
            layer["dtype"] = draw(st.sampled_from(("F32", "BF16", None)))
        if draw(st.booleans()):
            layer["defaults"] = draw(st.sampled_from(("torch", "keras", "flax", "nnx")))
        found.append(layer)
    return found


@untimed
@given(
    layers(),
    st.sampled_from(("torch", "keras", "flax", "nnx")),
    st.sampled_from(("F32", "BF16")),
    seeds,
    st.randoms(use_true_random=False),
)
def test_layers_have_one_spelling(
    given_layers: list[dict[str, Any]],
    framework: str,
    dtype: str,
    seed: int,
    choice: random.Random,
) -> None:
    """Order, defaults written out, and aliases change nothing; the token has every layer."""
    body = {"seed": seed, "dtype": dtype, "framework": framework, "layers": given_layers}
    spec = CheckpointSpec.model_validate(body)
    assert spec_from_token(spec.token, MAX_BYTES).canonical_json == spec.canonical_json
    assert spec_from_token(spec.token, MAX_BYTES).seed == seed
    respelled = []
    for layer in given_layers:
        model = LAYERS[layer["type"]].model_validate(layer)
        spelled = {**json.loads(model.model_dump_json(exclude={"init"})), "init": {}}
        spelled["init"] = {k: v.model_dump() for k, v in model.init.items()}
        spelled["dtype"] = spelled["dtype"] or dtype
        respelled.append(spelled)
    choice.shuffle(respelled)
    assert CheckpointSpec.model_validate({**body, "layers": respelled}).token == spec.token
    assert json.loads(spec.canonical_json).get("framework", "torch") == framework


_OTHER = {
    "dtype": "F64", "defaults": "keras", "name": "other", "padding_idx": 1, "forget_bias": 1.0,
    "init_values": 0.5, "kdim": 7, "vdim": 7, "proj_size": 1,
}  # fmt: skip
"""Another value of a field whose default is no number, or none to double."""


@pytest.mark.parametrize("kind", LAYERS)
def test_every_field_of_a_layer_is_in_the_canonical_spec(kind: str) -> None:
    """Files that differ in any one argument have different digests and ETags."""
    layer = {"type": kind, "name": "x", **LAYERS[kind].example}
    model = LAYERS[kind].model_validate(layer)
    bodies: list[dict[str, Any]] = [{"layers": [layer]}]
    for field in LAYERS[kind].model_fields.keys() - {"type"}:
        value = getattr(model, field)
        beside: list[dict[str, Any]] = []
        if field == "init":
            other: Any = {model.takes[0]: {"scheme": "constant", "value": 0.125}}
        elif field == "same_as":
            other, beside = "y", [{**layer, "name": "y"}]
        elif field in _OTHER:
            other = _OTHER[field]
        elif isinstance(value, bool):
            other = not value
        elif isinstance(value, int):
            other = value * 2
        elif isinstance(value, tuple):
            other = [2 * size for size in value]
        else:
            raise NotImplementedError(f"no other value of {field!r} yet: add it to _OTHER")
        bodies.append({"layers": [{**layer, field: other}, *beside]})
    specs = [CheckpointSpec.model_validate(body) for body in bodies]
    assert len({spec.digest for spec in specs}) == len(bodies)
    assert len({VirtualFile(spec).etag for spec in specs}) == len(bodies)
    again = spec_from_token(specs[1].token, MAX_BYTES).layers[0]
    assert again == specs[1].layers[0]


def test_the_canonical_spec_of_layers_by_hand() -> None:
    """Sorted by name, sizes that are alike as one, a bare init as the weight's, no defaults."""
    spec = CheckpointSpec.model_validate(
        {
            "framework": "flax",
            "layers": [
                {"type": "linear", "name": "b", "in_features": 2, "out_features": 3,
                 "dtype": "F32", "defaults": "torch"},
                {"type": "conv2d", "name": "a", "in_channels": 2, "out_channels": 3,
                 "kernel_size": [3, 3], "init": "kaiming_normal_", "groups": 1},
            ],
        }
    )  # fmt: skip
    assert spec.canonical_json == (
        '{"framework":"flax","layers":['
        '{"in_channels":2,"init":{"weight":"he_normal"},"kernel_size":3,"name":"a",'
        '"out_channels":3,"type":"conv2d"},'
        '{"in_features":2,"name":"b","out_features":3,"type":"linear"}]}'
    )


def test_a_framework_that_has_no_say_is_still_another_spec() -> None:
    """Without layers the framework changes metadata and so the digest, and no weight."""
    torch, keras = (spec_of(framework=framework) for framework in ("torch", "keras"))
    assert torch.canonical_json == spec_of().canonical_json
    assert torch.digest != keras.digest
    files = [VirtualFile(spec, engine=get_engine(NUMPY)) for spec in (torch, keras)]
    data = [bytes(file.read(len(file.header), file.size)) for file in files]
    assert data[0] == data[1]


@pytest.mark.parametrize("fields", [{"tensors": []}, {"tensors": [], "layers": []}, {}])
def test_a_checkpoint_has_something(fields: dict[str, Any]) -> None:
    """Neither tensors nor layers is a fault at `tensors`; either is enough."""
    with pytest.raises(ValidationError, match="at least one tensor or layer") as caught:
        CheckpointSpec.model_validate(fields)
    assert [one["loc"] for one in caught.value.errors()] == [("tensors",)]
    assert CheckpointSpec.model_validate(TINY).layers == ()
    layer = {"type": "prelu", "name": "a"}
    assert CheckpointSpec.model_validate({**fields, "layers": [layer]}).tensors == ()


def test_a_token_has_each_key_once() -> None:
    """A link that says something twice is refused, since readers would not mean the same by it."""
    tensor = '{"name":"a","shape":[1],"init":"zeros"}'
    body = f'{{"seed":1,"seed":2,"tensors":[{tensor}]}}'
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(body.encode()) + packer.flush()
    token = base64.urlsafe_b64encode(packed).rstrip(b"=").decode()
    with pytest.raises(TokenError, match="twice"):
        spec_from_token(token, 10_000)
