"""Settings in the environment: which variables are meant, and what is said of a wrong one."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from seedbed.errors import SettingError
from seedbed.files import allowed_by, nearest

PREFIX = "SEEDBED_"

_SERVICE_LINK = re.compile(
    r"SEEDBED_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_[A-Z]+)?)"
)
"""What Kubernetes tells the pods of a namespace about a service called seedbed or seedbed-db."""

_LINK = re.compile(r"(tcp|udp|sctp)://.+", re.ASCII)
"""The value of SEEDBED_PORT or SEEDBED_DB_PORT there."""


def variable(field: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + field.upper()


class Environment(EnvSettingsSource):
    """The environment as a source of settings, with what looks like one and is none."""

    def __call__(self) -> dict[str, Any]:
        """Settings by field, and variables of no setting by their own names, to be refused."""
        known = {variable(field) for field in self.settings_cls.model_fields}
        return {**super().__call__(), **dict.fromkeys(_unknown(known), "")}


def _unknown(known: Collection[str]) -> Iterator[str]:
    """Names in the environment that only a setting can have, of which there is none."""
    for name, value in os.environ.items():
        linked = _SERVICE_LINK.fullmatch(name) or (name.endswith("_PORT") and _LINK.match(value))
        if name.upper().startswith(PREFIX) and name not in known and not linked:
            yield name


def faults(
    error: ValidationError, fields: Collection[str], options: Collection[str]
) -> Iterator[SettingError]:
    """What is wrong with settings, under the names that a user gave them.

    Args:
        error: from validating them.
        fields: there are.
        options: those of them that came from the command line.
    """
    for raw in error.errors(include_url=False):
        said = str(raw.get("ctx", {}).get("error", raw["msg"]))  # without "Value error, "
        if not raw["loc"]:  # of several together, which the text names
            yield SettingError("", said)
            continue
        field = str(raw["loc"][0])
        if field not in fields:
            near = nearest(field[len(PREFIX) :], fields)
            hint = f"; did you mean {' or '.join(map(variable, near))}?" if near else ""
            yield SettingError(field, f"there is no such setting{hint}")
            continue
        name = f"--{field}" if field in options else variable(field)
        if name == "SEEDBED_PORT" and _LINK.match(os.environ.get(name, "")):
            said += (
                "; Kubernetes sets it for a service called seedbed, unless the pod has "
                "enableServiceLinks: false"
            )
        yield SettingError(name, said, allowed_by(raw, raw["input"]))
