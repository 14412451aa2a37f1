"""Verbs for whoever has to answer for it: audit and report audit. Everything but `audit seal` only reads."""

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import click

from connector.app import Connector
from connector.cli.call import Call, Format
from connector.cli.printing import Rows
from connector.cli.reporting import report
from connector.cli.verb import Group, to_day
from connector.reconcile.audit_files import write_whole
from connector.reconcile.audit_pages import HEADER, audit_html, audit_rows, audit_text
from connector.reconcile.auditing import Auditing
from connector.reconcile.report_json import plain
from connector.reconcile.wording import counted

Function = TypeVar("Function", bound=Callable[..., Any])

_FOR_SPREADSHEETS = "utf-8-sig"
"""With the byte order mark spreadsheets need to read names right."""


def _day(option: str, name: str, text: str, *, required: bool = False) -> Callable[[Function], Function]:
    return click.option(option, name, callback=_known_day, metavar="DATE", required=required, help=text)


def _known_day(ctx: click.Context, param: click.Parameter, value: str | None) -> date | None:
    """Read a day whose next one, in any time zone, is still in the calendar."""
    day = to_day(ctx, param, value)
    if day and not date(1900, 1, 1) <= day <= date(2999, 12, 31):
        raise click.BadParameter(f"{day} is too far away: give a day from 1900 to 2999.", ctx, param)
    return day


def _auditing(connector: Connector) -> Auditing:
    site, school = connector.config.site, connector.config.school
    return Auditing(connector.journal, school.name, site.zone, connector.operator)


def _refuse_backwards(first: date | None, last: date | None) -> None:
    if first and last and last < first:
        raise click.UsageError(f"--from {first} is after --to {last}.")


@click.group(cls=Group)
def audit() -> None:
    """Prove, export and seal the trail of what was decided and done."""


@audit.command()
@click.option(
    "--head", metavar="HEAD", help="A head kept elsewhere (every report has one): proves nothing was cut off."
)
@click.option("--sealed", type=click.Path(path_type=Path), metavar="FILE", help="Prove this sealed file instead.")
@click.pass_obj
def verify(call: Call, head: str | None, sealed: Path | None) -> int:
    """Prove that no audit record was changed, moved or taken out; exits 1 where the trail does not hold."""
    with call.connector() as connector:
        journal = connector.journal
        state = _auditing(connector).verify_sealed(sealed, head) if sealed else journal.verify_audit(head)
    call.said(
        state.sentence,
        *(f"  {row}" for row in state.bad_rows),
        f"Head: {state.head}",
        ok=state.ok,
        records=state.records,
        head=state.head,
        first_bad=state.first_bad,
        bad_rows=state.bad_rows,
    )
    return 0 if state.ok else 1


@audit.command()
@click.option("--format", "format", type=click.Choice(["jsonl", "csv"]), help="How it is written [default: jsonl].")
@_day("--from", "first", "The first day [default: the beginning].")
@_day("--to", "last", "The last day [default: today].")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write it into a file, not to the screen.")
@click.pass_obj
def export(call: Call, format: str | None, first: date | None, last: date | None, out: Path | None) -> None:  # noqa: A002 - the option's name
    """Write every audit record with its chain value: JSON Lines as they were signed, or CSV for a spreadsheet.

    Records that were sealed are in their own files. A file that is there is written anew, whole or not at all.
    """
    _refuse_backwards(first, last)
    as_csv = format == "csv" or (format is None and call.format == Format.CSV)
    with call.connector() as connector:
        auditing = _auditing(connector)
        lines = auditing.csv(first, last) if as_csv else auditing.json_lines(first, last)
        sealed = max((c.last for c in connector.journal.checkpoints()), default=0)
        call.end()
        _hand_out(lines, out, _FOR_SPREADSHEETS if as_csv else "utf-8")
    if out:
        click.echo(f"Written: {out}", err=True)
    if sealed:
        click.echo(f"Records 1 to {sealed} are sealed: they are in files of their own.", err=True)


def _hand_out(lines: Iterator[str], out: Path | None, encoding: str) -> None:
    """Write lines into a file, or to the screen as they come."""
    if out:
        write_whole(out, lines, encoding)
        return
    for line in lines:
        click.echo(line.replace("\r\n", "\n"), nl=False)  # the stream makes of it what its system writes


@audit.command()
@_day("--before", "before", "Seal what is older than this day.", required=True)
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="FILE", help="The new file to write.")
@click.pass_obj
def seal(call: Call, before: date, out: Path) -> None:
    """Take old audit records out of the journal, into a file that proves itself with the audit key.

    The file is on disk before a record goes. The journal keeps a signed checkpoint, and its trail goes on from that.
    Keep the file as long as the law asks; history and explain no longer show what is in it.
    """
    with call.connector() as connector:
        made = _auditing(connector).seal(before, out)
    call.said(
        f"{counted(made.last - made.first + 1, 'audit record')} ({made.first} to {made.last}) sealed in {out}.",
        f"To prove that file: connector audit verify --sealed {out}",
        file=str(out),
        first=made.first,
        last=made.last,
        head=f"{made.last}:{made.mac}",
    )


# --- the report -----------------------------------------------------------------------------------------------------


@report.command("audit")
@_day("--from", "first", "The first day.", required=True)
@_day("--to", "last", "The last day [default: today, or --as-of].")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write it as one HTML file.")
@click.pass_obj
def report_audit(call: Call, first: date, last: date | None, html: Path | None) -> None:
    """Report to an auditor: what was closed and how soon, who still gets in and why, who approved, kept or blocked.

    It names court orders and blocks: give it to nobody else. Who still gets in is decided now (or --as-of).
    """
    with call.connector() as connector:
        until = last or call.day(connector)
        _refuse_backwards(first, until)
        made = _auditing(connector).report(first, until, connector.look(call.as_of))
    if html:
        write_whole(html, (audit_html(made),), "utf-8")
        call.said(made.subject, f"Written: {html}", written=[str(html)])
    else:
        call.answer(plain(made), Rows(HEADER, tuple(audit_rows(made))), [audit_text(made).rstrip("\n")])
