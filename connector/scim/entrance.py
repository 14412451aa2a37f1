"""The door of the endpoint: a token, from a network it may come from, not too often. Deny by default.

Failures are counted per address and audited, at most one record an address and minute, and a few of all of them
together; whoever fails too often waits, but never somebody whose token is alive. Forwarded headers count only from
configured proxies. A token is never logged, not even its beginning.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from math import ceil
from threading import Lock

from connector.reconcile.journal_store import Store
from connector.scim.clients import LENGTH, Admitted, Client, Clients
from connector.scim.errors import forbidden, too_many, unauthorized

Network = IPv4Network | IPv6Network

BELIEVED_SECONDS = 2.0
"""How long a token that was just looked up is believed: as long can one that was taken back still be used."""

_FAILURES = 10
_FAILURE_SECONDS = 60.0
_MOST_ADDRESSES = 10_000
_MOST_TOKENS = 1_000
_NOTES_A_MINUTE = 60
"""How many failures a process audits in all: who has many addresses must not fill the journal."""
_BEARER = "bearer "
_LONGEST_PLACE = 100


@dataclass(slots=True)
class _Bucket:
    """So many requests a minute, saved up to as many as ten seconds' worth."""

    per_minute: int
    left: float
    at: float

    def take(self, now: float) -> float:
        """Take one; give how many seconds too early it is, 0 where it is not."""
        most = max(1.0, self.per_minute / 6)
        self.left = min(most, self.left + (now - self.at) * self.per_minute / 60)
        self.at = now
        if self.left >= 1:
            self.left -= 1
            return 0.0
        return (1 - self.left) * 60 / self.per_minute


@dataclass(slots=True)
class _Failures:
    """What an address got wrong lately."""

    since: float
    count: int = 0
    audited: bool = False


def _nobody_hears(_client: Client) -> None:
    """Tell nobody who calls."""


@dataclass(slots=True)
class Entrance:
    """Admits requests. `share` is how many processes share a client's rate; each allows its part of it.

    `heard` is told of every client whose token is alive, also of one that is sent away for another reason.
    """

    store: Store
    proxies: Sequence[str] = ()
    share: int = 1
    clock: Callable[[], float] = time.monotonic
    heard: Callable[[Client], None] = _nobody_hears
    _clients: Clients = field(init=False)
    _trusted: tuple[Network, ...] = field(init=False)
    _believed: OrderedDict[str, tuple[float, Admitted]] = field(default_factory=OrderedDict)
    _buckets: dict[str, _Bucket] = field(default_factory=dict)
    _failed: OrderedDict[str, _Failures] = field(default_factory=OrderedDict)
    _notes: _Bucket = field(init=False)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self._clients = Clients(self.store)
        self._notes = _Bucket(_NOTES_A_MINUTE, _NOTES_A_MINUTE / 6, self.clock())
        self._trusted = tuple(ip_network(proxy) for proxy in self.proxies)

    def admit(self, authorization: str, peer: str, forwarded: str = "") -> Client:
        """Give the client that calls. Raises ScimError: 401 without a token that is alive, 403 from elsewhere, 429.

        `authorization` and `forwarded` are the headers Authorization and X-Forwarded-For, `peer` the address that
        connected.
        """
        address = self.address(peer, forwarded)
        token = authorization[len(_BEARER) :].strip() if authorization[: len(_BEARER)].lower() == _BEARER else ""
        admitted = self._known(token) if len(token) == LENGTH else None
        if admitted is None:  # only now: a provider behind the same address as a guesser is not kept waiting
            self._refuse_tired(_place(address))
            self._fail(_place(address))
            raise unauthorized("A bearer token that is alive is needed: connector token create NAME")
        client = admitted.client
        self.heard(client)
        if client.networks and not _within(address, _read(client.networks)):
            self._fail(_place(address))
            raise forbidden(f"{client.name} may not call from this address.")
        self._refuse_hasty(client)
        return client

    def address(self, peer: str, forwarded: str) -> str:
        """Give who really calls: the last address in the chain that is no proxy of ours."""
        chain = [peer, *map(_without_port, reversed(forwarded.split(",")))] if forwarded else [peer]
        for here in chain:
            if not _within(here, self._trusted):
                return here
        return chain[-1]

    def _known(self, token: str) -> Admitted | None:
        now = self.clock()
        with self._lock:
            believed = self._believed.get(token)
        if believed is not None and now - believed[0] < BELIEVED_SECONDS:
            return believed[1]
        admitted = self._clients.known(token)
        with self._lock:
            self._believed.pop(token, None)
            if admitted is not None:
                self._believed[token] = (now, admitted)
                while len(self._believed) > _MOST_TOKENS:
                    self._believed.popitem(last=False)
        return admitted

    def _refuse_hasty(self, client: Client) -> None:
        if not client.per_minute:
            return
        now, mine = self.clock(), max(1, client.per_minute // max(1, self.share))
        with self._lock:
            bucket = self._buckets.get(client.name)
            if bucket is None or bucket.per_minute != mine:
                bucket = self._buckets[client.name] = _Bucket(mine, max(1.0, mine / 6), now)
            early = bucket.take(now)
        if early:
            raise too_many(max(1, ceil(early)))

    def _refuse_tired(self, address: str) -> None:
        now = self.clock()
        with self._lock:
            failures = self._failed.get(address)
            if failures is None:
                return
            left = failures.since + _FAILURE_SECONDS - now
            if left <= 0:
                del self._failed[address]
                return
            tired = failures.count >= _FAILURES
        if tired:
            raise too_many(max(1, ceil(left)), "Too many tokens that are not alive came from this address.")

    def _fail(self, address: str) -> None:
        with self._lock:
            failures = self._failed.setdefault(address, _Failures(self.clock()))
            failures.count += 1
            first = not failures.audited and not self._notes.take(self.clock())
            failures.audited |= first
            while len(self._failed) > _MOST_ADDRESSES:
                self._failed.popitem(last=False)
        if first:
            with self.store.writing() as writing:
                said = f"A call without a token that is alive, from {address}."
                writing.note("scim-unauthorized", "scim", "scim", said, detail={"address": address})


def _without_port(text: str) -> str:
    """Give an address that a proxy forwarded without the port that some write behind it: each call has another one."""
    bare = text.strip().strip('"')
    if bare.startswith("["):  # RFC 3986 3.2.2
        return bare[1:].partition("]")[0]
    host, _, port = bare.rpartition(":")
    return host if port.isdecimal() and host and ":" not in host else bare


def _place(address: str) -> str:
    """Give where failures are counted: of IPv6 the /64, of which one guesser has every address."""
    try:
        here = ip_address(address.strip("[]"))
    except ValueError:
        return address[:_LONGEST_PLACE]  # no address at all, as a proxy wrote it
    if isinstance(here, IPv6Address) and here.ipv4_mapped is None:
        return str(ip_network((here, 64), strict=False))
    return str(here)


@lru_cache(maxsize=64)
def _read(networks: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ip_network(network) for network in networks)


def _within(address: str, networks: Sequence[Network]) -> bool:
    if not networks:  # most schools name none: the address need not be read
        return False
    try:
        here = ip_address(address.strip("[]"))
    except ValueError:  # no address at all: it is in no network
        return False
    mapped = getattr(here, "ipv4_mapped", None)
    return any((mapped or here) in network for network in networks if network.version == (mapped or here).version)


def require(client: Client, scope: str) -> None:
    """Raise ScimError 403 where a client lacks a scope."""
    if scope not in client.scopes:
        raise forbidden(f"{client.name} lacks the scope {scope}.")
