"""The initialisation schemes: what each name means for a shape.

A scheme is a frozen model tagged by its name; its fields are its parameters, in the JSON body, in
the query string, on the command line and in the catalogue alike. To add one, write its class in the
module of its family and name it in `SCHEMES` at that module's foot; nothing else needs to know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Union
from weakref import WeakValueDictionary

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from seedbed.init.schemes import (
    chains,
    constants,
    derived,
    distributions,
    fans,
    orthogonal,
    parts,
    patterns,
    recipes,
    rescaled,
    sequences,
    state_space,
    values,
)
from seedbed.init.schemes.base import (
    CONVENTIONS,
    Convention,
    Fans,
    Mode,
    Nonlinearity,
    Scheme,
    Shape,
    fans_of,
    gain_of,
)
from seedbed.init.schemes.constants import Constant, Ones, Zeros
from seedbed.init.schemes.distributions import (
    LogUniformScheme,
    NormalScheme,
    TruncatedNormalScheme,
    UniformScheme,
)
from seedbed.init.schemes.fans import (
    TRUNCATED_STD,
    FanScheme,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
)
from seedbed.init.schemes.orthogonal import Orthogonal

__all__ = [
    "CONVENTIONS",
    "FAMILIES",
    "SCHEMES",
    "TRUNCATED_STD",
    "Constant",
    "Convention",
    "FanScheme",
    "Fans",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Init",
    "LecunNormal",
    "LecunUniform",
    "LogUniformScheme",
    "Mode",
    "Nonlinearity",
    "NormalScheme",
    "Ones",
    "Orthogonal",
    "Scheme",
    "Shape",
    "TruncatedNormalScheme",
    "UniformScheme",
    "VarianceScaling",
    "Zeros",
    "canonical_name",
    "fans_of",
    "gain_of",
    "is_scheme",
    "meaning_of",
]

FAMILIES: Mapping[str, tuple[type[Scheme], ...]] = {
    "Constants": constants.SCHEMES,
    "Plain distributions": distributions.SCHEMES,
    "By fans": fans.SCHEMES,
    "Recipes": recipes.SCHEMES,
    "Derived draws": derived.SCHEMES,
    "Orthogonal matrices": orthogonal.SCHEMES,
    "Sparse and rescaled": rescaled.SCHEMES,
    "Patterns": patterns.SCHEMES,
    "Sequences": sequences.SCHEMES,
    "State spaces": state_space.SCHEMES,
    "Known numbers": values.SCHEMES,
    "Compositions": (*parts.SCHEMES, *chains.SCHEMES),
}
"""Every scheme, by family, in the order of the catalogue."""

SCHEMES: dict[str, type[Scheme]] = {
    scheme.model_fields["scheme"].default: scheme
    for family in FAMILIES.values()
    for scheme in family
}
"""Canonical name → class."""

for _scheme in SCHEMES.values():
    if _lacking := _scheme.without_example():
        raise TypeError(f"{_scheme.__name__}.example needs a value of {', '.join(_lacking)}")

_BY_NAME: dict[str, tuple[str, Mapping[str, Any]]] = {
    name: (canonical, implied)
    for canonical, scheme in SCHEMES.items()
    for name, implied in {canonical: {}, **scheme.aliases}.items()
}

_ALLOWED = sorted(SCHEMES)
_KNOWN = [*_BY_NAME]


def meaning_of(name: str) -> tuple[str, Mapping[str, Any]]:
    """The canonical name of a scheme and the parameters implied, given that name or an alias.

    Raises:
        PydanticCustomError: there is no such scheme.
    """
    if name in _BY_NAME:
        return _BY_NAME[name]
    raise PydanticCustomError(  # and no more here, since it may be one of a hundred thousand
        "scheme_unknown",
        "there is no scheme {given}",
        {"given": repr(name[:100]), "word": name[:100], "allowed": _ALLOWED, "known": _KNOWN},
    )


def is_scheme(name: str) -> bool:
    """Whether a scheme answers to a name."""
    return name in _BY_NAME


def canonical_name(name: str) -> str:
    """The canonical name of a scheme, given that or an alias.

    Raises:
        PydanticCustomError: there is no such scheme.
    """
    return meaning_of(name)[0]


def _spell_out(value: object) -> object:
    """A bare name as an object, and an alias as the canonical name with what it implies."""
    if isinstance(value, Scheme):
        return value
    fields: dict[str, Any] | None = None
    if isinstance(value, str):
        fields = {"scheme": value}
    elif isinstance(value, dict) and isinstance(value.get("scheme"), str):
        fields = value
    if fields is None:
        raise PydanticCustomError(
            "scheme_form",
            "must be the name of a scheme, or an object with the name under scheme and its "
            "parameters beside it",
            {"allowed": _ALLOWED},
        )
    name, implied = meaning_of(fields["scheme"])
    return SCHEMES[name].with_implied(implied, {**fields, "scheme": name})


_interned: WeakValueDictionary[tuple[type[Scheme], str], Scheme] = WeakValueDictionary()
"""Schemes that somebody has, as `sys.intern` keeps strings."""


def _intern(scheme: Scheme) -> Scheme:
    """One object for equal schemes: a hundred thousand tensors have a handful, spelled once."""
    key = (type(scheme), repr([*scheme.__dict__.values()]))  # repr, since 0.0 equals −0.0
    return _interned.setdefault(key, scheme)


_known_forms: dict[str, Scheme] = {}
"""Short forms of schemes as they came in JSON, and what was read of them."""

_FORMS = 256
_FORM_CHARACTERS = 256


def _read(value: object, check: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Scheme:
    """A scheme of its name or an object, read once for all tensors that say it alike.

    Schemes are strict whatever they are a part of, so that what one form of JSON means does not
    depend on where it stands; of a query or of Python's own values it may.
    """
    form = ""
    if info.mode == "json" and _is_short(value):
        form = repr(value)  # in which 1, 1.0 and true differ, as they do to a strict reader
        if (known := _known_forms.get(form)) is not None:
            return known
    scheme = _intern(check(_spell_out(value)))
    if form and len(form) <= _FORM_CHARACTERS:
        if len(_known_forms) >= _FORMS:
            _known_forms.clear()
        _known_forms[form] = scheme
    return scheme


def _is_short(value: object) -> bool:
    """Whether it is a name, or an object of a few numbers and words."""
    if isinstance(value, dict):
        return len(value) <= 8 and not any(isinstance(v, (list, dict)) for v in value.values())
    return isinstance(value, str)


_ALIASES = [name for name in _BY_NAME if name not in SCHEMES]

SchemeName = TypeAliasType(
    "SchemeName",
    Annotated[str, Field(json_schema_extra={"enum": [*SCHEMES]}, description="A scheme.")],
)

SchemeAlias = TypeAliasType(
    "SchemeAlias",
    Annotated[
        str,
        Field(
            pattern=f"^({'|'.join(_ALIASES)})$",
            description="Another name of a scheme, as frameworks spell it. It means what it means "
            "there: GET /v1/schemes says which parameters it implies.",
        ),
    ],
)


class AliasedScheme(BaseModel):
    """A scheme under another of its names, and its parameters beside that: a form for documents."""

    model_config = ConfigDict(extra="allow")

    scheme: SchemeAlias


if TYPE_CHECKING:
    Init = Scheme
else:
    AnyScheme = Union[tuple(SCHEMES.values())]  # noqa: UP007 (of a table, not of names)
    Init = TypeAliasType(  # named, so that JSON Schema says it once
        "Init",
        Annotated[
            Annotated[AnyScheme, Field(discriminator="scheme")],
            WrapValidator(
                _read,
                json_schema_input_type=SchemeName | SchemeAlias | AnyScheme | AliasedScheme,
            ),
        ],
    )
    """A scheme in a request: its name, or an object with the name and parameters."""

for _scheme in FAMILIES["Compositions"]:  # whose parameters are schemes
    _scheme.model_rebuild(_types_namespace={"Init": Init})
