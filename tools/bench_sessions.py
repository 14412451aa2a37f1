"""How long one sweep of a large Redis takes, and what others notice of it: `make bench-sessions`.

A million sessions without an index are swept once for a batch by the store that every run uses, while another process
asks the same Redis to answer, again and again. It ends where anybody else's session was ended, or somebody's was not.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import redis

from connector.adapters.redis_sessions import RedisSessionStore, RedisSettings
from connector.adapters.spring_sessions import SpringRedisSessionStore, SpringRedisSettings
from connector.interfaces import SessionStore, Site
from connector.model import EndSessions
from tests.adapters.spring_redis import in_java, put_spring_session
from tests.servers import redis as redis_server
from tests.servers import stop
from tests.servers.redis import RedisServer
from tools.bench import machine, write_between_marks

BEGIN, END = "<!-- sessions: begin -->", "<!-- sessions: end -->"
SESSIONS, LEAVERS, INDEXED, TIMES = 1_000_000, 500, 100_000, 5
_EACH = 2  # sessions of one person
_PER_WRITE = 5_000
_MADE = datetime(2026, 11, 21, 12, tzinfo=UTC)
_PAUSE = 0.001
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Pings:
    """What another client's PINGs took, in seconds."""

    count: int
    median: float
    p99: float
    longest: float


@dataclass(frozen=True, slots=True)
class Swept:
    """One sweep of sessions without an index. `command` is the longest that Redis itself was busy with one command."""

    sessions: int
    people: int
    ended: int
    seconds: float
    command: float
    before: Pings
    during: Pings


def sweep(server: RedisServer, folder: Path, sessions: int, people: int, before_seconds: float = 3) -> Swept:
    """Fill database 0, listen to what a PING takes, sweep, and see that nothing else was ended."""
    ended = fill(server, sessions, people)
    store = RedisSessionStore("web", RedisSettings(server.url(), "_user_id"), _site(folder))
    with pinging(server) as pings:
        time.sleep(before_seconds)
        quiet = pings()
    with server.client() as client, pinging(server) as pings:
        client.config_set("slowlog-log-slower-than", 100)
        client.config_set("slowlog-max-len", 100_000)
        client.slowlog_reset()
        seconds = _timed(store, [EndSessions(f"u{number}") for number in range(people)], ended)
        busiest = max((entry["duration"] for entry in client.slowlog_get(100_000)), default=0)
        if client.dbsize() != sessions - ended:
            sys.exit(f"{client.dbsize():,} sessions are left of {sessions - ended:,}: somebody else's was ended.")
        return Swept(sessions, people, ended, seconds, busiest / _MICROSECONDS, quiet, pings())


def fill(server: RedisServer, sessions: int, people: int) -> int:
    """Write sessions as an application does, two for everybody; give how many are those of the people who go."""
    with server.client() as client:
        client.flushdb()
        for start in range(0, sessions, _PER_WRITE):
            numbers = range(start, min(start + _PER_WRITE, sessions))
            client.mset({f"session:{number:032x}": _value(number) for number in numbers})
    return min(_EACH * people, sessions)


def _value(number: int) -> str:
    cookie = {"originalMaxAge": 86_400_000, "expires": "2026-11-22T10:00:00.000Z", "httpOnly": True, "path": "/"}
    # Whoever goes is found all over the keys, not at their beginning: SCAN goes by their hashes.
    return json.dumps({"cookie": cookie, "_user_id": f"u{number // _EACH}", "token": f"{number:064x}"})


def one_indexed(server: RedisServer, folder: Path, sessions: int, times: int = TIMES) -> list[float]:
    """Give the seconds that ending one person's sessions takes where an index names them, several times."""
    with server.client() as client:
        client.flushdb()
        pipeline: Any = client.pipeline(transaction=False)
        for number in range(sessions):
            put_spring_session(pipeline, in_java, f"u{number // _EACH}", created_at=_MADE)
            if number % _PER_WRITE == 0:
                pipeline.execute()
        pipeline.execute()
    store = SpringRedisSessionStore("web", SpringRedisSettings(server.url(), spelling="exact"), _site(folder))
    # One before: connecting is not what is measured.
    return [_timed(store, [EndSessions(f"u{number}")], _EACH) for number in range(times + 1)][1:]


def _timed(store: SessionStore, batch: Sequence[EndSessions], wanted: int) -> float:
    began = time.perf_counter()
    outcomes = store.close(batch)
    seconds = time.perf_counter() - began
    ended = sum(outcome.ended for outcome in outcomes)
    if ended != wanted:
        sys.exit(f"{ended:,} sessions were ended instead of {wanted:,}: {outcomes[0].detail}")
    return seconds


def _site(folder: Path) -> Site:
    return Site(folder, folder, ZoneInfo("UTC"))


# --- what others notice ---------------------------------------------------------------------------------------------


@contextmanager
def pinging(server: RedisServer) -> Iterator[Callable[[], Pings]]:
    """Let another process ask, as other clients do; what is given ends it and says what it saw."""
    process = subprocess.Popen(  # noqa: S603 - this module itself, as another process
        [sys.executable, "-m", "tools.bench_sessions", "--ping", str(server.port)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    try:
        if process.stdout:
            process.stdout.readline()
        yield lambda: Pings(**json.loads(process.communicate(b"enough\n", timeout=30)[0]))
    finally:
        stop(process)


def ping(port: int) -> Pings:
    """Ask about a thousand times a second until somebody writes a line to us."""
    taken: list[float] = []
    with redis.Redis(port=port) as client:
        client.ping()
        print("ready", flush=True)
        over = _told()
        while not over():
            began = time.perf_counter()
            client.ping()
            taken.append(time.perf_counter() - began)
            time.sleep(_PAUSE)
    taken.sort()
    return Pings(len(taken), taken[len(taken) // 2], taken[len(taken) * 99 // 100], taken[-1])


def _told() -> Callable[[], bool]:
    told = threading.Event()

    def listen() -> None:
        sys.stdin.readline()
        told.set()

    threading.Thread(target=listen, daemon=True).start()
    return told.is_set


# --- saying ---------------------------------------------------------------------------------------------------------


def table(swept: Swept, indexed: Sequence[float], count: int, command: str) -> str:
    """Write the figures as the page's table, with the command that made them."""
    quiet, during = swept.before, swept.during
    lines = [
        f"Made by `{command}`: {machine()}.",
        "",
        f"| one sweep of {swept.sessions:,} sessions without an index | |",
        "|---|---:|",
        f"| people who go, and sessions ended | {swept.people:,}, {swept.ended:,} |",
        f"| **seconds** | **{swept.seconds:.1f}** |",
        f"| longest that Redis was busy with one command, ms | {1000 * swept.command:.1f} |",
        f"| another client's PING meanwhile: median, 99 %, longest of {during.count:,}, ms | {_ms(during)} |",
        f"| the same with nobody sweeping, of {quiet.count:,}, ms | {_ms(quiet)} |",
        "",
        f"| one person of {count // _EACH:,} in Spring Session's index | |",
        "|---|---:|",
        f"| **longest of {len(indexed)} times, ms** | **{1000 * max(indexed):.1f}** |",
    ]
    return "\n".join(lines)


def _ms(pings: Pings) -> str:
    return ", ".join(f"{1000 * seconds:.1f}" for seconds in (pings.median, pings.p99, pings.longest))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure one sweep of many sessions, and the end of one person's where there is an index."""
    parser = argparse.ArgumentParser(prog="tools.bench_sessions", description=main.__doc__)
    parser.add_argument("--sessions", type=int, default=SESSIONS, help="sessions without an index")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table between the marks of this page")
    parser.add_argument("--ping", type=int, metavar="PORT", help="be the other client; print JSON at the end")
    asked = parser.parse_args(arguments)
    if asked.ping:
        print(json.dumps(asdict(ping(asked.ping))))
        return
    with tempfile.TemporaryDirectory(prefix="connector-bench-") as name:
        folder = Path(name)
        server = redis_server.start(folder)
        try:
            swept = sweep(server, folder, asked.sessions, LEAVERS)
            indexed = one_indexed(server, folder, INDEXED)
        finally:
            stop(server.process)
    text = table(swept, indexed, INDEXED, "make bench-sessions")
    print(text)
    if asked.write:
        write_between_marks(asked.write, text, BEGIN, END)


if __name__ == "__main__":
    main()
