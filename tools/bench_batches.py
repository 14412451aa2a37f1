"""How fast thousands are closed together, beside a bare loop of modifies on the same server: `make bench-batches`.

What is timed goes from the first intent to the last leg proven closed and recorded, by the code that every run uses.
Reading and deciding are not in it, nor is the settle time; the sweeps are. It ends where anything was left open.
Both loops work on the same server and the same database of it, the bare one on the other half of the people.
"""

import argparse
import os
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import ldap3

from connector.adapters.redis_sessions import RedisSessionStore, RedisSettings
from connector.adapters.sql_portal import SqlPortal
from connector.adapters.sql_portal_settings import SqlPortalSettings
from connector.interfaces import Secret, Site
from connector.ldap.directory import LdapDirectory
from connector.model import EndSessions, Finding, LegKind, Outcome, PeopleReading, Reason
from connector.reconcile.apply import Applier, Pace
from connector.reconcile.journal import Journal
from connector.reconcile.plan_values import Evidence, PlannedLeg, Revocation
from connector.reconcile.reading import Targets
from tests.servers import postgres as postgres_server
from tests.servers import redis as redis_server
from tests.servers import stop
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisDatabase, RedisServer
from tools.bench import machine, write_between_marks
from tools.bench_servers import OTHERS_SESSIONS, Place, fill_portal, fill_sessions, samba_with, slapd_with

BEGIN, END = "<!-- batches: begin -->", "<!-- batches: end -->"
SLAPD_COUNT, SAMBA_COUNT = 10_000, 1_000
TIMES = 3
_PASSWORD = Secret(env="BENCH_DIRECTORY_PASSWORD")


@dataclass(frozen=True, slots=True)
class Figures:
    """One round: as many bare modifies, then as many joint revocations. Seconds of the clock."""

    count: int
    bare_seconds: float
    joint_seconds: float
    sweeps: int

    @property
    def bare_rate(self) -> float:
        """Modifies in a second."""
        return self.count / self.bare_seconds

    @property
    def joint_rate(self) -> float:
        """People closed everywhere in a second."""
        return self.count / self.joint_seconds

    @property
    def ratio(self) -> float:
        """How much of the bare rate the joint revocation reaches."""
        return self.bare_seconds / self.joint_seconds


class CountedStore(RedisSessionStore):
    """The store itself, with a count of how often it was swept."""

    sweeps = 0

    def close(self, batch: Sequence[EndSessions]) -> tuple[Outcome, ...]:
        """Sweep, and count it."""
        self.sweeps += 1
        return super().close(batch)


# --- the bare loop -----------------------------------------------------------------------------------------------


def bare(place: Place) -> float:
    """Change one attribute of every entry of the bare half, one after another; give the seconds."""
    change = place.change
    changes = [(ldap3.MODIFY_DELETE, [change.old])] if change.old else []
    wanted = {change.attribute: [*changes, (ldap3.MODIFY_ADD, [change.new])]}
    connection, names = _signed_in(place), place.dns("bare")
    started = time.perf_counter()
    for dn in names:
        connection.modify(dn, wanted)
        if connection.result["result"]:
            sys.exit(f"{dn}: {connection.result}")
    seconds = time.perf_counter() - started
    connection.unbind()
    return seconds


def _signed_in(place: Place) -> Any:
    """Give ldap3's quickest connection for writes: SYNC, no schema, over verified TLS."""
    server = place.server
    tls = ldap3.Tls(
        validate=ssl.CERT_REQUIRED, ca_certs_file=str(server.ca_file), valid_names=["localhost", "dc1.lab.test"]
    )
    where = ldap3.Server(server.host, port=server.port, use_ssl=True, tls=tls, get_info=ldap3.NONE)
    return ldap3.Connection(
        where, server.admin_dn, server.admin_password, auto_bind=ldap3.AUTO_BIND_NO_TLS, client_strategy=ldap3.SYNC,
        check_names=False, auto_referrals=False, return_empty_attributes=False,
    )  # fmt: skip


def open_again(place: Place) -> None:
    """Undo both halves beside the connector, for another round."""
    change, connection = place.change, _signed_in(place)
    for dn in (*place.dns("bare"), *place.dns("joint")):
        connection.modify(dn, {change.attribute: [(ldap3.MODIFY_REPLACE, [change.old] if change.old else [])]})
    connection.unbind()


# --- the joint revocation ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scene:
    """The three systems of a round as the connector sees them."""

    directory: LdapDirectory
    portal: SqlPortal
    store: CountedStore

    @property
    def targets(self) -> Targets:
        """All three."""
        return Targets(_NoPeople(), {"engage": self.portal}, {"main": self.directory}, {"web": self.store})

    def rows(self) -> tuple[Revocation, ...]:
        """Read directory and portal; give a row for everybody."""
        members = {member.username: member for member in self.portal.read_all().members}
        rows = []
        for account in self.directory.read_all().accounts:
            member = members[account.username]
            legs = (
                PlannedLeg(LegKind.DIRECTORY, "main", account.guid, account),
                PlannedLeg(LegKind.CREDENTIAL, "engage", member.person_id, member, True, True),  # noqa: FBT003 - clear, disable
                PlannedLeg(LegKind.SESSIONS, "web", account.username),
            )
            rows.append(_row(member.person_id, account.employee_id, account.username, legs))
        return tuple(rows)


class _NoPeople:
    """An admin system that is never asked: the rows are given."""

    def read_all(self) -> PeopleReading:
        raise NotImplementedError

    def check(self) -> tuple[Finding, ...]:
        return ()

    def disconnect(self) -> None:
        return


def _row(person_id: str, code: str, username: str, legs: tuple[PlannedLeg, ...]) -> Revocation:
    return Revocation(
        key=person_id, person_id=person_id, code=code, name=f"Parent {code}", username=username,
        reasons=(Reason.NO_STUDENT_AT_SCHOOL,), holds=(), legs=legs,
        evidence=(
            Evidence("no-student-at-school", "Ben (S1) left on 2026-06-30 (left), grace of 14 days over."),
            Evidence("account", f"{username} is linked by employee id {code}."),
        ),
        basis=f"{person_id:0>64}", factors=(("contact_type", "Mother"), ("portal", "engage")),
    )  # fmt: skip


def joint(scene: Scene, folder: Path) -> float:
    """Close everybody everywhere through a new journal on disk; give the seconds. Exits where anything stayed open."""
    rows = scene.rows()
    with Journal.open(f"sqlite:///{folder / 'journal.sqlite'}", audit_key=os.urandom(32)) as journal:
        run = journal.begin_run("run", "bench", date(2026, 11, 21), {}, 120)
        applier = Applier(journal, scene.targets, run, Pace(settle_seconds=0))
        started = time.perf_counter()
        left = applier.revoke(rows, "")
        seconds = time.perf_counter() - started
        states = {leg.state for r in journal.revocations() for leg in r.legs}
        if left or states - {"closed"} or not journal.verify_audit().ok:
            sys.exit(f"{len(left)} legs stayed open, states {sorted(states)}: these figures would be worth nothing.")
    return seconds


# --- a round -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bench:
    """A filled directory, and the servers beside it."""

    place: Place
    postgres: PostgresServer
    redis: RedisDatabase
    folder: Path

    def round(self, number: int) -> Figures:
        """Do both once, the bare loop first."""
        folder = self.folder / f"round{number}"
        folder.mkdir(parents=True)
        scene = self._scene(folder)
        bare_seconds, joint_seconds = bare(self.place), joint(scene, folder)
        scene.targets.disconnect()
        with self.redis.server.client(self.redis.number) as client:
            if client.dbsize() != OTHERS_SESSIONS:
                sys.exit(f"{client.dbsize()} sessions are left of {OTHERS_SESSIONS}: somebody else's was ended.")
        return Figures(self.place.count, bare_seconds, joint_seconds, scene.store.sweeps)

    def _scene(self, folder: Path) -> Scene:
        os.environ[_PASSWORD.env] = self.place.server.admin_password
        site = Site(folder, folder, ZoneInfo("UTC"))
        fill_sessions(self.redis, self.place.count)
        columns = {
            "person_id": "person_id",
            "username": "username",
            "password": "password_hash",
            "status": "status",
            "native_id": "id",
        }
        portal = SqlPortalSettings(fill_portal(self.postgres, self.place.count), "members", columns)
        store = RedisSettings(self.redis.url, "user", key_pattern="sess:*", portal_path="portal", created_path="at")
        return Scene(
            LdapDirectory("main", self.place.of(_PASSWORD), site),
            SqlPortal("engage", portal, site),
            CountedStore("web", store, site),
        )


def rounds(bench: Bench, times: int) -> Figures:
    """Give the quickest bare loop and the quickest joint one of several rounds: what else runs only ever adds.

    Each by itself: the best ratio of a round would be that in which something else was in the way of the bare loop.
    """
    found = []
    for number in range(times):
        if number:
            open_again(bench.place)
        found.append(bench.round(number))
        print(f"{bench.place.dialect}: {_words(found[-1])}", file=sys.stderr)
    bare_seconds, joint_seconds = min(f.bare_seconds for f in found), min(f.joint_seconds for f in found)
    return replace(found[0], bare_seconds=bare_seconds, joint_seconds=joint_seconds)


def _words(figures: Figures) -> str:
    return f"bare {figures.bare_seconds:.2f} s, joint {figures.joint_seconds:.2f} s, ratio {figures.ratio:.0%}"


@contextmanager
def _servers(folder: Path) -> Iterator[tuple[PostgresServer, RedisServer]]:
    # PostgreSQL as root becomes another user, who must get to its folder.
    folder.chmod(0o711)
    for name in ("postgres", "redis"):
        (folder / name).mkdir()
    database, cache = postgres_server.start(folder / "postgres", durable=True), redis_server.start(folder / "redis")
    try:
        yield database, cache
    finally:
        stop(cache.process)
        stop(database.process)


Column = tuple[str, Figures]
"""Which directory, and what was found."""


def table(columns: Sequence[Column], times: int, command: str) -> str:
    """Write the figures as the page's table, with the command that made them."""
    found = [figures for _, figures in columns]
    lines = [
        f"Made by `{command}`: the quickest of {times} each, {machine()}.",
        "",
        _line("", [f"{name}, {figures.count:,} people" for name, figures in columns]),
        f"|---|{'---:|' * len(columns)}",
        _line("bare modifies in a second", [f"{f.bare_rate:,.0f}" for f in found]),
        _line("joint revocations in a second", [f"{f.joint_rate:,.0f}" for f in found]),
        _line("seconds for all", [f"{f.joint_seconds:.2f}" for f in found]),
        _line("sweeps of the session store", [str(f.sweeps) for f in found]),
        _line("**share of the bare rate**", [f"**{f.ratio:.0%}**" for f in found]),
    ]
    return "\n".join(lines)


def _line(name: str, values: Sequence[str]) -> str:
    return f"|{f' {name}' if name else ''} | {' | '.join(values)} |"


def measure(slapd: int, samba: int, times: int) -> Iterator[Column]:
    """Fill each directory, do its rounds, and give the quickest. Of no people: left out."""
    with tempfile.TemporaryDirectory(prefix="connector-bench-") as name:
        folder = Path(name)
        with _servers(folder) as (postgres, redis):
            for title, running, count, durable in (
                ("slapd", slapd_with, slapd, True),
                ("slapd without sync", slapd_with, slapd, False),
                ("Samba", samba_with, samba, True),
            ):
                place_folder = folder / title.replace(" ", "-")
                if count:
                    with running(place_folder, count, durable=durable) as place:
                        bench = Bench(place, postgres, RedisDatabase(redis, 0), place_folder / "rounds")
                        yield title, rounds(bench, times)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure joint revocations on slapd and on Samba."""
    parser = argparse.ArgumentParser(prog="tools.bench_batches", description=main.__doc__)
    parser.add_argument("--slapd", type=int, default=SLAPD_COUNT, help="people on slapd (0: leave out)")
    parser.add_argument("--samba", type=int, default=SAMBA_COUNT, help="people on Samba, which is slow (0: leave out)")
    parser.add_argument("--times", type=int, default=TIMES, help="rounds on each; the quickest of each loop counts")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table between the marks of this page")
    asked = parser.parse_args(arguments)
    text = table(list(measure(asked.slapd, asked.samba, asked.times)), asked.times, "make bench-batches")
    print(text)
    if asked.write:
        write_between_marks(asked.write, text, BEGIN, END)


if __name__ == "__main__":
    main()
