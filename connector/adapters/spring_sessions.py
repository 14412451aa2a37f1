"""Spring Session in Redis with its principal index (RedisIndexedSessionRepository): who is signed in is looked up.

A session is ended in one script, and only while the index still says it is this principal's: hash, expiry key and index
entry go together. What is not in the index is not seen: a repository without one cannot be swept from here. A key is
a session id, and is never shown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import redis

from connector.adapters.redis_address import RedisAddress, open_client, translated
from connector.adapters.session_reading import whole_reading
from connector.adapters.session_values import is_unicode
from connector.adapters.spring_values import spring_number, spring_text
from connector.adapters.sweep import Sweep
from connector.adapters.timestamps import moment
from connector.errors import ConfigError, ConnectorError, TargetUnreachable
from connector.interfaces import Secret, Site
from connector.model import EndSessions, Finding, LegState, Level, Outcome, Session, SessionKey, SessionsReading
from connector.permission import before_send

_INDEX = "org.springframework.session.FindByIndexNameSessionRepository.PRINCIPAL_NAME_INDEX_NAME"
_PER_ROUND = 500
_PER_SCAN = 2000
_TRIES = 3
_SAMPLE_ROUNDS = 20
_COMMANDS = "SCAN, SMEMBERS, HMGET, HGET, SISMEMBER, SREM, DEL, EXISTS and EVAL"

# The index is the owner: a session that changed hands, or its id, left this set in the same save. DEL, not UNLINK: the
# keys are small, and Spring listens for the event of the expiry key.
_END_IF_INDEXED = """
if redis.call('SISMEMBER', KEYS[3], ARGV[1]) == 0 then return 0 end
if redis.call('HGET', KEYS[1], 'creationTime') ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('SREM', KEYS[3], ARGV[1])
return 1
"""


@dataclass(frozen=True, slots=True)
class SpringRedisSettings:
    """Where the sessions are and how the principal is spelt.

    `url` is as for any Redis here. `namespace` is Spring's own. `spelling`: `any` compares names without case, for
    which the names in the index are scanned once per batch; `exact` looks up the spelling given, and its lower and
    upper case, and is for stores so large that a scan is too slow. `portal_attribute` names a text attribute of the
    session that says its portal.
    """

    url: str
    password: Secret | None = None
    ca_file: str = ""
    namespace: str = "spring:session"
    spelling: Literal["any", "exact"] = "any"
    portal: str = ""
    portal_attribute: str = ""
    user_key: SessionKey = SessionKey.USERNAME


@dataclass(frozen=True, slots=True, repr=False)
class _Found:
    """A session: its index entry and time of creation exactly as they are stored."""

    member: bytes
    made: bytes
    session: Session

    @property
    def key(self) -> tuple[str, str]:
        return (self.session.user, self.session.session_id)


_Named = list[tuple[_Found, int]]


class SpringRedisSessionStore:
    """A session store of Spring Session in Redis."""

    Settings = SpringRedisSettings

    def __init__(self, name: str, settings: SpringRedisSettings, site: Site) -> None:
        self._name = name
        self._settings = settings
        self._site = site
        self._address = RedisAddress.parse(f"[session_stores.{name}]", settings.url)
        self._client: redis.Redis | None = None
        self._prefix = settings.namespace.strip().removesuffix(":")
        if not self._prefix:
            raise ConfigError(
                f"[session_stores.{name}] namespace is empty.", 'Spring\'s own default is "spring:session".'
            )

    @property
    def user_key(self) -> SessionKey:
        """What the principal names of this store are."""
        return self._settings.user_key

    def read_all(self) -> SessionsReading:
        """Read every session the principal index names."""
        with translated(self._name, self._address, _COMMANDS):
            sessions = {found.key: found.session for found in self._sessions_of(self._principals())}
        source = f"{self._address} {self._prefix}"
        return whole_reading(self._name, source, self._settings.user_key, sessions.values())

    def close(self, batch: Sequence[EndSessions]) -> tuple[Outcome, ...]:
        """End what the batch names, each session in one script, and look at the same principals again."""
        sweep = Sweep[tuple[str, str]](batch, self._settings.user_key)
        try:
            with translated(self._name, self._address, _COMMANDS):
                principals = list(dict.fromkeys(self._wanted(batch, sweep)))
                for start in range(0, len(principals), _PER_ROUND):
                    self._end_all_of(principals[start : start + _PER_ROUND], sweep)
        except TargetUnreachable as error:
            return sweep.failed(LegState.UNREACHABLE, str(error))
        except ConnectorError as error:
            return sweep.failed(LegState.REFUSED, str(error))
        return sweep.outcomes()

    def check(self) -> tuple[Finding, ...]:
        """Look for index and sessions, and try whether scripts may be run. Writes nothing."""
        try:
            with translated(self._name, self._address, _COMMANDS):
                principals = sum(1 for _ in self._principals(_SAMPLE_ROUNDS))
                plain = 0 if principals else sum(1 for _ in self._keys(f"{_escaped(self._prefix)}:sessions:*", 1))
                self._connected().eval("return 1", 0)
        except ConnectorError as error:
            return (Finding(Level.ERROR, self._name, error.message, error.remedy),)
        return (self._finding(principals, plain),)

    def disconnect(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    # --- who ----------------------------------------------------------------------------------------------------

    def _wanted(self, batch: Sequence[EndSessions], sweep: Sweep[tuple[str, str]]) -> Iterator[str]:
        """Give the principals whose sessions an item may name."""
        users = [item.user for item in batch if item.user and is_unicode(item.user)]
        if self._settings.user_key not in (SessionKey.USERNAME, SessionKey.EMAIL):
            yield from users
        elif self._settings.spelling == "exact":
            for user in users:
                yield from (user, user.lower(), user.upper())
        elif users:
            yield from (name for name in self._principals() if sweep.names(name))

    def _principals(self, most_rounds: int | None = None) -> Iterator[str]:
        head = self._index("").decode()
        for key in self._keys(f"{_escaped(head)}*", most_rounds):
            if principal := key.decode("utf-8", "surrogateescape").removeprefix(head):
                yield principal

    def _keys(self, pattern: str, most_rounds: int | None) -> Iterator[bytes]:
        """Give the keys that fit, never blocking Redis; a key may come twice, as SCAN says."""
        cursor, rounds = 0, 0
        while rounds == 0 or (cursor and rounds != most_rounds):
            scanned: Any = self._connected().scan(cursor, match=pattern, count=_PER_SCAN)
            cursor, keys = int(scanned[0]), scanned[1]
            rounds += 1
            yield from keys

    # --- their sessions -----------------------------------------------------------------------------------------

    def _sessions_of(self, principals: Iterator[str] | Sequence[str]) -> Iterator[_Found]:
        """Give the live sessions of these principals, two round trips for every 500 of them."""
        portion: list[str] = []
        for principal in principals:
            portion.append(principal)
            if len(portion) == _PER_ROUND:
                yield from self._portion(portion)
                portion = []
        if portion:
            yield from self._portion(portion)

    def _portion(self, principals: Sequence[str]) -> Iterator[_Found]:
        pipeline = self._connected().pipeline(transaction=False)
        for principal in principals:
            pipeline.smembers(self._index(principal))
        indexed = _replies(pipeline)
        entries = [(user, member) for user, members in zip(principals, indexed, strict=True) for member in members]
        for start in range(0, len(entries), _PER_ROUND):
            yield from self._live(entries[start : start + _PER_ROUND])

    def _live(self, entries: Sequence[tuple[str, bytes]]) -> Iterator[_Found]:
        pipeline = self._connected().pipeline(transaction=False)
        fields = ["creationTime", "lastAccessedTime", "maxInactiveInterval"]
        if self._settings.portal_attribute:
            fields.append(f"sessionAttr:{self._settings.portal_attribute}")
        for _, member in entries:
            pipeline.hmget(self._hash(spring_text(member)), fields)
        now = datetime.now(UTC)
        for (user, member), values in zip(entries, _replies(pipeline), strict=True):
            session_id, (made, seen, interval, *portal) = spring_text(member), values
            # Without a time of creation Spring takes it for no session: a stub that a request left behind.
            if session_id and made is not None and not _expired(seen, interval, now):
                named = spring_text(portal[0]) if portal else ""
                times = (moment(spring_number(made)), moment(spring_number(seen)))
                yield _Found(
                    member, made, Session(self._name, named or self._settings.portal, user, session_id, *times)
                )

    # --- ending -------------------------------------------------------------------------------------------------

    def _end_all_of(self, principals: Sequence[str], sweep: Sweep[tuple[str, str]]) -> None:
        """End their sessions and look again, until none of them stands: one may have got a new id meanwhile."""
        for _ in range(_TRIES):
            named = self._named(principals, sweep)
            if not named:
                return
            self._end(named, sweep)
        for found, index in self._named(principals, sweep):
            sweep.standing(found.key, index)

    def _named(self, principals: Sequence[str], sweep: Sweep[tuple[str, str]]) -> _Named:
        judged = ((found, sweep.item_for(found.session)) for found in self._sessions_of(principals))
        return [(found, index) for found, index in judged if index is not None]

    def _end(self, named: _Named, sweep: Sweep[tuple[str, str]]) -> None:
        before_send()
        pipeline = self._connected().pipeline(transaction=False)
        for found, _ in named:
            session = found.session
            keys = (self._hash(session.session_id), self._expires(session.session_id), self._index(session.user))
            pipeline.eval(_END_IF_INDEXED, len(keys), *keys, found.member, found.made)
        replies = pipeline.execute(raise_on_error=False)
        for (found, index), reply in zip(named, replies, strict=True):
            if reply == 1:
                sweep.ended(found.key, index)
        _raise_first(replies)

    # --- keys and words -----------------------------------------------------------------------------------------

    def _index(self, principal: str) -> bytes:
        # What was read is what is looked up, also where it is no UTF-8.
        return f"{self._prefix}:index:{_INDEX}:{principal}".encode("utf-8", "surrogateescape")

    def _hash(self, session_id: str) -> bytes:
        return f"{self._prefix}:sessions:{session_id}".encode()

    def _expires(self, session_id: str) -> bytes:
        return f"{self._prefix}:sessions:expires:{session_id}".encode()

    def _finding(self, principals: int, plain: int) -> Finding:
        if principals:
            return Finding(
                Level.OK, self._name, f"The principal index names {principals} people in the keys looked at."
            )
        if plain:
            return Finding(
                Level.ERROR,
                self._name,
                f"There are sessions under {self._prefix}, and no principal index.",
                "Set spring.session.redis.repository-type=indexed in the application: without it nobody can be found.",
            )
        remedy = "Right if nobody is signed in; else set namespace to the application's."
        return Finding(Level.WARNING, self._name, f"No session stands under {self._prefix}.", remedy)

    def _connected(self) -> redis.Redis:
        if self._client is None:
            ca_file = str(self._site.path(self._settings.ca_file)) if self._settings.ca_file else None
            password = self._settings.password.reveal(self._site) if self._settings.password else None
            self._client = open_client(self._address, password, ca_file)
        return self._client


def _expired(seen: bytes | None, interval: bytes | None, now: datetime) -> bool:
    """Say whether a session certainly has expired; a negative interval never does."""
    seconds, last = spring_number(interval), moment(spring_number(seen))
    return seconds is not None and seconds >= 0 and last is not None and (now - last).total_seconds() >= seconds


def _escaped(text: str) -> str:
    """Give a text that a Redis pattern takes as itself."""
    return "".join(f"\\{letter}" if letter in "*?[]\\^-" else letter for letter in text)


def _replies(pipeline: Any) -> list[Any]:
    """Give the replies of a pipeline; the first error among them is raised bare, for the library adds keys to it."""
    replies: list[Any] = pipeline.execute(raise_on_error=False)
    _raise_first(replies)
    return replies


def _raise_first(replies: Sequence[Any]) -> None:
    for reply in replies:
        if isinstance(reply, redis.RedisError):
            raise reply
