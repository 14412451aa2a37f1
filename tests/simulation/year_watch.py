"""What is watched in a simulated year: every effect when it happens, every night when it is over, the end as a whole.

It holds what happened against the oracle's word and the world's own record; whatever it finds is a broken promise.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta

from connector.model import Account, Hold, LegKind, Member, MembershipType, Reason, Relationship, Session
from connector.reconcile.advice import BY_ITSELF
from connector.reconcile.plan_values import Plan, Revocation
from connector.reconcile.running import RunResult
from tests.simulation.year_oracle import Oracle
from tests.simulation.year_world import GOVERNED, PORTALS, DoorState, World, door_of, owner_of

URGENT = frozenset({Reason.RESTRICTED, Reason.BLOCKED, Reason.REQUESTED})
LATE_DAYS = 24
"""In how many days at most whatever is to go is gone, when nobody keeps it: confirmed, looked at, and no outage."""
_ADDED_TO = {p.name: p for p in PORTALS if p.strategy.value == "security_roles"}


class Watch:
    """What must hold in every year."""

    def __init__(self, world: World) -> None:
        self.world, self.oracle = world, Oracle(world)
        self.broken: list[str] = []
        self.counts: Counter[str] = Counter()
        self.nights: list[date] = []
        self.released: set[tuple[str, Hold]] = set()
        self.approved: set[str] = set()
        self.accident = ""  # the contact type whose flag the admin system has wrong at the moment
        self.accident_named: list[str] = []
        self.ready: dict[str, int] = {}  # in how many nights on end somebody was to be closed
        self.alive_since: dict[str, date] = {}
        self.touched: set[str] = set()  # of whom something was closed by now
        self.begun: set[str] = set()  # of whom a part was closed by the end of the night before, and not all
        self.must_be_closed: dict[str, date] = {}  # who is under a court order, by the night until which it is done

    def breaks(self, what: str) -> None:
        """Note a broken promise."""
        self.broken.append(f"{self.world.local:%Y-%m-%d %H:%M} {what}")
        self.world.say("BROKEN", what)

    # --- effects ----------------------------------------------------------------------------------------------------

    def on_door(self, before: DoorState | None, after: DoorState) -> None:
        """Judge a change of a door that the connector made."""
        if isinstance(after, Account):
            self._on_account(after)
        else:
            self._on_member(before if isinstance(before, Member) else None, after)

    def _on_account(self, after: Account) -> None:
        world, owner = self.world, self.world.owner.get(after.guid, "")
        if after.enabled:
            self.counts["accounts enabled again"] += 1
            self._on_opening(owner, after)
            return
        self.counts["accounts disabled"] += 1
        self.touched.add(owner)
        world.say("connector", f"disables the account {after.username} of {self._named(owner)}")
        if self.oracle.needs_account(owner):
            self.breaks(f"the account {after.username} of {owner}, who is entitled, was disabled")
        for other in sorted(self.oracle.claimants(after) - {owner}):
            self.breaks(f"the account {after.username} was disabled, which {other}, who is entitled, claims")
        if after.protected or not after.managed:
            self.breaks(f"the account {after.username} is never written, and was")

    def _on_member(self, before: Member | None, after: Member) -> None:
        whom, portal = after.person_id, after.portal
        if before is None or (after.enabled, bool(after.username)) > (before.enabled, bool(before.username)):
            self._on_opening(whom, after)
            self.counts["members added" if before is None else "members opened again"] += 1
            if before is None and (portal not in _ADDED_TO or not self.oracle.entitled(whom, portal)):
                self.breaks(f"{whom} was added to {portal} and is not entitled to it")
            return
        self.counts["members closed"] += 1
        self.touched.add(whom)
        self.world.say("connector", f"closes {portal} for {self._named(whom)}")
        if self.oracle.entitled(whom, portal):
            self.breaks(f"{whom} is entitled to {portal} and was closed there")
        if portal not in GOVERNED:
            self.breaks(f"{whom} was closed in {portal}, which only reports")

    def _on_opening(self, whom: str, after: DoorState) -> None:
        """What we add or restore is how the door is left; nobody who is kept out is let in by it."""
        self.world.left_as[door_of(after)] = after
        if self.oracle.blocked(whom) or not self.oracle.portals_of(whom):
            self.breaks(f"{whom} was let in again by the connector and is entitled to nothing")

    def on_session(self, session: Session) -> None:
        """Judge a session that the connector ended."""
        self.counts["sessions ended"] += 1
        if spared := self.oracle.spared(session):
            self.breaks(f"a session of {owner_of(session)} in {session.portal} was ended, which is {spared}'s to have")

    def _named(self, person_id: str) -> str:
        person = self.world.people.get(person_id)
        return f"{person.name} ({person_id})" if person else person_id

    # --- nights -----------------------------------------------------------------------------------------------------

    def after_night(self, result: RunResult | None, *, live: bool) -> None:
        """Judge what a night says it did, and what it left undone."""
        self.nights.append(self.world.today)
        if result is not None:
            self.after_run(result)
        alive = self.oracle.alive()
        was_ready = alive.keys() | {row.person_id or "" for row in (result.applied if result else ())}
        self.ready = {whom: self.ready.get(whom, 0) + 1 for whom in sorted(was_ready)}
        self.begun = self.touched & alive.keys()
        self.alive_since = {whom: self.alive_since.get(whom, self.world.today) for whom in alive}
        if live and result is not None:
            self._judge_lateness(alive, result)

    def after_run(self, result: RunResult) -> None:
        """Judge what any run says it did."""
        self.counts[f"runs {result.result}"] += 1
        for row in result.applied:
            self._judge_row(row)
        self._judge_sessions(result)
        self.hear(result.judgement.plan)
        if result.applied or result.stopped:
            stopped = f", stopped by {', '.join(o.label for o in result.stopped)}" if result.stopped else ""
            said = f"{result.result}: {len(result.applied)} closed, {len(result.open_legs)} legs open{stopped}"
            self.world.say("connector", said)

    def _judge_sessions(self, result: RunResult) -> None:
        """Right after a run nobody whom it has closed, with nothing left open, is signed in."""
        still_open = {leg.key for leg in result.open_legs}
        closed = {row.person_id for row in result.applied if row.key not in still_open}
        for session in (s for s in self.world.sessions if owner_of(s) in closed and s.portal in GOVERNED):
            if not self.oracle.spared(session):
                self.breaks(f"{owner_of(session)} was closed and is signed in to {session.portal}")

    def hear(self, plan: Plan) -> None:
        """Listen how the accident is told: the contact type, how its flag changed, and since when.

        While a row that rests on it would close without anybody looking, the whole plan is stopped for it.
        """
        if not self.accident:
            return
        told = [f"{o.label}: {o.text}" for o in plan.objections]
        named = [text for text in told if f"contact type {self.accident}, flag yes→no since " in text]
        self.accident_named += named
        warned = [text for text in plan.warnings if f"contact type {self.accident}, flag yes→no since " in text]
        self.counts["warnings of the accident"] += len(warned)
        going = [r.key for r in plan.revocations if r.applies or (r.holds and BY_ITSELF.issuperset(r.holds))]
        resting = {r.contact_id for r in self.world.relationships if self._rests_on_accident(r)}
        if resting.intersection(going) and not any(text.startswith("rule-changed:") for text in named):
            self.breaks(f"{min(resting.intersection(going))} would close while the flag is lost, and nobody objects")

    def _rests_on_accident(self, relationship: Relationship) -> bool:
        own = relationship.portal_access
        return relationship.contact_type == self.accident and own is None and self.oracle.current(relationship)

    def _judge_row(self, row: Revocation) -> None:
        """A row that was applied had the reasons the rules give, was confirmed, and nothing that held it stood."""
        whom, reasons = row.person_id or "", frozenset(row.reasons)
        self.counts["people closed"] += 1
        told = frozenset(str(r) for r in reasons if r not in (Reason.HALF_REVOKED, Reason.REQUESTED))
        portals = {v for k, v in row.factors if k == "portal"}
        account = any(leg.kind is LegKind.DIRECTORY and not leg.unread for leg in row.legs)
        by_rules = self.oracle.reasons(whom, portals, account=account) if whom else frozenset({"contact-missing"})
        if whom and told != by_rules:
            self.breaks(f"{whom} was closed for {sorted(told)}, the rules say {sorted(by_rules)}")
        if reasons & URGENT:
            return
        if told <= {"no-student-at-school", "portal-flag-off"} and self.oracle.rests_on_unknown(whom):
            self.breaks(f"{whom} was closed for an enrolment that cannot be right")
        if self.ready.get(row.key, 0) < self.world.rules.confirm_runs - 1:
            self.breaks(f"{row.key} was closed and had not been ready in {self.world.rules.confirm_runs} runs")
        if self.world.today.weekday() > 3 and whom not in self.begun:
            self.breaks(f"{row.key} was closed on a {self.world.today:%A}")
        until = self.world.keeps.get(whom, date.min)
        if until is None or until >= self.world.today:
            self.breaks(f"{whom} was closed and is kept")
        if self._in_rollover():
            self.breaks(f"{row.key} was closed before the rollover was complete")
        if told & {"contact-missing", "portal-flag-off"} and (row.key, Hold.POLICY) not in self.released:
            self.breaks(f"{row.key} was closed for {sorted(told)} and nobody had released it")

    def _in_rollover(self) -> bool:
        begins = self.world.rules.rollover_from
        return begins is not None and begins <= self.world.today and not self.counts["rollover complete"]

    def _judge_lateness(self, alive: Mapping[str, list[str]], result: RunResult) -> None:
        """Whoever is to be closed is closed in time; urgent ones with the very night."""
        today = self.world.today
        for whom, since in list(self.alive_since.items()):
            if whom in self.world.keeps or self._in_rollover():
                self.alive_since[whom] = today
            elif today - since == timedelta(days=LATE_DAYS):
                self.breaks(f"{whom} is entitled to nothing since {since} and still has {alive[whom]}")
        if any(t.down for t in self.world.trouble.values()) or any(o.stops_urgent for o in result.stopped):
            return  # it cannot be done, or was not read
        for whom in [w for w, night in self.must_be_closed.items() if night <= today]:
            if whom in alive:
                self.breaks(f"{whom} is kept out by a court or a person and still has {alive[whom]}")
            del self.must_be_closed[whom]

    # --- at the end -------------------------------------------------------------------------------------------------

    def at_end(self) -> None:
        """Everything is exactly as the rules say."""
        world = self.world
        for account in world.accounts:
            self._judge_account(account)
        for member in world.members:
            self._judge_member(member)
        self._judge_additions()
        if self.counts["accidents"] and not self.accident_named and not self.counts["warnings of the accident"]:
            self.breaks("the cause of the accident in the admin system was never named")
        for session in world.sessions:
            if session.portal in GOVERNED and not self.oracle.spared(session):
                self.breaks(f"a session of {owner_of(session)} in {session.portal} lives at the end")

    def _judge_account(self, account: Account) -> None:
        owner, left = self.world.owner.get(account.guid, ""), self.world.left_as[door_of(account)]
        wanted = self.oracle.needs_account(owner) or bool(self.oracle.claimants(account) - {owner})
        if not wanted and account.managed and not account.protected:
            if account.enabled:
                self.breaks(f"the account {account.username} of {owner} is enabled at the end")
        elif account != left:
            self.breaks(
                f"the account {account.username} of {owner} is {account.state} at the end and was left otherwise"
            )

    def _judge_member(self, member: Member) -> None:
        whom, portal = member.person_id, member.portal
        if portal in GOVERNED and not self.oracle.entitled(whom, portal):
            if member.enabled or member.credential_lives:
                self.breaks(f"{whom} is open in {portal} at the end")
        elif member != self.world.left_as[door_of(member)]:
            self.breaks(f"{whom} in {portal} is {member} at the end and was left otherwise")

    def _judge_additions(self) -> None:
        """Whoever is entitled to a portal by a role is its member, and was added by us unless by somebody else."""
        there = {(m.portal, m.person_id): m for m in self.world.members}
        for portal in _ADDED_TO:
            for whom in [p for p in self.world.people if self.oracle.entitled(p, portal)]:
                found = there.get((portal, whom))
                if found is None:
                    self.breaks(f"{whom} is entitled to {portal} and is no member at the end")
                elif found.membership_type is MembershipType.SYSTEM_GENERATED:
                    self.counts["members who were added"] += 1
