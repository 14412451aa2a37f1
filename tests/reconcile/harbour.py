"""Harbour College, read for tests of what people read, with room to change a row before it is decided."""

import base64
import csv
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from connector.model import (
    Account,
    AccountsReading,
    ContactType,
    Enrolment,
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
)
from connector.policy import OnMismatch, Policy, PortalRules, Rules, SignIn, Strategy
from connector.reconcile.correlate import correlate
from connector.reconcile.decide import Decisions, decide
from connector.reconcile.doors import Scene
from connector.reconcile.memory import Memory
from connector.reconcile.school import School
from connector.reconcile.snapshot import Snapshot

FOLDER = Path(__file__).parents[2] / "sample" / "harbour-college"
AS_OF = date(2026, 11, 21)
NOW = datetime(2026, 11, 21, 17, 0, tzinfo=UTC)
_PROVENANCE = Provenance("harbour-college", "test", NOW)
_MANAGED = "ou=parents,ou=people,dc=harbour,dc=example"
NO_MEMORY = Memory()
RULES = Rules(
    grace_days={"graduated": 60, "left": 0},
    confirm_runs=1,
    superseded_needs_active_successor=False,
    policies=dict.fromkeys(Reason, Policy.APPLY),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """Everything one decision is made of; `decided` makes it."""

    people: PeopleReading
    portals: tuple[PortalRules, ...]
    members: tuple[Member, ...]
    accounts: tuple[Account, ...]
    sessions: tuple[Session, ...]
    rules: Rules = RULES
    memory: Memory = NO_MEMORY
    as_of: date = AS_OF

    def decided(self) -> Decisions:
        return _decided(self)

    def snapshot(self) -> Snapshot:
        by_portal = [
            MembersReading(p.name, _PROVENANCE, tuple(m for m in self.members if m.portal == p.name))
            for p in self.portals
        ]
        directories = (AccountsReading("ad", _PROVENANCE, self.accounts),)
        stores = (SessionsReading("web", _PROVENANCE, SessionKey.USERNAME, self.sessions),)
        return Snapshot(self.people, tuple(by_portal), directories, stores, (), {"web": SessionKey.USERNAME})

    def with_person(self, person_id: str, **changes: object) -> "Sample":
        people = tuple(_changed(p, p.person_id == person_id, changes) for p in self.people.people)
        return replace(self, people=replace(self.people, people=people))

    def with_member(self, person_id: str, **changes: object) -> "Sample":
        return replace(self, members=tuple(_changed(m, m.person_id == person_id, changes) for m in self.members))

    def with_account(self, username: str, **changes: object) -> "Sample":
        return replace(self, accounts=tuple(_changed(a, a.username == username, changes) for a in self.accounts))

    def with_relationships(self, change: Callable[[Relationship], Relationship]) -> "Sample":
        rows = tuple(change(r) for r in self.people.relationships)
        return replace(self, people=replace(self.people, relationships=rows))

    def with_enrolments(self, change: Callable[[Enrolment], Enrolment]) -> "Sample":
        rows = tuple(change(e) for e in self.people.enrolments)
        return replace(self, people=replace(self.people, enrolments=rows))

    def with_flag(self, contact_type: str, flagged: bool) -> "Sample":
        types = (ContactType(t.name, flagged if t.name == contact_type else t.portal_access) for t in self.types())
        return replace(self, people=replace(self.people, contact_types=tuple(types)))

    def types(self) -> tuple[ContactType, ...]:
        return self.people.contact_types


def _changed(row: Any, wanted: bool, changes: dict[str, object]) -> Any:
    return replace(row, **changes) if wanted else row


def _decided(sample: Sample) -> Decisions:
    blocked = frozenset(sample.memory.blocks)
    school = School(sample.people, sample.rules, sample.as_of, blocked)
    snapshot = sample.snapshot()
    found = correlate(snapshot, school, sample.portals, sample.memory)
    scene = Scene(school, found.claims, sample.portals, snapshot.store_keys)
    return decide(found, scene, sample.memory)


@cache
def harbour() -> Sample:
    """The school as it is in the sample."""
    people = PeopleReading(
        _PROVENANCE,
        tuple(_people()),
        tuple(_relationships()),
        tuple(
            Enrolment(r["person_id"], _day(r["entry_date"]), _day(r["exit_date"]), r["exit_reason"])
            for r in _rows("admin/enrolments")
        ),
        tuple(
            RoleGrant(r["person_id"], r["role"], _day(r["begins_on"]), _day(r["ends_on"]))
            for r in _rows("admin/security_roles")
        ),
        tuple(ContactType(r["contact_type"], r["portal_access"] == "yes") for r in _rows("admin/contact_types")),
    )
    return Sample(people, tuple(_portals()), tuple(_members()), tuple(_accounts()), tuple(_sessions()))


def _rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def _yes(text: str) -> bool | None:
    return {"yes": True, "no": False}.get(text)


def _people() -> Iterable[Person]:
    for r in _rows("admin/people"):
        names = (r["given_name"], r["family_name"], r["email"], r["mobile"])
        codes = tuple(c for c in r["previous_codes"].split(";") if c)
        yield Person(r["person_id"], r["code"], *names, PersonStatus(r["status"]), codes)


def _relationships() -> Iterable[Relationship]:
    for r in _rows("admin/relationships"):
        own, restricted = _yes(r["portal_access"]), r["restricted"] == "yes"
        yield Relationship(r["contact_id"], r["student_id"], r["contact_type"], own, restricted, _day(r["ended_on"]))


def _portals() -> Iterable[PortalRules]:
    for r in _rows("portal/portals"):
        yield PortalRules(
            r["portal"],
            Strategy(r["strategy"]),
            tuple(x for x in r["roles"].split(";") if x),
            MemberStatus(r["status_default"]),
            OnMismatch(r["on_mismatch"]),
            SignIn(r["sign_in"]),
            r["needs_directory_account"] == "yes",
        )


def _members() -> Iterable[Member]:
    for r in _rows("portal/members"):
        yield Member(
            r["portal"],
            r["person_id"],
            r["username"],
            r["has_password"] == "yes",
            MemberStatus(r["status"]),
            MembershipType(r["membership_type"]),
            added_on=_day(r["added_on"]),
            last_login=datetime.fromisoformat(r["last_login"]) if r["last_login"] else None,
        )


def _sessions() -> Iterable[Session]:
    return (Session("web", r["portal"], r["username"], r["session_id"]) for r in _rows("sessions"))


Entry = dict[str, list[str]]


def _entries() -> Iterable[tuple[Entry, bytes]]:
    text = (FOLDER / "directory.ldif").read_text(encoding="utf-8").replace("\n ", "")
    for block in text.split("\n\n"):
        entry: Entry = {}
        guid = b""
        for line in block.strip().splitlines():
            name, _, value = line.partition(":")
            raw = base64.b64decode(value[1:]) if value.startswith(":") else value.strip().encode()
            guid = raw if name == "objectGUID" else guid
            entry.setdefault(name, []).append("" if name == "objectGUID" else raw.decode())
        yield entry, guid


def _accounts() -> Iterable[Account]:
    entries = list(_entries())
    admins = _admin_groups([e for e, _ in entries])
    return [_account(e, guid, admins) for e, guid in entries if "user" in e.get("objectClass", [])]


def _admin_groups(entries: list[Entry]) -> set[str]:
    admins = {"CN=Domain Admins,CN=Users,DC=harbour,DC=example"}
    for _ in range(4):
        for e in entries:
            if "group" in e.get("objectClass", []) and admins & set(e.get("memberOf", [])):
                admins.add(e["dn"][0])
    return admins


def _account(entry: Entry, guid: bytes, admins: set[str]) -> Account:
    first = {name: values[0] for name, values in entry.items()}
    dn, control = first["dn"], int(first["userAccountControl"])
    protected = "adminCount" if first.get("adminCount") == "1" else ""
    protected = protected or ("protected group" if admins & set(entry.get("memberOf", [])) else "")
    return Account(
        "ad",
        str(uuid.UUID(bytes_le=guid)),
        dn,
        first["sAMAccountName"],
        not control & 2,
        first.get("employeeID", ""),
        first.get("mail", ""),
        first.get("displayName", ""),
        dn.casefold().endswith(_MANAGED),
        protected,
        str(control),
    )
