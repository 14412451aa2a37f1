"""Verbs that apply: run, resume, rollover. From a terminal they are dry runs unless somebody says --apply."""

from collections.abc import Callable
from typing import Any

import click

from connector.cli.call import PENDING, Call, is_interactive
from connector.cli.documents import addition_document, leg_document, objection_document, revocation_document
from connector.cli.printing import Rows, heading, warning
from connector.cli.verb import Group, Verb
from connector.cli.words import (
    NOT_KEPT,
    Parts,
    addition_line,
    closing_words,
    notes,
    objection_parts,
    open_change_words,
    open_leg_words,
    open_parts,
    plan_parts,
)
from connector.reconcile.journal_values import OpenChange, OpenLeg
from connector.reconcile.plan_values import Revocation
from connector.reconcile.running import RunResult
from connector.reconcile.wording import counted

_PREVIEWED = "previewed"
_REPORTED = "reported"
_HOW = "From a terminal this is a dry run unless you say --apply; unattended (cron, a service) it applies."


_RUN = f"""Run once: finish what is open, then apply what is ready to be closed or added.

{_HOW} In report mode (see go-live) only an approved plan named with --plan is applied. Exits 3 where an objection
stopped it, 4 where revocations stand open.
"""
_RESUME = f"""Finish what is open: drive every open revocation to its end, and begin nothing new.

Before an open leg is driven, its person is decided again. {_HOW}
"""


def _asked(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Take --apply and --dry-run as one answer."""
    dry = click.option("--dry-run", is_flag=True, help="Only say what would happen.")
    return click.option("--apply", is_flag=True, help="Really do it, also from a terminal.")(dry(verb))


def _is_dry(apply: bool, dry_run: bool) -> bool:
    if apply and dry_run:
        raise click.UsageError("--apply and --dry-run exclude each other.")
    return dry_run or (is_interactive() and not apply)


@click.command(cls=Verb, help=_RUN)
@click.option("--plan", "plan_id", default="", metavar="ID", help="Apply this kept plan, as far as it still fits.")
@_asked
@click.pass_obj
def run(call: Call, plan_id: str, apply: bool, dry_run: bool) -> int:
    """Run once."""
    dry = _is_dry(apply, dry_run)
    with call.connector() as connector:
        result = connector.run(call.as_of, plan_id, dry=dry)
        unsent = () if dry else connector.summons.of_run(result)
        waived = connector.running().waived(result.judgement.plan)
        live = connector.is_live
    objections = result.judgement.plan.objections
    document = _run_document(result)
    if dry:
        parts = plan_parts(result.judgement.plan, [o.label for o in objections if o not in result.stopped])
        parts += [*_skipped(result), *open_parts(result.open_legs, result.open_changes)]
    else:
        parts = _run_parts(result)
        # A reported run shows its whole plan, objections included.
        parts += [] if result.result == _REPORTED else objection_parts(result.stopped, waived)
    if not (live or plan_id):
        parts += ["", "Report mode: nothing is applied until somebody runs: connector go-live"]
    parts += ["", NOT_KEPT] if dry and result.stopped and not plan_id else []
    parts += [warning(text) for text in unsent]
    call.answer({**document, "unsent": list(unsent)}, _run_rows(result), parts)
    if dry and not result.stopped:
        call.dry_run(would_change=result.exit_code == PENDING)
    return result.exit_code


@click.command(cls=Verb, help=_RESUME)
@_asked
@click.pass_obj
def resume(call: Call, apply: bool, dry_run: bool) -> int:
    """Finish what is open."""
    if _is_dry(apply, dry_run):
        with call.connector() as connector:
            legs, changes = connector.journal.open_legs(), connector.journal.open_changes()
        text = open_parts(legs, changes) or ["Nothing is open."]
        call.answer({"dry_run": True, **_open_document(legs, changes)}, _open_rows(legs, changes), text)
        return call.dry_run(would_change=bool(legs or changes))
    with call.connector() as connector:
        result = connector.resume(call.as_of)
    call.answer(_run_document(result), _run_rows(result), _run_parts(result))
    return result.exit_code


def _run_parts(result: RunResult) -> Parts:
    """Say what a run did, in the order in which it did it."""
    applied, added = counted(len(result.applied), "person", "people"), counted(len(result.added), "member")
    did = result.result in ("applied", "stopped", "urgent-only")
    done = f"{applied} revoked, {added} added" if did else "nothing new applied"
    parts: Parts = [heading(f"Run {result.run_id} {result.result}: {done}")]
    if result.resumed:
        parts.append(f"Driven from earlier: {counted(result.resumed, 'leg or change', 'legs and changes')}")
    if result.reswept:
        parts.append(f"Sessions of people closed lately that had come back, ended again: {result.reswept}")
    parts += [f"Called off: {leg.code or leg.key} {leg.name}: {why}" for leg, why in result.called_off]
    parts += [part for row in result.applied for part in _applied_parts(row)]
    parts += [addition_line(a) for a in result.added]
    parts += _skipped(result)
    parts += [f"Left for the next run: {key} is being changed by somebody else" for key in result.busy]
    parts += open_parts(result.open_legs, result.open_changes)
    unread = result.judgement.plan.unread
    parts += notes("Could not be read", unread)
    if result.result == _REPORTED:
        parts += plan_parts(result.judgement.plan, [])
    elif not (unread or result.open_legs or result.open_changes or result.stopped or result.busy):
        parts += ["", "Every effect was read back. The proof: run it again, it finds nothing to do."]
    return parts


def _applied_parts(row: Revocation) -> Parts:
    title = f"  {row.code or row.key}  {row.name}  ({', '.join(r.value for r in row.reasons)})"
    return [title, *(f"      {closing_words(leg)}" for leg in row.legs)]


def _skipped(result: RunResult) -> Parts:
    return [f"Skipped: {row.code or row.key} {row.name} {why}" for row, why in result.skipped]


def _run_document(result: RunResult) -> dict[str, Any]:
    return {
        "run_id": result.run_id or None,
        "dry_run": result.result == _PREVIEWED,
        "as_of": result.judgement.decisions.school.as_of.isoformat(),
        "result": result.result,
        "exit_code": result.exit_code,
        "plan_id": result.judgement.plan.plan_id,
        "pending": result.judgement.plan.pending,
        "applied": [revocation_document(r) for r in result.applied],
        "added": [addition_document(a) for a in result.added],
        "stopped": [objection_document(o, waived=False) for o in result.stopped],
        "skipped": [{"person_id": r.person_id, "code": r.code, "why": why} for r, why in result.skipped],
        "unread": list(result.judgement.plan.unread),
        "resumed": result.resumed,
        "reswept": result.reswept,
        "busy": list(result.busy),
        "called_off": [{"person_id": leg.person_id, "code": leg.code, "why": why} for leg, why in result.called_off],
        **_open_document(result.open_legs, result.open_changes),
    }


def _open_document(legs: tuple[OpenLeg, ...], changes: tuple[OpenChange, ...]) -> dict[str, Any]:
    return {
        "open_legs": [open_leg_document(leg) for leg in legs],
        "open_changes": [{"text": open_change_words(c).strip(), "state": c.state.value} for c in changes],
    }


def open_leg_document(leg: OpenLeg) -> dict[str, Any]:
    """Give one leg that is not at its end."""
    whom = {"revocation": leg.revocation_id, "person_id": leg.person_id, "code": leg.code, "name": leg.name}
    return {**whom, **leg_document(leg.planned), "state": leg.state.value, "detail": leg.detail}


def _run_rows(result: RunResult) -> Rows:
    columns = ("outcome", "code", "name", "person_id", "what")
    rows: list[tuple[Any, ...]] = [
        ("revoked", r.code, r.name, r.person_id, [closing_words(leg) for leg in r.legs]) for r in result.applied
    ]
    rows += [("added", a.code, a.name, a.person_id, a.portal) for a in result.added]
    rows += [("skipped", r.code, r.name, r.person_id, why) for r, why in result.skipped]
    rows += [("called off", leg.code, leg.name, leg.person_id, why) for leg, why in result.called_off]
    rows += [("stopped", "", "", "", f"{o.label}: {o.text}") for o in result.stopped]
    return Rows(columns, (*rows, *_open_rows(result.open_legs, result.open_changes).rows))


def _open_rows(legs: tuple[OpenLeg, ...], changes: tuple[OpenChange, ...]) -> Rows:
    rows: list[tuple[Any, ...]] = [
        ("open", leg.code, leg.name, leg.person_id, open_leg_words(leg).strip()) for leg in legs
    ]
    rows += [("open", "", "", c.change.person_id, open_change_words(c).strip()) for c in changes]
    return Rows(("outcome", "code", "name", "person_id", "what"), tuple(rows))


# --- said once for the whole school ---------------------------------------------------------------------------------


@click.group(cls=Group)
def rollover() -> None:
    """Say how far the year's rollover in the admin system is."""


@rollover.command()
@click.pass_obj
def complete(call: Call) -> None:
    """Declare the rollover complete: rows that waited for it are free from the next run on."""
    with call.connector() as connector:
        connector.rollover_complete(call.as_of)
    said = ("The rollover is declared complete. See what is ready now: connector plan",)
    call.said(*said, rollover_complete=True)
