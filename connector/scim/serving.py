"""The endpoint as an application over a school's journal, and the processes it is served by.

A worker opens the journal's database and nothing else: no source, no target, no snapshot, so that it stays small and
answers while the school is being read. Whatever goes wrong, a client sees a SCIM error and never how we work inside.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from flask import Flask, Response
from sqlalchemy import event
from werkzeug.exceptions import HTTPException

from connector.config import Config, load
from connector.config_scim import Scim
from connector.errors import ConfigError, JournalError
from connector.journal_key import open_journal
from connector.log import configure
from connector.reconcile.journal_store import Store
from connector.scim import blueprint, discovery
from connector.scim.committing import Committer
from connector.scim.counting import FOLDER, Tally, prepare
from connector.scim.entrance import Entrance
from connector.scim.errors import ScimError, method_not_allowed, not_found, too_large, unavailable
from connector.scim.gate import Gate
from connector.scim.groups import Groups
from connector.scim.listing import Listing
from connector.scim.lookup import Lookup
from connector.scim.orphaned import end_with_parent
from connector.scim.paging import DEFAULT_PAGE, Cursors
from connector.scim.quick import Quick
from connector.scim.reading import Reader
from connector.scim.room import Room, Settings
from connector.scim.seam import Rules
from connector.scim.users import Users

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

CONFIG_VARIABLE = "CONNECTOR_CONFIG"
"""How a worker is told which school it serves."""

EXTENSION = "connector.scim"
"""Where an application keeps its room."""

_CACHE_KIB = 8192
_RETRY_SECONDS = 5
_RESTART_SECONDS = 5.0
_STOP_SECONDS = 15.0
_NOT_FOUND, _NOT_ALLOWED, _TOO_LARGE, _INTERNAL = 404, 405, 413, 500

_log = logging.getLogger(__name__)


def assembled(
    store: Store, settings: Settings, rules: Rules, admit: blueprint.Admit = blueprint.nobody, *, acts: bool = False
) -> Flask:
    """Put the application together. `acts` is whether anything outside follows what is written."""
    lookup = Lookup(Reader(store))
    room = Room(Committer(store), lookup, rules, settings, acts)
    listing = Listing(store, lookup, Cursors(store.audit_key, settings.cursor_minutes))
    offer = discovery.Offer(
        bulk_operations=settings.bulk_max_operations,
        bulk_bytes=settings.max_body_bytes,
        most_results=settings.max_results,
        page_size=min(DEFAULT_PAGE, settings.max_results),
        cursor_seconds=settings.cursor_minutes * 60,
    )
    endpoint = blueprint.Endpoint(room, listing, Users(rules), Groups(rules), offer, admit)
    flask = Flask("connector.scim", static_folder=None)
    flask.extensions[EXTENSION] = room
    flask.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes + 1  # one more, so that our own sentence is said
    flask.register_blueprint(endpoint.blueprint(), url_prefix=blueprint.PREFIX)
    flask.register_error_handler(ScimError, blueprint.refused)
    flask.register_error_handler(JournalError, _unstored)
    flask.register_error_handler(HTTPException, _http)
    flask.register_error_handler(Exception, _unforeseen)
    flask.wsgi_app = Quick(endpoint, flask.wsgi_app, _failed)  # type: ignore[method-assign] # as Flask says to wrap it
    return flask


def application(config_path: Path, *, acts: bool | None = None) -> Flask:
    """Open a school's journal and give the application over it. Raises ConnectorError.

    `acts` is whether anything outside follows what is written; left out: whether the config names anything.
    """
    config = load(config_path)
    settings = _served(config)
    store = open_journal(config).store
    _slim(store)
    tally = Tally(config.site.state_folder / FOLDER)
    entrance = Entrance(store, settings.proxies, settings.workers, heard=tally.known)
    if acts is None:
        acts = bool(config.portals or config.directories or config.session_stores)
    gate = Gate(config.site.zone, acts, bool(settings.directories or settings.groups))

    flask = assembled(store, settings, gate, entrance.admit, acts=acts)
    flask.wsgi_app = tally.counting(flask.wsgi_app)  # type: ignore[method-assign,assignment] # as above
    return flask


def _served(config: Config) -> Scim:
    if config.scim is None:
        raise ConfigError(
            f"{config.path} has no section [scim]: this school is not served over SCIM.",
            "Add [scim] (it may be empty), then: connector token create NAME",
        )
    return config.scim


def _slim(store: Store) -> None:
    """Let a worker's connections keep little: what a batch of thousands profits from, single requests do not."""
    if store.engine.dialect.name != "sqlite":
        return
    store.engine.dispose()  # those that were opened before keep what they were opened with

    def connected(connection: Any, _record: object) -> None:
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")

    event.listen(store.engine, "connect", connected)


# --- what nobody foresaw --------------------------------------------------------------------------------------------


def _unstored(error: Exception) -> Response:
    _log.error("scim request not stored: %s", error)
    return blueprint.refused(unavailable(_RETRY_SECONDS, "Nothing could be stored or read just now. Send it again."))


def _http(error: HTTPException) -> Response:
    """Say in SCIM what the framework says about addresses, verbs and sizes."""
    if error.code == _NOT_FOUND:
        return blueprint.refused(not_found("There is nothing at this address."))
    if error.code == _NOT_ALLOWED:
        allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        return blueprint.refused(method_not_allowed(f"This address takes {allowed}.", allowed))
    if error.code == _TOO_LARGE:
        return blueprint.refused(too_large("The body is larger than this service takes."))
    return blueprint.refused(ScimError(error.code or _INTERNAL, "", error.name))


def _failed(error: Exception) -> Response:
    """Answer what was raised outside of the framework, as its handlers above do."""
    if isinstance(error, ScimError):
        return blueprint.refused(error)
    if isinstance(error, HTTPException):
        return _http(error)
    return _unstored(error) if isinstance(error, JournalError) else _unforeseen(error)


def _unforeseen(error: Exception) -> Response:
    _log.error("scim request failed", exc_info=error)
    return blueprint.refused(ScimError(_INTERNAL, "", "The request failed in a way nobody foresaw. It is logged."))


# --- processes ------------------------------------------------------------------------------------------------------


def worker(*, acts: bool | None = None) -> Flask:
    """Give a worker its application. `CONNECTOR_CONFIG` names the school; `acts` is as for `application`."""
    configure(sys.stderr, json=True)
    end_with_parent()
    return application(Path(os.environ[CONFIG_VARIABLE]), acts=acts)


@dataclass(slots=True)
class Watched:
    """Processes that are started together and end together; one that ends by itself is started again."""

    commands: Sequence[Sequence[str]]
    environment: dict[str, str]
    stop_seconds: float = _STOP_SECONDS
    stopping: threading.Event = field(default_factory=threading.Event)
    _running: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def run(self) -> None:
        """Keep them running until a signal comes."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        try:
            for index in range(len(self.commands)):
                self._start(index)
            while not self.stopping.wait(0.2):
                self._restart_ended()
        finally:
            self._end_all()

    def _start(self, index: int) -> None:
        self._running[index] = subprocess.Popen(list(self.commands[index]), env=self.environment)  # noqa: S603 - our own

    def _restart_ended(self) -> None:
        for index, process in list(self._running.items()):
            if process.poll() is not None:
                _log.error("scim process %s ended with %s; it is started again", index, process.returncode)
                if not self.stopping.wait(_RESTART_SECONDS):
                    self._start_again(index)

    def _start_again(self, index: int) -> None:
        try:
            self._start(index)
        except OSError as error:  # no memory or no process to be had just now: the others go on
            _log.error("scim process %s cannot be started: %s; it is tried again", index, error.strerror)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping.set()

    def _end_all(self) -> None:
        for process in self._running.values():
            process.terminate()
        until = time.monotonic() + self.stop_seconds
        for process in self._running.values():
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens. With a certificate and its key (PEM files) it speaks TLS.

    Without, it listens on this machine only, unless `plain` says that tokens may travel in the clear to it.
    """

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None
    plain: bool = False

    def words(self, workers: int) -> tuple[str, ...]:
        """Give what `connector.scim.listening` is told. Raises ConfigError."""
        tls = (self.certificate, self.key)
        if (self.certificate is None) != (self.key is None):
            raise ConfigError("TLS needs a certificate and its key.", "Give both: --certificate FILE --key FILE")
        for file in tls:
            if file is not None and not file.is_file():
                raise ConfigError(f"There is no file {file}.", "Give the certificate and its key as PEM files.")
        if self.certificate is None and not self.plain and self.host not in LOOPBACK:
            raise ConfigError(
                f"Tokens would travel to {self.host} in the clear.",
                "Give --certificate FILE --key FILE, or listen on 127.0.0.1 behind a proxy that ends TLS; where the "
                "network between you and that proxy is yours: --plain",
            )
        return (self.host, str(self.port), str(workers), *(str(file.absolute()) for file in tls if file is not None))


def serve(config_path: Path, address: Address, workers: int = 0) -> None:
    """Serve a school until told to stop: see `served`."""
    served(config_path, address, workers).run()


def served(config_path: Path, address: Address, workers: int = 0) -> Watched:
    """Give what serves a school: the server, and beside it the process that acts for it.

    Each is a process of its own: the server and its workers hold nothing that the command line or the driver has
    loaded. `workers` 0 is as many as the config says. Raises ConnectorError where the config or the journal cannot be
    used, before anything listens.
    """
    config = load(config_path)
    settings = _served(config)
    with open_journal(config) as journal:
        journal.ready()
    prepare(config.site.state_folder)
    path, python = str(config_path.absolute()), (sys.executable, "-m")
    server = (*python, "connector.scim.listening", *address.words(workers or settings.workers))
    environment = {**os.environ, CONFIG_VARIABLE: path, "MALLOC_ARENA_MAX": "2"}
    return Watched((server, (*python, "connector.scim.driver", path)), environment)
