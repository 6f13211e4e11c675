"""Every error that Seedbed raises on purpose.

    SeedbedError
    ├── SpecError (ValueError)        the request cannot mean a file
    │   ├── ShapeError                a shape, or the fans taken from it
    │   ├── ParameterError            a scheme's parameter, alone or for this tensor
    │   ├── TokenError                a URL token that does not decode to a spec
    │   ├── UnstudiedError            a config that the catalogue does not know; its library may
    │   └── IdError                   a name that a stored spec cannot have
    ├── InvalidError                  JSON that is no spec, in several places perhaps; or no JSON
    ├── LimitError                    the request is sound, but larger than a setting allows
    ├── NotRecordedError              a model by a library's word, which is not to be had here
    │   └── DifferentRecordingError   … or says something else here
    ├── SettingError (ValueError)     a setting has no such value, or there is no such setting
    ├── BusyError                     the request is sound, but there is no room for it now
    ├── RegistryError                 of stored specs
    │   ├── UnknownSpecError (LookupError)  there is none of that name, or no such content of it
    │   ├── ConflictError             what is stored is not what the writer expects
    │   │   └── OverwriteError        the writer expects nothing, and would replace something else
    │   └── UnavailableError          the registry cannot be asked now, or there is none
    ├── OutputError (OSError)         a file cannot be written where it should go
    │   └── StoreError                an object store refuses, fails or cannot be reached
    ├── DamagedError                  what is stored is not the file that it should be
    └── EngineError (RuntimeError)    drawing failed: a defect, never the caller's doing

Errors carry their facts as attributes, so that a reader (HTTP, command line) can show them in
its own form. Nothing here knows of status codes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

Path = tuple[str | int, ...]


class Choices(tuple[str, ...]):  # noqa: SLOT001 (a tuple can have no slots of its own)
    """The members of a closed list, and the word that is none of them.

    Whoever shows the error looks for the members that the word resembles: to look where the error
    is raised would cost as much for each of a hundred thousand, of which a few are shown.

    Attributes:
        word: that was given.
        known: where the word may have been meant, if that is more than the members: aliases too.
    """

    word: str
    known: tuple[str, ...]

    def __new__(
        cls, members: Iterable[str], word: object, known: Iterable[str] | None = None
    ) -> Self:
        """The members, in the order in which they are listed."""
        made = super().__new__(cls, members)
        made.word = word if isinstance(word, str) else ""
        made.known = tuple(made) if known is None else tuple(known)
        return made

    def __getnewargs__(self) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
        """What a copy is made of, in another process too."""
        return tuple(self), self.word, self.known


def respelt(members: Iterable[str], word: str) -> Choices:
    """The members of a list of networks, of which only other spellings of the word were meant.

    Whatever else resembles it is another network, which nobody should be led to.
    """
    listed = tuple(members)
    alike = _letters(word)
    return Choices(listed, word[:100], tuple(name for name in listed if _letters(name) == alike))


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


class SeedbedError(Exception):
    """Base of all errors raised on purpose. They can be pickled, whatever they are made with."""

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[SeedbedError], args: tuple[object, ...], facts: object) -> SeedbedError:
    """An error that was pickled."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)  # type: ignore[call-overload]
    return error


REVIVERS = (_again, Choices)
"""What unpickling an error calls beside the classes of errors."""


class SpecError(SeedbedError, ValueError):
    """The request cannot mean a file.

    Attributes:
        message: what is wrong, with the offending value.
        path: where, as keys and indices into the spec (`("tensors", 0, "shape")`).
        allowed: what would have been accepted, if that can be listed; `Choices`, if what was given
            is a word that is not on the list.
        others: what else is wrong with the same request, if that is known.
    """

    others: tuple[SpecError, ...] = ()

    def __init__(self, message: str, path: Path = (), allowed: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.allowed = allowed if isinstance(allowed, tuple) else tuple(allowed)

    def within(self, *prefix: str | int) -> SpecError:
        """The same error, seen from an enclosing object."""
        moved = type(self)(self.message, (*prefix, *self.path), self.allowed)
        moved.others = tuple(other.within(*prefix) for other in self.others)
        return moved


def said(error: SeedbedError) -> str:
    """An error of a spec in one line: where, if that is known, and what is wrong."""
    if isinstance(error, InvalidError) and error.findings:
        error = error.findings[0]
    if not isinstance(error, SpecError):
        return str(error)
    place = "/".join(map(str, error.path))
    return f"{place}: {error.message}" if place else error.message


class ShapeError(SpecError):
    """A shape that the format or the scheme cannot take."""


class ParameterError(SpecError):
    """A parameter that is out of range, alone or together with shape and dtype."""


class TokenError(SpecError):
    """A URL token that does not decode to a spec."""


class UnstudiedError(SpecError):
    """A config of which the catalogue does not know the tensors.

    Attributes:
        config: its canonical JSON, for whoever has the library itself.
        plain: the message without advice on what to do about it.
    """

    config: str = ""
    plain: str = ""

    @property
    def unadvised(self) -> SpecError:
        """The same, for those who have done that."""
        error = SpecError(self.plain or self.message, self.path, self.allowed)
        error.others = self.others
        return error

    def within(self, *prefix: str | int) -> SpecError:
        """The same error, seen from an enclosing object."""
        moved = super().within(*prefix)
        moved.__dict__.update(config=self.config, plain=self.plain)
        return moved


class IdError(SpecError):
    """A namespace or name that a stored spec cannot have."""


class InvalidError(SeedbedError):
    """What was sent is not of the form that it should have.

    Attributes:
        findings: what is wrong and where, of which a few are listed.
        count: how many things are wrong.
        what: it should have been: `spec`, `comparison`, …
        is_json: whether it can be read at all.
    """

    def __init__(
        self, findings: Iterable[SpecError], count: int, what: str, *, is_json: bool = True
    ) -> None:
        self.findings = tuple(findings)
        self.count = count
        self.what = what
        self.is_json = is_json
        if count == 1 and self.findings:
            self.message = self.findings[0].message
        else:
            self.message = f"{count:,} things are wrong."
        super().__init__(self.message)


class LimitError(SeedbedError):
    """The request is sound, but larger than this installation allows.

    Attributes:
        limit: name of the setting.
        actual: what the request needs.
        maximum: what the setting allows.
        unit: of both numbers.
    """

    def __init__(self, limit: str, actual: int, maximum: int, unit: str) -> None:
        self.limit = limit
        self.actual = actual
        self.maximum = maximum
        self.unit = unit
        super().__init__(self.said_of(limit))

    def said_of(self, setting: str) -> str:
        """The text, with the setting's name as the reader knows it."""
        return f"{self.actual:,} {self.unit} asked for; {setting} allows {self.maximum:,}"


class NotRecordedError(SeedbedError):
    """A model is meant that a release of a library makes, and neither its record nor that is here.

    Attributes:
        library: whose word it is.
        version: of its release.
        digest: that the record must have; None if any will do.
        config: canonical JSON of what is to be recorded.
    """

    def __init__(
        self, message: str, library: str, version: str, digest: str | None, config: str
    ) -> None:
        super().__init__(message)
        self.library = library
        self.version = version
        self.digest = digest
        self.config = config


class DifferentRecordingError(NotRecordedError):
    """The release is here, and makes another model of the config."""


class SettingError(SeedbedError, ValueError):
    """A setting has a value that it cannot have, or there is no such setting.

    Attributes:
        name: of the variable or option; empty where several do not go together.
        message: what is wrong.
        allowed: what would have been accepted, if that can be listed.
    """

    def __init__(self, name: str, message: str, allowed: Iterable[str] = ()) -> None:
        super().__init__(f"{name}: {message}" if name else message)
        self.name = name
        self.message = message
        self.allowed = allowed if isinstance(allowed, tuple) else tuple(allowed)


class BusyError(SeedbedError):
    """The request is sound, but there is no room for it, or nobody free, now.

    Attributes:
        retry_seconds: when to ask again.
    """

    def __init__(self, message: str, retry_seconds: int) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class RegistryError(SeedbedError):
    """Of stored specs."""


class UnknownSpecError(RegistryError, LookupError):
    """There is no spec of that name, or it never had the content asked for."""


class ConflictError(RegistryError):
    """What is stored is not what the writer expects.

    Attributes:
        etag: of what is stored; None if there is nothing of that name.
    """

    def __init__(self, message: str, etag: str | None) -> None:
        super().__init__(message)
        self.etag = etag


class OverwriteError(ConflictError):
    """Another spec is stored, and the writer has not said that it is to be replaced."""


class UnavailableError(RegistryError):
    """The registry cannot be asked now, or there is none.

    Attributes:
        retry_seconds: when to ask again; None if only another setting would help.
    """

    def __init__(self, message: str, retry_seconds: int | None) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class OutputError(SeedbedError, OSError):
    """A file cannot be written where it should go."""


class StoreError(OutputError):
    """An object store refuses, fails or cannot be reached."""


class DamagedError(SeedbedError):
    """What is stored is not the file that it should be."""


class EngineError(SeedbedError, RuntimeError):
    """Drawing failed. A defect of Seedbed or of the machine, never of the request."""
