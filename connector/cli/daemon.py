"""The verb that works by itself, every night and in between. It starts the daemon, which waits to be told to stop."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from connector.cli.call import Call
from connector.cli.scim import server_options
from connector.cli.verb import Verb


@click.command(cls=Verb)
@click.option("--once", is_flag=True, help="Do what is due now and end: for cron and the Task Scheduler.")
@click.option("--serve", is_flag=True, help="Serve identity providers too, as `connector serve` does.")
@server_options
@click.pass_obj
def daemon(call: Call, /, once: bool, serve: bool, **server: Any) -> int:
    """Work by itself until stopped: every night, what is still open, what arrives, and the mails about it.

    In report mode (see go-live) it decides and reports. Several may be started, on several machines: one works, the
    others stand by and take over within a minute. What it logs goes to stderr, as JSON where that is no terminal.
    """
    if once and serve:
        raise click.UsageError("--once and --serve exclude each other.")
    if not serve:
        from connector.daemon.starting import start  # noqa: PLC0415 - no other verb needs the daemon loaded

        return start(call.config_path, once=once)
    return _together(call.config_path, **server)


def _together(config_path: Path, *, workers: int, **address: Any) -> int:
    """Run the server, its driver and the daemon as one service."""
    from connector.config import load  # noqa: PLC0415 - as above
    from connector.scim.serving import Address, served  # noqa: PLC0415 - as above

    watched = served(config_path, Address(**address), workers)
    night = (sys.executable, "-m", "connector.daemon", str(config_path.absolute()))
    patience = load(config_path).daemon.stop_seconds
    replace(watched, commands=(*watched.commands, night), stop_seconds=max(watched.stop_seconds, patience)).run()
    return 0
