"""Tells one level up, once, of what needs somebody and was left alone for too long.

It remembers since when each thing stands. Whatever somebody does about it ends that: released, kept, approved, closed,
gone. Must never count what waits for time only: a list of those would be read by nobody.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connector.daemon.duties import AT_NIGHT, CAUGHT_UP, RETRY
from connector.daemon.errand import Ran, Scene
from connector.daemon.letters import Notice, notice_letter
from connector.daemon.reporting import STATE
from connector.daemon.telling import audit_head, known, names_a, put_letter, remember, stamp
from connector.model import Hold, LegState
from connector.post import Letter
from connector.reconcile import refusals
from connector.reconcile.advice import BY_ITSELF, hold_advice
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import Direction, OpenLeg
from connector.reconcile.leg_words import NEEDS_SOMEBODY
from connector.reconcile.plan import hold_digest
from connector.reconcile.plan_values import Objection, Plan, Revocation
from connector.reconcile.report import ReportLine, ReportSection
from connector.reconcile.running import RunResult
from connector.reconcile.wording import ACCESS_ENDED, Who, clean, counted, moment, said

NEEDS = "needs"
"""Under this name stands what needs somebody, and since when."""

_NIGHT_FAILED = "night"

_LASTING = {"objection": 1}
"""How many parts of what a need is about last as long as the need does (else two): a digest changes every night."""


@dataclass(frozen=True, slots=True)
class Need:
    """Something that needs somebody. `kind` and `about` say what would be somebody's doing about it.

    `label`, `what`, `to_do` and `commands` are what people read; `told` is whether it was told one level up, `letter`
    the name of the mail that told of it first.
    """

    kind: str
    about: tuple[str, ...]
    label: str
    what: str
    to_do: str
    commands: tuple[str, ...]
    since: str = ""
    told: bool = False
    letter: str = ""

    @property
    def key(self) -> str:
        """The same as long as it is the same need."""
        return " ".join((self.kind, *self.about[: _LASTING.get(self.kind, 2)]))


class Untouched:
    """Keeps the list of needs, and tells of the old ones."""

    def after(self, scene: Scene, ran: Ran) -> None:
        """Learn from a run what needs somebody now."""
        if not _is_asked(scene) or ran.cause == RETRY:
            return
        before = _remembered(scene)
        if ran.result is not None:
            found = _needs(scene.connector.journal, ran.result, scene.connector.config.site.zone)
            now = (*found, *_as_before(ran.result, before))
        elif ran.cause in (AT_NIGHT, CAUGHT_UP):
            now = (*before.values(), _failed())
        else:
            return
        letter = str(known(scene, STATE).get("letter", ""))
        _keep(scene, [_since(need, before, scene.now, letter) for need in {n.key: n for n in now}.values()])

    def every_minute(self, scene: Scene) -> None:
        """Tell of what has stood too long, unless somebody has done something about it since."""
        if not _is_asked(scene):
            return
        needs = _remembered(scene)
        late = [n for n in needs.values() if not n.told and _is_late(scene, n)]
        if not late:
            return
        standing = [need for need in late if _stands(scene, need)]
        if standing:
            put_letter(scene, _letter(scene, standing))
        gone = {need.key for need in late} - {need.key for need in standing}
        told = {need.key for need in standing}
        _keep(scene, [replace(n, told=n.told or n.key in told) for n in needs.values() if n.key not in gone])


def _is_asked(scene: Scene) -> bool:
    reports = scene.connector.config.reports
    return reports.mail is not None and bool(reports.escalate_to)


# --- what needs somebody ---------------------------------------------------------------------------------------------


def _needs(journal: Journal, result: RunResult, zone: ZoneInfo) -> Iterator[Need]:
    plan = result.judgement.plan
    for objection in result.stopped:
        yield _of_objection(objection, plan)
    for row in () if _is_unbelieved(result) else plan.revocations:
        yield from _of_row(row)
    for leg in result.open_legs:
        if leg.state in NEEDS_SOMEBODY and leg.direction is Direction.CLOSE:
            yield _of_leg(leg)
    for refused in refusals.lately(journal, zone):
        label = clean(refused.client)
        yield Need("provider", (label,), label, "too-many", refused.text, (refused.command,))


def _is_unbelieved(result: RunResult) -> bool:
    return any(objection.is_of_source for objection in result.stopped)


def _as_before(result: RunResult, before: Mapping[str, Need]) -> Iterator[Need]:
    """Give the rows that waited before a source could not be believed: on its word none is there, and none is gone."""
    if _is_unbelieved(result):
        yield from (need for need in before.values() if need.kind in ("hold", "urgent"))


def _of_objection(objection: Objection, plan: Plan) -> Need:
    label, text = clean(objection.label), said(objection.text, discreet=True)
    about = (objection.label, plan.digest)
    if text != clean(objection.text):
        return Need("objection", about, "The plan", ACCESS_ENDED, "Ask the authority role.", ())
    commands = tuple(clean(command) for command in objection.commands)
    return Need("objection", about, "The plan", label, f"{text} {clean(objection.fix)}", commands)


def _of_row(row: Revocation) -> Iterator[Need]:
    whom = Who(row.key, row.person_id, clean(row.code), clean(row.name), clean(row.username))
    if Hold.KEEP in row.holds and not row.urgent:
        return  # somebody's word: it was touched
    for hold in row.holds:
        if row.urgent or hold not in BY_ITSELF:
            advice = hold_advice(hold, whom)
            digest = hold_digest(hold, row.reasons, row.evidence)
            # An urgent row is blocked by somebody's word already: that is no doing about its hold.
            kind = "urgent" if row.urgent else "hold"
            about = (row.key, hold.value, row.person_id or "", digest)
            yield Need(kind, about, whom.label, hold.value, advice.text, advice.commands)


def _of_leg(leg: OpenLeg) -> Need:
    whom = Who(leg.key, leg.person_id, clean(leg.code), clean(leg.name), "")
    what, about = f"{leg.planned.target}: {leg.state}", (str(leg.leg_id), leg.state.value)
    commands = (f"connector explain {whom.typed}",) if leg.state is LegState.CONFLICT else ("connector resume --apply",)
    return Need("leg", about, whom.label, clean(what), said(leg.detail, discreet=True), commands)


def _failed() -> Need:
    to_do = "No night has come to its end since then; the mails of those nights say why."
    return Need(_NIGHT_FAILED, (), "The night", "failed", to_do, ("connector check",))


# --- since when, and whether still -----------------------------------------------------------------------------------


def _since(need: Need, before: Mapping[str, Need], now: datetime, letter: str) -> Need:
    old = before.get(need.key)
    if old and datetime.fromisoformat(old.since) <= now:  # else a clock that was ahead wrote it: it would never be late
        return replace(need, since=old.since, told=old.told, letter=old.letter)
    return replace(need, since=now.isoformat(), letter=letter)


def _is_late(scene: Scene, need: Need) -> bool:
    hours = timedelta(hours=scene.connector.config.reports.untouched_hours)
    return scene.now - datetime.fromisoformat(need.since) >= hours


def _stands(scene: Scene, need: Need) -> bool:
    """Say whether nobody did anything about it since the last run that saw it."""
    journal = scene.connector.journal
    match need.kind, need.about:
        case "objection", (label, digest):
            return all(label not in approval.waivers for approval in journal.standing_approvals(digest))
        case "hold", (key, hold, person_id, digest):
            return _is_held(scene, (key, Hold(hold), digest), person_id)
        case "leg", (number, state):
            return any((str(leg.leg_id), leg.state.value) == (number, state) for leg in journal.open_legs())
        case _:
            return True


def _is_held(scene: Scene, held: tuple[str, Hold, str], person_id: str) -> bool:
    memory = scene.connector.journal.memory(scene.connector.today())
    released = any((r.key, r.hold, r.evidence_digest) == held for r in memory.releases)
    return not (released or person_id in memory.keeps or person_id in memory.blocks)


# --- telling and remembering -----------------------------------------------------------------------------------------


def _letter(scene: Scene, needs: Sequence[Need]) -> Letter:
    config = scene.connector.config
    hours, zone = counted(config.reports.untouched_hours, "hour"), config.site.zone
    lines = tuple(_line(need, zone) for need in needs)
    title = f"Untouched for {hours}"
    subject = f"{len(needs):,} untouched for {hours} ({clean(config.school.name)})"
    lead = ("This needs somebody, and nobody has done anything about it. You are told once.",)
    name = names_a(config, "untouched", stamp(scene.now))
    notice = Notice(subject, lead, (ReportSection("untouched", title, lines, "connector status"),), audit_head(scene))
    mail = config.reports.mail
    to = dict.fromkeys((*(mail.to if mail else ()), *config.reports.escalate_to))
    first = next((need.letter for need in sorted(needs, key=lambda n: n.since) if need.letter), "")
    return notice_letter(name, notice, tuple(to), first)


def _line(need: Need, zone: ZoneInfo) -> ReportLine:
    since = datetime.fromisoformat(need.since)
    text = f"since {moment(since.astimezone(zone))}"
    return ReportLine(need.label, need.what, text, need.to_do, need.commands, since, need.key, warns=True)


def _remembered(scene: Scene) -> dict[str, Need]:
    """Give what stands. What cannot be read counts as forgotten: at worst it is told later."""
    try:
        found = [_need(fields) for fields in known(scene, NEEDS).get("needs", ())]
    except (TypeError, ValueError):
        return {}
    return {need.key: need for need in found}


def _need(fields: Mapping[str, Any]) -> Need:
    need = Need(**fields)
    datetime.fromisoformat(need.since)
    return replace(need, about=tuple(need.about), commands=tuple(need.commands))


def _keep(scene: Scene, needs: Sequence[Need]) -> None:
    remember(scene, NEEDS, {"needs": [asdict(need) for need in needs]})
