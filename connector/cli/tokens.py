"""Verbs for who may call the SCIM endpoint: create, list, rotate, revoke, limit. A token is printed once, last.

They ask, call one verb of `connector.scim.clients`, print.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from connector.app import Connector
from connector.cli.call import Call
from connector.cli.printing import Rows, table
from connector.cli.verb import Group
from connector.scim.clients import PER_HOUR, PER_MINUTE, SCOPES, Client, Clients, Token

Function = TypeVar("Function", bound=Callable[..., Any])

_DAYS = 365
_EXPIRY = click.option(
    "--days", type=click.IntRange(0, 3650), default=_DAYS, show_default=True, help="How long it lives; 0 is for ever."
)

_COLUMNS = (
    "client",
    "number",
    "scopes",
    "mode",
    "per_minute",
    "per_hour",
    "networks",
    "made_at",
    "expires_at",
    "used_at",
    "revoked_at",
)


@contextmanager
def _clients(call: Call) -> Iterator[tuple[Connector, Clients]]:
    with call.connector() as connector:
        yield connector, Clients(connector.journal.store)


@click.group(cls=Group)
def token() -> None:
    """Say who may call the SCIM endpoint, by tokens that are shown once and kept as hashes."""


@token.command("create")
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, metavar="SCOPE", help=f"One of {', '.join(sorted(SCOPES))}. Left out: all."
)
@click.option("--strict", is_flag=True, help="Refuse what the standard forbids and providers send all the same.")
@click.option(
    "--per-minute", type=click.IntRange(0), default=PER_MINUTE, show_default=True, help="Requests; 0: no limit."
)
@click.option(
    "--per-hour", type=click.IntRange(0), default=PER_HOUR, show_default=True, help="Deactivations; 0: no limit."
)
@click.option(
    "--network", "networks", multiple=True, metavar="CIDR", help="Where it may call from. Left out: anywhere."
)
@_EXPIRY
@click.pass_obj
def token_create(
    call: Call,
    name: str,
    scopes: tuple[str, ...],
    strict: bool,
    per_minute: int,
    per_hour: int,
    networks: tuple[str, ...],
    days: int,
) -> None:
    """Enrol an identity provider and print its first token, only now, on the last line."""
    client = Client(name, strict, frozenset(scopes) or SCOPES, per_minute, per_hour, networks)
    with _clients(call) as (connector, clients):
        made = clients.create(client, days, connector.operator)
    call.said(f"{name} may call now, with this token, which is shown only here:", made, name=name, token=made)


@token.command("rotate")
@click.argument("name")
@_EXPIRY
@click.pass_obj
def token_rotate(call: Call, name: str, days: int) -> None:
    """Print one more token of a client, on the last line. The one before goes on until it is revoked."""
    with _clients(call) as (connector, clients):
        made = clients.rotate(name, days, connector.operator)
    call.said(
        "The token before goes on beside this one. When it is no longer needed: "
        f"connector token revoke {name} --number NUMBER",
        made,
        name=name,
        token=made,
    )


@token.command("revoke")
@click.argument("name")
@click.option("--number", type=click.IntRange(1), default=None, help="One token only, by its number. Left out: all.")
@click.pass_obj
def token_revoke(call: Call, name: str, number: int | None) -> None:
    """Take tokens of a client back: calls with them are refused from two seconds later on."""
    with _clients(call) as (connector, clients):
        gone = clients.revoke(name, connector.operator, number or 0)
    call.said(f"{gone} of {name} taken back.", name=name, revoked=gone)


@token.command("limit")
@click.argument("name")
@click.option("--per-minute", type=click.IntRange(0), default=None, help="Requests a minute; 0: no limit.")
@click.option(
    "--per-hour", type=click.IntRange(0), default=None, help="People it may deactivate in an hour; 0: no limit."
)
@click.pass_obj
def token_limit(call: Call, name: str, per_minute: int | None, per_hour: int | None) -> None:
    """Change how much a client may do."""
    wanted = {"per_minute": per_minute, "per_hour": per_hour}
    limits = {key: value for key, value in wanted.items() if value is not None}
    if not limits:
        raise click.UsageError("Say what to change: --per-minute or --per-hour.")
    with _clients(call) as (connector, clients):
        client = clients.limit(name, connector.operator, **limits)
    call.said(
        f"{name}: {client.per_minute or 'no limit of'} requests a minute, {client.per_hour or 'no limit of'} "
        "deactivations an hour.",
        name=name,
        per_minute=client.per_minute,
        per_hour=client.per_hour,
    )


@token.command("list")
@click.pass_obj
def token_list(call: Call) -> None:
    """List who may call, and their tokens by number; never a token."""
    with _clients(call) as (_, clients):
        known, tokens = clients.all()
    by_name = {client.name: client for client in known}
    rows = tuple(_row(each, by_name[each.client]) for each in tokens)
    document = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
    text = (
        [table(_COLUMNS, rows, whole=("client",))]
        if rows
        else ["Nobody may call. To begin: connector token create NAME"]
    )
    call.answer(document, Rows(_COLUMNS, rows), text)


def _row(token: Token, client: Client) -> tuple[object, ...]:
    return (
        token.client,
        token.number,
        ", ".join(sorted(client.scopes)),
        "strict" if client.strict else "tolerant",
        client.per_minute,
        client.per_hour,
        ", ".join(client.networks),
        token.made_at,
        token.expires_at,
        token.used_at,
        token.revoked_at,
    )
