"""The daemon's own small listener: health, readiness, metrics, and a signed webhook that asks for a run.

It changes nothing but by that webhook, names no person, and never keeps the daemon's thread waiting. On this machine
only, unless the config says otherwise: it speaks no TLS.
"""

import contextlib
import json
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import structlog
import waitress
from waitress import wasyncore

from connector.config import Config
from connector.daemon import webhook
from connector.daemon.diary import ReplayError
from connector.daemon.health import Answer, Readiness, Reading, living
from connector.daemon.loop import Daemon, State
from connector.daemon.metrics import MEDIA_TYPE, SchoolCollector, exposition
from connector.errors import ConnectorError
from connector.journal_key import open_journal

WEBHOOK = "webhook"
"""Why a run is begun that was asked for here."""

MOST_BYTES = 64 << 10
"""How long a body may be: what it says is not read, only signed."""

_ANSWERS_SECONDS = 5
"""How long a database is waited for: whoever probes does not wait longer."""
_CONNECTION_SECONDS = 15.0
"""How long a connection lives that is not being answered: whoever sends bit by bit would hold it for ever."""
_A_MINUTE, _MINUTE = 10, 60.0
_MOST_ADDRESSES = 1_000
_THREADS = 4
_MOST_CONNECTIONS = 100
_SHARE = 4
"""A fourth of the files that this process may open is for connections, at most: the night must still open its own."""
_AGAIN_SECONDS = 5.0
"""After how long a port that was taken is tried again."""
_PAUSE_SECONDS = 1.0
"""How long nobody is accepted where there is no file for another connection: asked again at once, it would spin."""

_log = structlog.stdlib.get_logger("connector.daemon")


@dataclass(frozen=True, slots=True)
class Said:
    """One answer: its status, its body and the headers that go with it."""

    status: HTTPStatus
    body: bytes
    media_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, status: HTTPStatus, said: Mapping[str, object], *headers: tuple[str, str]) -> "Said":
        """Give an answer in JSON."""
        return cls(status, json.dumps(said).encode(), headers=headers)


@dataclass(slots=True)
class Rate:
    """So many a minute from each address; a window that slides by the minute."""

    clock: Callable[[], datetime]
    _since: OrderedDict[str, tuple[datetime, int]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def exceeded(self, address: str) -> bool:
        """Count one; say whether it is one too many."""
        now = self.clock()
        with self._lock:
            since, count = self._since.pop(address, (now, 0))
            if not 0 <= (now - since).total_seconds() < _MINUTE:
                since, count = now, 0
            self._since[address] = since, count + 1
            while len(self._since) > _MOST_ADDRESSES:
                self._since.popitem(last=False)
        return count >= _A_MINUTE


Ask = Callable[[str, webhook.Genuine], bool]
"""Writes down who asks for a run, and by which message; says whether it was. Raises ReplayError, ConnectorError."""


@dataclass(slots=True)
class Hook:
    """Takes a webhook that asks for a run."""

    config: Config
    ask: Ask
    clock: Callable[[], datetime]
    rate: Rate = field(init=False)

    def __post_init__(self) -> None:
        self.rate = Rate(self.clock)

    def answer(self, environ: Mapping[str, Any]) -> Said:
        """Answer one request; only a message that its sender signed leads to anything."""
        secret = self.config.daemon.webhook_secret
        if secret is None:
            return _nothing_here()
        if self.rate.exceeded(environ.get("REMOTE_ADDR", "")):
            return Said.of(HTTPStatus.TOO_MANY_REQUESTS, {"error": "too often"}, ("Retry-After", str(int(_MINUTE))))
        body = environ["wsgi.input"].read(MOST_BYTES + 1)
        if len(body) > MOST_BYTES:
            return Said.of(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": f"at most {MOST_BYTES} bytes are taken"})
        try:
            message = webhook.checked(secret.reveal(self.config.site), _headers(environ), body, self.clock())
            if isinstance(message, webhook.Refused):
                _log.warning("webhook-refused", reason=message.reason, address=environ.get("REMOTE_ADDR", ""))
                return Said.of(HTTPStatus.UNAUTHORIZED, {"error": message.reason})
            return self._asked(message)
        except ConnectorError as error:
            _log.warning("webhook-failed", problem=str(error))
            return _unavailable("it cannot be taken just now")

    def _asked(self, message: webhook.Genuine) -> Said:
        try:
            if not self.ask(WEBHOOK, message):
                return _unavailable("this daemon stands by: ask the one that works")
        except ReplayError:
            return Said.of(HTTPStatus.CONFLICT, {"error": "this message was taken already"})
        _log.info("webhook-taken", message_id=message.id)
        return Said.of(HTTPStatus.ACCEPTED, {"asked": True, "id": message.id})


@dataclass(slots=True)
class Listening:
    """The WSGI application (PEP 3333): four addresses, and a plain no to everything else."""

    config: Config
    state: Callable[[], State]
    still_seconds: Callable[[], float]
    ask: Ask
    reading: Reading
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _collector: SchoolCollector = field(init=False)
    _readiness: Readiness = field(init=False)
    _hook: Hook = field(init=False)

    def __post_init__(self) -> None:
        self._collector = SchoolCollector(self.config, self.reading, self.state, self.clock)
        self._readiness = Readiness(self.config, self.reading, self.state, self.clock)
        self._hook = Hook(self.config, self.ask, self.clock)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve a request."""
        try:
            said = self._said(environ)
        except Exception:  # noqa: BLE001 - whoever asks learns nothing about it; the log does
            _log.exception("listener")
            said = Said.of(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "it is logged"})
        always = (
            ("Content-Type", said.media_type),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        )
        start_response(f"{said.status.value} {said.status.phrase}", [*always, *said.headers])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [said.body]

    def _said(self, environ: Mapping[str, Any]) -> Said:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        looking = {"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._metrics}
        if path == "/run":
            return self._hook.answer(environ) if method == "POST" else _not_allowed("POST")
        if path not in looking:
            return _nothing_here()
        return looking[path]() if method in ("GET", "HEAD") else _not_allowed("GET, HEAD")

    def _healthz(self) -> Said:
        return _well("lives", living(self.state(), self.still_seconds()))

    def _readyz(self) -> Said:
        return _well("ready", self._readiness.answer())

    def _metrics(self) -> Said:
        return Said(HTTPStatus.OK, exposition(self._collector), MEDIA_TYPE)


def _well(name: str, answer: Answer) -> Said:
    return Said.of(HTTPStatus.OK if answer.ok else HTTPStatus.SERVICE_UNAVAILABLE, {name: answer.ok, **answer.said})


def _nothing_here() -> Said:
    return Said.of(HTTPStatus.NOT_FOUND, {"error": "there is nothing at this address"})


def _not_allowed(allowed: str) -> Said:
    return Said.of(HTTPStatus.METHOD_NOT_ALLOWED, {"error": f"this address takes {allowed}"}, ("Allow", allowed))


def _unavailable(why: str) -> Said:
    return Said.of(HTTPStatus.SERVICE_UNAVAILABLE, {"error": why}, ("Retry-After", str(int(_MINUTE))))


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    begins = "HTTP_"
    return {k.removeprefix(begins).replace("_", "-"): v for k, v in environ.items() if k.startswith(begins)}


# --- beside the daemon ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def listening(daemon: Daemon) -> Iterator[None]:
    """Listen beside a daemon, where the config says; a port that is taken is said, and stops no night."""
    config = daemon.connector.config
    reading = Reading(lambda: open_journal(_impatient(config), make=False))
    app = Listening(config, lambda: daemon.state, lambda: daemon.heart.still_seconds, daemon.ask, reading, daemon.clock)
    with _served(app, config.daemon.listen) if config.daemon.listen else contextlib.nullcontext():
        yield
    reading.close()


def _served(app: Listening, address: str) -> contextlib.AbstractContextManager[None]:
    try:
        return Server(app, address).served()
    except (OSError, UnicodeError) as error:  # a name that cannot be one is refused while it is encoded
        problem = getattr(error, "strerror", None) or str(error)
        _log.error("not-listening", address=address, problem=problem, next="[daemon] listen")
        return _served_once_free(app, address)


@contextlib.contextmanager
def _served_once_free(app: Listening, address: str) -> Iterator[None]:
    """Serve as soon as the address can be had: whoever held it may only have been the daemon before this one."""
    over = threading.Event()

    def serve() -> None:
        while not over.wait(_AGAIN_SECONDS):
            with contextlib.suppress(OSError, UnicodeError), Server(app, address).served():
                _log.info("listening", address=address)
                over.wait()

    thread = threading.Thread(target=serve, name="listener-later", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(4 * _ANSWERS_SECONDS)


class Server:
    """A WSGI application on HOST:PORT, served by threads of its own. Raises OSError where the port is taken."""

    def __init__(self, app: Listening, address: str) -> None:
        self._sockets: dict[int, Any] = {}
        self._over = threading.Event()
        self._server = waitress.create_server(
            app,
            map=self._sockets,
            sockets=[_bound(address)],
            threads=_THREADS,
            connection_limit=_most_connections(),
            ident=None,  # who serves is nobody's business
            max_request_body_size=MOST_BYTES,
            max_request_header_size=16 << 10,
            channel_timeout=30,
            clear_untrusted_proxy_headers=True,
        )
        self._server.accept = _unhurried(self._server.accept, self._over)

    @contextlib.contextmanager
    def served(self) -> Iterator[None]:
        """Serve until the end of the `with`."""
        thread = threading.Thread(target=self._serve, name="listener", daemon=True)
        thread.start()
        try:
            yield
        finally:
            # The serving thread sets it itself when it is woken. After its end its pipe is closed: what would
            # be written into then may be the journal.
            self._server.trigger.pull_trigger(self._over.set)
            thread.join(2 * _ANSWERS_SECONDS)

    def _serve(self) -> None:
        # Closed on the thread that waits for the sockets: closed by another one, it would wait for what is gone.
        while not self._over.is_set():
            try:
                wasyncore.loop(timeout=1.0, map=self._sockets, count=1)
                self._cut(time.time() - _CONNECTION_SECONDS)
            except Exception:  # noqa: BLE001 - whoever asks next is served again; a thread that died would serve nobody
                _log.exception("listener")
                self._over.wait(_PAUSE_SECONDS)
        self._end()

    def _end(self) -> None:
        """Close everything, but not the pipe into which a thread that still answers would write, as above."""
        answering = self._server.task_dispatcher
        answering.shutdown(timeout=_ANSWERS_SECONDS)
        for channel in tuple(self._server.active_channels.values()):
            channel.handle_close()
        if answering.threads:
            wasyncore.dispatcher.close(self._server)
        else:
            self._server.close()

    def _cut(self, before: float) -> None:
        """Close what was connected before a time and is not being answered: only so many are accepted at once."""
        for channel in self._server.active_channels.values():
            if not channel.requests and channel.creation_time < before:
                channel.will_close = True


def _most_connections() -> int:
    """Give how many connections are open at once: few where this process may open few files."""
    try:
        import resource  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        return _MOST_CONNECTIONS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_CONNECTIONS if files < 0 else max(_THREADS, min(_MOST_CONNECTIONS, files // _SHARE))


def _unhurried(accept: Callable[[], Any], over: threading.Event) -> Callable[[], Any]:
    """Give an `accept` that waits where no connection can be had, and says so once until one can."""
    fails = False

    def accepted() -> Any:
        nonlocal fails
        try:
            made = accept()
        except OSError as error:
            if not fails:
                _log.warning("no-more-connections", problem=error.strerror, next="LimitNOFILE of the service")
            fails = True
            over.wait(_PAUSE_SECONDS)
            return None
        fails = False
        return made

    return accepted


def _bound(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    family, *_, where = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
    return socket.create_server(where[:2], family=family)


def _impatient(config: Config) -> Config:
    """Give the config with a journal that is not waited for long."""
    seconds = min(config.journal.receive_timeout, _ANSWERS_SECONDS)
    return replace(config, journal=replace(config.journal, receive_timeout=seconds))
