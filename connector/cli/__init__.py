"""The command line: parses, calls one verb of `connector.app`, prints. It never decides and never writes by itself."""

from importlib.metadata import PackageNotFoundError, version

import click

from connector.cli.applying import resume, rollover, run
from connector.cli.asking import changes, compare, explain, family, history
from connector.cli.auditing import audit
from connector.cli.closing import restore, revoke
from connector.cli.daemon import daemon
from connector.cli.db import db, journal
from connector.cli.live import go_live
from connector.cli.looking import check, memberships, status
from connector.cli.membership import membership
from connector.cli.people import abandon, block, keep, link, release, unblock, unlink
from connector.cli.planning import approve, plan, show
from connector.cli.reporting import backlog, report
from connector.cli.scim import serve
from connector.cli.setting_up import demo, init, operator
from connector.cli.tokens import token
from connector.cli.urgent import authorise, authority, certificate, terminate
from connector.cli.verb import Root


def _version() -> str:
    try:
        return version("connector")
    except PackageNotFoundError:  # run from its folder, never installed
        return "0"


@click.group(cls=Root)
@click.version_option(_version(), prog_name="connector")
def cli() -> None:
    """Close a departed family's access everywhere, together, provably, and never the wrong person's.

    Exit codes: 0 nothing to do or done, 1 an error, 2 changes are pending, 3 stopped by an objection, 4 finished with
    revocations still open. What would write to a system is a dry run from a terminal unless you say --apply.
    """


cli.add_chapter("Begin", [init, demo, check])
cli.add_chapter("Look", [status, explain, family, memberships, changes, compare, history, report])
cli.add_chapter("Plan and apply", [plan, backlog, show, approve, run, resume, go_live, rollover])
cli.add_chapter("Every night", [daemon])
cli.add_chapter("One person", [release, keep, block, unblock, revoke, restore, link, unlink, abandon])
cli.add_chapter("At once", [terminate, authorise, certificate, authority])
cli.add_chapter("Members of a portal", [membership])
cli.add_chapter("Identity providers", [serve, token])
cli.add_chapter("Keep in order", [operator, audit, db])
cli.add_command(journal)


def main() -> None:
    """Run the command line and end with its exit code."""
    cli()


__all__ = ["cli", "main"]
