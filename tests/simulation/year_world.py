"""The world of a simulated year: one school's people, its systems, one clock, and what is due when.

Everything somebody other than the connector does to a door passes through here and is remembered as theirs. The world
never asks the code under test anything; what its admin system gives out may be wrong, what it knows is not.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from heapq import heappop, heappush
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from connector.errors import SourceError, TargetUnreachable
from connector.model import (
    Account,
    ContactType,
    Enrolment,
    Member,
    MembershipType,
    MemberStatus,
    PeopleReading,
    Person,
    Provenance,
    Relationship,
    RoleGrant,
    Session,
)
from connector.policy import OnMismatch, PortalRules, Rules, SignIn, Strategy
from tests.fakes import Trouble
from tests.reconcile.build import ENGAGE, FACULTY, guid

ZONE = ZoneInfo("Australia/Sydney")
HUB = PortalRules("hub", Strategy.CONTACTS, on_mismatch=OnMismatch.REVOKE, sign_in=SignIn.PASSWORD)
FRIENDS = PortalRules("friends", Strategy.SECURITY_ROLES, ("Parent",))
PORTALS = (ENGAGE, FACULTY, HUB, FRIENDS)
GOVERNED = tuple(p.name for p in PORTALS if p.governed)
ON_ACCOUNTS = tuple(p.name for p in PORTALS if p.needs_directory_account)
BY_USERNAME, BY_PERSON = "web", "app"
"""The session stores: one of the portals that sign in through the directory, and the hub's."""

TARGETS = ("ad", *(p.name for p in PORTALS), BY_USERNAME, BY_PERSON)
Happening = Callable[[], object]
View = Callable[[PeopleReading], PeopleReading]
DoorState = Account | Member
Door = tuple[str, str]
"""("ad", GUID) or (portal, person_id)."""


@dataclass(order=True)
class _Due:
    at: datetime
    number: int
    happening: Happening = field(compare=False)


def door_of(state: DoorState) -> Door:
    """Give where a state stands."""
    return (state.directory, state.guid) if isinstance(state, Account) else (state.portal, state.person_id)


class World:
    """Everything outside the connector and its journal. `facts` counts changes of what is true of people."""

    def __init__(self, seed: int, first_day: date, days: int, rules: Rules) -> None:
        self.dice = Random(seed)  # noqa: S311 - dice, not secrets
        self.rules, self.first_day = rules, first_day
        self.last_change = first_day + timedelta(days=days - 16)  # after it nothing begins, and nobody's time ends
        self.now = self.at(first_day, time(0, 0))
        self.people: dict[str, Person] = {}
        self.relationships: list[Relationship] = []
        self.enrolments: list[Enrolment] = []
        self.roles: list[RoleGrant] = []
        self.types: dict[str, bool] = {}
        self.accounts: list[Account] = []
        self.members: list[Member] = []
        self.sessions: list[Session] = []
        self.left_as: dict[Door, DoorState] = {}  # what each door was made by anybody but a closing of ours
        self.owner: dict[str, str] = {}  # whose an account really is, by GUID
        self.blocks: dict[str, date | None] = {}
        self.keeps: dict[str, date | None] = {}
        self.by_hand: set[str] = set()  # GUIDs of accounts that were disabled by hand, and are to stay so
        self.facts, self.orders = 0, 0
        self.story: list[tuple[datetime, str, str]] = []
        self.trouble = {name: Trouble() for name in TARGETS}
        self.views: dict[str, View] = {}  # how the admin system is wrong at the moment
        self.down = ""  # why the admin system gives nothing at the moment
        self.readings: dict[date, PeopleReading] = {}
        self.brought_back: list[tuple[Session, bool]] = []
        self._due: list[_Due] = []
        self._today = (self.now, first_day)
        self._number = 0

    # --- time -------------------------------------------------------------------------------------------------------

    @property
    def local(self) -> datetime:
        """The time on the school's clocks."""
        return self.now.astimezone(ZONE)

    @property
    def today(self) -> date:
        if self._today[0] != self.now:
            self._today = (self.now, self.local.date())
        return self._today[1]

    @staticmethod
    def at(day: date, when: time) -> datetime:
        """Give a local time of a day, in UTC."""
        return datetime.combine(day, when, ZONE).astimezone(UTC)

    def tick(self, seconds: float = 0.001) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now

    def say(self, who: str, what: str) -> None:
        """Leave a line in the story."""
        self.story.append((self.now, who, what))

    def plan(self, day: date, when: time, happening: Happening) -> None:
        """Let something happen at a local time of a day."""
        self._number += 1
        heappush(self._due, _Due(self.at(day, when), self._number, happening))

    def in_days(self, least: int, most: int, happening: Happening) -> None:
        """Let something happen some days from now, in the afternoon."""
        day = min(self.today + timedelta(days=self.dice.randint(least, most)), self.last_change)
        self.plan(day, time(self.dice.randint(11, 17), self.dice.randrange(60)), happening)

    def next_due(self) -> datetime | None:
        """Say when something happens next."""
        return self._due[0].at if self._due else None

    def advance(self, until: datetime) -> None:
        """Let time pass, with all that happens meanwhile."""
        while self._due and self._due[0].at <= until:
            due = heappop(self._due)
            self.now = max(self.now, due.at)
            due.happening()
        self.now = max(self.now, until)

    # --- people -----------------------------------------------------------------------------------------------------

    def number(self) -> int:
        self._number += 1
        return self._number

    def touched(self) -> None:
        """Note that something about people is true now that was not."""
        self.facts += 1

    def add_person(self, person_id: str, given: str, family: str, **fields: Any) -> Person:
        fields = {"email": f"{given}.{family}.{person_id}@mail.example".lower(), **fields}
        person = Person(person_id, fields.pop("code", person_id.upper()), given, family, **fields)
        self.people[person_id] = person
        self.touched()
        return person

    def change(self, person_id: str, **fields: Any) -> None:
        self.people[person_id] = replace(self.people[person_id], **fields)
        self.touched()

    def relate(self, contact: str, student: str, contact_type: str, **fields: Any) -> None:
        self.relationships.append(Relationship(contact, student, contact_type, **fields))
        self.touched()

    def change_relationships(self, which: Callable[[Relationship], bool], **fields: Any) -> None:
        self.relationships = [replace(r, **fields) if which(r) else r for r in self.relationships]
        self.touched()

    def change_enrolments(self, which: Callable[[Enrolment], bool], **fields: Any) -> None:
        self.enrolments = [replace(e, **fields) if which(e) else e for e in self.enrolments]
        self.touched()

    def children_of(self, contact: str) -> list[str]:
        return [r.student_id for r in self.relationships if r.contact_id == contact]

    def contacts_of(self, student: str) -> list[str]:
        return [r.contact_id for r in self.relationships if r.student_id == student]

    def families(self) -> list[tuple[str, ...]]:
        """Give the students still at the school, siblings together, in a fixed order."""
        here = [e.student_id for e in self.enrolments if e.exit_date is None]
        parents = {s: frozenset(self.contacts_of(s)) for s in here}
        found: dict[frozenset[str], list[str]] = {}
        for student in here:
            found.setdefault(parents[student], []).append(student)
        return [tuple(students) for students in found.values()]

    # --- doors, as others change them -------------------------------------------------------------------------------

    def account_of(self, person_id: str) -> Account | None:
        return next((a for a in self.accounts if self.owner.get(a.guid) == person_id), None)

    def member(self, person_id: str, portal: str) -> Member | None:
        return next((m for m in self.members if (m.person_id, m.portal) == (person_id, portal)), None)

    def put(self, state: DoorState) -> None:
        """Let somebody other than the connector bring a door into a state."""
        rows: list[Any] = self.accounts if isinstance(state, Account) else self.members
        place = next((n for n, row in enumerate(rows) if door_of(row) == door_of(state)), None)
        if place is None:
            rows.append(state)
        else:
            rows[place] = state
        self.left_as[door_of(state)] = state
        self.orders += 1

    def make_account(self, person_id: str, **fields: Any) -> Account:
        person, number = self.people[person_id], sum(o == person_id for o in self.owner.values())
        name = f"{person.given_name}.{person_id}{number or ''}".lower()
        given = {"employee_id": person.code, "state": "512", "email": person.email, **fields}
        account = Account("ad", guid(f"ad:{person_id}:{number}"), f"CN={name},OU=Parents", name, **given)
        self.owner[account.guid] = person_id
        self.put(account)
        return account

    def make_member(self, person_id: str, portal: str, username: str, **fields: Any) -> None:
        given = {"has_password": True, "membership_type": MembershipType.MANUALLY_ADDED, **fields}
        self.put(Member(portal, person_id, username, **given))

    def open_member(self, member: Member, username: str) -> None:
        self.put(replace(member, username=username, has_password=True, status=MemberStatus.ENABLED))

    # --- sessions ---------------------------------------------------------------------------------------------------

    def sign_in(self, person_id: str, portal: str, user: str) -> None:
        store = BY_PERSON if portal == HUB.name else BY_USERNAME
        self.sessions.append(Session(store, portal, user, f"{person_id}#{self.number()}", self.now))

    def sign_in_where_possible(self, person_id: str) -> None:
        """Let somebody sign in wherever the doors let them."""
        account = self.account_of(person_id)
        for member in [m for m in self.members if m.person_id == person_id and m.enabled and m.username]:
            if member.portal == HUB.name and member.has_password:
                self.sign_in(person_id, HUB.name, person_id)
            elif member.portal in ON_ACCOUNTS and account and account.enabled and account.username == member.username:
                self.sign_in(person_id, member.portal, member.username)

    def settle(self, seconds: float, *, overnight: bool = False) -> None:
        """Let time pass: requests under way end, and their applications save what was ended."""
        self.tick(seconds)
        back = [session for session, late in self.brought_back if overnight or not late]
        self.brought_back = [(session, late) for session, late in self.brought_back if late and not overnight]
        self.sessions.extend(back)
        if back:
            self.say("world", f"{len(back)} ended sessions are written back by their application")

    # --- what is read of the admin system ---------------------------------------------------------------------------

    def truth(self) -> PeopleReading:
        """Give what is true of people, as a reading made now."""
        people = tuple(self.people.values())
        types = tuple(ContactType(name, flag) for name, flag in self.types.items())
        made = Provenance("admin system", f"facts {self.facts}", self.now, self.now)
        rows = tuple(self.relationships), tuple(self.enrolments), tuple(self.roles)
        return PeopleReading(made, people, *rows, types)

    def reading(self) -> PeopleReading:
        """Give what the admin system says. Raises what it fails with."""
        if self.down == "unreachable":
            raise TargetUnreachable("The admin system does not answer.")
        if self.down:
            raise SourceError(f"The admin system's export {self.down}.")
        read = self.truth()
        for view in self.views.values():
            read = view(read)
        return read

    def keep_reading(self) -> None:
        """Keep today's export, for a day on which an old one is found."""
        self.readings[self.today] = self.truth()
        for day in [d for d in self.readings if d < self.today - timedelta(days=4)]:
            del self.readings[day]


def owner_of(session: Session) -> str:
    """Say who really signed in: nothing under test can read it."""
    return session.session_id.partition("#")[0]


def names(world: World, people: Iterable[str]) -> str:
    """Name some people for the story."""
    return ", ".join(f"{world.people[p].name} ({p})" if p in world.people else p for p in people)
