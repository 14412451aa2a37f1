"""A school of any size for the benchmark, the same every time. It never reads anything; no test of a rule rests on it.

Families of two students and three or four contacts, with what real schools have: families that left this week and long
ago, half-closed leftovers, second records of one human, shared mailboxes, court orders, teachers who are parents.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from connector.model import (
    Account,
    AccountsReading,
    ContactType,
    Enrolment,
    Member,
    MembersReading,
    MemberStatus,
    PeopleReading,
    Person,
    Provenance,
    Relationship,
    RoleGrant,
    Session,
    SessionKey,
    SessionsReading,
)
from connector.policy import OnMismatch, PortalRules, Rules, SignIn, Strategy
from connector.reconcile.baseline import Baseline, baseline_of
from connector.reconcile.memory import Memory
from connector.reconcile.snapshot import Snapshot

FAMILIES = 30_000
"""Families in the school of scale 1: 60,000 students, 100,000 contacts, 250,000 relationships, 100,000 accounts."""

AS_OF = date(2026, 11, 21)
NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
RULES = Rules(grace_days={"graduated": 60, "left": 0}, confirm_runs=1)
PORTALS = (
    PortalRules(
        "engage",
        Strategy.CONTACTS,
        on_mismatch=OnMismatch.REVOKE,
        sign_in=SignIn.DIRECTORY,
        needs_directory_account=True,
    ),
    PortalRules("student", Strategy.SECURITY_ROLES, roles=("Student",)),
    PortalRules(
        "faculty",
        Strategy.SECURITY_ROLES,
        roles=("Faculty",),
        on_mismatch=OnMismatch.REVOKE,
        sign_in=SignIn.DIRECTORY,
        needs_directory_account=True,
    ),
)

_MOTHER, _FATHER, _THIRD, _EMERGENCY = range(4)
_TYPES = ("Mother", "Father", "Guardian", "Emergency")
_GIVEN = ("Amelia", "Bao", "Chloé", "Dmitri", "Eleni", "Farid", "Grace", "Hamish", "Ines", "Jürgen", "Kirra", "Liam")
_FAMILY = ("Nguyen", "Smith", "O'Brien", "García", "Papadopoulos", "Ueda", "van der Berg", "Xu", "Zieliński")


@dataclass(frozen=True, slots=True)
class BenchSchool:
    """A snapshot, what the journal would remember, and the accepted run of the day before."""

    snapshot: Snapshot
    memory: Memory
    baseline: Baseline


def bench_school(scale: float) -> BenchSchool:
    """Make the school, with texts shared as adapters and journal share them.

    An admin system's reading holds each distinct cell once; what the journal kept of yesterday shares nothing; a portal
    or a directory does not know the admin system's texts.
    """
    before = _Town(round(FAMILIES * scale), AS_OF - timedelta(days=1))
    accepted = Snapshot(_people(before, _own), _portals(before))
    baseline = baseline_of(accepted, RULES, PORTALS, before.day)
    del accepted  # the journal keeps of a snapshot what a baseline holds, and no more
    town = _Town(before.families, AS_OF)
    return BenchSchool(_snapshot(town), _memory(town), baseline)


@dataclass(frozen=True, slots=True)
class _Contact:
    """The facts a contact's rows in every system are made from."""

    number: int
    family: int
    place: int

    @property
    def person_id(self) -> str:
        return f"{10_000_000 + self.number}"

    @property
    def code(self) -> str:
        return f"XK{self.number:07d}"

    @property
    def username(self) -> str:
        return f"u{self.number}"

    @property
    def second_record(self) -> bool:
        """Whether this is a second record of the family's mother, from before a new enrolment."""
        return self.place == _THIRD and _one_in(50, self.family)

    @property
    def invited(self) -> bool:
        """Whether the contact was ever let in; emergency contacts never are, a few wait for their account."""
        return self.place != _EMERGENCY and not _one_in(199, self.number)

    @property
    def teacher(self) -> bool:
        return self.place == _MOTHER and _one_in(15, self.family)


@dataclass(frozen=True, slots=True)
class _Town:
    """How many families, on which day."""

    families: int
    day: date

    @property
    def today(self) -> bool:
        return self.day == AS_OF

    def contacts(self) -> Iterator[_Contact]:
        """Give three contacts per family and a fourth in every third family."""
        number = 0
        for family in range(self.families):
            for place in range(4 if _one_in(3, family) else 3):
                yield _Contact(number, family, place)
                number += 1

    def left_long_ago(self, family: int) -> bool:
        return _one_in(8, family)

    def left_now(self, family: int) -> bool:
        """Say whether the family's last day was yesterday: 2.5 % of the school, the day before not yet."""
        return self.today and _one_in(40, family)


def _one_in(share: int, number: int) -> bool:
    """Say whether this number is the one of so many."""
    return number % share == share // 3


def _students(family: int) -> tuple[str, str]:
    return f"{20_000_000 + 2 * family}", f"{20_000_001 + 2 * family}"


Cell = Callable[[str], str]


def _own(text: str) -> str:
    """Give a copy that is an object of its own."""
    return text[:1] + text[1:]


def _shared() -> Cell:
    """Give what gives equal texts as one object."""
    cells: dict[str, str] = {}
    return lambda text: cells.setdefault(text, text)


def _snapshot(town: _Town) -> Snapshot:
    directories = (AccountsReading("ad", _provenance("ad"), tuple(_accounts(town))),)
    stores = (SessionsReading("web", _provenance("web"), SessionKey.USERNAME, tuple(_sessions(town))),)
    return Snapshot(_people(town, _shared()), _portals(town), directories, stores, (), {"web": SessionKey.USERNAME})


def _portals(town: _Town) -> tuple[MembersReading, ...]:
    return (
        MembersReading("engage", _provenance("engage"), tuple(_engage(town))),
        MembersReading("student", _provenance("student"), tuple(_student_members(town))),
        MembersReading("faculty", _provenance("faculty"), tuple(_faculty(town))),
    )


def _provenance(source: str) -> Provenance:
    return Provenance(source, "0" * 64, NOW, NOW - timedelta(hours=1))


def _people(town: _Town, cell: Cell) -> PeopleReading:
    types = tuple(ContactType(name, portal_access=name != "Emergency") for name in _TYPES)
    return PeopleReading(
        _provenance("admin"),
        (*(_record(c, cell) for c in town.contacts()), *(s for f in range(town.families) for s in _children(f, cell))),
        tuple(r for c in town.contacts() for r in _relationships(c, town.families, cell)),
        tuple(e for f in range(town.families) for s in _students(f) for e in _enrolments(s, f, town, cell)),
        (*(g for f in range(town.families) for g in _student_roles(f, town, cell)), *_faculty_roles(town, cell)),
        types,
    )


def _record(contact: _Contact, cell: Cell) -> Person:
    given, family = _name(contact)
    return Person(
        cell(contact.person_id),
        contact.code,
        cell(given),
        cell(family),
        _mail(contact),
        f"+61 4{contact.number:08d}",
        previous_codes=(f"OLD{contact.number}",) if _one_in(300, contact.number) else (),
    )


def _name(contact: _Contact) -> tuple[str, str]:
    place = _MOTHER if contact.second_record else contact.place
    given = _GIVEN[(contact.family * 3 + place) % len(_GIVEN)]
    return given, f"{_FAMILY[contact.family % len(_FAMILY)]}{contact.family}"


def _mail(contact: _Contact) -> str:
    """Give the e-mail: a tenth of the couples share one mailbox, a second record has the first one's."""
    shared = contact.place == _FATHER and _one_in(10, contact.family)
    place = _MOTHER if shared or contact.second_record else contact.place
    return f"{'mfge'[place]}.{contact.family}@Mail.example"


def _children(family: int, cell: Cell) -> Iterator[Person]:
    for number, person_id in enumerate(_students(family)):
        given, name = _GIVEN[(family + number) % len(_GIVEN)], f"{_FAMILY[family % len(_FAMILY)]}{family}"
        yield Person(cell(person_id), f"S{person_id}", cell(given), cell(name), f"s{person_id}@school.example")


def _relationships(contact: _Contact, families: int, cell: Cell) -> Iterator[Relationship]:
    """Give two relationships per contact, and a third, into the next family, for every second one."""
    kind, children = _TYPES[contact.place], list(_students(contact.family))
    if contact.number % 2:
        children.append(_students((contact.family + 1) % families)[0])
    ended = date(2025, 12, 12) if contact.second_record else None
    barred = contact.place == _FATHER and _one_in(500, contact.family)
    for student in children:
        yield Relationship(cell(contact.person_id), cell(student), cell(kind), None, barred, ended)


def _enrolments(student: str, family: int, town: _Town, cell: Cell) -> Iterator[Enrolment]:
    """Give one enrolment, or for every fifth family one per year."""
    begins = date(2024, 1, 30)
    leaves, why = None, ""
    if town.left_long_ago(family):
        leaves, why = date(2025, 12, 12), "graduated"
    elif town.left_now(family):
        leaves, why = AS_OF - timedelta(days=1), "left"
    if _one_in(5, family):
        yield Enrolment(cell(student), date(2023, 1, 30), date(2023, 12, 14), "")
    yield Enrolment(cell(student), begins, leaves, cell(why))


def _student_roles(family: int, town: _Town, cell: Cell) -> Iterator[RoleGrant]:
    ends = date(2025, 12, 12) if town.left_long_ago(family) else None
    for student in _students(family):
        yield RoleGrant(cell(student), cell("Student"), date(2024, 1, 30), ends)


def _faculty_roles(town: _Town, cell: Cell) -> Iterator[RoleGrant]:
    for contact in town.contacts():
        if contact.teacher:
            yield RoleGrant(cell(contact.person_id), cell("Faculty"), date(2020, 1, 30))


def _closed(contact: _Contact, town: _Town) -> bool:
    """Say whether an earlier year closed this contact; one in a hundred of those was left half open."""
    return town.left_long_ago(contact.family) and not contact.number % 2 and not contact.teacher


def _half_open(contact: _Contact, town: _Town) -> bool:
    return _closed(contact, town) and _one_in(99, contact.number)


def _engage(town: _Town) -> Iterator[Member]:
    for contact in town.contacts():
        if contact.invited:
            opened = not _closed(contact, town) or _half_open(contact, town)
            yield _member("engage", contact, opened=opened)


def _faculty(town: _Town) -> Iterator[Member]:
    yield from (_member("faculty", c, opened=True) for c in town.contacts() if c.teacher)


def _member(portal: str, contact: _Contact, *, opened: bool) -> Member:
    return Member(
        portal,
        contact.person_id,
        contact.username if opened else "",
        has_password=False,
        status=MemberStatus.ENABLED if opened else MemberStatus.DISABLED,
        native_id=f"{500_000 + contact.number}",
        code=contact.code,
        name=" ".join(_name(contact)),
        added_on=date(2024, 2, 5),
        last_login=NOW - timedelta(minutes=contact.number % 500_000),
    )


def _student_members(town: _Town) -> Iterator[Member]:
    """Give the students' members; one child in a thousand is new and waits for the nightly run."""
    for family in range(town.families):
        for person_id in _students(family):
            if not _one_in(1000, family):
                yield Member("student", person_id, f"s{person_id}", has_password=True, code=f"S{person_id}")


def _accounts(town: _Town) -> Iterator[Account]:
    """Give an account to every contact but emergency ones, which get a child's: seen, never written."""
    for contact in town.contacts():
        if contact.place == _EMERGENCY:
            yield _student_account(contact)
        else:
            yield _contact_account(contact, enabled=not _closed(contact, town))


def _contact_account(contact: _Contact, *, enabled: bool) -> Account:
    by_name = _one_in(12, contact.number)
    return Account(
        "ad",
        _guid(contact.number),
        f"CN={contact.username},OU=Parents,OU=People,DC=school,DC=example",
        contact.username,
        enabled=enabled,
        employee_id="" if by_name else contact.code,
        email=_mail(contact),
        name=" ".join(_name(contact)),
        protected="adminCount" if _one_in(4999, contact.number) else "",
        state="512" if enabled else "514",
        last_login=NOW - timedelta(minutes=contact.number % 300_000),
    )


def _student_account(contact: _Contact) -> Account:
    student = _students(contact.family)[0]
    name = f"s{student}"
    return Account(
        "ad",
        _guid(contact.number),
        f"CN={name},OU=Students,DC=school,DC=example",
        name,
        employee_id=f"S{student}",
        email=f"{name}@school.example",
        managed=False,
        state="512",
    )


def _guid(number: int) -> str:
    return f"7d3fe5aa-0000-4000-8000-{number:012x}"


def _sessions(town: _Town) -> Iterator[Session]:
    for contact in town.contacts():
        if _one_in(3, contact.number) and contact.invited:
            yield Session("web", "engage", contact.username, f"{contact.number:032x}", NOW, NOW)


def _memory(town: _Town) -> Memory:
    """Give what the journal remembers: the links of earlier nights, and which members it closed."""
    contacts = [c for c in town.contacts() if c.place != _EMERGENCY]
    return Memory(
        links={("ad", _guid(c.number)): c.person_id for c in contacts if not _one_in(12, c.number)},
        closed_members=frozenset(("engage", c.person_id) for c in contacts if _closed(c, town)),
        closed_accounts=frozenset(("ad", _guid(c.number)) for c in contacts if _closed(c, town)),
        users={("engage", c.username): c.person_id for c in contacts if c.invited},
    )
