"""Lets in whom a provider may let in: memberships, and what our own closing took. Everything goes through the journal.

Whom the judgement does not entitle, disputes or holds stays as they are; what somebody else disabled is never enabled
here.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row

from connector.app import Connector
from connector.config_scim import Scim
from connector.model import Hold, LegState, Member, MembershipType
from connector.policy import PortalRules, SignIn, Strategy
from connector.reconcile.apply import Applier
from connector.reconcile.correlate import Identity, Linked, MatchLevel
from connector.reconcile.entitlement import may_be_entitled
from connector.reconcile.journal_sourced import SourcedPeople
from connector.reconcile.journal_values import Change, ChangeKind, Direction, MembershipChange, OpenChange
from connector.reconcile.judge import Judgement
from connector.reconcile.memory import Memory
from connector.scim.accounts import Accounts
from connector.scim.closings import Seen, again

_HOLDING = frozenset({Hold.DISABLED_ELSEWHERE, Hold.DISPUTED, Hold.PROTECTED})
"""What keeps somebody from being let in by a provider: a person has to look."""


@dataclass(frozen=True, slots=True)
class Openings:
    """Opens one batch of Users that wait for it."""

    connector: Connector

    def open(self, rows: Sequence[Row[Any]], seen: Seen, sourced: SourcedPeople) -> frozenset[str]:
        """Let these Users in as far as they are entitled; give the ids of those of whom nothing is left to try."""
        people = {row.person_id: row for row in rows}
        judgement, memory = again(self.connector, seen, people, sourced)
        identities = judgement.decisions.correlation.by_key()
        going = [identities[p] for p, row in people.items() if p in identities and _may(judgement, identities[p], row)]
        if going:
            self._apply(judgement, memory, going, people)
        waiting = {c.change.person_id for c in self.connector.journal.open_changes() if _to_try(c)}
        opening = {leg.key for leg in self.connector.journal.open_legs() if leg.direction is Direction.OPEN}
        return frozenset(row.id for p, row in people.items() if p not in waiting and p not in opening)

    def _apply(
        self, judgement: Judgement, memory: Memory, going: Sequence[Identity], people: Mapping[str, Row[Any]]
    ) -> None:
        """Accounts first, then memberships (their user name is the account's), then groups of the directory."""
        connector = self.connector
        with connector.running().acting("scim", connector.today(), {}) as applier:
            self._restore(applier, judgement, going)
            applier.drive_changes(self._left_open(people))
            accounts = Accounts(connector.config.scim or Scim(), connector.targets, memory)
            left = applier.change([c for one in going for c in accounts.missing(one, people[one.key])])
            changes: list[Change] = []
            for one in self._with_accounts(going):
                changes += self._missing(judgement, one, people[one.key].user_name)
                with connector.journal.store.reading() as conn:
                    changes += accounts.regrouped(conn, one, people[one.key])
            left += applier.change(changes)
            connector.journal.end_run(applier.run, "opened", 4 if left else 0)

    def _with_accounts(self, going: Iterable[Identity]) -> Iterator[Identity]:
        """Give identities with the accounts that were made for them just now."""
        linked = {v: k for k, v in self.connector.journal.memory(self.connector.today()).links.items()}
        for identity in going:
            place = linked.get(identity.key)
            directory = self.connector.targets.directories.get(place[0]) if place else None
            if identity.accounts or place is None or directory is None:
                yield identity
            else:
                made = directory.read_some([place[1]])
                yield replace(identity, accounts=tuple(Linked(account, MatchLevel.LINK) for account in made))

    def _left_open(self, people: Collection[str]) -> list[OpenChange]:
        return [c for c in self.connector.journal.open_changes() if c.change.person_id in people]

    def _restore(self, applier: Applier, judgement: Judgement, going: Iterable[Identity]) -> None:
        """Give back what our own closing took, of people whom only the provider took away."""
        journal = self.connector.journal
        closed = [one for identity in going for one in journal.revocations(identity.key)]
        if closed:
            restore = self.connector.restore_of(judgement, closed)
            legs = journal.intend(applier.run, "", restore.rows, applier.run.operator, direction=Direction.OPEN)
            applier.drive(legs)

    def _missing(self, judgement: Judgement, identity: Identity, user_name: str) -> Iterable[MembershipChange]:
        """Give the memberships somebody is entitled to and has not; what is on its way already is not asked twice."""
        entitled = judgement.decisions.scene.claims.portals_of(identity.person_id)
        underway = {
            (c.change.target, c.change.person_id)
            for c in self.connector.journal.open_changes()
            if c.change.kind is ChangeKind.ADD
        }
        for portal in self.connector.config.portal_rules:
            there = identity.members_of(portal.name) or portal.name in judgement.snapshot.unread_names("portal")
            if portal.name in entitled and not there and (portal.name, identity.key) not in underway:
                member = _member(portal, identity, user_name)
                yield MembershipChange(ChangeKind.ADD, portal.name, identity.key, None, member)


def _may(judgement: Judgement, identity: Identity, row: Row[Any]) -> bool:
    """Whether somebody is let in, as judged just now: what the endpoint knew of them may be older."""
    school, decision = judgement.decisions.school, judgement.decisions.by_key().get(identity.key)
    if not row.wanted or identity.disputed or identity.person_id in school.blocked:
        return False
    is_granted = identity.key in school.granted and may_be_entitled(school, identity.key)
    if not is_granted and not judgement.decisions.scene.claims.portals_of(identity.person_id):
        return False
    return decision is None or _HOLDING.isdisjoint(decision.holds)


def _to_try(change: OpenChange) -> bool:
    """Whether trying again may help: a conflict waits for a person."""
    return change.state is not LegState.CONFLICT


def _member(portal: PortalRules, identity: Identity, user_name: str) -> Member:
    """Give the member that is added. Where the directory lets people in, the user name is the account's."""
    account = next((a.account.username for a in identity.accounts if a.account.enabled), user_name)
    person = identity.person
    kind = MembershipType.MANUALLY_ADDED if portal.strategy is Strategy.MANUAL else MembershipType.SYSTEM_GENERATED
    return Member(
        portal=portal.name,
        person_id=identity.key,
        username=account if portal.sign_in is SignIn.DIRECTORY else "",
        status=portal.status_default,
        membership_type=kind,
        code=person.code if person else "",
        name=person.name if person else user_name,
    )
