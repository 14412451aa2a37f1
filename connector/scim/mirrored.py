"""What a judgement becomes in the endpoint's tables: a row for every person, a User for everybody who is decided. Pure.

The mirror never says why somebody is kept out, and never overwrites what a provider wrote about a User it adopted.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connector.model import Person, Status
from connector.reconcile.correlate import Identity
from connector.reconcile.decide import Decision
from connector.reconcile.judge import Judgement
from connector.reconcile.text import fold, fold_id
from connector.reconcile.wording import ACCESS_ENDED
from connector.scim.models import ENTERPRISE_SCHEMA, USER_SCHEMA
from connector.scim.truth import told_reason

_NOT_ENTITLED = "not entitled to any portal"


@dataclass(frozen=True, slots=True)
class MirroredUser:
    """A User made of an identity. `names` are user names in order of preference: the first that is free is taken."""

    person_id: str
    names: tuple[str, ...]
    code_key: str
    status: Status
    why: str
    document: Mapping[str, Any]
    blocked: bool = False

    @property
    def digest(self) -> str:
        """A digest of all of it: what is the same is not written again."""
        return _digest([self.names, self.status, self.why, self.document])


def person_rows(judgement: Judgement) -> Iterator[dict[str, Any]]:
    """Give a row of `scim_people` (without its time) for everybody whom the admin system has."""
    decisions = judgement.decisions
    school, decided = decisions.school, decisions.by_key()
    for identity in decisions.correlation.identities:
        person = identity.person
        if person is None or person.person_id in school.granted:
            continue
        entitled = decisions.scene.claims.portals_of(person.person_id)
        decision = decided.get(identity.key)
        row = {
            "person_id": person.person_id,
            "code_key": fold_id(person.code),
            "email_key": fold(person.email),
            "name": person.name,
            "status": (decision.status if decision else Status.NONE).value,
            "entitled": json.dumps(sorted(entitled)),
            "usernames": json.dumps(sorted(_usernames(identity))),
            "humans": json.dumps(sorted(school.same_human(person.person_id))),
            "why": _why(judgement, person, decision, entitled=bool(entitled)),
        }
        yield row | {"digest": _digest(list(row.values()))}


def users(judgement: Judgement) -> Iterator[MirroredUser]:
    """Give a User for everybody who is decided, with the newest facts."""
    school, entitled = judgement.decisions.school, judgement.decisions.scene.claims
    for decision in judgement.decisions.rows:
        identity = decision.identity
        person = identity.person
        if person is None or person.person_id in school.student_records or person.person_id in school.granted:
            continue
        why = _why(judgement, person, decision, entitled=bool(entitled.portals_of(person.person_id)))
        names = _names(identity, person)
        document = _document(identity, person, names[0])
        blocked = person.person_id in school.blocked
        yield MirroredUser(person.person_id, names, fold_id(person.code), decision.status, why, document, blocked)


def sourced_statuses(judgement: Judgement) -> dict[str, Status]:
    """Give the status of everybody whose admin system is a provider."""
    granted = judgement.decisions.school.granted
    return {d.identity.key: d.status for d in judgement.decisions.rows if d.identity.key in granted}


def portal_members(judgement: Judgement) -> dict[str, frozenset[str]]:
    """Give, by portal that answered, the person_ids of its enabled members."""
    return {r.portal: frozenset(m.person_id for m in r.members if m.enabled) for r in judgement.snapshot.portals}


def _why(judgement: Judgement, person: Person, decision: Decision | None, *, entitled: bool) -> str:
    school = judgement.decisions.school
    if person.person_id in school.blocked:
        return ACCESS_ENDED
    if entitled:
        return ""
    if person.person_id in school.barred:
        return ACCESS_ENDED
    return (told_reason(decision.reasons) if decision else "") or _NOT_ENTITLED


def _usernames(identity: Identity) -> frozenset[str]:
    found = {a.account.username for a in identity.accounts} | {m.username for m in identity.members}
    return frozenset(fold(name) for name in found if name)


def _names(identity: Identity, person: Person) -> tuple[str, ...]:
    """A User's name is that of the account, else of a member, else e-mail or contact code."""
    accounts = (a.account.username for a in identity.accounts)
    members = (m.username for m in identity.members)
    candidates = (*accounts, *members, person.email, person.code, person.person_id)
    return tuple(dict.fromkeys(name.strip() for name in candidates if name.strip()))


def _document(identity: Identity, person: Person, name: str) -> dict[str, Any]:
    document: dict[str, Any] = {"schemas": [USER_SCHEMA], "userName": name}
    parts = {"givenName": person.given_name, "familyName": person.family_name, "formatted": person.name}
    if shown := {key: value for key, value in parts.items() if value}:
        document["name"] = shown
        document["displayName"] = person.name or name
    mail = person.email or next((a.account.email for a in identity.accounts if a.account.email), "")
    if mail:
        document["emails"] = [{"value": mail, "type": "work", "primary": True}]
    if person.code:
        document[ENTERPRISE_SCHEMA] = {"employeeNumber": person.code}
    return document


def _digest(values: Iterable[Any]) -> str:
    return hashlib.sha256(json.dumps(list(values), sort_keys=True).encode()).hexdigest()[:32]
