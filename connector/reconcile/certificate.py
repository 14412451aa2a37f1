"""The certificate of an urgent termination: one page that says who ordered it, what is closed and since when. Pure.

It says closed only of what was proven, and names what is open. Outside the authority role it never tells why.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

from connector.model import LegKind, LegState, Member
from connector.reconcile.authority import Refusal, Signature, StoredTermination
from connector.reconcile.journal_values import FINAL, Direction, StoredLeg, StoredRevocation
from connector.reconcile.report_html import page, safe
from connector.reconcile.wording import (
    ACCESS_ENDED,
    clean,
    counted,
    listed,
    moment,
    reason_words,
    said,
    zone_mark,
    zone_name,
)

_PROVEN = (LegState.CLOSED, LegState.ALREADY_CLOSED)


@dataclass(frozen=True, slots=True)
class Door:
    """One door, or the sessions in one store. `closed_at` is none while it is not proven closed."""

    record: str
    what: str
    state: LegState
    detail: str
    closed_at: datetime | None
    ended: int = 0
    effective_by: datetime | None = None
    is_sessions: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it is neither closed nor called off nor over by a time."""
        return self.state not in FINAL and self.state is not LegState.EFFECTIVE_BY


@dataclass(frozen=True, slots=True)
class Certificate:
    """What one page says. Times are in the school's zone."""

    number: int
    school: str
    made_at: datetime
    ordered_by: str
    ordered_at: datetime
    why: str
    person: str
    records: tuple[str, ...]
    doors: tuple[Door, ...]
    last_session_at: datetime | None
    signature: Signature | None
    due_at: datetime
    audit_head: str
    contact_type: str = ""
    interrupted: bool = False
    refusal: Refusal | None = None

    @property
    def open(self) -> int:
        """How many doors are open still."""
        return sum(door.is_open for door in self.doors)

    @property
    def left(self) -> int:
        """How many doors were called off or withheld: not closed by this order."""
        return sum(door.state is LegState.CALLED_OFF for door in self.doors)

    @property
    def seconds(self) -> float | None:
        """Seconds from the command to the last dead session and the last closed door so far; none: nothing was."""
        ends = [door.closed_at for door in self.doors if door.closed_at and not door.is_sessions]
        ends += [self.last_session_at] if self.last_session_at else []
        return max((max(ends) - self.ordered_at).total_seconds(), 0.0) if ends else None

    @property
    def effective_by(self) -> datetime | None:
        """The time by which what cannot be seen from here is over."""
        return max((door.effective_by for door in self.doors if door.effective_by), default=None)


def certificate(
    termination: StoredTermination,
    revocations: Iterable[StoredRevocation],
    school: str,
    made_at: datetime,
    audit_head: str,
    zone: tzinfo,
    *,
    discreet: bool,
) -> Certificate:
    """Make the certificate of an order from what the journal has of it; `discreet` outside the authority role."""
    ours = _doors_of(termination, revocations)
    labels = {record.key: record.label for record in termination.records}
    doors = [_door(r, leg, labels, zone, discreet) for r, leg in ours]
    signature = termination.signature
    return Certificate(
        termination.number,
        clean(school),
        made_at.astimezone(zone),
        clean(termination.operator),
        termination.commanded_at.astimezone(zone),
        _why(termination, ours, discreet),
        clean(termination.label),
        tuple(record.label for record in termination.records),
        tuple(doors),
        _local(_last_session(termination, ours), zone),
        replace(signature, at=signature.at.astimezone(zone)) if signature else None,
        termination.due_at.astimezone(zone),
        audit_head,
        clean(termination.contact_type),
        interrupted=termination.finished_at is None,
        refusal=_refusal(termination, zone, discreet),
    )


def _refusal(termination: StoredTermination, zone: tzinfo, discreet: bool) -> Refusal | None:
    if (refusal := termination.refusal) is None:
        return None
    return replace(refusal, at=refusal.at.astimezone(zone), reason="" if discreet else clean(refusal.reason))


def _doors_of(
    termination: StoredTermination, revocations: Iterable[StoredRevocation]
) -> list[tuple[StoredRevocation, StoredLeg]]:
    """Give every leg of these records that was not at its end when the order came, oldest first.

    What somebody opened again later, and closed again after that, is no longer this order's. A leg that another one
    stands in for (a second try, a target that could not be read at first) is left out, and so is one that only found
    closed what another order closed at the same time.
    """
    keys = {record.key for record in termination.records}
    mine = sorted((r for r in revocations if r.row.key in keys), key=lambda r: r.revocation_id)
    opened = [r.intended_at for r in mine if r.direction is Direction.OPEN and r.intended_at > termination.commanded_at]
    until = min(opened, default=None)
    legs = [
        (r, leg)
        for r in mine
        if r.direction is Direction.CLOSE and (until is None or r.intended_at < until)
        for leg in r.legs
        if leg.finished_at is None or leg.finished_at >= termination.commanded_at
    ]
    return [
        (r, leg)
        for place, (r, leg) in enumerate(legs)
        if not _stood_in_for(r, leg, legs[place + 1 :]) and not _found_again(r, leg, legs[:place])
    ]


def _found_again(
    revocation: StoredRevocation, leg: StoredLeg, earlier: Iterable[tuple[StoredRevocation, StoredLeg]]
) -> bool:
    where = leg.planned.kind, leg.planned.target, leg.planned.subject
    return (leg.state, leg.ended) == (LegState.ALREADY_CLOSED, 0) and any(
        r.row.key == revocation.row.key
        and (other.planned.kind, other.planned.target, other.planned.subject) == where
        and other.state in _PROVEN
        for r, other in earlier
    )


def _stood_in_for(
    revocation: StoredRevocation, leg: StoredLeg, later: Iterable[tuple[StoredRevocation, StoredLeg]]
) -> bool:
    planned = leg.planned
    return leg.state is LegState.CALLED_OFF and any(
        r.row.key == revocation.row.key
        and (other.planned.kind, other.planned.target) == (planned.kind, planned.target)
        and (planned.unread or other.planned.subject == planned.subject)
        for r, other in later
    )


def _why(termination: StoredTermination, ours: Sequence[tuple[StoredRevocation, StoredLeg]], discreet: bool) -> str:
    if discreet:
        return ACCESS_ENDED
    reasons = dict.fromkeys(word for r, _ in ours for word in reason_words(r.row.reasons, discreet=False))
    return f"{clean(termination.reason)}{f' ({listed(list(reasons))})' if reasons else ''}"


def _last_session(
    termination: StoredTermination, ours: Iterable[tuple[StoredRevocation, StoredLeg]]
) -> datetime | None:
    """Give when the last session was dead: as seen, or for what ended later, or by another order, when proven."""
    finished, sessions = termination.finished_at, LegKind.SESSIONS
    seen_dead = (leg for _, leg in ours if leg.planned.kind is sessions and leg.ended and not leg.effective_by)
    ended = [leg.finished_at for leg in seen_dead if leg.finished_at]
    seen = [termination.last_session_at] if termination.last_session_at else []
    later = [at for at in ended if not seen or finished is None or at > finished]
    return max([*later, *seen], default=None)


def _door(revocation: StoredRevocation, leg: StoredLeg, labels: dict[str, str], zone: tzinfo, discreet: bool) -> Door:
    return Door(
        labels.get(revocation.row.key, revocation.row.key),
        _what(leg),
        leg.state,
        said(leg.detail, discreet),
        _local(leg.finished_at, zone) if leg.state in _PROVEN else None,
        leg.ended,
        _local(leg.effective_by, zone),
        leg.planned.kind is LegKind.SESSIONS,
    )


def _what(leg: StoredLeg) -> str:
    target = clean(leg.planned.target)
    match leg.planned.kind:
        case LegKind.DIRECTORY:
            name = clean(getattr(leg.planned.before, "username", "")) or clean(leg.planned.subject)
            return f"account {name} in {target}"
        case LegKind.CREDENTIAL:
            before = leg.planned.before
            name = f" {clean(before.username)}" if isinstance(before, Member) and before.username else ""
            return f"username{name} and membership in {target}"
        case LegKind.SESSIONS:
            return f"sessions of {clean(leg.planned.subject)} in {target}"


def _local(at: datetime | None, zone: tzinfo) -> datetime | None:
    return at.astimezone(zone) if at else None


# --- in words ---------------------------------------------------------------------------------------------------------


def certificate_title(made: Certificate) -> str:
    """Give the certificate's one line."""
    return f"Urgent termination {made.number}: {made.person}: {_state(made)}"


def _state(made: Certificate) -> str:
    if made.open:
        return f"{made.open} still open"
    if made.interrupted and not made.doors:
        return "not finished"
    return f"closed, but for {counted(made.left, 'door')}" if made.left else "closed"


def facts(made: Certificate) -> tuple[tuple[str, str], ...]:
    """Give what the certificate says beside the doors, label and words."""
    return (
        ("Person", f"{made.person}{f', as {made.contact_type}' if made.contact_type else ''}"),
        ("Records", listed(made.records)),
        ("Ordered by", f"{made.ordered_by}, {_to_the_second(made.ordered_at)}"),
        ("Why", made.why),
        ("Last session at", _to_the_second(made.last_session_at) or _no_session(made)),
        ("Seconds", _seconds(made)),
        ("Effective by", _effective_by(made)),
        ("Countersigned by", _signed(made)),
        ("Audit head", made.audit_head),
    )


def _signed(made: Certificate) -> str:
    if made.signature:
        return made.signature.sentence
    if made.refusal:
        why = f": {made.refusal.reason}" if made.refusal.reason else ""
        return f"REFUSED by {made.refusal.sentence}{why}. Nothing was opened by that"
    return f"due until {moment(made.due_at)}"


def _no_session(made: Certificate) -> str:
    # What was ended and not written down before it was cut off is not known: never say that there was nothing.
    return "not known: it is going, or was interrupted" if made.interrupted else "no live session was found"


def _to_the_second(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}{zone_mark(at)}" if at else ""


def _made_at(made: Certificate) -> str:
    return f"Made {_to_the_second(made.made_at)} ({zone_name(made.made_at)})"


def _seconds(made: Certificate) -> str:
    if made.seconds is None:
        return "nothing is closed yet" if made.open or made.interrupted else "nothing had to be closed"
    so_far = f", so far: {counted(made.open, 'door')} still open" if made.open else ""
    return f"{made.seconds:.1f} from the command to the last closed door and the last dead session{so_far}"


def _effective_by(made: Certificate) -> str:
    if made.effective_by is None:
        return _effective(made)
    over = not any(door.state is LegState.EFFECTIVE_BY for door in made.doors)
    return f"{moment(made.effective_by)}{', which has passed' if over else ''}"


def _effective(made: Certificate) -> str:
    if made.interrupted and (made.open or not made.doors):
        return "not known: it is going, or was interrupted. To finish it: type it again, or connector resume --apply"
    if made.open:
        return "not yet: see what is open"
    return "now, but for what is NOT closed by this" if made.left else "now"


def door_words(door: Door) -> str:
    """Say what became of one door."""
    ended = f", {counted(door.ended, 'session')} ended" if door.ended else ""
    if door.effective_by and door.closed_at:
        return f"effective since {moment(door.effective_by)}{ended}"
    if door.closed_at:
        already = " (found closed)" if door.state is LegState.ALREADY_CLOSED and not door.ended else ""
        return f"closed {_to_the_second(door.closed_at)}{already}{ended}"
    if door.state is LegState.EFFECTIVE_BY:
        return f"ends by {moment(door.effective_by)}{ended}"
    state = "NOT closed by this" if door.state is LegState.CALLED_OFF else f"OPEN ({door.state})"
    return f"{state}{f': {door.detail}' if door.detail else ''}{ended}"


def certificate_text(made: Certificate) -> str:
    """Lay the certificate out as text."""
    lines = [f"CERTIFICATE  {made.school}", certificate_title(made), ""]
    lines += [f"{label:<18}{words}" for label, words in facts(made)]
    lines += ["", "Doors"]
    lines += [f"  {door.record}: {door.what}: {door_words(door)}" for door in made.doors] or [
        "  nothing of theirs lived"
    ]
    return "\n".join([*lines, "", _made_at(made), ""])


def certificate_html(made: Certificate) -> str:
    """Lay the certificate out as one self-contained HTML page."""
    return page(certificate_title(made), _html(made))


def _html(made: Certificate) -> Iterable[str]:
    yield f"<h1>{safe(certificate_title(made))}</h1>"
    yield f'<p class="quiet">{safe(made.school)}. {safe(_made_at(made))}</p>'
    yield '<table class="facts"><tbody>'
    yield from (f'<tr><th scope="row">{safe(label)}</th><td>{safe(words)}</td></tr>' for label, words in facts(made))
    yield "</tbody></table>"
    yield "<h2>Doors</h2>"
    yield '<table><thead><tr><th scope="col">Whose</th><th scope="col">Door</th><th scope="col">State</th></tr></thead>'
    yield "<tbody>"
    yield from (_html_door(door) for door in made.doors)
    yield "</tbody></table>"
    if not made.doors:
        yield "<p>Nothing of theirs lived.</p>"


def _html_door(door: Door) -> str:
    warns = ' class="warns"' if door.is_open or door.state is LegState.CALLED_OFF else ""
    who = f'<td class="who"><bdi>{safe(door.record)}</bdi></td>'
    return f'<tr{warns}>{who}<td class="what">{safe(door.what)}</td><td>{safe(door_words(door))}</td></tr>'
