"""The verb that serves identity providers. It checks, starts the processes, and waits until it is told to stop."""

import click

from connector.cli.call import Call
from connector.cli.verb import Verb

_PORT = 8080


@click.command(cls=Verb)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=_PORT, show_default=True, help="The port to listen on.")
@click.option("--workers", type=click.IntRange(0, 64), default=0, help="Processes that answer [default: the config's].")
@click.pass_obj
def serve(call: Call, host: str, port: int, workers: int) -> None:
    """Serve identity providers over SCIM 2.0, at /scim/v2, until stopped.

    It speaks plain HTTP: put it behind a proxy that ends TLS, on the same machine. Who may call is said with:
    connector token create NAME
    """
    from connector.scim.serving import serve as run  # noqa: PLC0415 - no other verb needs a web server loaded

    run(call.config_path, host, port, workers)
