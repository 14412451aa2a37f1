"""The verb that lets unattended runs apply: go-live. It asks for accepted runs, and for a list that was read."""

from typing import Any

import click

from connector.app import Connector
from connector.cli.call import Call, is_interactive
from connector.cli.printing import Rows, heading
from connector.cli.verb import Verb
from connector.cli.words import Parts
from connector.errors import NotAllowed
from connector.reconcile.going_live import Holds, holds_to_read
from connector.reconcile.wording import counted


@click.command("go-live", cls=Verb)
@click.option("--back", is_flag=True, help="Go back to report mode: runs decide and report, they apply nothing.")
@click.option("--show", is_flag=True, help="Only show the list of holds, and its digest.")
@click.option("--holds-read", "read", default="", metavar="DIGEST", help="The list with this digest was read.")
@click.pass_obj
def go_live(call: Call, back: bool, show: bool, read: str) -> None:
    """Leave report mode: from now on unattended runs apply what no objection stops.

    It takes five accepted runs, and that you read which rows wait for a person. At a terminal the list is shown and you
    type yes; a script says which list was read, and a list that has changed is read again.
    """
    if back + show + bool(read) > 1:
        raise click.UsageError("--back, --show and --holds-read exclude each other.")
    with call.connector() as connector:
        if show:
            _show(call, holds_to_read(connector.look(call.as_of)))
        elif back:
            connector.live.back()
            _say_back(call, connector)
        elif connector.is_live:
            call.said(
                "Live already: runs apply what no objection stops. To go back: connector go-live --back", live=True
            )
        else:
            _go(call, connector, read)


def _go(call: Call, connector: Connector, read: str) -> None:
    connector.live.refuse_too_soon()
    judgement = connector.look(call.as_of)
    if not read and is_interactive():
        holds = holds_to_read(judgement)
        _show(call, holds)
        if click.prompt("You have read it, and unattended runs shall apply? Type yes", default="no", err=True) != "yes":
            raise NotAllowed("Nothing was changed: the connector stays in report mode.")
        read = holds.digest
    holds = connector.live.go(judgement, read)
    said = "Live: runs apply what no objection stops. To go back: connector go-live --back"
    call.said(said, live=True, holds=holds.digest)


def _say_back(call: Call, connector: Connector) -> None:
    if connector.is_live:
        call.said('The config still says [nightly] mode = "apply": runs apply. Set it to "report" first.', live=True)
    else:
        call.said("Report mode: runs decide and report, they apply nothing.", live=False)


def _show(call: Call, holds: Holds) -> None:
    """Show every row that waits for a person, by its holds."""
    columns = ("hold", "person", "status", "reasons", "advice")
    flat = [(g, row) for g in holds.groups for row in g.rows]
    rows = Rows(columns, tuple((g.hold.value, r.label, r.status, list(r.reasons), g.advice) for g, r in flat))
    call.answer(_document(holds), rows, _words(holds))


def _words(holds: Holds) -> Parts:
    waiting = counted(holds.people, "person waits", "people wait")
    words: Parts = [heading(f"{waiting} for somebody to look; a run that applies leaves them out")]
    for group in holds.groups:
        words += ["", heading(f"{group.hold.value} ({len(group.rows)}): {group.advice}")]
        for row in group.rows:
            words.append(f"  {row.label}  ({', '.join(row.reasons) or row.status})")
            words += [f"      {command}" for command in row.commands]
    return [*words, "", f"This list is {holds.digest}. Once it is read: connector go-live --holds-read {holds.digest}"]


def _document(holds: Holds) -> dict[str, Any]:
    return {
        "digest": holds.digest,
        "people": holds.people,
        "holds": [
            {
                "hold": group.hold.value,
                "advice": group.advice,
                "rows": [
                    {"key": row.key, "person": row.label, "status": row.status, "reasons": list(row.reasons)}
                    for row in group.rows
                ],
            }
            for group in holds.groups
        ],
    }
