from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from seedbed.web.clients import Hosts, client_of, host_of
from seedbed.web.connections import Connections
from tests.strategies import untimed

NOBODY = Hosts("none")


@dataclass(eq=False)
class Connection:
    """One that a test can make busy."""

    is_idle: bool = True
    dropped: bool = False

    def drop(self) -> None:
        """Note it."""
        self.dropped = True


def test_the_longest_idle_goes_first() -> None:
    """A newcomer takes the place of the one that has been used least lately."""
    places = Connections(3, 3, NOBODY)
    made = [Connection() for _ in range(3)]
    for one in made:
        assert places.enter(one, "a") is None
    places.used(made[0])
    made[1].is_idle = False
    assert places.enter(Connection(), "a") is None
    assert [one.dropped for one in made] == [False, False, True]


def test_a_small_host_is_safe_from_a_large_one() -> None:
    """A host that has most loses its own idle connections, not those of others."""
    places = Connections(10, 9, NOBODY)
    small = Connection()
    places.enter(small, "small")
    large = [Connection(is_idle=i > 3) for i in range(9)]
    for one in large:
        assert places.enter(one, "large") is None
    for _ in range(20):
        assert places.enter(Connection(), "large") is None
    assert not small.dropped
    busy = [Connection(is_idle=False) for _ in range(9)]
    assert [places.enter(one, "large") for one in busy].count("max_host_connections") == 4


def test_a_proxy_speaks_for_many() -> None:
    """An address that is a trusted proxy has no bound of its own."""
    places = Connections(10, 2, Hosts("10.0.0.0/8, ::1"))
    busy = [Connection(is_idle=False) for _ in range(12)]
    assert [places.enter(one, "10.1.2.3") for one in busy] == [None] * 10 + ["max_connections"] * 2


@untimed
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("eeebiul"), st.integers(0, 99))))
def test_any_order_of_events(events: list[tuple[int, str, int]]) -> None:
    """Whatever comes, is used, becomes busy or idle, or leaves: no limit is passed, none is lost.

    Nothing busy is dropped, and a newcomer is refused only where nothing that may go is idle.
    """
    places = Connections(6, 4, NOBODY)
    held: dict[Connection, str] = {}
    for number, event, which in events:
        host = f"192.0.2.{number}"
        if event == "e":
            one = Connection()
            before = dict(held)
            limit = places.enter(one, host)
            dropped = [other for other in before if other.dropped]
            assert all(other.is_idle for other in dropped)
            for other in dropped:
                del held[other]
            if limit is None:
                held[one] = host
            else:
                assert not dropped
                assert not any(other.is_idle for other, at in before.items() if at == host)
        elif held:
            one = list(held)[which % len(held)]
            if event in "bi":
                one.is_idle = event == "i"
            elif event == "u":
                places.used(one)
            else:
                places.leave(one)
                places.leave(one)
                del held[one]
        assert len(places) == len(held) <= 6
        assert all(list(held.values()).count(host) <= 4 for host in held.values())
    for one in held:
        places.leave(one)
    assert not places._hosts


def test_hosts_of_addresses() -> None:
    """An IPv4 address is a host; of IPv6 a network of 64 bits is; what is neither is bounded."""
    assert host_of("192.0.2.1") == host_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert host_of("2001:db8::1") == host_of("2001:db8::ffff:1%eth0") == "2001:db8::/64"
    assert host_of("2001:db8:0:1::1") != host_of("2001:db8::1")
    assert len(host_of("x" * 10_000)) == 64
    assert client_of({"client": ("192.0.2.1", 5)}) == "192.0.2.1"
    assert client_of({"client": ("192.0.2.1", 5), "seedbed.key": "ci"}) == "key ci"
    assert client_of({"client": None}) == ""


def test_named_hosts() -> None:
    """A setting names addresses and networks, all, or none."""
    assert "192.0.2.1" in Hosts("*")
    assert "192.0.2.1" not in Hosts("none")
    assert "192.0.2.1" in Hosts("192.0.2.0/24,::1")
    assert "::1" in Hosts("192.0.2.0/24,::1")
    assert "192.0.3.1" not in Hosts("192.0.2.0/24,::1")
    assert "unix" not in Hosts("192.0.2.0/24")
