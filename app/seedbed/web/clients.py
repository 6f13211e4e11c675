"""Who a client is, where they share something: the key that it has shown, else its address.

An address is what the connection says, unless that is a proxy that `SEEDBED_TRUSTED_PROXIES` names:
then it is the one that the proxy has written into X-Forwarded-For, which uvicorn has put into the
scope before anything here is asked.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from starlette.types import Scope

KEY_NAME = "seedbed.key"
"""In a connection's scope: the name of the key that it has shown."""

_HOST_BITS = 64
"""Of an IPv6 address: whoever has one of them has the others as well (RFC 4291 §2.5.1)."""

_MAX_CHARS = 64


def client_of(scope: Scope) -> str:
    """The client of a request, as a name that tells it from others."""
    if (key := scope.get(KEY_NAME)) is not None:
        return f"key {key}"
    client = scope.get("client")
    return host_of(client[0]) if client else ""


@lru_cache(maxsize=4096)
def host_of(address: str) -> str:
    """The host of an address: itself, or the network of 64 bits that an IPv6 host has to itself."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:  # what a proxy that is trusted has said
        return address[:_MAX_CHARS]
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((int(parsed) >> _HOST_BITS << _HOST_BITS, 128 - _HOST_BITS)))


class Hosts:
    """Addresses that a setting names.

    Args:
        text: `none`, `*` for all, or addresses and networks with commas between them.

    Raises:
        ValueError: a part is neither.
    """

    def __init__(self, text: str) -> None:
        self._all = text == "*"
        named = () if text in ("none", "*") else text.split(",")
        self._networks = tuple(ip_network(part.strip()) for part in named)

    def __contains__(self, address: str) -> bool:
        if self._all or not self._networks:
            return self._all
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)
