"""Routes of protocols that others define, which are in no OpenAPI document."""

from __future__ import annotations

from starlette.routing import Match, Route
from starlette.types import Scope


class NamedRoute(Route):
    """A route that the log and the metrics can name."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As Starlette does, and which route it was, as FastAPI does."""
        match, child_scope = super().matches(scope)
        return match, {**child_scope, "route": self} if match is not Match.NONE else child_scope
