"""Verbs that lay work out for people: report, backlog."""

import shlex
from collections.abc import Callable
from pathlib import Path

import click

from connector.adapters.worklist_file import replace_durably
from connector.cli.call import Call
from connector.cli.documents import plan_document
from connector.cli.printing import Rows, heading, table
from connector.cli.verb import Verb, VerbGroup
from connector.cli.words import Parts, objection_parts
from connector.errors import ConfigError
from connector.reconcile.plan_values import Plan
from connector.reconcile.report import Report
from connector.reconcile.report_csv import REPORT_HEADER, report_csv
from connector.reconcile.report_html import report_html
from connector.reconcile.report_json import plain, report_json
from connector.reconcile.report_text import report_text
from connector.reconcile.wording import counted

_FOR_SPREADSHEETS = "utf-8-sig"
"""With the byte order mark spreadsheets need to read names right."""


def _file(option: str, text: str) -> Callable[..., Callable[..., None]]:
    name = f"{option}_file"
    return click.option(f"--{option}", name, type=click.Path(path_type=Path), metavar="FILE", help=text)


@click.group(cls=VerbGroup)
@click.option("--run", "run_id", type=int, metavar="N", help="This run alone, instead of the last night.")
@_file("html", "Write it as one HTML file that needs nothing else, with a picture of the last runs.")
@_file("csv", "Write every line of it as CSV.")
@_file("json", "Write it as JSON.")
@_file("text", "Write it as plain text.")
@click.pass_context
def report(
    ctx: click.Context,
    run_id: int | None,
    html_file: Path | None,
    csv_file: Path | None,
    json_file: Path | None,
    text_file: Path | None,
) -> None:
    """Report on the last night on one page: what needs a person first, then what is open, then what was closed.

    Without a file it is printed; with --format json or csv for programs. A file that is there is written anew.
    """
    call: Call = ctx.obj
    if ctx.invoked_subcommand:
        _refuse_options_before(ctx)
        return
    with call.connector() as connector:
        made = connector.report(call.as_of, run_id)
    wanted = [
        (html_file, report_html, "utf-8"),
        (csv_file, report_csv, _FOR_SPREADSHEETS),
        (json_file, report_json, "utf-8"),
        (text_file, report_text, "utf-8"),
    ]
    written = [write_file(path, render(made), encoding) for path, render, encoding in wanted if path]
    if written:
        call.said(made.subject, *(f"Written: {path}" for path in written), written=written)
    else:
        call.answer(plain(made), _report_rows(made), [report_text(made).rstrip("\n")])


def _refuse_options_before(ctx: click.Context) -> None:
    """Options of the last night's report do nothing for another one: whoever gave them meant something."""
    if any(value is not None for value in ctx.params.values()):
        below = ctx.invoked_subcommand
        raise click.UsageError(f"Options belong after the word {below}: connector report {below} --html FILE", ctx)


def write_file(path: Path, text: str, encoding: str) -> str:
    """Write a document in one step; give its path. Raises ConfigError where it cannot be written."""
    try:
        if path.exists() and not path.is_file():  # a pipe, or /dev/stdout
            path.write_text(text, encoding=encoding, newline="")
        else:
            # In one step and never through a link somebody laid there; a new one is not for everybody to read.
            replace_durably(path, text.encode(encoding))
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.", "Check the folder and its owner.") from error
    return str(path)


def _report_rows(made: Report) -> Rows:
    rows = [
        (s.name, r.label, r.what, r.text, r.to_do, r.commands, r.at, r.key, r.warns)
        for s in made.sections
        for r in s.lines
    ]
    return Rows(REPORT_HEADER, tuple(rows))


# --- backlog --------------------------------------------------------------------------------------------------------


@click.command(cls=Verb)
@click.option("--size", type=click.IntRange(min=1), metavar="N", help="People in one part [default: max_revocations].")
@click.option("--keep", is_flag=True, help="Keep the parts, so that each can be approved and run by its name.")
@click.pass_obj
def backlog(call: Call, size: int | None, keep: bool) -> None:
    """Cut a first mass into plans a person can read: by reason, the oldest last login first.

    Held rows stay where they are. With --keep each part is a plan of its own: show, approve and run --plan take it.
    """
    with call.connector() as connector:
        judgement, parts = connector.backlog(call.as_of, size or 0)
        if keep and parts:
            connector.keep_plan(judgement, parts)
    document = [plan_document(p, ()) | {"title": _title(p), "kept": keep} for p in parts]
    columns = ("plan", "people", "reason", "oldest_login", "newest_login", "objections")
    rows = tuple(_part_row(p) for p in parts)
    call.answer(document, Rows(columns, rows), _backlog_parts(parts, Rows(columns, rows), kept=keep))


def _part_row(part: Plan) -> tuple[object, ...]:
    logins = [row.last_login for row in part.revocations if row.last_login]
    reason = part.revocations[0].reasons[0].value if part.revocations else ""
    ends = (min(logins, default=None), max(logins, default=None))
    return (part.plan_id, len(part.revocations), reason, *ends, [o.label for o in part.objections])


def _title(part: Plan) -> str:
    return part.warnings[0] if part.warnings else ""


def _backlog_parts(parts: tuple[Plan, ...], rows: Rows, *, kept: bool) -> Parts:
    if not parts:
        return ["Nothing is ready to be closed without a person looking: connector status"]
    people = sum(len(p.revocations) for p in parts)
    text: Parts = [heading(f"{counted(people, 'person', 'people')} in {counted(len(parts), 'part')}, in this order")]
    text += [table([c.replace("_", " ") for c in rows.columns], rows.rows, whole=("plan",))]
    text += objection_parts([o for p in parts[:1] for o in p.objections], ())
    first = parts[0]
    waive = "".join(f" --waive {shlex.quote(o.label)}" for o in first.objections)
    if kept:
        text += ["", "Read the first, approve it, close it; then the next:", f"  connector show {first.plan_id}"]
        text += [f"  connector approve {first.plan_id}{waive}", f"  connector run --plan {first.plan_id} --apply"]
    else:
        text += ["", "To keep them, so that they can be approved and run one by one: connector backlog --keep"]
    return text
