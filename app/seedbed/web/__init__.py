"""HTTP only: no arithmetic on weights. `application.create_app` composes it."""

from seedbed.web.environment import variable
from seedbed.web.keys import line_of, new_key
from seedbed.web.program import start
from seedbed.web.settings import read_settings

__all__ = ["line_of", "new_key", "read_settings", "start", "variable"]
