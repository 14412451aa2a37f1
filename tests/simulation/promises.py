"""What must hold in every history, judged from outside: by the journal's committed rows and the true state of all.

Each check reads the database over a connection of its own, so that only what is durable counts. It asks nothing of the
code under test but the audit chain's own verification.
"""

import json
import sqlite3
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from connector.model import Account, EndSessions, LegKind, LegState, Member, Session
from connector.reconcile.journal_values import ChangeKind, Direction
from tests.simulation.records import ENDED, Records, text_of, time_of
from tests.simulation.school import DIRECTORY_PORTALS, owner_of
from tests.simulation.words import Words
from tests.simulation.world import Door, State, World

if TYPE_CHECKING:
    from tests.simulation.instance import Instance

_PROVEN = {LegState.CLOSED.value, LegState.ALREADY_CLOSED.value}
_OPENING = {ChangeKind.ADD.value, ChangeKind.ENABLE.value}
_DONE: dict[ChangeKind, Callable[[State], bool]] = {
    ChangeKind.ADD: lambda state: isinstance(state, Member),
    ChangeKind.ENABLE: lambda state: isinstance(state, Member) and state.enabled,
    ChangeKind.DISABLE: lambda state: not (isinstance(state, Member) and state.enabled),
    ChangeKind.REMOVE: lambda state: state is None,
}
"""What a membership looks like after each kind of change."""

LATELY = timedelta(minutes=30)
"""Longer than any run takes in the simulation: what a run decides on was read no earlier."""


class Promises:
    """Watches one history. `broken` says what did not hold."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.broken: list[str] = []
        self.unblocked: set[str] = set()
        self.records = Records(world.journal)
        self.words = Words(world, self.records, self.breaks)
        self._ended: dict[tuple[str, int], tuple[str, str]] = {}

    def close(self) -> None:
        self.records.close()

    def breaks(self, what: str) -> None:
        self.broken.append(what)
        self.world.say("!!!", what)

    # --- at the moment of a request or an effect --------------------------------------------------------------------

    def on_request(self, who: "Instance", target: str) -> None:
        """Without its lease an instance sends nothing, but for one request that was under way when it was paused."""
        if self._stands(who):
            return
        who.late_requests += 1
        self.world.trace.count("fault:late request")
        if not who.paused or who.late_requests > 1:
            self.breaks(f"{who.name} sent request {who.late_requests} to {target} after it lost what it stands on")

    def _stands(self, who: "Instance") -> bool:
        now = text_of(self.world.now)
        if who.begun is not None:
            row = self.records.one("SELECT owner, epoch FROM leases WHERE name = 'run' AND expires_at > ?", now)
            return row is not None and (row["owner"], row["epoch"]) == (who.begun.owner, who.begun.epoch)
        owner = who.claimed[0].owner if who.claimed else who.name
        return self.records.one("SELECT 1 FROM claims WHERE owner = ? AND expires_at > ?", owner, now) is not None

    def on_door(self, who: "Instance", door: Door, before: State, after: State) -> None:
        """Judge an effect on an account or a member."""
        opening = _is_more_open(before, after)
        direction = Direction.OPEN if opening else Direction.CLOSE
        asked = [leg for leg in self._legs(door) if leg["direction"] == direction.value]
        asked += self._changes(door, opening=opening)
        what = f"{'opened' if opening else 'closed'} {' '.join(door)}"
        by = asked[0]["direction"] if asked else "nobody"
        self.world.trace.count(f"effect:{door[0]} {'opened' if opening else 'closed'} by {by}")
        if not asked:
            self.breaks(f"{who.name} {what} without a durable intent")
            return
        if not who.paused and all(one["state"] in ENDED for one in asked):
            self.breaks(f"{who.name} {what} although the journal says that was over")
        if opening:
            self._judge_opening(who, door, after, asked, what)
        else:
            self.world.before_us[door] = before
            person = asked[0]["person_id"] or ""
            if asked[0]["direction"] == Direction.CLOSE.value:
                self.words.on_closing(who, door, person, what)
            elif (person, door[1]) in self.words.by_name:
                return  # somebody asked for this very change
            self._judge_closing(who, door, person, before, what)

    def _judge_opening(
        self, who: "Instance", door: Door, after: State, asked: Sequence[sqlite3.Row], what: str
    ) -> None:
        person = asked[0]["person_id"] or ""
        tried = max(time_of(one["last_tried"]) for one in asked)
        if self.records.blocked(person, tried, tried):
            self.breaks(f"{what} of {person}, who was blocked")
        if asked[0]["direction"] != Direction.OPEN.value:
            if asked[0]["kind"] == ChangeKind.ADD.value:
                self.words.on_addition(who, person, what)
            return
        if self.world.held_since(("restricted", person), who.read_at) or self._was_terminated(person, who.read_at):
            self.breaks(f"{what} of {person} without a second operator")
        before = self.world.before_us.get(door)
        if before is not None and not _is_as_before(before, after):
            self.breaks(f"{what}, but not as it was: {before} -> {after}")

    def _was_terminated(self, person: str, since: datetime | None) -> bool:
        query = "SELECT 1 FROM terminations t JOIN termination_records p ON p.termination_id = t.id "
        query += "WHERE p.key = ? AND t.commanded_at < ?"
        return since is not None and self.records.one(query, person, text_of(since)) is not None

    def _judge_closing(self, who: "Instance", door: Door, person: str, before: State, what: str) -> None:
        portals = DIRECTORY_PORTALS if door[0] == LegKind.DIRECTORY.value else (door[1],)
        for portal in portals:
            if self._entitled(who, person, portal):
                self.breaks(f"{who.name} {what} of {person}, who is entitled to {portal}")
        if isinstance(before, Account):
            others = [p for p in self.world.contacts() if p != person and self._claims(who, p, before.guid)]
            if others:
                self.breaks(f"{who.name} {what} for {person or 'nobody'}, but {others} claim it and are entitled")

    def on_sessions(self, who: "Instance", store: str, item: EndSessions, ended: Sequence[Session]) -> None:
        """Judge the end of sessions: each needs a leg, and none was an entitled person's."""
        asked = self._legs((LegKind.SESSIONS.value, store, item.user))
        legs = [leg for leg in asked if leg["direction"] == Direction.CLOSE.value]
        for session in ended:
            what = f"{who.name} ended session {session.session_id} of {session.user} in {session.portal}"
            covering = [leg for leg in legs if _covers(leg, session)]
            if not covering:
                self.breaks(f"{what} without a durable intent")
            self.words.on_ending(who, session, covering, what)
            uses = ("uses", owner_of(session), session.portal, session.user)
            if self._entitled(who, owner_of(session), session.portal) and self.world.held_since(uses, who.read_at):
                self.breaks(f"{what}, whose owner is entitled")

    def _entitled(self, who: "Instance", person: str, portal: str) -> bool:
        """Say whether somebody was entitled without a break since before this instance began to read."""
        held = self.world.held_since(("entitled", person, portal), who.read_at)
        return held and not self.records.blocked(person, who.read_at, self.world.now)

    def _claims(self, who: "Instance", person: str, guid: str) -> bool:
        held = self.world.held_since(("claims", person, guid), who.read_at)
        return held and not self.records.blocked(person, who.read_at, self.world.now)

    # --- after an act -------------------------------------------------------------------------------------------------

    def after_act(self) -> None:
        """Judge what the journal newly says is done, and that nothing that had ended changed."""
        legs = self.records.legs("l.finished_at IS NOT NULL")
        changes = self.records.changes("finished_at IS NOT NULL")
        for leg in self._newly_ended("leg", legs):
            if leg["state"] in _PROVEN:
                self._judge_report(leg)
        for change in self._newly_ended("change", changes):
            if change["state"] in _PROVEN:
                self._judge_change(change)

    def _newly_ended(self, what: str, rows: Sequence[sqlite3.Row]) -> list[sqlite3.Row]:
        """Give what has ended since we last looked. What had ended stays as it was, for ever."""
        new, seen = [], set()
        for row in rows:
            key, how = (what, row["id"]), (row["state"], row["finished_at"])
            seen.add(key)
            if key not in self._ended:
                self._ended[key] = how
                new.append(row)
            elif self._ended[key] != how:
                self.breaks(f"{what} {row['id']} had ended as {self._ended[key]} and is {how} now")
        for key in self._ended:
            if key[0] == what and key not in seen:
                self.breaks(f"{what} {key[1]} had ended and is open again")
        return new

    def _judge_change(self, change: sqlite3.Row) -> None:
        door = (LegKind.CREDENTIAL.value, change["portal"], change["person_id"])
        wanted = _DONE.get(ChangeKind(change["kind"]))
        if wanted and not self.world.was(door, wanted, time_of(change["intended_at"]), time_of(change["finished_at"])):
            self.breaks(f"change {change['id']} ({change['kind']} {door}) is reported {change['state']} and never was")

    def after_run(self, who: "Instance", exit_code: int) -> None:
        """Judge what a run says of itself: with exit 0 it claims that nothing is open."""
        if exit_code == 0 and not who.paused and self.open():
            self.breaks(f"{who.name} ended with exit 0 while this was open: {'; '.join(self.open())}")

    def _judge_report(self, leg: sqlite3.Row) -> None:
        what = f"leg {leg['id']} ({leg['direction']} {leg['kind']} {leg['target']} {leg['subject']})"
        if leg["kind"] == LegKind.SESSIONS.value:
            self._judge_swept(leg, what)
            return
        door, planned = (leg["kind"], leg["target"], leg["subject"]), json.loads(leg["planned"])
        begin, end = time_of(leg["intended_at"]), time_of(leg["finished_at"])
        if leg["direction"] == Direction.OPEN.value:
            done = self.world.was(door, _is_open, begin, end)
        else:
            done = self.world.was(door, lambda s: _is_closed(s, planned), begin, end)
        if not done:
            self.breaks(f"{what} is reported {leg['state']} and never was")

    def _judge_swept(self, leg: sqlite3.Row, what: str) -> None:
        begin, end = time_of(leg["intended_at"]), time_of(leg["finished_at"])
        for states in self.world.sessions.values():
            session = next((s for at, s in reversed(states) if at <= end), None)
            if session is not None and _covers(leg, session) and self._is_due(leg, session, begin, end):
                self.breaks(f"{what} is reported {leg['state']} while {session.session_id} lives")
        for session, killed_at in self.world.under_way:
            if begin < killed_at < end and _covers(leg, session) and self._is_due(leg, session, begin, end):
                self.breaks(f"{what} is reported {leg['state']} while a request of {session.session_id} is under way")
        doors = "SELECT COUNT(*) AS open FROM legs l JOIN revocations r ON r.id = l.revocation_id WHERE r.id = "
        doors += "(SELECT revocation_id FROM legs WHERE id = ?) AND l.kind <> 'sessions' "
        doors += "AND (l.finished_at IS NULL OR l.finished_at > ?)"
        row = self.records.one(doors, leg["id"], leg["finished_at"])
        if row is not None and row["open"]:
            self.breaks(f"{what} is reported {leg['state']} while {row['open']} doors were open")

    def _is_due(self, leg: sqlite3.Row, session: Session, begin: datetime, end: datetime) -> bool:
        """Say whether a session had to be ended by a leg: also of somebody who was entitled again for a while.

        Spared are sessions in a portal the person was entitled to when the leg was last decided on, under a user value
        that was somebody else's by then, and of somebody let in again by others.
        """
        person, world = leg["person_id"] or "", self.world
        if session.store != leg["target"] or owner_of(session) != person:
            return False
        if any(begin < at <= (session.created_at or end) for at in world.reopened.get(person, ())):
            return False
        lately = max(begin, end - LATELY)
        uses = ((p, ("uses", p, session.portal, session.user)) for p in world.contacts())
        if any(p != person and world.ever(fact, lately, end) for p, fact in uses):
            return False
        entitled = world.ever(("entitled", person, session.portal), lately, end)
        return not entitled or self.records.blocked(person, begin, end)

    # --- at the end ---------------------------------------------------------------------------------------------------

    def unfinished(self) -> list[str]:
        """Say what is still open once everything is quiet: in the journal, or in the world."""
        waiting, guarded = self.words.waiting()
        return self._open(waiting) + self._alive(waiting, guarded)

    def open(self) -> list[str]:
        """Say what the journal holds open."""
        return self._open(frozenset())

    def _open(self, waiting: Collection[str]) -> list[str]:
        legs = [leg for leg in self.records.open_legs() if leg["person_id"] not in waiting]
        found = [f"leg {r['id']} {r['kind']} {r['target']} {r['subject']}: {r['state']}" for r in legs]
        changes = self.records.open_changes()
        return found + [f"change {r['id']} {r['kind']} {r['portal']} {r['person_id']}: {r['state']}" for r in changes]

    def _alive(self, waiting: Collection[str], guarded: Collection[str]) -> list[str]:
        """Give what lives of people who are entitled to it by nobody's word."""
        world, school = self.world, self.world.school
        entitled = {(p, portal) for p, portal in world.entitled() if not self.records.blocked(p, world.now, world.now)}
        found = [
            f"member {m.person_id} of {m.portal} lives"
            for m in school.members
            if (m.enabled or m.credential_lives) and (m.person_id, m.portal) not in entitled
            if m.person_id not in waiting and (m.person_id, m.portal) not in self.words.by_name
        ]
        owners = {person.code: person_id for person_id, person in school.people.items()}
        for account in (a for a in school.accounts if a.enabled and a.managed):
            person = owners.get(account.employee_id, "")
            needed = any((person, portal) in entitled for portal in DIRECTORY_PORTALS)
            needed = needed or any(("claims", p, account.guid) in world.since for p in world.contacts() if p != person)
            if not needed and person not in waiting and person not in guarded:
                found.append(f"account {account.username} of {person} is enabled")
        return found + self._alive_sessions(entitled, waiting)

    def _alive_sessions(self, entitled: Collection[tuple[str, str]], waiting: Collection[str]) -> list[str]:
        """Give sessions that live although their owner is not entitled; under a name that is another's now they may."""
        uses = [fact[1:] for fact in self.world.since if fact[0] == "uses"]
        return [
            f"session {session.session_id} in {session.portal} lives"
            for session in self.world.school.sessions
            if (owner_of(session), session.portal) not in entitled and owner_of(session) not in waiting
            if not any(use[1:] == (session.portal, session.user) and use[0] != owner_of(session) for use in uses)
        ]

    def at_end(self, who: "Instance") -> None:
        """Judge the whole history: all is closed, no block was lifted by itself, and the audit chain holds."""
        for what in self.unfinished():
            self.breaks(f"never came to an end: {what}")
        for row in self.records.all("SELECT DISTINCT person_id FROM blocks WHERE lifted_at IS NOT NULL"):
            if row["person_id"] not in self.unblocked:
                self.breaks(f"the block on {row['person_id']} was lifted by nobody")
        self.words.at_end()
        audit = who.journal.verify_audit()
        if not audit.ok:
            self.breaks(audit.sentence)

    def _legs(self, door: Door) -> list[sqlite3.Row]:
        """Give the legs on a door that were tried, newest first."""
        return self.records.legs("l.kind = ? AND l.target = ? AND l.subject = ? AND l.attempts > 0", *door)

    def _changes(self, door: Door, *, opening: bool) -> list[sqlite3.Row]:
        if door[0] != LegKind.CREDENTIAL.value:
            return []
        rows = self.records.changes("portal = ? AND person_id = ? AND attempts > 0", door[1], door[2])
        return [row for row in rows if (row["kind"] in _OPENING) == opening]


def _covers(leg: sqlite3.Row, session: Session) -> bool:
    portals = json.loads(leg["planned"]).get("portals") or ()
    return leg["subject"].casefold() == session.user.casefold() and (not portals or session.portal in portals)


def _is_more_open(before: State, after: State) -> bool:
    if isinstance(after, Account):
        return after.enabled and not (isinstance(before, Account) and before.enabled)
    if not isinstance(after, Member):
        return False
    if not isinstance(before, Member):
        return True
    return (after.enabled and not before.enabled) or (bool(after.username) and not before.username)


def _is_open(state: State) -> bool:
    return state.enabled if isinstance(state, Account | Member) else False


def _is_closed(state: State, planned: dict[str, Any]) -> bool:
    if isinstance(state, Account):
        return not state.enabled
    if not isinstance(state, Member):
        return True
    alive = planned.get("clear_credential") and state.credential_lives
    return not alive and not (planned.get("disable_member") and state.enabled)


def _is_as_before(before: State, after: State) -> bool:
    if isinstance(before, Account) and isinstance(after, Account):
        return before.state == after.state
    if isinstance(before, Member) and isinstance(after, Member):
        return (before.username, before.status) == (after.username, after.status)
    return False
