"""The rules said once more, over the truth of a simulated year: who is entitled to what today, and why somebody is not.

Written from the rules as they are worded, over the world's own facts and orders. It must never ask, or be told by, the
code it judges; nor see the admin system's mistakes.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta

from connector.model import Account, Enrolment, Person, PersonStatus, Relationship, RoleGrant, Session
from connector.policy import PortalRules, Rules, SignIn, Strategy
from tests.simulation.year_world import PORTALS, World, owner_of

NOBODY: frozenset[str] = frozenset()
_RULES = {p.name: p for p in PORTALS}


class _Facts:
    """What the admin system would say if it were right, indexed."""

    def __init__(self, world: World) -> None:
        self.relationships: dict[str, list[Relationship]] = defaultdict(list)
        self.enrolments: dict[str, list[Enrolment]] = defaultdict(list)
        self.grants: dict[str, list[RoleGrant]] = defaultdict(list)
        for relationship in world.relationships:
            self.relationships[relationship.contact_id].append(relationship)
        for enrolment in world.enrolments:
            self.enrolments[enrolment.student_id].append(enrolment)
        for grant in world.roles:
            self.grants[grant.person_id].append(grant)
        self.humans = _humans(world.people.values())


def _humans(people: Iterable[Person]) -> dict[str, frozenset[str]]:
    """Give the records of one human each: the same name and e-mail, or an earlier code that is nobody else's."""
    groups: dict[str, set[str]] = {}

    def join(one: str, other: str) -> None:
        joined = groups.get(one, {one}) | groups.get(other, {other})
        groups.update(dict.fromkeys(joined, joined))

    everybody = list(people)
    alike: dict[tuple[str, str], str] = {}
    for person in everybody:
        if person.email and person.name:
            first = alike.setdefault((person.email.lower(), person.name.lower()), person.person_id)
            if first != person.person_id:
                join(first, person.person_id)
    for person in (p for p in everybody if p.previous_codes):
        for code in person.previous_codes:
            holders = [p for p in everybody if p.code == code and p.person_id != person.person_id]
            if len(holders) == 1:
                join(person.person_id, holders[0].person_id)
    return {record: frozenset(group) for record, group in groups.items()}


def is_unknown(enrolment: Enrolment) -> bool:
    """Say whether an enrolment cannot be right: nobody leaves before they come."""
    entry, leaves = enrolment.entry_date, enrolment.exit_date
    return entry is None or (leaves is not None and leaves < entry)


class Oracle:
    """What the rules say today."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._facts, self._facts_of = _Facts(world), world.facts
        self._known: dict[str, frozenset[str]] = {}
        self._known_of: tuple[int, date, tuple[object, ...]] = (0, date.min, ())

    @property
    def facts(self) -> _Facts:
        if self._facts_of != self.world.facts:
            self._facts, self._facts_of = _Facts(self.world), self.world.facts
        return self._facts

    @property
    def rules(self) -> Rules:
        return self.world.rules

    # --- 3.1 entitlement --------------------------------------------------------------------------------------------

    def portals_of(self, person_id: str) -> frozenset[str]:
        """Give the portals somebody is entitled to today."""
        state = (self.world.facts, self.world.today, tuple(self.world.blocks.items()))
        if state != self._known_of:
            self._known, self._known_of = {}, state
        if person_id not in self._known:
            self._known[person_id] = frozenset(p.name for p in PORTALS if self._entitled(person_id, p))
        return self._known[person_id]

    def entitled(self, person_id: str, portal: str) -> bool:
        return portal in self.portals_of(person_id)

    def needs_account(self, person_id: str) -> bool:
        return any(_RULES[p].needs_directory_account for p in self.portals_of(person_id))

    def _entitled(self, person_id: str, portal: PortalRules) -> bool:
        person = self.world.people.get(person_id)
        if person is None or person.status is not PersonStatus.ACTIVE or self.blocked(person_id):
            return False
        if portal.strategy is Strategy.SECURITY_ROLES:
            return self.in_force(person_id, portal.roles)
        return any(self.counts(r) for r in self.facts.relationships.get(person_id, ()))

    def in_force(self, person_id: str, roles: Iterable[str]) -> bool:
        today = self.world.today
        mine = (g for g in self.facts.grants.get(person_id, ()) if g.role in roles)
        return any((g.begins_on or today) <= today <= (g.ends_on or today) for g in mine)

    def human(self, person_id: str) -> frozenset[str]:
        return self.facts.humans.get(person_id, frozenset((person_id,)))

    def blocked(self, person_id: str) -> bool:
        blocks = self.world.blocks
        ends = [blocks[record] for record in self.human(person_id) if record in blocks]
        return any(until is None or self.world.today <= until for until in ends)

    def counts(self, relationship: Relationship) -> bool:
        barred = self.barred(relationship.contact_id, relationship.student_id)
        ours = self.current(relationship) and self.flagged(relationship) and not barred
        return ours and self.at_school(relationship.student_id)

    def current(self, relationship: Relationship) -> bool:
        return relationship.ended_on is None or self.world.today < relationship.ended_on

    def flagged(self, relationship: Relationship) -> bool:
        own = relationship.portal_access
        return self.world.types.get(relationship.contact_type, False) if own is None else own

    def barred(self, contact: str, student: str) -> bool:
        relationships = (r for record in self.human(contact) for r in self.facts.relationships.get(record, ()))
        return any(r.restricted and self.current(r) and r.student_id == student for r in relationships)

    def at_school(self, student: str) -> bool:
        """Say whether a student is at the school: early access, grace, and gaps that are bridged."""
        today, rules = self.world.today, self.rules
        rows = [row for row in self.facts.enrolments.get(student, ()) if not is_unknown(row)]
        for row in rows:
            if row.entry_date and row.entry_date - timedelta(days=rules.early_access_days) <= today <= self.last_day(
                row
            ):
                return True
        leaving = [row.exit_date for row in rows if row.exit_date and row.exit_date < today]
        coming = [row.entry_date for row in rows if row.entry_date and row.entry_date > today]
        return any((entry - left).days <= rules.bridge_days for left in leaving for entry in coming)

    def rests_on_unknown(self, person_id: str) -> bool:
        """Say whether somebody would be entitled if an enrolment that cannot be right were."""
        mine = [r for r in self.facts.relationships.get(person_id, ()) if self.current(r) and self.flagged(r)]
        rows = (e for r in mine for e in self.facts.enrolments.get(r.student_id, ()))
        return any(map(is_unknown, rows)) and not any(self.counts(r) for r in mine)

    def last_day(self, enrolment: Enrolment) -> date:
        if enrolment.exit_date is None:
            return date.max
        grace = self.rules.grace_days.get(enrolment.exit_reason, max(self.rules.grace_days.values()))
        return enrolment.exit_date + timedelta(days=grace)

    # --- 3.2 claims -------------------------------------------------------------------------------------------------

    def claimants(self, account: Account) -> frozenset[str]:
        """Give the entitled people who claim an account: its owner, whose code, username or own e-mail it carries."""
        people = {self.world.owner.get(account.guid, ""), self._by_email(account)}
        people |= {p.person_id for p in self.world.people.values() if p.code == account.employee_id}
        people |= self._signing_in_as(account.username)
        return frozenset(p for p in people if self.portals_of(p))

    def _by_email(self, account: Account) -> str:
        """Give who alone has the e-mail that no other account has."""
        people = [p.person_id for p in self.world.people.values() if p.email and p.email == account.email]
        accounts = [a for a in self.world.accounts if a.email == account.email]
        return people[0] if len(people) == 1 and len(accounts) == 1 else ""

    def _signing_in_as(self, username: str) -> set[str]:
        return {
            m.person_id
            for m in self.world.members
            if m.username == username and _RULES[m.portal].sign_in is SignIn.DIRECTORY
        }

    def spared(self, session: Session) -> str:
        """Say for whom a session must not be ended; nobody: the empty text."""
        owner = owner_of(session)
        if self.entitled(owner, session.portal):
            return owner
        if _RULES[session.portal].sign_in is SignIn.DIRECTORY:
            others = self._signing_in_as(session.user)
            named = [a for a in self.world.accounts if a.username == session.user]
            others = others.union(*(self.claimants(a) for a in named)) - {owner}
            return min((p for p in others if self.portals_of(p)), default="")
        return ""

    # --- 3.3 what lives, and why it is to go ------------------------------------------------------------------------

    def alive(self) -> dict[str, list[str]]:
        """Give what lives and is not to, by whose it is: portals, "ad" for an account, "sessions"."""
        found: dict[str, list[str]] = defaultdict(list)
        for member in self.world.members:
            lives = member.enabled or member.credential_lives
            if lives and _RULES[member.portal].governed and not self.entitled(member.person_id, member.portal):
                found[member.person_id].append(member.portal)
        for account in (a for a in self.world.accounts if a.enabled and a.managed):
            owner = self.world.owner[account.guid]
            if not self.needs_account(owner) and not self.claimants(account) - {owner}:
                found[owner].append(account.directory)
        for session in self.world.sessions:
            if _RULES[session.portal].governed and not self.spared(session):
                found[owner_of(session)].append("sessions")
        return dict(found)

    def reasons(self, person_id: str, portals: Iterable[str], *, account: bool) -> frozenset[str]:
        """Give why these portals (and the account) of a person are to close, by the words of the rules."""
        world, found = self.world, set()
        person = world.people.get(person_id)
        if self.blocked(person_id):
            found.add("blocked")
        if person is None:
            return frozenset(found | {"contact-missing"})
        if person.status is not PersonStatus.ACTIVE:
            return frozenset(found | {"contact-inactive"})
        asked = {p for p in PORTALS if p.governed and (p.name in portals or (account and p.needs_directory_account))}
        others = self.human(person_id) - {person_id}
        for portal in asked:
            if not self.entitled(person_id, portal.name) and any(self.entitled(o, portal.name) for o in others):
                found.add("superseded")
            once = any(
                g.role in portal.roles and (g.begins_on or world.today) <= world.today
                for g in self.facts.grants.get(person_id, ())
            )
            if once and not self.in_force(person_id, portal.roles):
                found.add("role-ended")
        if any(p.strategy is Strategy.CONTACTS for p in asked):
            found |= self._family(person_id)
        return frozenset(found)

    def _family(self, person_id: str) -> set[str]:
        mine = self.facts.relationships.get(person_id, [])
        if not mine:
            return {"no-relationship"}
        if any(self.counts(r) for r in mine):
            return set()
        found, current = set(), [r for r in mine if self.current(r)]
        here = [r for r in current if self.at_school(r.student_id)]
        barred = [r for r in current if self.barred(person_id, r.student_id)]
        free = [r for r in current if r not in barred and self.flagged(r)]
        if barred and (not free or any(r in here for r in barred)):
            found.add("restricted")
        if any(r not in barred for r in here) and not any(self.flagged(r) for r in here):
            found.add("portal-flag-off")
        if not here:
            found.add("no-student-at-school")
        return found


__all__ = ["NOBODY", "Oracle", "is_unknown"]
