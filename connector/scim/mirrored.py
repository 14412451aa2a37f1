"""What a judgement becomes in the endpoint's tables: a row for every person, a User for everybody who is decided. Pure.

The mirror never says why somebody is kept out, and never overwrites what a provider wrote about a User it adopted. What
an admin system holds and no database takes is left out: one person's absurd value stops nobody else's mirror.
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
from connector.scim.search_document import index_key, is_indexable
from connector.scim.truth import told_reason

_NOT_ENTITLED = "not entitled to any portal"
_NO_KEY = "the person_id is too long to be looked up by"


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
        code, mail = _looked_up("employeeNumber", person.code), _looked_up("emails", person.email)
        row = {
            "person_id": person.person_id,
            "code_key": fold_id(code),
            "email_key": fold(mail),
            "name": _storable(person.name),
            "status": (decision.status if decision else Status.NONE).value,
            "entitled": json.dumps(sorted(entitled)),
            "usernames": json.dumps(sorted(_usernames(identity))),
            "humans": json.dumps(sorted(school.same_human(person.person_id))),
            "why": _why(judgement, person, decision, entitled=bool(entitled)),
        }
        if not _has_key(person):
            # Nothing is looked up by it, a block neither: this one is found by code and e-mail, and never let in.
            row |= {"person_id": _stand_in(person.person_id), "entitled": "[]", "why": _NO_KEY}
        yield row | {"digest": _digest(list(row.values()))}


def users(judgement: Judgement) -> Iterator[MirroredUser]:
    """Give a User for everybody who is decided, with the newest facts."""
    school, entitled = judgement.decisions.school, judgement.decisions.scene.claims
    for decision in judgement.decisions.rows:
        identity = decision.identity
        person = identity.person
        if person is None or person.person_id in school.student_records or person.person_id in school.granted:
            continue
        if not _has_key(person):
            continue
        why = _why(judgement, person, decision, entitled=bool(entitled.portals_of(person.person_id)))
        names = _names(identity, person)
        document = _document(identity, person, names[0])
        blocked = person.person_id in school.blocked
        code_key = fold_id(_looked_up("employeeNumber", person.code))
        yield MirroredUser(person.person_id, names, code_key, decision.status, why, document, blocked)


def left_out(judgement: Judgement) -> tuple[str, ...]:
    """Give the person_ids of everybody of whom something is left out, because no index takes it."""
    people = (identity.person for identity in judgement.decisions.correlation.identities)
    return tuple(
        person.person_id
        for person in people
        if person is not None
        and not (
            _has_key(person)
            and _looked_up("employeeNumber", person.code) == person.code
            and _looked_up("emails", person.email) == person.email
        )
    )


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
    return frozenset(index_key(kept) for name in found if (kept := _looked_up("userName", name)))


def _names(identity: Identity, person: Person) -> tuple[str, ...]:
    """A User's name is that of the account, else of a member, else e-mail or contact code."""
    accounts = (a.account.username for a in identity.accounts)
    members = (m.username for m in identity.members)
    candidates = (*accounts, *members, person.email, person.code, person.person_id)
    names = (_looked_up("userName", name.strip()) for name in candidates)
    return tuple(dict.fromkeys(name for name in names if name)) or (_stand_in(person.person_id),)


def _document(identity: Identity, person: Person, name: str) -> dict[str, Any]:
    document: dict[str, Any] = {"schemas": [USER_SCHEMA], "userName": name}
    parts = {"givenName": person.given_name, "familyName": person.family_name, "formatted": person.name}
    if shown := {key: _storable(value) for key, value in parts.items() if value}:
        document["name"] = shown
        document["displayName"] = _storable(person.name) or name
    mails = (_looked_up("emails", mail) for mail in (person.email, *(a.account.email for a in identity.accounts)))
    if mail := next(filter(None, mails), ""):
        document["emails"] = [{"value": mail, "type": "work", "primary": True}]
    if code := _looked_up("employeeNumber", person.code):
        document[ENTERPRISE_SCHEMA] = {"employeeNumber": code}
    return document


def _has_key(person: Person) -> bool:
    return _looked_up("person_id", person.person_id) == person.person_id


def _stand_in(person_id: str) -> str:
    """Give a short name that is always the same for one person."""
    return f"person-{hashlib.sha256(person_id.encode(errors='replace')).hexdigest()[:32]}"


def _looked_up(name: str, text: str) -> str:
    """Give a text as an index takes it; nothing where none does."""
    kept = _storable(text)
    return kept if is_indexable(name, kept) else ""


def _storable(text: str) -> str:
    """Give a text as every database takes it: JSON may name a NUL and half a character, UTF-8 and PostgreSQL cannot."""
    return text if text.isprintable() else text.encode(errors="replace").decode().replace("\0", "")


def _digest(values: Iterable[Any]) -> str:
    return hashlib.sha256(json.dumps(list(values), sort_keys=True).encode()).hexdigest()[:32]
