"""The schools of all histories: a small one, in which most things happen, and one with every kind of door in it."""

from datetime import datetime, timedelta

from connector.model import MemberStatus, Session, SessionKey
from connector.policy import OnMismatch, Policy, PortalRules, SignIn, Strategy
from tests.reconcile.build import FACULTY, NOW, SchoolBuilder, school

CLUB = PortalRules(
    "club",
    Strategy.SECURITY_ROLES,
    ("Parent",),
    MemberStatus.ENABLED,
    on_mismatch=OnMismatch.REVOKE,
    sign_in=SignIn.PASSWORD,
)
"""A portal with passwords of its own, to which the nightly run adds people."""

PAPER = PortalRules("paper", Strategy.CONTACTS, on_mismatch=OnMismatch.REVOKE, sign_in=SignIn.PASSWORD)
"""A hosted portal without a write interface: people close its members by hand."""

DIRECTORY_PORTALS = ("engage", "faculty")
STAFF = "st0"
HEIR = "h0"
"""Entitled, with nothing yet but a membership: to whom usernames are given that others had."""
LEAVERS = ("g0", "g1", "g2")


def small_school() -> SchoolBuilder:
    """Give a school as it was before anything happened: everybody is entitled to all they have."""
    made = school().limits(max_shrink=1.0)
    for person in ("ok0", *LEAVERS):
        _family(made, person)
    made.student(f"s-{HEIR}").contact(HEIR, of=f"s-{HEIR}")
    return made.member(HEIR, username="", has_password=False).account(HEIR)


def large_school() -> SchoolBuilder:
    """Give the same with a staff member, three portals and two stores."""
    made = small_school().portal(FACULTY, CLUB).store("app", SessionKey.PERSON_ID)
    _family(made, STAFF)
    made.role(STAFF).member(STAFF, "faculty")
    sign_in(made, "web", STAFF, "faculty", f"u{STAFF}")
    for person in ("ok0", "g0"):
        made.role(person, "Parent").member(person, "club", username=f"club-{person}")
        sign_in(made, "app", person, "club", person)
    sign_in(made, "app", "g1", "engage", "g1")
    return made


def paper_school() -> SchoolBuilder:
    """Give the small one with a portal that people close by hand, and a store of its sessions."""
    made = small_school().portal(PAPER).store("app", SessionKey.PERSON_ID)
    for person in ("g0", "g1", "ok0"):
        made.member(person, PAPER.name, username=f"paper-{person}")
        sign_in(made, "app", person, PAPER.name, person)
    return made


def held_school() -> SchoolBuilder:
    """Give the small one in which a person has to release each closing for a child that left."""
    return small_school().policy(no_student_at_school=Policy.HOLD)


def _family(made: SchoolBuilder, person: str) -> None:
    made.student(f"s-{person}").contact(person, of=f"s-{person}").member(person).account(person)
    sign_in(made, "web", person, "engage", f"u{person}")


def sign_in(made: SchoolBuilder, store: str, owner: str, portal: str, user: str, at: datetime | None = None) -> Session:
    """Let somebody sign in; whose session it really is stands in its id, which nothing under test can read."""
    number = sum(s.session_id.startswith(f"{owner}#") for s in made.sessions) + 1
    created = at or NOW - timedelta(days=1)
    session_id = f"{owner}#{number}@{created:%d%H%M%S%f}"
    made.session(owner, portal, store, user=user, session_id=session_id, created_at=created)
    return made.sessions[-1]


def owner_of(session: Session) -> str:
    """Say whose session it really is."""
    return session.session_id.partition("#")[0]
