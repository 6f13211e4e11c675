"""What the arguments of `generate` and `inspect` name: a spec, a preset, or a single tensor."""

from __future__ import annotations

import functools
import inspect as introspection
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo
from typer.core import TyperCommand

from seedbed.errors import Choices, SpecError
from seedbed.files import (
    SPEC,
    Checkpoint,
    CheckpointSpec,
    OneTensor,
    option_of,
    option_of_model,
    read,
    scheme_parameters,
    spec_of_one,
    spec_of_preset,
)
from seedbed.init import SCHEMES, canonical_name, is_scheme
from seedbed.models import presets
from seedbed.stream import get_engine
from seedbed.web import read_settings

_YAML = (".yaml", ".yml")
_ENDINGS = {".json", ".safetensors", ".toml", *_YAML}
"""Of files that somebody may take for a spec; presets have dots in their names too."""

_MOST_FILES = 1000
"""Files of a folder among which a misspelt name is looked for."""


def _completed(incomplete: str) -> list[str]:
    """Presets and schemes that begin so; a shell completes files itself."""
    return [name for name in (*presets(), *SCHEMES) if name.startswith(incomplete)]


Source = Annotated[
    str,
    typer.Argument(
        autocompletion=_completed,
        help="A spec as a JSON file (- for standard input), by its stored name or a link; a "
        "preset's name; or a scheme's with a shape.",
    ),
]
Arguments = Annotated[
    list[str] | None,
    typer.Option("--set", help="An argument of a preset, as num_classes=10. May be repeated."),
]
Shape = Annotated[
    str | None, typer.Argument(help="With a scheme, the shape of the one tensor: 256x784.")
]


class SourceCommand(TyperCommand):
    """A command whose help has what the named scheme or preset takes, and no other does."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Look for a scheme before the help is written, which is as soon as it is asked for."""
        known = (word for word in args if is_scheme(word) or word in presets())
        ctx.meta[_NAMED] = next(known, None)
        rest: list[str] = super().parse_args(ctx, args)
        return rest

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options of all sources, then those of the one that is named."""
        named = ctx.meta.get(_NAMED)
        takes = SCHEMES[canonical_name(named)].model_fields if is_scheme(named or "") else {}
        entries: dict[str, list[tuple[str, str]]] = {"argument": [], "option": [], "scheme": []}
        for parameter in self.get_params(ctx):
            name = str(parameter.name).removeprefix(_OPTION)
            of_scheme = name in scheme_parameters() and name not in OneTensor.model_fields
            entry = parameter.get_help_record(ctx)
            if entry is not None and (not of_scheme or name in takes):
                # What other schemes mean by the name is of no use here.
                about = _about(takes[name]) if of_scheme else entry[1]
                entries["scheme" if of_scheme else parameter.param_type_name].append(
                    (entry[0], about)
                )
        with formatter.section("Arguments"):
            formatter.write_dl(entries["argument"])
        with formatter.section("Options"):
            formatter.write_dl(entries["option"])
        if entries["scheme"]:
            with formatter.section(f"Options of {named}"):
                formatter.write_dl(entries["scheme"])
        elif _is_preset_alone(named):
            with formatter.section(f"Arguments of {named}, for --set"):
                formatter.write_dl(
                    [
                        (argument.name, f"{argument.description}  [default: {argument.default}]")
                        for argument in presets()[named].arguments()
                    ]
                )
        elif not named:
            formatter.write_paragraph()
            formatter.write_text(
                f"Name a scheme or a preset to see what it takes, as in `seedbed {self.name} "
                "he_normal --help`; `seedbed schemes` and `seedbed models` list them."
            )


def _about(field: FieldInfo) -> str:
    """What a parameter means, and its default."""
    about = field.description or ""
    if field.is_required():
        return f"{about}  [required]"
    return about if field.default is None else f"{about}  [default: {field.default}]"


_NAMED = "seedbed.scheme"
_OPTION = "option_"


def with_tensor_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a single tensor, handed to it as the text in `options`."""
    helps = {name: field.description or "" for name, field in OneTensor.model_fields.items()}
    for name, takers in scheme_parameters().items():
        meanings = dict.fromkeys(field.description or "" for field in takers.values())
        helps[name] = f"{' / '.join(meanings)} ({', '.join(takers)})"
    added = [
        introspection.Parameter(
            f"option_{name}",
            introspection.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                str | None,
                typer.Option(
                    spelling(name),
                    help=text,
                    show_default=False,
                ),
            ],
        )
        for name, text in helps.items()
    ]

    @functools.wraps(command)
    def wrapped(**arguments: Any) -> None:
        texts = {name: arguments.pop(f"option_{name}") for name in helps}
        command(options={k: v for k, v in texts.items() if v is not None}, **arguments)

    signature = introspection.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.name != "options"]
    wrapped.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*own, *added]
    )
    wrapped.__annotations__ = {p.name: p.annotation for p in (*own, *added)}
    return wrapped


def _is_preset_alone(name: str | None) -> bool:
    """Whether a preset has this name and no scheme; models are not loaded for a scheme's."""
    return name is not None and not is_scheme(name) and name in presets()


def spelling(name: str) -> str:
    """A field as the command line spells it: fan_in is --fan-in."""
    return f"--{name.replace('_', '-')}"


def _spec(
    source: str, shape: str | None, options: Mapping[str, str], arguments: Sequence[str]
) -> CheckpointSpec:
    """The spec that the arguments of a command name.

    Raises:
        SpecError: they name none.
        InvalidError: the JSON is no spec, in these places.
        ValidationError: the seed is none.
        OSError: there is no such file.
    """
    if arguments and (shape is not None or source not in presets()):
        raise SpecError("only a preset takes arguments", ("set",))
    if shape is not None:
        if _is_preset_alone(source):
            raise SpecError(f"{source} is a preset, which takes no shape", ("shape",))
        return spec_of_one(source, shape, options)
    if source in presets() and not Path(source).exists():
        return _spec_of_preset(source, options, arguments)
    if is_scheme(source) and not Path(source).exists():
        raise SpecError(f"a scheme needs a shape after it, as in `{source} 256x784`", ("source",))
    if others := options.keys() - {"seed"}:
        raise SpecError(
            f"{source!r} is read as a spec, beside which only --seed can be given; a single tensor "
            "needs a scheme and a shape",
            (min(others),),
        )
    if source != "-" and not Path(source).exists():
        spec = _spec_elsewhere(source)
        return spec.with_seed(options["seed"]) if "seed" in options else spec
    if source.lower().endswith(_YAML):
        raise SpecError("a spec is JSON; YAML is not read", ("source",))
    text = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    spec = read(SPEC, text, read_settings().text_limits)
    return spec.with_seed(options["seed"]) if "seed" in options else spec


def _spec_elsewhere(source: str) -> CheckpointSpec:
    """The spec of a link, or of a name in this machine's registry.

    Raises:
        SpecError: it is neither.
    """
    from seedbed.links import KEY_VARIABLE, is_link, named_spec, spec_of_link  # has a database

    settings = read_settings()
    if is_link(source):
        return spec_of_link(
            source, settings.text_limits, settings.max_token_bytes, os.environ.get(KEY_VARIABLE)
        )
    spec = named_spec(source, settings.registry_url, settings.text_limits)
    if spec is None:
        raise _no_such_source(source)
    return spec


def _no_such_source(source: str) -> SpecError:
    """What to say of a name that is no file, no preset and no scheme."""
    path = Path(source)
    folder, ending = path.parent, path.suffix.lower()
    if folder != Path() or ending in _ENDINGS:
        there = sorted(file.name for file in islice(folder.glob("*.json"), _MOST_FILES))
        return SpecError(f"there is no file {source!r}", ("source",), Choices(there, path.name))
    there = [
        *presets(),
        *SCHEMES,
        *(file.name for file in islice(Path().glob("*.json"), _MOST_FILES)),
    ]
    return SpecError(
        f"there is no file, no preset and no scheme {source!r}", ("source",), Choices(there, source)
    )


def _spec_of_preset(
    preset: str, options: Mapping[str, str], arguments: Sequence[str]
) -> CheckpointSpec:
    """The spec of a preset with these options, and arguments as `name=value`."""
    fields = dict(options)
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals:
            raise SpecError(f"{argument!r} is not name=value", ("set",))
        if fields.setdefault(name, value) != value:
            raise SpecError(f"{name!r} is given twice", ("set",))
    for name in fields.keys() & scheme_parameters().keys() - {
        a.partition("=")[0] for a in arguments
    }:
        raise SpecError(f"{spelling(name)} is an option of a single tensor; see --set", (name,))
    return spec_of_preset(preset, fields)


def checkpoint_of(
    source: str, shape: str | None, options: Mapping[str, str], arguments: Sequence[str]
) -> Checkpoint:
    """The checkpoint that the arguments of a command name; a fault has the option's own name.

    Raises:
        ExceptionGroup: settings are wrong.
        SpecError: as `_spec` has it, or the spec has no plan.
    """
    settings = read_settings()
    spec = _spec(source, shape, options, arguments)
    try:
        return Checkpoint(spec, settings.limits, get_engine(settings.engine))
    except SpecError as error:
        if shape is None and source in presets():
            raise option_of_model(error) from error
        if shape is None:
            raise
        raise type(error)(error.message, option_of(error.path), error.allowed) from error
