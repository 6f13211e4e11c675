"""HTTP only: no arithmetic on weights. `application.create_app` composes it."""

from seedbed.web.catalogue import Kind, catalogue_entry, catalogue_summaries
from seedbed.web.environment import variable
from seedbed.web.keys import line_of, new_key
from seedbed.web.program import start
from seedbed.web.schemas import described
from seedbed.web.setting_list import listed_settings
from seedbed.web.settings import read_settings

__all__ = [
    "Kind",
    "catalogue_entry",
    "catalogue_summaries",
    "described",
    "line_of",
    "listed_settings",
    "new_key",
    "read_settings",
    "start",
    "variable",
]
