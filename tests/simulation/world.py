"""The world of a history: a small school, its systems, one clock, and the truth about them at every moment.

Who is entitled, and who claims what, is worked out here anew and in few lines, never by the code under test. Everything
that changes leaves a line in the trace, and every state of every door is kept with its time.
"""

from collections import Counter
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random

from connector.model import Account, LegKind, Member, PersonStatus, Session
from tests.fakes import Trouble
from tests.reconcile.build import NOW, TODAY, SchoolBuilder, guid
from tests.simulation.school import CLUB, DIRECTORY_PORTALS, PAPER

Door = tuple[str, str, str]
"""Kind of leg, target and subject: what one door is called."""
Fact = tuple[str, ...]
State = Account | Member | None


def copy_of(school: SchoolBuilder) -> SchoolBuilder:
    """Give a school to change: all that it holds is frozen, so that copies of its lists are enough."""
    made = copy(school)
    for name, value in vars(school).items():
        setattr(made, name, copy(value))
    return made


@dataclass
class Trace:
    """What happened when and to whom, in order, and how often each fault and boundary was hit."""

    events: list[tuple[datetime, str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def lines(self) -> tuple[str, ...]:
        """The events, for people to read."""
        return tuple(f"{at:%d %H:%M:%S.%f} {who:>6}  {what}" for at, who, what in self.events)

    def count(self, what: str) -> None:
        self.counts[what] += 1


class World:
    """Everything outside the connector, and its journal's file."""

    def __init__(self, school: SchoolBuilder, journal: Path, rng: Random) -> None:
        self.school, self.journal, self.rng = copy_of(school), journal, rng
        self.now, self.day = NOW, 0
        self.trace = Trace()
        self.trouble = {name: Trouble() for name in ("ad", *self.school.portals, *self.school.store_keys)}
        self.outages: dict[str, int] = {}
        self.under_way: list[tuple[Session, datetime]] = []  # killed when, and written back when their request ends
        self.late: list[Session] = []  # the same, but only after everything has settled
        self.needs_authoriser = ""  # the store whose owner acts on an authority's word only
        self.held_by_policy = False  # whether a person has to release each closing for a child that left
        self.saves_at_end = 0  # how many more sweeps end sessions that are written back
        self.late_share = 0.2
        self.timeline: dict[Door, list[tuple[datetime, State]]] = {}
        self.sessions: dict[str, list[tuple[datetime, Session | None]]] = {}
        self.since: dict[Fact, datetime] = {}
        self.over: dict[Fact, list[tuple[datetime, datetime]]] = {}  # from when to when what is true no more
        self.reopened: dict[str, list[datetime]] = {}  # when somebody else opened a door of a person
        self.before_us: dict[Door, State] = {}  # what a door was like when we closed it
        self.returned: set[str] = set()
        self.worklist: dict[str, Callable[[], None]] = {}  # what people were asked to do by hand, by whose member it is
        self.first_owner = {guid(f"ad:{person}"): person for person in self.school.people}
        self._number = 0
        self.observe()

    # --- time -------------------------------------------------------------------------------------------------------

    @property
    def as_of(self) -> date:
        return TODAY + timedelta(days=self.day)

    def tick(self, seconds: float = 0.001) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now

    def say(self, who: str, what: str) -> None:
        self.trace.events.append((self.now, who, what))

    def weather(self) -> None:
        """Let outages pass, one step at a time."""
        for name in list(self.outages):
            self.outages[name] -= 1
            if self.outages[name] <= 0:
                del self.outages[name]
                self.trouble[name].down = False
                self.say("world", f"{name} answers again")

    def settle(self, seconds: float) -> None:
        """Let time pass while somebody waits: requests under way end, and save their sessions."""
        self.tick(seconds)
        if self.under_way:
            back, self.under_way = self.under_way, []
            self._bring_back([session for session, _ in back], "session came back")

    def overnight(self) -> None:
        """Bring back the sessions whose requests outlived every sweep."""
        if self.late:
            back, self.late = self.late, []
            self._bring_back(back, "session came back late")

    def _bring_back(self, sessions: list[Session], fault: str) -> None:
        self.school.sessions.extend(sessions)
        self.trace.counts[f"fault:{fault}"] += len(sessions)
        self.say("world", f"{fault}: {' '.join(s.session_id for s in sessions)}")
        self.observe()

    # --- looking things up ------------------------------------------------------------------------------------------

    def member(self, person_id: str, portal: str = "engage") -> Member | None:
        return next((m for m in self.school.members if (m.person_id, m.portal) == (person_id, portal)), None)

    def account(self, person_id: str) -> Account | None:
        person = self.school.people.get(person_id)
        return next((a for a in self.school.accounts if person and a.employee_id == person.code), None)

    def contacts(self) -> list[str]:
        """Everybody who is not a student."""
        return [p for p in self.school.people if not p.startswith("s-")]

    def next_number(self) -> int:
        self._number += 1
        return self._number

    # --- the truth --------------------------------------------------------------------------------------------------

    def entitled(self) -> set[tuple[str, str]]:
        """Give who is entitled to what, blocks apart."""
        school = self.school
        gone = {e.student_id for e in school.enrolments if e.exit_date is not None}
        active = {p for p, person in school.people.items() if person.status is PersonStatus.ACTIVE}
        by_children = [name for name in ("engage", PAPER.name) if name in school.portals]
        parents = {
            (r.contact_id, portal)
            for r in school.relationships
            for portal in by_children
            if not r.restricted and r.student_id not in gone
        }
        portals = {"Faculty": "faculty", "Parent": CLUB.name}
        staff = {(g.person_id, portals[g.role]) for g in school.roles if g.ends_on is None}
        return {(person, portal) for person, portal in parents | staff if person in active}

    def _facts(self) -> set[Fact]:
        """Give entitlements, and the accounts that entitled people claim."""
        entitled = self.entitled()
        facts: set[Fact] = {("entitled", person, portal) for person, portal in entitled}
        for person in {person for person, _ in entitled}:
            names = {m.username for m in self.school.members if m.person_id == person and m.portal in DIRECTORY_PORTALS}
            code = self.school.people[person].code
            for account in self.school.accounts:
                if account.employee_id == code or (account.username in names and account.username):
                    facts.add(("claims", person, account.guid))
                    facts |= {("uses", person, portal, account.username) for portal in DIRECTORY_PORTALS}
            facts |= self._uses(person, names)
        return facts | self._what_holds()

    def _what_holds(self) -> set[Fact]:
        """Give who is restricted or disputed, and which accounts are never written."""
        school = self.school
        facts: set[Fact] = {("restricted", r.contact_id) for r in school.relationships if r.restricted}
        owners = {person.code: person_id for person_id, person in school.people.items()}
        for account in school.accounts:
            if account.protected:
                facts.add(("protected", account.guid))
            if not account.managed:
                facts.add(("outside", account.guid))
            first, now = self.first_owner.get(account.guid, ""), owners.get(account.employee_id, "")
            if account.managed and first and now and first != now:
                facts |= {("disputed", first), ("disputed", now)}
        return facts

    def _uses(self, person: str, names: set[str]) -> set[Fact]:
        """Give under which user values somebody may be signed in, and where."""
        mine = {("uses", person, m.portal, m.username) for m in self.school.members if m.person_id == person}
        by_id = {("uses", person, portal, person) for portal in self.school.portals}
        return mine | by_id | {("uses", person, portal, name) for portal in DIRECTORY_PORTALS for name in names}

    def observe(self) -> None:
        """Take down what has changed. To be called after every change, whoever made it."""
        now = self.tick()
        facts = self._facts()
        for fact in self.since.keys() - facts:
            self.over.setdefault(fact, []).append((self.since[fact], now))
        self.since = {fact: self.since.get(fact, now) for fact in facts}
        self._observe_doors(now)
        alive = {s.session_id: s for s in self.school.sessions}
        for session_id in alive.keys() | self.sessions.keys():
            seen = self.sessions.setdefault(session_id, [])
            state = alive.get(session_id)
            if not seen or seen[-1][1] != state:
                seen.append((now, state))

    def _observe_doors(self, now: datetime) -> None:
        doors: dict[Door, State] = {(LegKind.DIRECTORY, a.directory, a.guid): a for a in self.school.accounts}
        doors |= {(LegKind.CREDENTIAL, m.portal, m.person_id): m for m in self.school.members}
        for door in doors.keys() | self.timeline.keys():
            seen = self.timeline.setdefault(door, [])
            state = doors.get(door)
            if not seen or seen[-1][1] != state:
                seen.append((now, state))

    def was(self, door: Door, wanted: Callable[[State], bool], begin: datetime, end: datetime) -> bool:
        """Say whether a door was in a wanted state at any moment between two times."""
        states = self.timeline.get(door, [])
        ends = [at for at, _ in states[1:]] + [datetime.max.replace(tzinfo=NOW.tzinfo)]
        if not states or states[0][0] > begin:  # before it was first seen it was not there
            states, ends = [(NOW - timedelta(days=1), None), *states], [states[0][0] if states else ends[-1], *ends]
        return any(
            at <= end and until > begin and wanted(state) for (at, state), until in zip(states, ends, strict=True)
        )

    def ever(self, fact: Fact, begin: datetime, end: datetime) -> bool:
        """Say whether something was true at any moment between two times."""
        if fact in self.since and self.since[fact] <= end:
            return True
        return any(since <= end and until >= begin for since, until in self.over.get(fact, ()))

    def doors_of(self, person_id: str, at: datetime) -> frozenset[tuple[str, ...]]:
        """Give what a person's account and members were like at a moment, as far as a row of a plan rests on it."""
        found: set[tuple[str, ...]] = set()
        for states in self.timeline.values():
            state = next((s for since, s in reversed(states) if since <= at), None)
            if isinstance(state, Member) and state.person_id == person_id:
                found.add((state.portal, state.username, state.status))
            elif isinstance(state, Account) and self.first_owner.get(state.guid) == person_id:
                found.add((state.guid, state.username, state.state, state.employee_id))
        return frozenset(found)

    def held_since(self, fact: Fact, at: datetime | None) -> bool:
        """Say whether something has been true without a break since before a moment."""
        began = self.since.get(fact)
        return at is not None and began is not None and began < at
