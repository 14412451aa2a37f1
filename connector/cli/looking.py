"""Verbs that only look: check, status, memberships. They read every system and write nothing anywhere."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from connector.app import Connector
from connector.cli.call import Call
from connector.cli.documents import identity_document, membership_document, status_document, status_rows
from connector.cli.printing import Rows, heading, line, table, warning
from connector.cli.verb import Verb
from connector.cli.words import Parts
from connector.daemon.sight import KEY, finding
from connector.model import Finding, Level, Status
from connector.outgoing import unsent as unsent_mail
from connector.reconcile.authority import Due
from connector.reconcile.decide import Decision
from connector.reconcile.journal_gauges import standing
from connector.reconcile.judge import Judgement
from connector.reconcile.membership import Membership, Nightly, StrategyMatch
from connector.reconcile.plan_values import Revocation
from connector.reconcile.wording import RESTRICTED_CHILD, counted, who

_MARKS = {Level.OK: "ok", Level.WARNING: "WARNING", Level.ERROR: "ERROR"}


@click.command(cls=Verb)
@click.pass_obj
def check(call: Call) -> int:
    """Open every system read-only and decide once on trial; say what is wrong and how to mend it.

    Exits 1 where something is wrong that a run would stumble over.
    """
    with call.connector() as connector:
        findings = (*connector.check(call.as_of), *_daemon(connector))
    document = [{"level": f.level, "subject": f.subject, "message": f.message, "remedy": f.remedy} for f in findings]
    columns = ("level", "subject", "message", "remedy")
    rows = Rows(columns, tuple(tuple(str(d[c]) for c in columns) for d in document))
    failed = sum(f.level is Level.ERROR for f in findings)
    warned = sum(f.level is Level.WARNING for f in findings)
    last = f"{counted(failed, 'error')}, {counted(warned, 'warning')}."
    call.answer(document, rows, [*(part for f in findings for part in _finding_parts(f)), "", last])
    return 1 if failed else 0


def _finding_parts(finding: Finding) -> Parts:
    text = f"{_MARKS[finding.level]:<8} {finding.subject}: {finding.message}"
    shown = line(text) if finding.level is Level.OK else warning(text)
    return [shown, f"{'':<8} {finding.remedy}"] if finding.remedy else [shown]


# --- status ---------------------------------------------------------------------------------------------------------


@click.command(cls=Verb)
@click.option("--all", "everybody", is_flag=True, help="Show everybody, not only who needs somebody.")
@click.option("--status", "wanted", type=click.Choice([s.value for s in Status]), help="Only people of this status.")
@click.pass_obj
def status(call: Call, everybody: bool, wanted: str | None) -> None:
    """Say who is what and why: who should no longer get in, and who waits for a person.

    As text it shows the counts and who needs somebody, the urgent first; as JSON and CSV everybody.
    """
    with call.connector() as connector:
        judgement, due = connector.look(call.as_of), connector.urgent.due()
        untold = (*unsent_mail(connector.journal), *(f for f in _daemon(connector) if f.level is not Level.OK))
    chosen = [d for d in judgement.decisions.rows if wanted in (None, d.status.value)]
    rows = {r.key: r for r in judgement.plan.revocations}
    if call.is_text and not (everybody or wanted):
        chosen = [d for d in chosen if _needs_somebody(d)]
    chosen.sort(key=lambda d: _rank(d, rows.get(d.identity.key)))
    documents = [identity_document(d, rows) for d in chosen]
    text = _status_text(judgement, chosen, documents) + _due_parts(due, untold) if call.is_text else []
    call.answer(status_document(judgement, documents), status_rows(documents), text)


def _daemon(connector: Connector) -> Iterator[Finding]:
    """Say whether the daemon works, and its nights come."""
    if one := finding(connector.config, standing(connector.journal.store, KEY), connector.clock()):
        yield one


def _due_parts(due: Due, untold: Sequence[Finding]) -> Parts:
    """Give what an authority role has to say a word on, what could not be told, and whether nights come: at the end."""
    parts: Parts = []
    for text, fix in (*due.sentences(), *((one.message, one.remedy) for one in untold)):
        parts += ["", warning(text), f"  {fix}"]
    return parts


def _needs_somebody(decision: Decision) -> bool:
    ready = decision.status is Status.READY_TO_REVOKE
    noted = any(e.about == RESTRICTED_CHILD for e in decision.evidence)
    return ready or bool(decision.holds) or bool(decision.open_outside_scope) or noted


def _rank(decision: Decision, row: Revocation | None) -> tuple[object, ...]:
    """Urgent first, then what the next run applies, then what waits, then by contact code."""
    applies = row is not None and row.applies
    return (not decision.urgent, not applies, list(Status).index(decision.status), who(decision.identity).code)


def _status_text(judgement: Judgement, chosen: Sequence[Decision], documents: Sequence[Mapping[str, Any]]) -> Parts:
    counts = judgement.counts
    parts: Parts = [heading(f"As of {judgement.decisions.school.as_of}")]
    parts += [f"  {counts.get(s, 0):>7,}  {s.replace('_', ' ')}" for s in Status]
    parts.append(f"  {counts['pending']:>7,}  would be changed by a run now, {counts['held']:,} wait for a person")
    if counts["unmanaged"]:
        parts.append(f"  {counts['unmanaged']:>7,}  accounts without employee id and person: never touched")
    if chosen:
        parts += ["", _status_table(chosen, documents)]
    parts += _notes(chosen)
    parts += ["", "With evidence: connector plan        One person: connector explain CODE        All: --all"]
    return parts


def _status_table(chosen: Sequence[Decision], documents: Sequence[Mapping[str, Any]]) -> Any:
    columns = ("code", "name", "username", "status", "reasons", "holds")
    rows = [
        (d["code"], d["name"], d["username"], _status_words(decision), d["reasons"], d["holds"])
        for decision, d in zip(chosen, documents, strict=True)
    ]
    return table(columns, rows)


def _status_words(decision: Decision) -> str:
    return ("URGENT " if decision.urgent else "") + decision.status.replace("_", " ")


def _notes(chosen: Sequence[Decision]) -> Parts:
    """Give what stands open where the connector never writes, and what to check although nothing closes."""
    parts: Parts = [
        f"Open outside the managed OUs: {who(d.identity).label}: {dn}" for d in chosen for dn in d.open_outside_scope
    ]
    noted = [(d, e) for d in chosen for e in d.evidence if e.about == RESTRICTED_CHILD]
    parts += [f"Look: {who(d.identity).label}: {e.text}" for d, e in noted]
    return ["", *parts] if parts else []


# --- memberships ----------------------------------------------------------------------------------------------------


@click.command(cls=Verb)
@click.option("--portal", help="Only this portal.")
@click.option("--all", "everybody", is_flag=True, help="Show every member, not only mismatches and would-be members.")
@click.pass_obj
def memberships(call: Call, portal: str | None, everybody: bool) -> None:
    """List the members of every portal, whether each matches its strategy, and whom the nightly run would add."""
    with call.connector() as connector:
        if portal:
            connector.members.portal(portal)
        judgement = connector.look(call.as_of)
    rows = [m for m in judgement.memberships if portal in (None, m.portal)]
    documents = [membership_document(m) for m in rows]
    columns = ("portal", "person_id", "status", "membership_type", "strategy_match", "nightly")
    text = _membership_text(judgement, rows, everybody) if call.is_text else []
    call.answer(documents, Rows(columns, tuple(tuple(d[c] for c in columns) for d in documents)), text)


def _membership_text(judgement: Judgement, rows: Sequence[Membership], everybody: bool) -> Parts:
    parts: Parts = [table(_COUNTED, _portal_counts(rows), whole=("portal",))]
    shown = [m for m in rows if everybody or m.strategy_match is StrategyMatch.NO or m.nightly is not Nightly.NONE]
    if shown:
        parts += ["", table(_LISTED, [_membership_row(judgement, m) for m in shown], whole=("portal", "code"))]
    parts += ["", "To act on mismatches: connector membership disable-mismatched PORTAL"]
    return parts


_COUNTED = ("portal", "members", "enabled", "match", "mismatch", "n/a", "would be added")
_LISTED = ("portal", "code", "name", "status", "type", "match", "nightly")


def _portal_counts(rows: Sequence[Membership]) -> list[tuple[object, ...]]:
    found: dict[str, Counter[str]] = {}
    for row in rows:
        count = found.setdefault(row.portal, Counter())
        if row.member is None:
            count["would be added"] += 1
            continue
        match = {StrategyMatch.YES: "match", StrategyMatch.NO: "mismatch"}.get(row.strategy_match, "n/a")
        count.update({"members": 1, match: 1, "enabled": int(row.member.enabled)})
    return [(portal, *(count[c] for c in _COUNTED[1:])) for portal, count in sorted(found.items())]


def _membership_row(judgement: Judgement, row: Membership) -> tuple[object, ...]:
    person = judgement.decisions.school.people.get(row.person_id)
    code = person.code if person else (row.member.code if row.member else "") or row.person_id
    name = person.name if person else row.member.name if row.member else ""
    status = row.member.status if row.member else "would be added"
    kind = row.member.membership_type.replace("_", " ") if row.member else ""
    nightly = "" if row.nightly is Nightly.NONE else row.nightly.replace("_", " ")
    return (row.portal, code, name, status, kind, row.strategy_match, nightly)
