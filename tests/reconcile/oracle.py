"""The rules said a second time, slowly: what the fast code is held against on generated schools.

Written from the rules as they are worded, one small question at a time, every question asked of the whole school again.
It must never import what it judges, and never be made fast.
"""

from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property

from connector.model import (
    Account,
    Enrolment,
    Hold,
    Member,
    Person,
    PersonStatus,
    Reason,
    Relationship,
    Session,
    SessionKey,
    Status,
)
from connector.policy import Policy, PortalRules, Rules, SignIn, Strategy
from connector.reconcile.correlate import MatchLevel
from connector.reconcile.memory import Memory
from connector.reconcile.snapshot import Snapshot

ALONE = (Reason.CONTACT_MISSING, Reason.CONTACT_INACTIVE, Reason.DENIED)
URGENT = {Reason.RESTRICTED, Reason.BLOCKED, Reason.REQUESTED}
NO_CHILD_HOLD = {Reason.SUPERSEDED, Reason.RESTRICTED, *ALONE}


@dataclass
class Row:
    """What the rules say about one person, or about one account nobody has."""

    key: str
    person_id: str
    status: Status = Status.NONE
    disputed: bool = False
    reasons: tuple[Reason, ...] = ()
    holds: set[Hold] = field(default_factory=set)
    closing: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)
    credentials: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)
    everywhere: bool = False


def same(left: str, right: str) -> bool:
    """Non-blank and equal, whatever the case and the spaces around."""
    return bool(left.strip()) and left.strip().casefold() == right.strip().casefold()


def digits(number: str) -> str:
    """Leave out how a telephone number is written."""
    return "".join(c for c in number if c.isdigit())


class Oracle:
    """One school, as of one day."""

    def __init__(
        self, snapshot: Snapshot, portals: tuple[PortalRules, ...], rules: Rules, as_of: date, memory: Memory
    ) -> None:
        self.people: dict[str, Person] = {person.person_id: person for person in snapshot.people.people}
        self.relationships = snapshot.people.relationships
        self.enrolments = snapshot.people.enrolments
        self.grants = snapshot.people.security_roles
        self.types = {t.name: t.portal_access for t in snapshot.people.contact_types}
        self.portals = {portal.name: portal for portal in portals}
        self.members: list[Member] = [m for reading in snapshot.portals for m in reading.members]
        self.accounts: list[Account] = [a for reading in snapshot.directories for a in reading.accounts]
        self.sessions: list[tuple[SessionKey, Session]] = [
            (reading.user_key, s) for reading in snapshot.session_stores for s in reading.sessions
        ]
        self.rules, self.as_of, self.memory = rules, as_of, memory

    # --- 3.1 entitlement ---------------------------------------------------------------------------------------

    def stretches(self, student: str) -> list[tuple[date, date]]:
        """Give the days this student is at the school, grace included, bridged."""
        known = [
            (e.entry_date, e.exit_date, e.exit_reason)
            for e in self.enrolments
            if e.student_id == student and e.entry_date and not self.is_unknown(e)
        ]
        spans = []
        for entry, leaves, why in known:
            spans.append((entry - timedelta(days=self.rules.early_access_days), self.last_day(leaves, why)))
            for later, _, _ in known:
                if leaves and leaves < later and (later - leaves).days <= self.rules.bridge_days:
                    spans.append((leaves, later))
        return spans

    def last_day(self, exit_date: date | None, reason: str) -> date:
        if exit_date is None:
            return date.max
        return exit_date + timedelta(days=self.rules.grace_days.get(reason, max(self.rules.grace_days.values())))

    @staticmethod
    def is_unknown(enrolment: Enrolment) -> bool:
        return enrolment.entry_date is None or (
            enrolment.exit_date is not None and enrolment.exit_date < enrolment.entry_date
        )

    def at_school(self, student: str, hopeful: bool = False) -> bool:
        if hopeful and any(e.student_id == student and self.is_unknown(e) for e in self.enrolments):
            return True
        return any(first <= self.as_of <= last for first, last in self.stretches(student))

    def current(self, relationship: Relationship) -> bool:
        return relationship.ended_on is None or relationship.ended_on > self.as_of

    def flagged(self, relationship: Relationship) -> bool:
        if relationship.portal_access is not None:
            return relationship.portal_access
        return self.types.get(relationship.contact_type, False)

    def mine(self, person_id: str) -> list[Relationship]:
        return [r for r in self.relationships if r.contact_id == person_id]

    def barred(self, person_id: str, student: str) -> bool:
        return any(
            r.restricted and self.current(r) and r.student_id == student and r.contact_id in self.human(person_id)
            for r in self.relationships
        )

    def clean(self, person_id: str) -> list[Relationship]:
        """Give the relationships that are current and not restricted."""
        return [r for r in self.mine(person_id) if self.current(r) and not self.barred(person_id, r.student_id)]

    def in_force(self, person_id: str, roles: tuple[str, ...]) -> bool:
        return any(
            g.person_id == person_id
            and g.role in roles
            and (g.begins_on is None or g.begins_on <= self.as_of)
            and (g.ends_on is None or g.ends_on >= self.as_of)
            for g in self.grants
        )

    def blocked(self, person_id: str) -> bool:
        blocks = (self.memory.blocks.get(record) for record in self.human(person_id))
        return any(block is not None and (block.until is None or block.until >= self.as_of) for block in blocks)

    def entitled(self, person_id: str, portal: str, hopeful: bool = False) -> bool:
        person = self.people.get(person_id)
        if person is None or person.status is not PersonStatus.ACTIVE or self.blocked(person_id):
            return False
        if self.in_force(person_id, (self.rules.deny_role,)):
            return False
        how = self.portals[portal]
        if how.strategy is Strategy.CONTACTS:
            return any(self.flagged(r) and self.at_school(r.student_id, hopeful) for r in self.clean(person_id))
        if how.strategy is Strategy.SECURITY_ROLES:
            return self.in_force(person_id, how.roles)
        member = self.member(person_id, portal)
        if member is None:
            return False
        return member.enabled if member.strategy_match is None else member.strategy_match

    def entitled_to(self, person_id: str) -> set[str]:
        return {name for name in self.portals if self.entitled(person_id, name)}

    def member(self, person_id: str, portal: str) -> Member | None:
        found = [m for m in self.members if m.person_id == person_id and m.portal == portal]
        return found[0] if found else None

    # --- 3.2 who is whom ---------------------------------------------------------------------------------------

    def is_student(self, person_id: str) -> bool:
        enrolled = any(e.student_id == person_id for e in self.enrolments)
        named = any(r.student_id == person_id for r in self.relationships)
        return (enrolled or named) and not self.mine(person_id)

    def same_human(self, one: Person, two: Person) -> bool:
        if self.is_student(one.person_id) or self.is_student(two.person_id):
            return False
        alike = same(one.email, two.email) and same(one.name, two.name)
        return alike or self.lists_code_of(one, two) or self.lists_code_of(two, one)

    def lists_code_of(self, newer: Person, older: Person) -> bool:
        listed = any(same(code, older.code) for code in newer.previous_codes)
        taken = any(
            same(other.code, older.code) and other.status is PersonStatus.ACTIVE
            for other in self.people.values()
            if other.person_id not in (newer.person_id, older.person_id)
        )
        return listed and not taken

    @cached_property
    def humans(self) -> dict[str, frozenset[str]]:
        groups = {pid: {pid} for pid in self.people}
        for one in self.people.values():
            for two in self.people.values():
                if one.person_id < two.person_id and self.same_human(one, two):
                    joined = groups[one.person_id] | groups[two.person_id]
                    for pid in joined:
                        groups[pid] = joined
        return {pid: frozenset(group) for pid, group in groups.items()}

    def human(self, person_id: str) -> frozenset[str]:
        return self.humans.get(person_id, frozenset({person_id}))

    def by_employee_id(self, account: Account) -> set[str]:
        return {p.person_id for p in self.people.values() if same(p.code, account.employee_id)}

    def by_username(self, account: Account) -> set[str]:
        return {
            m.person_id
            for m in self.members
            if self.portals[m.portal].sign_in is SignIn.DIRECTORY and same(m.username, account.username)
        }

    def by_email(self, account: Account) -> set[str]:
        people = {p.person_id for p in self.people.values() if same(p.email, account.email)}
        accounts = [a for a in self.accounts if a.directory == account.directory and same(a.email, account.email)]
        return people if len(people) == 1 and len(accounts) == 1 else set()

    def link(self, account: Account) -> str | None:
        return self.memory.links.get((account.directory, account.guid))

    def candidates(self, account: Account) -> tuple[MatchLevel | None, set[str], bool]:
        """Give on what this account is matched, to whom, and whether that is disputed."""
        employee, linked = self.by_employee_id(account), self.link(account)
        if linked is not None and (not employee or linked in employee):
            return MatchLevel.LINK, {linked}, False
        if linked is not None:
            moved = len(employee) == 1 and employee <= self.human(linked)
            return MatchLevel.LINK, employee if moved else employee | {linked}, not moved
        for level, found in (
            (MatchLevel.EMPLOYEE_ID, employee),
            (MatchLevel.USERNAME, self.by_username(account)),
            (MatchLevel.EMAIL, self.by_email(account)),
        ):
            if found:
                return level, found, len(found) > 1
        return None, set(), False

    @cached_property
    def matched(self) -> dict[tuple[str, str], tuple[MatchLevel | None, set[str], bool]]:
        return {(a.directory, a.guid): self.candidates(a) for a in self.accounts}

    def accounts_of(self, person_id: str) -> list[tuple[MatchLevel, Account]]:
        """Give this person's accounts, each with the level it was matched on."""
        return [
            (level, a)
            for a in self.accounts
            for level, found, _ in [self.matched[a.directory, a.guid]]
            if level and person_id in found
        ]

    def disputed(self, person_id: str) -> bool:
        own = self.accounts_of(person_id)
        places = [(level, a.directory) for level, a in own]
        return len(places) != len(set(places)) or any(self.matched[a.directory, a.guid][2] for _, a in own)

    def session_people(self, key: SessionKey, session: Session) -> list[set[str]]:
        """Give who owns this session, strongest ground first."""
        here = [m for m in self.members if m.portal == session.portal]
        directory = self.portals[session.portal].sign_in is SignIn.DIRECTORY
        accounts = self.accounts if directory else []
        if key is SessionKey.USERNAME:
            first = {m.person_id for m in here if same(m.username, session.user)}
            named = [a for a in accounts if same(a.username, session.user)]
        elif key is SessionKey.GUID:
            first, named = set(), [a for a in self.accounts if same(a.guid, session.user)]
        elif key is SessionKey.PERSON_ID:
            first, named = {session.user}, []
        elif key is SessionKey.CODE:
            first, named = {p.person_id for p in self.people.values() if same(p.code, session.user)}, []
        elif key is SessionKey.NATIVE_ID:
            first, named = {m.person_id for m in here if m.native_id == session.user}, []
        else:
            first, named = {p.person_id for p in self.people.values() if same(p.email, session.user)}, []
        owners = {pid for a in named for pid in self.matched[a.directory, a.guid][1]}
        if len({min(self.matched[a.directory, a.guid][1], default=a.guid) for a in named}) > 1:
            owners = set()  # a name that stands in two directories tells nobody
        known = self.memory.users.get((session.portal, session.user))
        if key in (SessionKey.CODE, SessionKey.EMAIL) and len(first) > 1:
            first = set()  # a shared mailbox alone proves nothing
        return [first, owners, {known} if known else set()]

    def session_owner(self, key: SessionKey, session: Session) -> set[str]:
        return next((found for found in self.session_people(key, session) if found), set())

    @cached_property
    def somebody(self) -> set[str]:
        """Everybody who is entitled to anything."""
        return {pid for pid in self.people if self.entitled_to(pid)}

    def claimants(self, account: Account) -> set[str]:
        linked = self.link(account)
        found = self.by_employee_id(account) | self.by_username(account) | self.by_email(account)
        return (found | ({linked} if linked else set())) & self.somebody

    def session_claimants(self, key: SessionKey, session: Session) -> set[str]:
        first, owners, _ = self.session_people(key, session)
        found = (first | owners) & self.somebody
        if key is SessionKey.GUID:
            return found.union(*(self.claimants(a) for a in self.accounts if same(a.guid, session.user)))
        if key is not SessionKey.USERNAME or self.portals[session.portal].sign_in is not SignIn.DIRECTORY:
            return found
        named = [a for a in self.accounts if same(a.username, session.user)]
        signed = {
            m.person_id
            for m in self.members
            if self.portals[m.portal].sign_in is SignIn.DIRECTORY and same(m.username, session.user)
        }
        return found.union(signed & self.somebody, *(self.claimants(a) for a in named))

    # --- 3.3 status --------------------------------------------------------------------------------------------

    def subjects(self) -> set[str]:
        contacts = {r.contact_id for r in self.relationships}
        members = {m.person_id for m in self.members if self.portals[m.portal].governed}
        linked = {
            pid
            for a in self.accounts
            for level, found, unsure in [self.matched[a.directory, a.guid]]
            if a.managed and not unsure
            for pid in found
            if not self.is_student(pid)
        }
        signed_in = {
            pid for key, s in self.sessions if self.portals[s.portal].governed for pid in self.session_owner(key, s)
        }
        return contacts | members | linked | signed_in

    def needed(self, person_id: str) -> bool:
        return any(self.portals[name].needs_directory_account for name in self.entitled_to(person_id))

    def closable(self, person_id: str) -> list[Account]:
        """Give the enabled managed accounts that nothing needs and nobody entitled claims."""
        if self.needed(person_id):
            return []
        return [
            a for _, a in self.accounts_of(person_id) if a.enabled and a.managed and not self.claimants(a) - {person_id}
        ]

    def sessions_of(self, person_id: str) -> list[Session]:
        return [
            s
            for key, s in self.sessions
            if person_id in self.session_owner(key, s) and not self.session_claimants(key, s) - {person_id}
        ]

    def lost(self, person_id: str) -> set[str]:
        """Give the governed portals this person is not entitled to. Where there is nothing to match, nobody is lost."""
        return {
            n
            for n, p in self.portals.items()
            if p.governed and not self.entitled(person_id, n) and not self.unmatched(person_id, n)
        }

    def unmatched(self, person_id: str, portal: str) -> bool:
        if self.portals[portal].strategy not in (Strategy.MANUAL, Strategy.CUSTOM):
            return False
        member, person = self.member(person_id, portal), self.people.get(person_id)
        word = member.strategy_match if member else None
        free = person is not None and person.status is PersonStatus.ACTIVE and not self.blocked(person_id)
        return word is None and free and not self.in_force(person_id, (self.rules.deny_role,))

    def lives(self, person_id: str, portal: str) -> bool:
        member = self.member(person_id, portal)
        door = member is not None and (member.enabled or bool(member.username) or member.has_password)
        return door or any(s.portal == portal for s in self.sessions_of(person_id))

    def stands(self, person_id: str, portal: str) -> bool:
        how, member = self.portals[portal], self.member(person_id, portal)
        if member is None or not member.enabled or not member.username:
            return False
        if how.sign_in is SignIn.PASSWORD and not member.has_password:
            return False
        return not how.needs_directory_account or any(a.enabled for _, a in self.accounts_of(person_id))

    def status(self, person_id: str) -> Status:
        if any(self.lives(person_id, name) for name in self.lost(person_id)) or self.closable(person_id):
            return Status.READY_TO_REVOKE
        governed = {n for n in self.entitled_to(person_id) if self.portals[n].governed}
        if not all(self.stands(person_id, name) for name in governed):
            return Status.READY_TO_PROVISION
        if self.entitled_to(person_id):
            return Status.ACTIVE
        stands = any(m.person_id == person_id and self.portals[m.portal].governed for m in self.members)
        managed = any(a.managed for _, a in self.accounts_of(person_id))
        return Status.REVOKED if stands or managed else Status.NONE

    # --- 3.3 reasons -------------------------------------------------------------------------------------------

    def reasons(self, person_id: str, closing: set[str], account_closes: bool) -> tuple[Reason, ...]:
        person = self.people.get(person_id)
        looked_at = closing | {
            n for n in self.lost(person_id) if account_closes and self.portals[n].needs_directory_account
        }
        found = {Reason.HALF_REVOKED} if self.half_revoked(person_id, looked_at) else set()
        if self.blocked(person_id):
            found.add(Reason.BLOCKED)
        if person_id in self.memory.requested:
            found.add(Reason.REQUESTED)
        if person is None:
            found.add(Reason.CONTACT_MISSING)
        elif person.status is not PersonStatus.ACTIVE:
            found.add(Reason.CONTACT_INACTIVE)
        elif self.in_force(person_id, (self.rules.deny_role,)):
            found.add(Reason.DENIED)
        else:
            found |= self.ordinary(person_id, looked_at)
        return tuple(reason for reason in Reason if reason in found)

    def half_revoked(self, person_id: str, looked_at: set[str]) -> bool:
        closed_member = any(
            not (m.enabled or m.username or m.has_password)
            for m in self.members
            if m.person_id == person_id and m.portal in looked_at
        )
        closed_account = any(not a.enabled for _, a in self.accounts_of(person_id))
        return closed_member or closed_account

    def ordinary(self, person_id: str, looked_at: set[str]) -> set[Reason]:
        found = set()
        others = self.human(person_id) - {person_id}
        if any(self.entitled(other, name) for other in others for name in looked_at):
            found.add(Reason.SUPERSEDED)
        strategies = {self.portals[name].strategy for name in looked_at}
        if Strategy.CONTACTS in strategies:
            found |= self.family(person_id)
        for name in looked_at:
            how = self.portals[name]
            once = any(
                g.person_id == person_id and g.role in how.roles and (g.begins_on is None or g.begins_on <= self.as_of)
                for g in self.grants
            )
            if how.strategy is Strategy.SECURITY_ROLES and once:
                found.add(Reason.ROLE_ENDED)
        return found

    def family(self, person_id: str) -> set[Reason]:
        mine, clean, found = self.mine(person_id), self.clean(person_id), set()
        if not mine:
            return {Reason.NO_RELATIONSHIP}
        if self.remains(clean):
            return set()
        current = [r for r in mine if self.current(r)]
        barred = [r for r in current if self.barred(person_id, r.student_id)]
        if barred and not any(self.at_school(r.student_id) for r in barred) and any(map(self.flagged, clean)):
            barred = []  # an unrestricted flagged relationship remains, to a child who left like the barred one
        if barred:
            found.add(Reason.RESTRICTED)
        here = [r for r in current if self.at_school(r.student_id)]
        if any(r in clean for r in here) and not any(self.flagged(r) for r in here):
            found.add(Reason.PORTAL_FLAG_OFF)
        if not any(self.at_school(r.student_id) for r in current):
            found.add(Reason.NO_STUDENT_AT_SCHOOL)
        return found

    def remains(self, clean: list[Relationship]) -> bool:
        return any(self.flagged(r) and self.at_school(r.student_id) for r in clean)

    # --- 3.4 holds ---------------------------------------------------------------------------------------------

    def holds(self, row: Row) -> set[Hold]:
        pid = row.person_id
        own = self.accounts_of(pid)
        found = set()
        if any(a.protected for _, a in own if a.guid in row.accounts):
            found.add(Hold.PROTECTED)
        if row.disputed:
            found.add(Hold.DISPUTED)
        if set(row.reasons) & URGENT:
            return found
        if any(level is MatchLevel.EMAIL and a.guid in row.accounts for level, a in own):
            found.add(Hold.WEAK_MATCH)
        hopeful = self.lost(pid) & self.looked_at(row)
        if any(self.entitled(pid, name, hopeful=True) for name in hopeful):
            found.add(Hold.UNCLEAR_DATA)
        if not set(row.reasons) & NO_CHILD_HOLD:
            found |= self.family_holds(row)
        return found | self.time_holds(row) | self.policy_holds(row)

    def time_holds(self, row: Row) -> set[Hold]:
        memory, rules, found = self.memory, self.rules, set()
        if keep := memory.keeps.get(row.key):
            found |= {Hold.KEEP} if keep.until is None or keep.until >= self.as_of else set()
        if memory.flips.get(row.key, 0) >= 2:
            found.add(Hold.OSCILLATING)
        if self.as_of - memory.ready_since.get(row.key, self.as_of) < timedelta(days=rules.notice_days):
            found.add(Hold.NOTICE)
        if memory.ready_runs.get(row.key, 0) + 1 < rules.confirm_runs:
            found.add(Hold.UNCONFIRMED)
        if rules.rollover_from and rules.rollover_from <= self.as_of and not memory.rollover_complete:
            found.add(Hold.ROLLOVER)
        return found

    def policy_holds(self, row: Row) -> set[Hold]:
        others = self.human(row.person_id) - {row.person_id}
        ready = [o for o in others if any(self.entitled(o, name) for name in self.looked_at(row))]
        waits = self.rules.superseded_needs_active_successor and not any(self.status(o) is Status.ACTIVE for o in ready)
        unexplained = not set(row.reasons) - {Reason.HALF_REVOKED}
        held = self.policy(row) is Policy.HOLD or unexplained or (Reason.SUPERSEDED in row.reasons and waits)
        return {Hold.POLICY} if held else set()

    def looked_at(self, row: Row) -> set[str]:
        needs = {n for n, p in self.portals.items() if p.governed and p.needs_directory_account}
        return row.closing | (needs if row.accounts else set())

    def policy(self, row: Row) -> Policy:
        looked = [r for r in row.reasons if not (r is Reason.NO_RELATIONSHIP and Reason.SUPERSEDED in row.reasons)]
        asked = [self.rules.policies.get(reason, Policy.APPLY) for reason in looked]
        return Policy.HOLD if Policy.HOLD in asked else Policy.APPLY

    def family_holds(self, row: Row) -> set[Hold]:
        pid, found = row.person_id, set()
        if self.remains(self.clean(pid)):
            return self.successor_holds(row)
        others = self.human(pid) - {pid}
        stand = any(self.status(o) in (Status.ACTIVE, Status.READY_TO_PROVISION) for o in others)
        recent = any(
            r.ended_on
            and r.ended_on <= self.as_of
            and (self.as_of - r.ended_on).days <= self.rules.ended_link_days
            and self.at_school(r.student_id)
            for r in self.mine(pid)
        )
        if not stand and (Reason.PORTAL_FLAG_OFF in row.reasons or recent):
            found.add(Hold.STILL_HAS_CHILDREN)
        return found | self.successor_holds(row)

    def successor_holds(self, row: Row) -> set[Hold]:
        strangers = self.somebody - self.human(row.person_id)
        there = [o for o in strangers if any(self.entitled(o, name) for name in self.looked_at(row))]
        found = any(self.may_succeed(row.person_id, other) for other in there)
        return {Hold.POSSIBLE_SUCCESSOR} if found else set()

    def may_succeed(self, pid: str, other: str) -> bool:
        left, right = self.people.get(pid), self.people[other]
        if left is None or self.is_student(other):
            return False
        students = {r.student_id for r in self.mine(pid)} & {r.student_id for r in self.mine(other)}
        return (
            same(left.email, right.email)
            or same(digits(left.mobile), digits(right.mobile))
            or (bool(students) and same(left.given_name, right.given_name))
        )

    # --- the whole school --------------------------------------------------------------------------------------

    def decide(self, person_id: str) -> Row:
        row = Row(person_id, person_id, self.status(person_id), self.disputed(person_id))
        if row.status is not Status.READY_TO_REVOKE:
            return row
        row.accounts = {a.guid for a in self.closable(person_id)}
        row.closing = {name for name in self.lost(person_id) if self.lives(person_id, name)}
        for member in self.members:
            if member.person_id == person_id and member.portal in row.closing:
                if member.username or member.has_password:
                    row.credentials.add(member.portal)
                if member.enabled:
                    row.members.add(member.portal)
        kept = self.entitled_to(person_id) | {
            m.portal for m in self.members if m.person_id == person_id and m.enabled and m.portal not in row.closing
        }
        row.everywhere = not kept
        row.sessions = {s.session_id for s in self.sessions_of(person_id) if row.everywhere or s.portal in row.closing}
        row.reasons = self.reasons(person_id, row.closing, bool(row.accounts))
        row.holds = self.holds(row)
        return row

    def orphans(self) -> list[Account]:
        return [
            a
            for a in self.accounts
            if a.managed and a.employee_id.strip() and not self.matched[a.directory, a.guid][1] and self.is_open(a)
        ]

    def is_open(self, account: Account) -> bool:
        """Say whether an account nobody has is enabled, or somebody is signed in under its name."""
        names = [a for a in self.accounts if same(a.username, account.username)]
        signed_in = any(
            self.portals[s.portal].governed
            and self.portals[s.portal].sign_in is SignIn.DIRECTORY
            and not any(self.session_people(key, s))
            and not self.session_claimants(key, s)
            and len(names) == 1
            for key, s in self.sessions
            if (key is SessionKey.USERNAME and same(s.user, account.username))
        )
        by_guid = any(
            key is SessionKey.GUID and same(s.user, account.guid) and self.portals[s.portal].governed
            for key, s in self.sessions
        )
        return account.enabled or signed_in or by_guid

    def rows(self) -> dict[str, Row]:
        return {pid: self.decide(pid) for pid in sorted(self.subjects())}
