"""Sessions in Redis (Flask-Session, connect-redis and their like): keys by pattern, the user somewhere in the value.

Never blocks Redis (SCAN, not KEYS; UNLINK, not DEL), never ends a key whose value is not exactly the one that was
judged, and never shows a key: a key is a session id. The library sends nothing twice: a sweep that breaks off says so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from connector.adapters.redis_address import RedisAddress, open_client, translated
from connector.adapters.session_reading import whole_reading
from connector.adapters.session_values import Format, at, decode, text_at
from connector.adapters.sweep import Sweep, Watched
from connector.adapters.timestamps import moment
from connector.errors import ConfigError, ConnectorError, SourceError, TargetUnreachable
from connector.interfaces import Secret, Site
from connector.model import (
    EndSessions,
    Finding,
    LegState,
    Level,
    Outcome,
    Session,
    SessionKey,
    SessionsReading,
)
from connector.permission import before_send

_PER_ROUND = 500
_SAMPLE_ROUNDS = 20
_TRIES = 3

# Compare and delete in one step, so that a key given to somebody else in between is never hit. pcall: a key that became
# another type is a changed one, not an error.
_END_IF_UNCHANGED = """
local value = redis.pcall('GET', KEYS[1])
if not value then return 0 end
if value ~= ARGV[1] then return 2 end
redis.call('UNLINK', KEYS[1])
return 1
"""
_ENDED, _CHANGED = 1, 2


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Where the sessions are and how to read them.

    `url` is `rediss://HOST[:PORT][/DB]`, or `redis://` to loopback, or `unix:///PATH[?db=N]`; a user name may stand in
    it, a password may not. `user_path`, `portal_path` and `created_path` are dotted paths in the value; `portal` names
    the portal of every session whose value names none.
    """

    url: str
    user_path: str
    password: Secret | None = None
    ca_file: str = ""
    key_pattern: str = "session:*"
    format: Format = "json"
    portal: str = ""
    portal_path: str = ""
    created_path: str = ""
    user_key: SessionKey = SessionKey.USERNAME


@dataclass(slots=True)
class _Met:
    """What a walk over the keys met."""

    values: int = 0
    unreadable: int = 0
    users: int = 0

    @property
    def nothing_readable(self) -> bool:
        return 0 < self.values == self.unreadable

    @property
    def remark(self) -> str:
        return (
            f"{self.unreadable} of {self.values} values could not be read and were left alone."
            if self.unreadable
            else ""
        )


@dataclass(frozen=True, slots=True, repr=False)
class _Found:
    """A session, with the key and the exact bytes it was read from."""

    key: bytes
    value: bytes
    session: Session


_Round = tuple[list[bytes], list[bytes | None]]
_Named = tuple[_Found, int]


class RedisSessionStore:
    """A session store in Redis."""

    Settings = RedisSettings

    def __init__(self, name: str, settings: RedisSettings, site: Site) -> None:
        self._name = name
        self._settings = settings
        self._site = site
        self._address = RedisAddress.parse(f"[session_stores.{name}]", settings.url)
        self._client: redis.Redis | None = None
        self._watched = Watched[bytes]()
        if not settings.key_pattern.strip("*?"):
            raise ConfigError(
                f"[session_stores.{name}] key_pattern {settings.key_pattern!r} fits every key.",
                'Name the prefix of session keys, for example "session:*".',
            )

    @property
    def user_key(self) -> SessionKey:
        """What the user value of this store's sessions is."""
        return self._settings.user_key

    def read_all(self) -> SessionsReading:
        """Read every session that has a user, in one SCAN; values that do not decode are left out."""
        met = _Met()
        with translated(self._name, self._address):
            sessions = {found.key: found.session for found in self._walk(met)}
        if met.nothing_readable:
            raise self._nothing_readable(met)
        source = f"{self._address} {self._settings.key_pattern}"
        return whole_reading(self._name, source, self._settings.user_key, sessions.values())

    def close(self, batch: Sequence[EndSessions]) -> tuple[Outcome, ...]:
        """End what the batch names, in one SCAN, each key only while it holds exactly the bytes that were judged."""
        sweep, met = Sweep[bytes](batch, self._settings.user_key), _Met()
        try:
            with translated(self._name, self._address):
                self._sweep(sweep, met)
        except TargetUnreachable as error:
            return sweep.failed(LegState.UNREACHABLE, str(error))
        except ConnectorError as error:
            return sweep.failed(LegState.REFUSED, str(error))
        finally:
            self._watched.note(sweep, batch)
        if met.nothing_readable:
            return sweep.failed(LegState.REFUSED, str(self._nothing_readable(met)))
        return sweep.outcomes(met.remark)

    def end_again(self, batch: Sequence[EndSessions]) -> frozenset[EndSessions]:
        """End what was ended for these items and came back, each key only while it still is this user's session."""
        sweep = Sweep[bytes](batch, self._settings.user_key)
        with translated(self._name, self._address):
            self._end_under(self._watched.keys(batch), sweep)
        return sweep.met

    def check(self) -> tuple[Finding, ...]:
        """Look at a sample of the keys, and try whether scripts may be run. Writes nothing."""
        met = _Met()
        try:
            with translated(self._name, self._address):
                for _ in self._walk(met, _SAMPLE_ROUNDS):
                    pass
                self._connected().eval("return 1", 0)
        except ConnectorError as error:
            return (Finding(Level.ERROR, self._name, error.message, error.remedy),)
        return tuple(self._findings(met))

    def disconnect(self) -> None:
        """Let go of the connection, and of what was watched."""
        self._watched.forget()
        if self._client is not None:
            self._client.close()
            self._client = None

    # --- reading ------------------------------------------------------------------------------------------------

    def _walk(self, met: _Met, most_rounds: int | None = None) -> Iterator[_Found]:
        """Give every session that has a user; a key may come twice, as SCAN says."""
        for number, (keys, values) in enumerate(self._rounds(), start=1):
            yield from self._judged(keys, values, met)
            if number == most_rounds:
                return

    def _rounds(self) -> Iterator[_Round]:
        """Give keys with their values; the values of one round travel with the next SCAN, in one round trip."""
        pattern = self._settings.key_pattern
        cursor, keys = _scanned(self._connected().scan(0, match=pattern, count=_PER_ROUND))
        while cursor:
            pipeline = self._connected().pipeline(transaction=False)
            if keys:
                pipeline.mget(keys)
            pipeline.scan(cursor, match=pattern, count=_PER_ROUND)
            *values, scanned = _replies(pipeline)
            if keys:
                yield keys, values[0]
            cursor, keys = _scanned(scanned)
        if keys:
            yield keys, self._values(keys)

    def _values(self, keys: Sequence[bytes]) -> list[bytes | None]:
        values: Any = self._connected().mget(keys)
        return list(values)

    def _judged(self, keys: Sequence[bytes], values: Sequence[bytes | None], met: _Met) -> Iterator[_Found]:
        """Give the sessions among these keys: not what is gone, no session, or nobody's."""
        for key, value in zip(keys, values, strict=True):
            if value is None:
                continue
            met.values += 1
            decoded = decode(value, self._settings.format)
            if decoded is None:
                met.unreadable += 1
            elif session := self._session(key, decoded):
                met.users += 1
                yield _Found(key, value, session)

    def _session(self, key: bytes, decoded: Any) -> Session | None:
        settings = self._settings
        user = text_at(decoded, settings.user_path)
        if not user:
            return None
        portal = (text_at(decoded, settings.portal_path) if settings.portal_path else "") or settings.portal
        created_at = moment(at(decoded, settings.created_path)) if settings.created_path else None
        return Session(self._name, portal, user, key.decode("utf-8", "surrogateescape"), created_at)

    # --- ending -------------------------------------------------------------------------------------------------

    def _sweep(self, sweep: Sweep[bytes], met: _Met) -> None:
        for keys, values in self._rounds():
            self._end_named(self._named(keys, values, sweep, met), sweep)
        # Applications that save at the end of a request bring an ended session back: look once more, at these keys.
        self._end_under(sweep.ended_keys, sweep)

    def _end_under(self, keys: Sequence[bytes], sweep: Sweep[bytes]) -> None:
        """End what an item of the batch names under these keys."""
        for start in range(0, len(keys), _PER_ROUND):
            part = keys[start : start + _PER_ROUND]
            self._end_named(self._named(part, self._values(part), sweep, _Met()), sweep)

    def _named(
        self, keys: Sequence[bytes], values: Sequence[bytes | None], sweep: Sweep[bytes], met: _Met
    ) -> list[_Named]:
        """Give the sessions under these keys that an item of the batch names, each with that item."""
        judged = ((found, sweep.item_for(found.session)) for found in self._judged(keys, values, met))
        return [(found, index) for found, index in judged if index is not None]

    def _end_named(self, named: list[_Named], sweep: Sweep[bytes]) -> None:
        """End them. What changed meanwhile is judged afresh: still this user's, tried again; else left alone."""
        for _ in range(_TRIES):
            if not named:
                return
            changed = self._end(named, sweep)
            named = self._named(changed, self._values(changed), sweep, _Met()) if changed else []
        for found, index in named:
            sweep.standing(found.key, index)

    def _end(self, named: Sequence[_Named], sweep: Sweep[bytes]) -> list[bytes]:
        """Compare and delete, one short script per key so that Redis serves others in between; give what changed."""
        before_send()
        pipeline = self._connected().pipeline(transaction=False)
        for found, _ in named:
            pipeline.eval(_END_IF_UNCHANGED, 1, found.key, found.value)
        replies = pipeline.execute(raise_on_error=False)
        for (found, index), reply in zip(named, replies, strict=True):
            if reply == _ENDED:
                sweep.ended(found.key, index)
        _raise_first(replies)
        return [found.key for (found, _), reply in zip(named, replies, strict=True) if reply == _CHANGED]

    # --- saying -------------------------------------------------------------------------------------------------

    def _nothing_readable(self, met: _Met) -> SourceError:
        return SourceError(
            f"Session store {self._name}: none of {met.values} values under {self._settings.key_pattern} is a map in "
            f"{self._settings.format}.",
            "Set format to what the application writes (json, msgpack), and key_pattern to its sessions.",
        )

    def _findings(self, met: _Met) -> Iterator[Finding]:
        settings = self._settings
        seen = f"{met.users} of {met.values} values looked at under {settings.key_pattern} belong to a user."
        if not met.values:
            yield Finding(
                Level.WARNING, self._name, f"No key fits {settings.key_pattern}.", "Right if nobody is signed in."
            )
        elif met.nothing_readable:
            error = self._nothing_readable(met)
            yield Finding(Level.ERROR, self._name, error.message, error.remedy)
        elif not met.users:
            remedy = "Right if nobody is signed in; else look at one session of your own for the path of its user."
            yield Finding(Level.ERROR, self._name, f"No value has a user at {settings.user_path}: {seen}", remedy)
        else:
            yield Finding(Level.OK, self._name, seen)
        if met.unreadable and not met.nothing_readable:
            yield Finding(Level.WARNING, self._name, met.remark, "Narrow key_pattern to what holds sessions.")

    def _connected(self) -> redis.Redis:
        if self._client is None:
            ca_file = str(self._site.path(self._settings.ca_file)) if self._settings.ca_file else None
            password = self._settings.password.reveal(self._site) if self._settings.password else None
            self._client = open_client(self._address, password, ca_file)
        return self._client


def _scanned(reply: Any) -> tuple[int, list[bytes]]:
    cursor, keys = reply
    return int(cursor), keys


def _replies(pipeline: Any) -> list[Any]:
    """Give the replies of a pipeline; the first error among them is raised bare, for the library adds keys to it."""
    replies: list[Any] = pipeline.execute(raise_on_error=False)
    _raise_first(replies)
    return replies


def _raise_first(replies: Sequence[Any]) -> None:
    for reply in replies:
        if isinstance(reply, redis.RedisError):
            raise reply
