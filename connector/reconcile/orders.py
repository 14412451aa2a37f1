"""Whom an urgent termination means, and what it closes of each of their records. Pure.

Every record of one human goes together, as if all were blocked already. Several people are never chosen between, and a
contact type that is none of the person's stops the order: it is perhaps somebody else who is meant.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from connector.errors import NotAllowed, UnknownPerson
from connector.model import Account, LegKind, Reason
from connector.policy import Limits, PortalRules, Rules
from connector.reconcile.authority import Record
from connector.reconcile.correlate import Identity
from connector.reconcile.decide import Decisions
from connector.reconcile.doors import Scene, shared_sign_ins
from connector.reconcile.find_person import Found, find
from connector.reconcile.judge import Address, Judgement, Past, judge
from connector.reconcile.memory import Block
from connector.reconcile.plan import digest_of
from connector.reconcile.plan_values import PlannedLeg, Revocation
from connector.reconcile.snapshot import Snapshot
from connector.reconcile.text import fold
from connector.reconcile.wording import clean, label_of, listed, who

_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Meant:
    """One human: every record of theirs, the one that answered first, and what they are to whom."""

    identities: tuple[Identity, ...]
    contact_types: tuple[str, ...] = ()
    children: tuple[str, ...] = ()

    @property
    def records(self) -> tuple[Record, ...]:
        """The records as an order names them."""
        named = (who(identity) for identity in self.identities)
        return tuple(Record(w.key, w.person_id, w.code, w.name) for w in named)

    @property
    def label(self) -> str:
        """Name and code of the record that answered."""
        return who(self.identities[0]).label


def meant(decisions: Decisions, words: str, contact_type: str = "") -> Meant:
    """Find the one human who is meant. Raises UnknownPerson for nobody or several, NotAllowed for a wrong type."""
    humans = _humans(decisions, find(decisions, words))
    if not humans:
        raise UnknownPerson(
            f"{clean(words)!r} is a student, and nobody's contact is known.", "Type the contact's code, name or e-mail."
        )
    if len(humans) > 1:
        raise _several(humans, words)
    human = humans[0]
    if contact_type and fold(contact_type) not in map(fold, human.contact_types):
        known = listed([repr(clean(t)) for t in human.contact_types], "or") or "nobody's contact"
        raise NotAllowed(
            f"{human.label} is {known}, not {clean(contact_type)!r}. Nothing was closed.",
            "Make sure it is this person: connector explain CODE",
        )
    return human


def _humans(decisions: Decisions, found: Iterable[Found]) -> list[Meant]:
    """Put those who answered together by human, in the order in which they answered; students are not meant."""
    identities = decisions.correlation.by_key()
    humans: list[Meant] = []
    seen: set[str] = set()
    for one in found:
        if one.key in seen or (one.decision is None and one.key in decisions.school.student_records):
            continue
        keys = (one.key, *decisions.school.same_human(one.key))
        seen.update(keys)
        records = tuple(identities[key] for key in keys if key in identities)
        humans.append(_human(decisions, records, keys))
    return humans


def _human(decisions: Decisions, records: tuple[Identity, ...], keys: Sequence[str]) -> Meant:
    related = [r for r in decisions.school.reading.relationships if r.contact_id in keys]
    types = dict.fromkeys(r.contact_type for r in related if r.contact_type)
    children = dict.fromkeys(label_of(decisions, r.student_id) for r in related)
    return Meant(records, tuple(types), tuple(children))


def _several(humans: Sequence[Meant], words: str) -> UnknownPerson:
    named = [f"  {_told(human)}" for human in humans[:_MOST_NAMED]]
    more = [f"  and {len(humans) - len(named)} more"] if len(humans) > len(named) else []
    head = f"{len(humans)} different people answer to {clean(words)!r}. Nothing was closed."
    return UnknownPerson("\n".join([head, *named, *more]), "Type the contact code of the one you mean.")


def _told(human: Meant) -> str:
    kind = f", {listed([clean(t) for t in human.contact_types])}" if human.contact_types else ""
    children = f" of {listed(human.children)}" if human.children else ""
    return f"{human.label}, id {human.identities[0].key}{kind}{children}"


def as_ordered(
    judgement: Judgement,
    rules: Rules,
    portals: Sequence[PortalRules],
    limits: Limits,
    blocks: Mapping[str, Block],
    open_legs: frozenset[Address] = frozenset(),
) -> Judgement:
    """Judge again as if all of these people were blocked: its plan closes them although nothing else asks for it.

    What `open_legs` close already is left out of the plan.
    """
    memory = judgement.night.memory
    memory = replace(memory, blocks={**memory.blocks, **blocks}, requested=memory.requested | frozenset(blocks))
    as_of, now = judgement.decisions.school.as_of, judgement.night.now
    past = Past(memory, open_legs=open_legs)
    return judge(judgement.snapshot, rules, portals, limits, past, as_of, now)


def rows_of(judgement: Judgement, human: Meant) -> tuple[Revocation, ...]:
    """Give the rows of one human's records, in the order of the records."""
    found = {row.key: row for row in judgement.plan.revocations}
    return tuple(found[i.key] for i in human.identities if i.key in found)


# --- what stays -------------------------------------------------------------------------------------------------------


def rows_with_what_stays(judgement: Judgement, human: Meant) -> tuple[Revocation, ...]:
    """Give the rows, each also with what lives of that record and is not closed from here, as withheld legs.

    A certificate that left it out would say of somebody that they are out while a door of theirs stands open.
    """
    found = {row.key: row for row in rows_of(judgement, human)}
    made = (_with_what_stays(identity, found.get(identity.key), judgement) for identity in human.identities)
    return tuple(row for row in made if row is not None)


def _with_what_stays(identity: Identity, row: Revocation | None, judgement: Judgement) -> Revocation | None:
    mine = row.legs if row is not None else ()
    scene = judgement.decisions.scene
    staying = (*_staying(identity, mine, scene), *_shared_sessions(identity, judgement.snapshot, scene))
    if not staying:
        return row
    if row is not None:
        return replace(row, legs=(*mine, *staying))
    named = who(identity)
    reasons = (Reason.BLOCKED, Reason.REQUESTED) if identity.person_id else ()
    basis = digest_of([identity.key, [[leg.kind, leg.target, leg.subject] for leg in staying]])
    return Revocation(
        identity.key, identity.person_id, named.code, named.name, named.username, reasons, (), staying, (), basis,
        urgent=True,
    )  # fmt: skip


def _staying(identity: Identity, legs: Sequence[PlannedLeg], scene: Scene) -> Iterable[PlannedLeg]:
    meant = {(leg.kind, leg.target, leg.subject) for leg in legs}
    for account in (linked.account for linked in identity.accounts):
        if account.enabled and (LegKind.DIRECTORY, account.directory, account.guid) not in meant:
            yield PlannedLeg(LegKind.DIRECTORY, account.directory, account.guid, account, withheld=_why_left(account))
    for member in identity.members:
        lives = member.enabled or member.credential_lives
        if lives and (LegKind.CREDENTIAL, member.portal, member.person_id) not in meant:
            how = f"connector membership disable {member.portal} {who(identity).typed}"
            why = f"{member.portal} is not governed, its members are disabled by name: {how} --apply"
            clear, disable = member.credential_lives, member.enabled
            credential = LegKind.CREDENTIAL, member.portal, member.person_id, member, clear
            yield PlannedLeg(*credential, disable_member=disable, withheld=why)
    elsewhere = ((s.store, s.user, s.portal) for s in identity.sessions if s.portal not in scene.governed_names)
    for store, user, portal in dict.fromkeys(elsewhere):
        swept = (leg for leg in legs if (leg.kind, leg.target, leg.subject) == (LegKind.SESSIONS, store, user))
        if not any(not leg.portals or portal in leg.portals for leg in swept):
            yield PlannedLeg(LegKind.SESSIONS, store, user, portals=(portal,), withheld=f"{portal} is not governed")


def _shared_sessions(identity: Identity, snapshot: Snapshot, scene: Scene) -> Iterable[PlannedLeg]:
    """Give the live sessions that may be this person's or an entitled one's: their store knows both by one value."""
    for reading in snapshot.session_stores:
        live = {fold(session.user) for session in reading.sessions}
        for value, people in shared_sign_ins(identity, scene, (reading.user_key,)).items():
            if fold(value) in live:
                whose = listed(sorted(scene.school.people[p].code for p in people))
                why = f"sessions under {clean(value)} may be of {whose}: ask who shares it to sign out everywhere"
                yield PlannedLeg(LegKind.SESSIONS, reading.store, value, withheld=why)


def _why_left(account: Account) -> str:
    if not account.managed:
        return f"outside the managed OUs, where nothing is written; disable it by hand: {clean(account.dn)}"
    return "an entitled person claims it"
