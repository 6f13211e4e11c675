"""How many connections there may be, and which must go when there are more.

A connection on which nothing is being answered costs its client nothing, so it holds no place
against one that comes: HTTP lets a server close it at any time (RFC 9112 §9.5).
"""

from __future__ import annotations

from typing import Protocol

from seedbed.web.clients import Hosts, host_of

_TOLD = 64
"""Connections past the limits that are kept until they have been told so."""


class Member(Protocol):
    """A connection."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being answered or sent."""
        ...

    def drop(self) -> None:
        """Close it."""
        ...


class Connections:
    """Those of a port.

    Args:
        most: at the same time.
        most_each: from one host.
        proxies: who speaks for many clients, and so has no limit of its own.
    """

    def __init__(self, most: int, most_each: int, proxies: Hosts) -> None:
        self.most = most
        self.most_each = most_each
        self._proxies = proxies
        self._hosts: dict[str, dict[Member, None]] = {}  # each in the order of last use
        self._host_of: dict[Member, str] = {}
        self._told: dict[Member, None] = {}

    def __len__(self) -> int:
        return len(self._host_of)

    def enter(self, member: Member, address: str) -> str | None:
        """Take a connection, in place of an idle one if there are too many.

        Returns:
            `None`, or the name of the limit that it is one too many for: its requests are to be
            refused.
        """
        host = host_of(address)
        own = self._hosts.get(host, {})
        limit = None
        if len(own) >= self.most_each and address not in self._proxies:
            limit = None if self._drop_idle(own) else "max_host_connections"
        elif len(self) >= self.most:
            limit = None if self._drop_idle_of_most(len(own)) else "max_connections"
        if limit is None:
            self._hosts.setdefault(host, {})[member] = None
            self._host_of[member] = host
        else:
            self._told[member] = None
            if len(self._told) > _TOLD:
                longest = next(iter(self._told))
                self.leave(longest)
                longest.drop()
        return limit

    def used(self, member: Member) -> None:
        """Note that a connection has just been answered: it is the last to go."""
        if (host := self._host_of.get(member)) is not None:
            own = self._hosts[host]
            del own[member]
            own[member] = None

    def leave(self, member: Member) -> None:
        """A connection that has ended, if it is still counted."""
        self._told.pop(member, None)
        if (host := self._host_of.pop(member, None)) is not None:
            own = self._hosts[host]
            del own[member]
            if not own:
                del self._hosts[host]

    def _drop_idle_of_most(self, at_least: int) -> bool:
        """Close one of the host that has most, but of none that has fewer than the newcomer's."""
        by_count = sorted(self._hosts.values(), key=len, reverse=True)
        return any(self._drop_idle(own) for own in by_count if len(own) >= at_least)

    def _drop_idle(self, members: dict[Member, None]) -> bool:
        """Close the one of these that has been idle longest; whether there was one."""
        longest = next((member for member in members if member.is_idle), None)
        if longest is None:
            return False
        self.leave(longest)
        longest.drop()
        return True
