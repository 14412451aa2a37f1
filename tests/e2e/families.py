"""A small school with one family for each way in and out: its people, and what they have in every system.

Values only: the servers are filled in `systems`. Names, codes and mails carry the school's tag, because a domain's
account names are one space that all tests share.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

CLOSED = ("bert", "cara", "dora", "emil", "fred", "jana.old", "kurt")
"""Who loses account, credential and sessions."""

CLOSED_BUT_FOR_THE_ACCOUNT = ("ivan", "lara", "mona")
"""Whose credential and sessions go: Ivan's account is outside the managed OUs, Lara's closed already, Mona is staff."""

STANDING = ("anna", "gwen", "gina", "hugo", "jana.new")
"""Who keeps everything: entitled (the first two and the last), or waiting for a person."""

HEADERS = {
    "people": ("person_id", "code", "given_name", "family_name", "email", "mobile", "status", "previous_codes"),
    "relationships": ("contact_id", "student_id", "contact_type", "portal_access", "restricted", "ended_on"),
    "enrolments": ("person_id", "entry_date", "exit_date", "exit_reason"),
    "security_roles": ("person_id", "role", "begins_on", "ends_on"),
    "contact_types": ("contact_type", "portal_access"),
}


@dataclass(frozen=True, slots=True)
class Account:
    """An account to make in a directory."""

    who: str
    username: str
    employee_id: str
    managed: bool = True
    enabled: bool = True
    protected: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """A member to put into a portal's table."""

    portal: str
    person_id: str
    username: str


@dataclass(frozen=True, slots=True)
class Session:
    """A live sign-in."""

    session_id: str
    portal: str
    username: str


@dataclass(slots=True)
class School:
    """Rows of the admin system, and what people have elsewhere."""

    tag: str
    tables: dict[str, list[dict[str, str]]] = field(default_factory=lambda: {name: [] for name in HEADERS})
    accounts: list[Account] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)

    def username(self, who: str) -> str:
        """Give somebody's username."""
        return f"{who}.{self.tag}"

    def account(self, who: str) -> Account:
        """Give somebody's account."""
        return next(account for account in self.accounts if account.who == who)

    def code(self, who: str) -> str:
        """Give somebody's contact code."""
        return f"{who}{self.tag}".upper()

    def person(self, who: str, *, given: str = "", email: str = "", status: str = "active") -> str:
        """Add a person; give their id."""
        person_id = self.ids[who] = str(1001 + len(self.ids))
        mail = f"{email or who}.{self.tag}@mail.example"
        self.add("people", person_id, self.code(who), given or who.title(), "Moss", mail, "", status, "")
        return person_id

    def student(self, who: str, exit_date: str = "", exit_reason: str = "") -> None:
        """Add a student."""
        self.add("enrolments", self.person(who), "2024-01-30", exit_date, exit_reason)

    def contact(
        self, who: str, child: str = "", *, access: str = "", restricted: str = "no", given: str = "", email: str = "",
        status: str = "active",
    ) -> None:  # fmt: skip
        """Add a contact, mother of `child` where one is named."""
        person_id = self.person(who, given=given, email=email, status=status)
        if child:
            self.add("relationships", person_id, self.ids[child], "Mother", access, restricted, "")

    def role(self, who: str, role: str) -> None:
        """Give a security role."""
        self.add("security_roles", self.ids[who], role, "2024-01-30", "")

    def signs_in(
        self, who: str, *portals: str, managed: bool = True, enabled: bool = True, protected: bool = False
    ) -> None:
        """Give somebody an account, and in each portal (none named: engage) a credential and a session."""
        username = self.username(who)
        self.accounts.append(Account(who, username, self.code(who), managed, enabled, protected))
        for portal in portals or ("engage",):
            self.members.append(Member(portal, self.ids.get(who, f"gone-{who}"), username))
            self.sessions.append(Session(f"{portal}-{who}", portal, username))

    def add(self, table: str, *cells: str) -> None:
        """Add a row to a table of the admin system."""
        self.tables[table].append(dict(zip(HEADERS[table], cells, strict=True)))

    def usernames(self, people: Iterable[str]) -> set[str]:
        """Give the usernames of these people."""
        return {self.username(who) for who in people}


def founded(tag: str) -> School:
    """Give a school before its families: one child at school, one who left in June, one who graduated this month."""
    school = School(tag)
    school.add("contact_types", "Mother", "yes")
    school.student("sam")
    school.student("lea", "2026-06-30", "left")
    school.student("gus", "2026-11-10", "graduated")
    return school


def families(tag: str) -> School:
    """Give the school with one family for each way in and out."""
    school = founded(tag)
    school.contact("anna", "sam")
    school.contact("gwen", "gus")  # her child's days of grace are running
    school.contact("bert", "lea")
    school.contact("cara", "sam", status="inactive")
    school.contact("dora", "sam", restricted="yes")
    school.contact("emil", "sam")
    school.role("emil", "portal_account_disabled")
    school.contact("fred")
    school.contact("gina", "sam", access="no")  # held: her child is at school
    school.contact("hugo", "lea")  # held: a Domain Admin
    school.contact("ivan", "lea")
    school.contact("jana.old", given="Jana", email="jana")
    school.contact("jana.new", "sam", given="Jana", email="jana")
    school.contact("lara", "lea")
    school.contact("mona", "lea")
    school.role("mona", "Faculty")
    for who in ("anna", "gwen", "bert", "cara", "dora", "emil", "fred", "gina", "jana.old", "jana.new", "kurt"):
        school.signs_in(who)  # Kurt is in no admin record at all
    school.signs_in("hugo", protected=True)
    school.signs_in("ivan", managed=False)
    school.signs_in("lara", enabled=False)
    school.signs_in("mona", "engage", "faculty")
    school.sessions.append(Session("engage-visitor", "engage", f"visitor.{tag}"))
    return school


def leavers(tag: str, count: int) -> School:
    """Give a school where this many families have left, and one has not."""
    school = founded(tag)
    school.contact("anna", "sam")
    school.role("anna", "Faculty")
    school.signs_in("anna", "engage", "faculty")
    for number in range(count):
        school.contact(f"p{number}", "lea")
        school.signs_in(f"p{number}")
    return school
