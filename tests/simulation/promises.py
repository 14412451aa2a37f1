"""What must hold in every history, judged from outside: by the journal's committed rows and the true state of all.

Each check reads the database over a connection of its own, so that only what is durable counts. It asks nothing of the
code under test but the audit chain's own verification.
"""

import json
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from connector.model import Account, EndSessions, LegKind, LegState, Member, Session
from connector.reconcile.journal_values import FINAL, ChangeKind, Direction
from tests.simulation.school import DIRECTORY_PORTALS, owner_of
from tests.simulation.world import Door, State, World

if TYPE_CHECKING:
    from tests.simulation.instance import Instance

_LEGS = """
    SELECT l.id, r.direction, l.state, l.attempts, l.last_tried, r.person_id, l.planned, l.intended_at, l.finished_at,
           l.kind, l.target, l.subject, l.before
    FROM legs l JOIN revocations r ON r.id = l.revocation_id
"""
_FINAL = {state.value for state in FINAL}
_PROVEN = {LegState.CLOSED.value, LegState.ALREADY_CLOSED.value}
_OPENING = {ChangeKind.ADD.value, ChangeKind.ENABLE.value}


class Promises:
    """Watches one history. `broken` says what did not hold."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.broken: list[str] = []
        self.unblocked: set[str] = set()
        self.reassigned: set[str] = set()
        self._reported: set[int] = set()
        self._db = sqlite3.connect(world.journal, isolation_level=None, timeout=30, check_same_thread=False)
        self._db.row_factory = sqlite3.Row

    def close(self) -> None:
        self._db.close()

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
        now = _text(self.world.now)
        if who.begun is not None:
            row = self._one("SELECT owner, epoch FROM leases WHERE name = 'run' AND expires_at > ?", now)
            return row is not None and (row["owner"], row["epoch"]) == (who.begun.owner, who.begun.epoch)
        return self._one("SELECT 1 FROM claims WHERE owner = ? AND expires_at > ?", who.name, now) is not None

    def on_door(self, who: "Instance", door: Door, before: State, after: State) -> None:
        """Judge an effect on an account or a member."""
        opening = _is_more_open(before, after)
        direction = Direction.OPEN if opening else Direction.CLOSE
        asked = [leg for leg in self._legs(door) if leg["direction"] == direction.value and leg["attempts"]]
        asked += self._changes(door, opening=opening)
        what = f"{'opened' if opening else 'closed'} {' '.join(door)}"
        by = asked[0]["direction"] if asked else "nobody"
        self.world.trace.count(f"effect:{door[0]} {'opened' if opening else 'closed'} by {by}")
        if not asked:
            self.breaks(f"{who.name} {what} without a durable intent")
            return
        if not who.paused and all(one["state"] in _FINAL for one in asked):
            self.breaks(f"{who.name} {what} although the journal says that was over")
        if opening:
            self._judge_opening(door, after, asked, what)
        else:
            self.world.before_us[door] = before
            self._judge_closing(who, door, asked[0]["person_id"] or "", before, what)

    def _judge_opening(self, door: Door, after: State, asked: Sequence[sqlite3.Row], what: str) -> None:
        person = asked[0]["person_id"] or ""
        tried = max(_time(one["last_tried"]) for one in asked)
        if self._blocked(person, tried, tried):
            self.breaks(f"{what} of {person}, who was blocked")
        before = self.world.before_us.get(door)
        if asked[0]["direction"] == Direction.OPEN.value and before is not None and not _is_as_before(before, after):
            self.breaks(f"{what}, but not as it was: {before} -> {after}")

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
        legs = [
            leg
            for leg in self._legs((LegKind.SESSIONS.value, store, item.user))
            if leg["attempts"] and leg["direction"] == Direction.CLOSE.value
        ]
        for session in ended:
            what = f"{who.name} ended session {session.session_id} of {session.user} in {session.portal}"
            if not any(_covers(leg, session) for leg in legs):
                self.breaks(f"{what} without a durable intent")
            uses = ("uses", owner_of(session), session.portal, session.user)
            if self._entitled(who, owner_of(session), session.portal) and self.world.held_since(uses, who.read_at):
                self.breaks(f"{what}, whose owner is entitled")

    def _entitled(self, who: "Instance", person: str, portal: str) -> bool:
        """Say whether somebody was entitled without a break since before this instance began to read."""
        held = self.world.held_since(("entitled", person, portal), who.read_at)
        return held and not self._blocked(person, who.read_at, self.world.now)

    def _claims(self, who: "Instance", person: str, guid: str) -> bool:
        held = self.world.held_since(("claims", person, guid), who.read_at)
        return held and not self._blocked(person, who.read_at, self.world.now)

    def _blocked(self, person: str, begin: datetime | None, end: datetime) -> bool:
        """Say whether a block stood at any moment between two times."""
        query = "SELECT 1 FROM blocks WHERE person_id = ? AND made_at <= ? AND (lifted_at IS NULL OR lifted_at > ?)"
        return self._one(query, person, _text(end), _text(begin or end)) is not None

    # --- after an act -------------------------------------------------------------------------------------------------

    def after_act(self) -> None:
        """Judge what the journal newly says is done."""
        for leg in self._all(f"{_LEGS} WHERE l.finished_at IS NOT NULL"):
            if leg["id"] not in self._reported:
                self._reported.add(leg["id"])
                if leg["state"] in _PROVEN:
                    self._judge_report(leg)

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
        begin, end = _time(leg["intended_at"]), _time(leg["finished_at"])
        if leg["direction"] == Direction.OPEN.value:
            done = self.world.was(door, _is_open, begin, end)
        else:
            done = self.world.was(door, lambda s: _is_closed(s, planned), begin, end)
        if not done:
            self.breaks(f"{what} is reported {leg['state']} and never was")

    def _judge_swept(self, leg: sqlite3.Row, what: str) -> None:
        begin, end = _time(leg["intended_at"]), _time(leg["finished_at"])
        for states in self.world.sessions.values():
            session = next((s for at, s in reversed(states) if at <= end), None)
            if session is not None and _covers(leg, session) and self._is_due(leg, session, begin):
                self.breaks(f"{what} is reported {leg['state']} while {session.session_id} lives")
        for session, killed_at in self.world.under_way:
            if begin < killed_at < end and _covers(leg, session) and self._is_due(leg, session, begin):
                self.breaks(f"{what} is reported {leg['state']} while a request of {session.session_id} is under way")
        doors = "SELECT COUNT(*) AS open FROM legs l JOIN revocations r ON r.id = l.revocation_id WHERE r.id = "
        doors += "(SELECT revocation_id FROM legs WHERE id = ?) AND l.kind <> 'sessions' "
        doors += "AND (l.finished_at IS NULL OR l.finished_at > ?)"
        row = self._one(doors, leg["id"], leg["finished_at"])
        if row is not None and row["open"]:
            self.breaks(f"{what} is reported {leg['state']} while {row['open']} doors were open")

    def _is_due(self, leg: sqlite3.Row, session: Session, begin: datetime) -> bool:
        """Say whether a session had to be ended by a leg: not of somebody let in again, nor under another's name."""
        person, world = leg["person_id"] or "", self.world
        if session.store != leg["target"] or owner_of(session) != person or person in world.returned:
            return False
        let_in = world.reopened.get(person)
        if let_in is not None and let_in > begin:
            return False
        entitled = ("entitled", person, session.portal) in world.since
        return session.user not in self.reassigned and not (entitled and not self._blocked(person, begin, world.now))

    # --- at the end ---------------------------------------------------------------------------------------------------

    def unfinished(self) -> list[str]:
        """Say what is still open once everything is quiet: in the journal, or in the world."""
        return self.open() + self._alive()

    def open(self) -> list[str]:
        """Say what the journal holds open."""
        states = ", ".join(f"'{state}'" for state in sorted(_FINAL))
        query = f"{_LEGS} WHERE l.state NOT IN ({states})"
        found = [f"leg {r['id']} {r['kind']} {r['target']} {r['subject']}: {r['state']}" for r in self._all(query)]
        changes = self._all(f"SELECT * FROM changes WHERE state NOT IN ({states})")  # noqa: S608 - constants
        found += [f"change {r['id']} {r['kind']} {r['portal']} {r['person_id']}: {r['state']}" for r in changes]
        return found

    def _alive(self) -> list[str]:
        """Give what lives of people who are entitled to it by nobody's word."""
        world, school = self.world, self.world.school
        entitled = {(p, portal) for p, portal in world.entitled() if not self._blocked(p, world.now, world.now)}
        found = [
            f"member {m.person_id} of {m.portal} lives"
            for m in school.members
            if (m.enabled or m.credential_lives) and (m.person_id, m.portal) not in entitled
        ]
        owners = {person.code: person_id for person_id, person in school.people.items()}
        for account in (a for a in school.accounts if a.enabled and a.managed):
            person = owners.get(account.employee_id, "")
            if not any((person, portal) in entitled for portal in DIRECTORY_PORTALS):
                found.append(f"account {account.username} of {person} is enabled")
        sessions = (s for s in school.sessions if s.user not in self.reassigned)
        lives = [s for s in sessions if (owner_of(s), s.portal) not in entitled]
        return found + [f"session {session.session_id} in {session.portal} lives" for session in lives]

    def at_end(self, who: "Instance") -> None:
        """Judge the whole history: all is closed, no block was lifted by itself, and the audit chain holds."""
        for what in self.unfinished():
            self.breaks(f"never came to an end: {what}")
        for row in self._all("SELECT DISTINCT person_id FROM blocks WHERE lifted_at IS NOT NULL"):
            if row["person_id"] not in self.unblocked:
                self.breaks(f"the block on {row['person_id']} was lifted by nobody")
        audit = who.journal.verify_audit()
        if not audit.ok:
            self.breaks(audit.sentence)

    # --- the journal, as it is on disk --------------------------------------------------------------------------------

    def _legs(self, door: Door) -> list[sqlite3.Row]:
        query = f"{_LEGS} WHERE l.kind = ? AND l.target = ? AND l.subject = ? ORDER BY l.id DESC"
        return self._all(query, *door)

    def _changes(self, door: Door, *, opening: bool) -> list[sqlite3.Row]:
        if door[0] != LegKind.CREDENTIAL.value:
            return []
        query = "SELECT *, 'change' AS direction FROM changes WHERE portal = ? AND person_id = ? AND attempts > 0"
        return [row for row in self._all(query, door[1], door[2]) if (row["kind"] in _OPENING) == opening]

    def _one(self, query: str, *values: Any) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._db.execute(query, values).fetchone()
        return row

    def _all(self, query: str, *values: Any) -> list[sqlite3.Row]:
        return self._db.execute(query, values).fetchall()


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


def _text(moment: datetime) -> str:
    """Write a moment as the journal's SQLite does, so that texts compare as times do."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
