"""Settings as they are in force, for whoever runs the service."""

from __future__ import annotations

from typing import NamedTuple

from seedbed.web.environment import variable
from seedbed.web.settings import Settings


class ListedSetting(NamedTuple):
    """A setting."""

    name: str
    value: str
    default: str
    source: str
    description: str


def listed_settings(settings: Settings) -> list[ListedSetting]:
    """All settings in their order, without what is secret: a database's password."""
    return [
        ListedSetting(
            variable(name),
            _shown(str(getattr(settings, name))),
            str(field.default),
            "environment" if name in settings.model_fields_set else "default",
            field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]


def _shown(value: str) -> str:
    """A value, with *** for the password of a URL."""
    if "://" not in value:
        return value
    from sqlalchemy.engine import make_url  # noqa: PLC0415  of use to this command alone
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        return make_url(value).render_as_string(hide_password=True)
    except ArgumentError:
        return value
