"""The verb that serves identity providers. It checks, starts the processes, and waits until it is told to stop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from connector.cli.call import Call
from connector.cli.verb import Verb

_PORT = 8080
_FILE = click.Path(path_type=Path)


_OPTIONS = (
    click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on."),
    click.option(
        "--port", type=click.IntRange(1, 65535), default=_PORT, show_default=True, help="The port to listen on."
    ),
    click.option(
        "--workers", type=click.IntRange(0, 64), default=0, help="Processes that answer [default: the config's]."
    ),
    click.option(
        "--certificate", type=_FILE, default=None, metavar="FILE", help="The server's certificate chain (PEM)."
    ),
    click.option("--key", type=_FILE, default=None, metavar="FILE", help="The certificate's key (PEM)."),
    click.option("--plain", is_flag=True, help="Listen without TLS on an address others can reach."),
)


def server_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Take where and how the server listens."""
    for option in reversed(_OPTIONS):
        verb = option(verb)
    return verb


@click.command(cls=Verb)
@server_options
@click.pass_obj
def serve(
    call: Call, host: str, port: int, workers: int, certificate: Path | None, key: Path | None, plain: bool
) -> None:
    """Serve identity providers over SCIM 2.0, at /scim/v2, until stopped.

    Without a certificate it listens on this machine only: put it behind a proxy that ends TLS. Who may call is said
    with: connector token create NAME
    """
    from connector.scim.serving import Address  # noqa: PLC0415 - no other verb needs a web server loaded
    from connector.scim.serving import serve as run  # noqa: PLC0415 - as above

    run(call.config_path, Address(host, port, certificate, key, plain), workers)
