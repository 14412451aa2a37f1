"""Verbs that answer a question about people: explain, family, changes, compare, history. They write nothing."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from connector.adapters.csv_file import csv_table, read_csv_file
from connector.app import Connector
from connector.cli.call import Call
from connector.cli.printing import Rows, heading, line, table
from connector.cli.verb import Verb
from connector.cli.words import Parts
from connector.reconcile.changes import changes as changed
from connector.reconcile.compare import ComparedRow, Side
from connector.reconcile.compare import compare as compared
from connector.reconcile.diagnose import EMPTY_PORTAL, Explanation
from connector.reconcile.diagnose import explain as explained
from connector.reconcile.family import family as household
from connector.reconcile.find_person import Found, find
from connector.reconcile.journal_values import Event, PastRun
from connector.reconcile.judge import Judgement
from connector.reconcile.report_json import plain
from connector.reconcile.wording import clean, counted

_MOST_EXPLAINED = 8


@click.command(cls=Verb)
@click.argument("words", nargs=-1, required=True)
@click.option("--symptom", type=click.Choice([EMPTY_PORTAL]), help="What they complain of: logs in and sees nothing.")
@click.pass_obj
def explain(call: Call, words: tuple[str, ...], symptom: str | None) -> None:
    """Explain one person: can they log in now and why, who closed it and when, and what to do.

    WORDS are a contact code, name, username, e-mail, mobile or child. Where several people answer, each gets their
    three lines: ask again with the contact code.
    """
    with call.connector() as connector:
        judgement = connector.look(call.as_of)
        found = find(judgement.decisions, " ".join(words))
        told = [_explained(connector, judgement, one, symptom or "") for one in found[:_MOST_EXPLAINED]]
    document = {"as_of": judgement.decisions.school.as_of, "answers": len(found), "people": [plain(e) for e in told]}
    call.answer(document, _evidence_rows(told), _explain_parts(found, told))


def _explained(connector: Connector, judgement: Judgement, found: Found, symptom: str) -> Explanation:
    past = connector.told(found.key)
    return explained(judgement.decisions, found.key, judgement.night.memory, past, symptom)


def _explain_parts(found: Sequence[Found], told: Sequence[Explanation]) -> Parts:
    if len(told) == 1:
        first, rest = told[0].lines[:3], told[0].lines[3:]
        return [*(heading(text) for text in first), *rest]
    parts: Parts = [heading(f"{counted(len(found), 'person', 'people')} answer to that.")]
    for one, explanation in zip(found, told, strict=False):
        parts += ["", heading(f"{one.label}, by {one.by}"), *(f"  {text}" for text in explanation.first_lines)]
    if len(found) > len(told):
        parts += ["", f"And {len(found) - len(told):,} more: type more of the name, or the contact code."]
    return parts


def _evidence_rows(told: Iterable[Explanation]) -> Rows:
    rows: list[tuple[Any, ...]] = []
    for e in told:
        whom = (e.person_id, e.code, e.name, e.status)
        rows += [(*whom, "first lines", text) for text in e.first_lines]
        rows += [(*whom, section.title, fact.text) for section in e.evidence for fact in section.facts]
        rows += [(*whom, "would change the outcome", text) for text in e.would_change]
    return Rows(("person_id", "code", "name", "status", "about", "text"), tuple(rows))


@click.command(cls=Verb)
@click.argument("code", metavar="CODE")
@click.pass_obj
def family(call: Call, code: str) -> None:
    """Show the household of one person and where the fault sits: fix the data, fix the rule, or raise a case.

    Every record of the same human, the children, flags, accounts, and who supersedes whom.
    """
    with call.connector() as connector:
        judgement = connector.look(call.as_of)
        found = household(judgement.decisions, connector.one(judgement, code).identity.key)
    columns = ("code", "name", "status", "reasons", "holds", "entitled", "opens", "members", "accounts")
    records = [*found.records, *found.others]
    rows = tuple(tuple(getattr(r, column) for column in columns) for r in records)
    first, *rest = found.lines
    call.answer(plain(found), Rows(columns, rows), [heading(first), *rest])


@click.command(cls=Verb)
@click.pass_obj
def changes(call: Call) -> None:
    """List what changed in the admin system since the last accepted run, person by person."""
    with call.connector() as connector:
        judgement = connector.look(call.as_of)
    before = judgement.night.baseline
    found = changed(before, judgement.decisions)
    columns = ("kind", "code", "name", "person_id", "text")
    rows = Rows(columns, tuple((c.kind.value, c.code, c.name, c.person_id, c.text) for c in found))
    document = {
        "as_of": judgement.decisions.school.as_of,
        "since": before.as_of if before else None,
        "changes": [plain(c) for c in found],
    }
    shown = [(c.kind.value, c.code, c.name, c.text) for c in found]
    title = f"Since {before.as_of}: {counted(len(found), 'change')}" if before else "Nothing to compare with"
    listing = table(("kind", "code", "name", "what"), shown) if shown else "Nothing changed."
    call.answer(document, rows, [heading(title), "", listing])


# --- compare --------------------------------------------------------------------------------------------------------


@click.command(cls=Verb)
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--portal", default="", help="Whose list it is: only what we would close in this portal.")
@click.pass_obj
def compare(call: Call, file: Path, portal: str) -> None:
    """Put our list beside the portal's own *ready to revoke* export (CSV), row by row, and say why they differ.

    The columns of the export are recognised by their titles: a contact code, a username or a name is enough.
    """
    exported = _read_export(file)
    with call.connector() as connector:
        if portal:
            connector.members.portal(portal)
        judgement = connector.look(call.as_of)
    found = compared(judgement.decisions, exported, judgement.night.memory, portal)
    columns = ("side", "code", "name", "username", "status", "reasons", "why", "line")
    rows = tuple(tuple(getattr(row, column) for column in columns) for row in found)
    call.answer([plain(row) for row in found], Rows(columns, rows), _compare_parts(found))


def _read_export(file: Path) -> list[dict[str, str]]:
    read = csv_table(read_csv_file(file))
    return [dict(zip(read.header, cells, strict=False)) for _, cells in read.rows]


def _compare_parts(found: Sequence[ComparedRow]) -> Parts:
    counts = ", ".join(f"{sum(row.side is side for row in found):,} {side.value}" for side in Side)
    shown = [(row.side.value, row.code, row.name, row.status.replace("_", " "), row.why) for row in found]
    listing: Parts = ["", table(("list", "code", "name", "status", "why"), shown)] if shown else []
    return [heading(f"{counted(len(found), 'row')}: {counts}"), *listing]


# --- history --------------------------------------------------------------------------------------------------------


@click.command(cls=Verb)
@click.argument("person", required=False)
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=1), help="How many of the newest.")
@click.pass_obj
def history(call: Call, person: str | None, limit: int) -> None:
    """Show what was done, by whom and when: of the whole school, or of one person."""
    with call.connector() as connector:
        runs = () if person else connector.journal.runs(limit)
        events = _events_of(connector, call, person, limit) if person else connector.journal.events(limit)
        zone = connector.config.site.zone
    columns = ("at", "kind", "operator", "subject", "run_id", "text")
    rows = Rows(columns, tuple((e.at, e.kind, e.operator, e.subject, e.run_id, e.text) for e in events))
    document: dict[str, Any] = {"events": [plain(e) for e in events]}
    if not person:
        document["runs"] = [_run_document(r) for r in runs]
    call.answer(document, rows, [*_run_parts(runs, zone), *_event_parts(events, zone)])


def _events_of(connector: Connector, call: Call, person: str, limit: int) -> tuple[Event, ...]:
    """Give the events of what was typed; who it is is only looked up where the journal does not know it as an id."""
    known = connector.journal.history(person, limit)
    if known:
        return known
    judgement = connector.look(call.as_of)
    return connector.journal.history(connector.one(judgement, person).identity.key, limit)


def _run_document(run: PastRun) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "kind": run.kind,
        "operator": run.operator,
        "as_of": run.as_of,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "result": run.result,
        "exit_code": run.exit_code,
        "plan_id": run.plan_id,
    }


def _run_parts(runs: Sequence[PastRun], zone: ZoneInfo) -> Parts:
    if not runs:
        return []
    columns = ("run", "kind", "as of", f"started ({zone.key})", "result", "exit", "plan", "operator")
    begun = [r.started_at.astimezone(zone) for r in reversed(runs)]
    rows = [
        (r.run_id, r.kind, r.as_of, at, r.result or "going", r.exit_code, r.plan_id, r.operator)
        for r, at in zip(reversed(runs), begun, strict=True)
    ]
    return [heading("Runs"), table(columns, rows, whole=("run", "plan")), ""]


def _event_parts(events: Sequence[Event], zone: ZoneInfo) -> Parts:
    if not events:
        return ["Nothing is known."]
    texts = [line(f"{e.at.astimezone(zone):%Y-%m-%d %H:%M:%S}  {e.operator}  {clean(e.text)}") for e in events]
    return [heading(f"What was done ({zone.key})"), *texts]
