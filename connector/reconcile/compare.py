"""Our ready-to-revoke list beside the portal's own export, row by row, and why they differ. Pure.

Neither list is taken to be right: each difference is explained by what the admin system says. It reads no file.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from connector.errors import SourceError
from connector.model import Reason, Status
from connector.policy import PortalRules, Strategy
from connector.reconcile.access_dates import access_until, in_grace
from connector.reconcile.advice import standing_holds
from connector.reconcile.correlate import Identity
from connector.reconcile.decide import Decision, Decisions
from connector.reconcile.find_person import name_parts
from connector.reconcile.memory import Memory
from connector.reconcile.standing_words import entitled_because
from connector.reconcile.text import fold
from connector.reconcile.wording import clean, day, label_of, listed, reason_words, spoken_all, who

_TONIGHT = timedelta(days=2)
"""What became so this recently may not have reached a portal that syncs once a night."""


class Side(StrEnum):
    """Where a row stands."""

    BOTH = "both"
    OURS = "only ours"
    THEIRS = "only theirs"


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of an export are which; empty where there is none."""

    code: str = ""
    username: str = ""
    name: str = ""
    given_name: str = ""
    family_name: str = ""


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One person on one or both lists. `line` is the row of their export, from 1; none where it has none."""

    side: Side
    code: str
    name: str
    username: str
    status: str
    reasons: tuple[str, ...]
    why: str
    key: str = ""
    line: int | None = None


_KNOWN: Mapping[str, frozenset[str]] = {
    "code": frozenset(
        [
            "code",
            "contactcode",
            "personcode",
            "seqtacode",
            "portalcode",
            "teachcode",
            "engagecode",
            "guardiancode",
            "parentcode",
            "usercode",
            "employeeid",
            "externalid",
        ]
    ),
    "username": frozenset(
        ["username", "user", "login", "loginname", "userid", "account", "accountname", "samaccountname"]
    ),
    "name": frozenset(["name", "fullname", "displayname", "contact", "contactname", "guardian", "parent", "person"]),
    "given_name": frozenset(["givenname", "firstname", "preferredname", "first", "given"]),
    "family_name": frozenset(["familyname", "lastname", "surname", "last", "family"]),
}


def recognise(header: Sequence[str]) -> Columns:
    """Find the columns of an export by their titles. Raises SourceError where no code, username or name is there."""
    found: dict[str, str] = {}
    for title in header:
        plain = "".join(name_parts(title))
        for column, titles in _KNOWN.items():
            if plain in titles:
                found.setdefault(column, title)
    columns = Columns(**found)
    if not (columns.code or columns.username or columns.name or columns.family_name):
        seen = ", ".join(clean(h) for h in header) or "none"
        raise SourceError(
            f"The export has no column for a contact code, a username or a name; its columns are: {seen}.",
            "Export the list with its heading row, or name a column Code, Username or Name.",
        )
    return columns


def compare(
    decisions: Decisions,
    rows: Sequence[Mapping[str, str]],
    memory: Memory | None = None,
    portal: str = "",
    *,
    discreet: bool = False,
) -> tuple[ComparedRow, ...]:
    """Put both lists side by side. `portal` limits ours to what is closed there; `rows` are their export's."""
    if not rows:
        return tuple(_only_ours(d, decisions, discreet) for d in _ours(decisions, portal))
    columns = recognise(list(rows[0]))
    view = _View(decisions, decisions.by_key(), memory or Memory(), columns, _index(decisions), discreet)
    found: list[ComparedRow] = []
    seen: dict[str, int] = {}
    ours = {d.identity.key: d for d in _ours(decisions, portal)}
    for line, row in enumerate(rows, start=1):
        found.append(_their_row(row, line, ours, seen, view))
    return (*found, *(_only_ours(d, decisions, discreet) for key, d in ours.items() if key not in seen))


def _ours(decisions: Decisions, portal: str) -> list[Decision]:
    ready = (d for d in decisions.rows if d.status is Status.READY_TO_REVOKE)
    return [d for d in ready if not portal or portal in d.closing]


Index = Mapping[tuple[str, str], list[Identity]]


@dataclass(frozen=True, slots=True)
class _View:
    """What every row is held against."""

    decisions: Decisions
    decided: Mapping[str, Decision]
    memory: Memory
    columns: Columns
    index: Index
    discreet: bool


def _index(decisions: Decisions) -> Index:
    """Index every identity by what an export may call it."""
    found: dict[tuple[str, str], list[Identity]] = defaultdict(list)
    for identity in decisions.correlation.identities:
        for key in dict.fromkeys(_called(identity)):
            if key[1]:
                found[key].append(identity)
    return found


def _called(identity: Identity) -> Iterable[tuple[str, str]]:
    called = who(identity)
    yield "code", fold(called.code)
    yield from (("code", fold(m.code)) for m in identity.members)
    yield from (("username", fold(m.username)) for m in identity.members)
    yield from (("account", fold(a.account.username)) for a in identity.accounts)
    yield "name", " ".join(sorted(name_parts(called.name)))
    if identity.person:
        yield from (("previous", fold(code)) for code in identity.person.previous_codes)


@dataclass(frozen=True, slots=True)
class _Theirs:
    """What one row of their export says."""

    code: str
    username: str
    name: str

    @property
    def called(self) -> str:
        return listed([clean(t) for t in (self.name, self.code, self.username) if t], "and") or "an empty row"


def _read(row: Mapping[str, str], columns: Columns) -> _Theirs:
    def cell(title: str) -> str:
        return (row.get(title) or "").strip().lstrip("'") if title else ""

    name = cell(columns.name) or f"{cell(columns.given_name)} {cell(columns.family_name)}".strip()
    return _Theirs(cell(columns.code), cell(columns.username), name)


def _match(theirs: _Theirs, index: Index) -> tuple[list[Identity], str]:
    """Give who a row is, by code, username, account, earlier code, name; and what contradicts it."""
    keys = (
        ("code", fold(theirs.code)),
        ("username", fold(theirs.username)),
        ("account", fold(theirs.username)),
        ("previous", fold(theirs.code)),
        ("name", " ".join(sorted(name_parts(theirs.name)))),
    )
    hits = [index.get(key, []) for key in keys if key[1]]
    first = next((h for h in hits if h), [])
    by_code, by_name = index.get(keys[0], []), index.get(keys[1], [])
    if by_code and by_name and not {i.key for i in by_code} & {i.key for i in by_name}:
        other = listed([who(i).label for i in by_name])
        return first, f" Their row's username {clean(theirs.username)} is {other}'s."
    return first, ""


def _their_row(
    row: Mapping[str, str], line: int, ours: Mapping[str, Decision], seen: dict[str, int], view: _View
) -> ComparedRow:
    theirs = _read(row, view.columns)
    hits, note = _match(theirs, view.index)
    hits = [h for h in hits if h.key in ours] or hits
    if len(hits) != 1:
        why = _nobody(theirs) if not hits else f"{len(hits)} people answer to {theirs.called}; give the code."
        code, name, username = clean(theirs.code), clean(theirs.name), clean(theirs.username)
        return ComparedRow(Side.THEIRS, code, name, username, "", (), why, "", line)
    identity = hits[0]
    if identity.key in seen:
        note += f" Listed twice: line {seen[identity.key]} too."
    seen.setdefault(identity.key, line)
    if decision := ours.get(identity.key):
        return _row(Side.BOTH, decision, _both(decision, view) + note, view.discreet, line)
    decided = view.decided.get(identity.key) or Decision(identity, Status.NONE)
    return _row(Side.THEIRS, decided, _why_theirs(decided, view) + note, view.discreet, line)


def _row(side: Side, decision: Decision, why: str, discreet: bool, line: int | None = None) -> ComparedRow:
    called = who(decision.identity)
    reasons = reason_words(decision.reasons, discreet)
    return ComparedRow(
        side, called.code, called.name, called.username, decision.status.value, reasons, why, called.key, line
    )


def _nobody(theirs: _Theirs) -> str:
    return f"nobody we read is {theirs.called}: the export is older or newer than our reading, or the record is gone."


def _both(decision: Decision, view: _View) -> str:
    if holds := standing_holds(decision, view.memory):
        return f"held: {', '.join(holds)}."
    return "only reported, by the school's policy." if decision.reported_only else "closes with the next run."


def _why_theirs(decision: Decision, view: _View) -> str:
    """Say why they list somebody we do not close."""
    identity = decision.identity
    match decision.status:
        case Status.ACTIVE | Status.READY_TO_PROVISION:
            return _why_entitled(identity, view)
        case Status.READY_TO_REVOKE:
            return f"ready to revoke too, but elsewhere: {listed(decision.closing) or 'its directory account'}."
        case Status.REVOKED:
            return "closed already; their export is older, or only its record is left."
        case Status.NONE:
            return "nothing of it is open that we can see."


def _why_entitled(identity: Identity, view: _View) -> str:
    decisions = view.decisions
    entitled = decisions.scene.claims.portals_of(identity.person_id)
    rules = [p for p in decisions.scene.portals if p.name in entitled]
    rules.sort(key=lambda p: (not p.governed, p.strategy is not Strategy.CONTACTS))
    if grace := _grace(identity, rules, decisions):
        return grace
    others = [o for o in decisions.school.same_human(identity.person_id or "") if _is_closing(o, view)]
    if others:
        old = listed([label_of(decisions, o) for o in others])
        return f"ours: this is the record that stays, and {old} is the old one."
    return f"ours: entitled to {rules[0].name}, because {entitled_because(decisions, identity, rules[0])}."


def _grace(identity: Identity, rules: Sequence[PortalRules], decisions: Decisions) -> str:
    """Say until when somebody is in grace, where every child that still counts has left."""
    school, person_id = decisions.school, identity.person_id or ""
    counting = [s for s in school.standings(person_id) if s.counts]
    if rules[0].strategy is not Strategy.CONTACTS or not counting:
        return ""
    if not all(in_grace(school, s.relationship.student_id) for s in counting):
        return ""
    return f"ours: in grace until {day(access_until(school, rules[0], person_id))}."


def _is_closing(person_id: str, view: _View) -> bool:
    decision = view.decided.get(person_id)
    return decision is not None and decision.status is Status.READY_TO_REVOKE


def _only_ours(decision: Decision, decisions: Decisions, discreet: bool) -> ComparedRow:
    evidence = spoken_all([e for e in decision.evidence if e.about in decision.reasons], discreet)
    texts = [e.text for e in evidence if e.about != Reason.HALF_REVOKED] or [e.text for e in evidence]
    quiet = discreet and _is_confidential(decision, decisions)
    guess = next((text for fits, text in _GUESSES if not quiet and fits(decision, decisions)), _NO_GUESS)
    return _row(Side.OURS, decision, f"{guess}; ours: {texts[0] if texts else 'no rule explains it'}.", discreet)


Guess = Callable[[Decision, Decisions], bool]


def _nothing_in_portal(decision: Decision, _: Decisions) -> bool:
    return not decision.legs.clear_credential and not decision.legs.disable_member


def _new_tonight(decision: Decision, decisions: Decisions) -> bool:
    """What makes it ready became so in the last days: an exit, an end, a role."""
    if frozenset({Reason.NO_STUDENT_AT_SCHOOL, Reason.ROLE_ENDED}).isdisjoint(decision.reasons):
        return False
    school, person_id = decisions.school, decision.identity.person_id or ""
    links = school.relationships.get(person_id, ())
    ends = [r.ended_on for r in links]
    ends += [e.exit_date for r in links for e in school.enrolments.get(r.student_id, ())]
    ends += [g.ends_on for g in school.grants.get(person_id, ())]
    return any(e and school.as_of - _TONIGHT <= e <= school.as_of for e in ends)


def _has(*reasons: Reason) -> Guess:
    return lambda decision, _: not frozenset(reasons).isdisjoint(decision.reasons)


_is_confidential = _has(Reason.RESTRICTED, Reason.BLOCKED)
_NO_GUESS = "theirs has another rule or older data"
_GUESSES: tuple[tuple[Guess, str], ...] = (
    (_nothing_in_portal, "the portal's part is closed; only directory account or sessions are left"),
    (_has(Reason.RESTRICTED, Reason.BLOCKED, Reason.REQUESTED), "decided outside the portal's list"),
    (_new_tonight, "theirs has not the sync of tonight"),
    (_has(Reason.SUPERSEDED), "theirs does not know that both records are one person"),
    (_has(Reason.CONTACT_MISSING), "theirs still has a record that left the admin system"),
    (_has(Reason.ROLE_ENDED), "theirs lists contacts only"),
)
