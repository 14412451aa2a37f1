"""A small school, said in the words of a test: name only what matters, the rest is ordinary.

Everything stands and is entitled unless a test says otherwise. Nothing here decides anything.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Self
from uuid import NAMESPACE_OID, uuid5

from connector.model import (
    Account,
    AccountsReading,
    ContactType,
    Enrolment,
    Hold,
    LegKind,
    Member,
    MembershipType,
    MembersReading,
    MemberStatus,
    PeopleReading,
    Person,
    PersonStatus,
    Provenance,
    Reason,
    Relationship,
    RoleGrant,
    Session,
    SessionKey,
    SessionsReading,
    Status,
)
from connector.policy import Limits, OnMismatch, Policy, PortalRules, Rules, SignIn, Strategy
from connector.reconcile.baseline import Baseline, baseline_of
from connector.reconcile.decide import Decision
from connector.reconcile.judge import Judgement, Past, judge
from connector.reconcile.memory import Memory
from connector.reconcile.plan_values import PlannedLeg, Revocation
from connector.reconcile.snapshot import Snapshot, Unread

TODAY = date(2026, 11, 21)
YESTERDAY = TODAY - timedelta(days=1)
TOMORROW = TODAY + timedelta(days=1)
NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
ENTRY = date(2024, 1, 30)

ENGAGE = PortalRules(
    "engage",
    Strategy.CONTACTS,
    on_mismatch=OnMismatch.REVOKE,
    sign_in=SignIn.DIRECTORY,
    needs_directory_account=True,
)
FACULTY = PortalRules(
    "faculty",
    Strategy.SECURITY_ROLES,
    ("Faculty",),
    on_mismatch=OnMismatch.REVOKE,
    sign_in=SignIn.DIRECTORY,
    needs_directory_account=True,
)
ASSOCIATION = PortalRules("association", Strategy.SECURITY_ROLES, ("Parent",), MemberStatus.DISABLED)
STUDENT = PortalRules("student", Strategy.SECURITY_ROLES, ("Student",))
ALUMNI = PortalRules("alumni", Strategy.MANUAL)

WIDE = Limits(
    max_revocations=10_000,
    max_revocations_7_days=10_000,
    max_share=1.0,
    max_share_7_days=1.0,
    max_share_per_contact_type=1.0,
    max_share_per_portal=1.0,
    max_portal_closed=1.0,
    share_floor=10_000,
)
APPLY_ALL = Rules(
    grace_days={"graduated": 60, "left": 0},
    confirm_runs=1,
    superseded_needs_active_successor=False,
    policies=dict.fromkeys(Reason, Policy.APPLY),
)


def guid(name: str) -> str:
    """Give an account its GUID: the same for the same name."""
    return str(uuid5(NAMESPACE_OID, name))


class SchoolBuilder:
    """A school being described. Every method gives the builder back."""

    def __init__(self) -> None:
        self.people: dict[str, Person] = {}
        self.relationships: list[Relationship] = []
        self.enrolments: list[Enrolment] = []
        self.roles: list[RoleGrant] = []
        self.types = {"Mother": True, "Father": True, "Stepmother": True, "Uncle": False}
        self.members: list[Member] = []
        self.accounts: list[Account] = []
        self.sessions: list[Session] = []
        self.portals: dict[str, PortalRules] = {"engage": ENGAGE}
        self.store_keys: dict[str, SessionKey] = {"web": SessionKey.USERNAME}
        self.missing: frozenset[str] = frozenset()
        self.unread: tuple[Unread, ...] = ()
        self.produced_at: datetime | None = None
        self.the_rules, self.the_limits, self.memory = APPLY_ALL, WIDE, Memory()
        self.baseline: Baseline | None = None
        self.highest: Mapping[str, int] = {}

    # --- the admin system --------------------------------------------------------------------------------------

    def person(self, person_id: str = "p1", **fields: Any) -> Self:
        """Add a record: its code is `C` and its id, its e-mail its own."""
        given: dict[str, Any] = {
            "code": f"C{person_id}",
            "given_name": f"Given{person_id}",
            "family_name": f"Family{person_id}",
            "email": f"{person_id}@mail.example",
        }
        self.people[person_id] = Person(person_id, **(given | fields))
        return self

    def student(
        self, student_id: str = "s1", *, entry: date | None = ENTRY, left: date | None = None, why: str = "left"
    ) -> Self:
        """Add a student with an enrolment; called again for the same student, another enrolment."""
        if student_id not in self.people:
            self.person(student_id)
        self.enrolments.append(Enrolment(student_id, entry, left, why if left else ""))
        return self

    def contact(
        self,
        person_id: str = "p1",
        *,
        of: str = "s1",
        contact_type: str = "Mother",
        access: bool | None = None,
        restricted: bool = False,
        ended_on: date | None = None,
        **fields: Any,
    ) -> Self:
        """Add a relationship, and the record where there is none yet."""
        if person_id not in self.people or fields:
            self.person(person_id, **fields)
        self.relationships.append(Relationship(person_id, of, contact_type, access, restricted, ended_on))
        return self

    def role(
        self, person_id: str = "p1", role: str = "Faculty", begins: date | None = ENTRY, ends: date | None = None
    ) -> Self:
        """Add a security role."""
        self.roles.append(RoleGrant(person_id, role, begins, ends))
        return self

    def contact_type(self, name: str, flag: bool | None) -> Self:
        """Set a contact type's flag; none takes the type off the list."""
        if flag is None:
            self.types.pop(name, None)
        else:
            self.types[name] = flag
        return self

    # --- portals, directories, sessions ------------------------------------------------------------------------

    def portal(self, *portals: PortalRules) -> Self:
        """Add portals; the parents' portal is there already."""
        self.portals |= {p.name: p for p in portals}
        return self

    def member(self, person_id: str = "p1", portal: str = "engage", **fields: Any) -> Self:
        """Add a member with username and password."""
        given: dict[str, Any] = {"username": f"u{person_id}", "has_password": True}
        self.members.append(Member(portal, person_id, **(given | fields)))
        return self

    def closed_member(self, person_id: str = "p1", portal: str = "engage") -> Self:
        """Add a member that stands closed: disabled and without credential."""
        return self.member(person_id, portal, username="", has_password=False, status=MemberStatus.DISABLED)

    def account(self, person_id: str = "p1", directory: str = "ad", **fields: Any) -> Self:
        """Add an account in a managed OU, with the person's code as employee id."""
        given: dict[str, Any] = {
            "guid": guid(f"{directory}:{person_id}"),
            "dn": f"CN={person_id},OU=Parents",
            "username": f"u{person_id}",
            "employee_id": f"C{person_id}",
            "state": "512",
        }
        self.accounts.append(Account(directory, **(given | fields)))
        return self

    def session(self, person_id: str = "p1", portal: str = "engage", store: str = "web", **fields: Any) -> Self:
        """Add a live session under the person's username."""
        user = fields.pop("user", f"u{person_id}")
        number = fields.pop("session_id", f"session-{store}-{portal}-{user}-{len(self.sessions)}")
        self.sessions.append(Session(store, portal, user, number, **fields))
        return self

    def store(self, name: str, key: SessionKey) -> Self:
        """Say what the user value of a session store is."""
        self.store_keys[name] = key
        return self

    def not_read(self, kind: str, name: str) -> Self:
        """Make a target one that did not answer."""
        self.unread = (*self.unread, Unread(kind, name, "it did not answer"))
        return self

    # --- whole people ------------------------------------------------------------------------------------------

    def doors(self, person_id: str = "p1", portal: str = "engage") -> Self:
        """Give somebody all that lives: member, account, session."""
        return self.member(person_id, portal).account(person_id).session(person_id, portal)

    def family(self, person_id: str = "p1", *, of: str = "", contact_type: str = "Mother", **fields: Any) -> Self:
        """Add a parent whose child is at the school, with all doors."""
        child = of or f"s-{person_id}"
        if child not in self.people:
            self.student(child)
        return self.contact(person_id, of=child, contact_type=contact_type, **fields).doors(person_id)

    def leaver(
        self, person_id: str = "p1", *, left: date = YESTERDAY, contact_type: str = "Mother", **fields: Any
    ) -> Self:
        """Add a parent whose child has left, with all doors."""
        child = f"s-{person_id}"
        self.student(child, left=left)
        return self.contact(person_id, of=child, contact_type=contact_type, **fields).doors(person_id)

    def families(self, count: int, prefix: str = "ok") -> Self:
        """Add many ordinary families."""
        for number in range(count):
            self.family(f"{prefix}{number}")
        return self

    def leavers(self, count: int, prefix: str = "gone", **fields: Any) -> Self:
        """Add many parents whose children have left."""
        for number in range(count):
            self.leaver(f"{prefix}{number}", **fields)
        return self

    # --- rules, memory, the past -------------------------------------------------------------------------------

    def rules(self, **changes: Any) -> Self:
        """Change rules."""
        self.the_rules = replace(self.the_rules, **changes)
        return self

    def policy(self, **policies: Policy) -> Self:
        """Set policies by reason, with `_` for `-`."""
        changed = {Reason(name.replace("_", "-")): policy for name, policy in policies.items()}
        return self.rules(policies={**self.the_rules.policies, **changed})

    def limits(self, **changes: Any) -> Self:
        """Change limits."""
        self.the_limits = replace(self.the_limits, **changes)
        return self

    def remember(self, **changes: Any) -> Self:
        """Change what the journal remembers."""
        self.memory = replace(self.memory, **changes)
        return self

    def change(self, person_id: str, **fields: Any) -> Self:
        """Change a record."""
        self.people[person_id] = replace(self.people[person_id], **fields)
        return self

    def leave(self, person_id: str, left: date = YESTERDAY, why: str = "left") -> Self:
        """Let a family's child leave."""
        child = f"s-{person_id}"
        self.enrolments = [
            replace(e, exit_date=left, exit_reason=why) if e.student_id == child else e for e in self.enrolments
        ]
        return self

    def next_night(self) -> Self:
        """Accept this school as it is, and give a copy to change: what comes next is compared with it."""
        later = deepcopy(self)
        later.baseline = baseline_of(self.snapshot(), self.the_rules, self.rules_of_portals(), YESTERDAY)
        return later

    # --- the act -----------------------------------------------------------------------------------------------

    def rules_of_portals(self) -> tuple[PortalRules, ...]:
        """Give the portals' rules."""
        return tuple(self.portals.values())

    def snapshot(self) -> Snapshot:
        """Give everything as read."""
        read = Provenance("test", "fingerprint", NOW, self.produced_at)
        off = {(u.kind, u.name) for u in self.unread}
        directories = dict.fromkeys(["ad", *(a.directory for a in self.accounts)])
        return Snapshot(
            PeopleReading(
                read,
                tuple(self.people.values()),
                tuple(self.relationships),
                tuple(self.enrolments),
                tuple(self.roles),
                tuple(ContactType(name, flag) for name, flag in self.types.items()),
                self.missing,
            ),
            tuple(
                MembersReading(name, read, tuple(m for m in self.members if m.portal == name))
                for name in self.portals
                if ("portal", name) not in off
            ),
            tuple(
                AccountsReading(name, read, tuple(a for a in self.accounts if a.directory == name))
                for name in directories
                if ("directory", name) not in off
            ),
            tuple(
                SessionsReading(name, read, key, tuple(s for s in self.sessions if s.store == name))
                for name, key in self.store_keys.items()
                if ("session_store", name) not in off
            ),
            self.unread,
            dict(self.store_keys),
        )

    def judge(self, as_of: date = TODAY, now: datetime = NOW) -> "Judged":
        """Correlate, decide, plan and guard."""
        past = Past(self.memory, self.baseline, self.highest)
        given = (self.snapshot(), self.the_rules, self.rules_of_portals(), self.the_limits, past, as_of, now)
        return Judged(judge(*given))


class Judged:
    """What came of it, asked for by key: a person_id, or the key of an account nobody has."""

    def __init__(self, judgement: Judgement) -> None:
        self.judgement, self.plan, self.decisions = judgement, judgement.plan, judgement.decisions

    def decision(self, key: str = "p1") -> Decision:
        """Give what was decided about one identity."""
        return self.decisions.by_key()[key]

    def status(self, key: str = "p1") -> Status:
        """Give an identity's status; somebody who is not decided about has none."""
        found = self.decisions.by_key().get(key)
        return found.status if found else Status.NONE

    def reasons(self, key: str = "p1") -> list[str]:
        """Give the reasons, as words."""
        return [str(r) for r in self.decision(key).reasons]

    def holds(self, key: str = "p1") -> list[Hold]:
        """Give the holds that stand, releases taken off where there is a row."""
        planned = [r for r in self.plan.revocations if r.key == key]
        return list(planned[0].holds if planned else self.decision(key).holds)

    def row(self, key: str = "p1") -> Revocation:
        """Give one row of the plan."""
        return next(r for r in self.plan.revocations if r.key == key)

    @property
    def keys(self) -> list[str]:
        """The keys of the plan's rows, in order."""
        return [r.key for r in self.plan.revocations]

    def legs(self, key: str = "p1", kind: LegKind | None = None) -> list[PlannedLeg]:
        """Give a row's legs; none where there is no row."""
        rows = [r for r in self.plan.revocations if r.key == key]
        return [leg for r in rows for leg in r.legs if kind in (None, leg.kind)]

    def evidence(self, key: str, about: str) -> str:
        """Give the evidence about one reason or hold, as one text."""
        return "; ".join(e.text for e in self.decision(key).evidence if e.about == about)

    @property
    def going(self) -> list[str]:
        """Whose rows go although the plan is objected to."""
        plan = self.plan
        return sorted(r.key for r in plan.revocations if r.applies and not any(o.stops(r) for o in plan.objections))

    @property
    def labels(self) -> list[str]:
        """The labels of the plan's objections."""
        return [o.label for o in self.plan.objections]

    def text(self, label: str) -> str:
        """Give one objection as a person reads it."""
        found = next(o for o in self.plan.objections if o.label == label)
        return " ".join((found.text, found.fix, *found.commands))


def school() -> SchoolBuilder:
    """Begin a school."""
    return SchoolBuilder()


__all__ = ["ALUMNI", "ASSOCIATION", "ENGAGE", "FACULTY", "NOW", "STUDENT", "TODAY", "TOMORROW", "YESTERDAY"]
__all__ += ["Judged", "MembershipType", "PersonStatus", "SchoolBuilder", "guid", "school"]
