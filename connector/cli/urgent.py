"""Verbs for the urgent case: terminate, authorise, certificate, authority. They ask, call one verb, print.

`terminate` is a dry run unless somebody says --apply. A code is shown once, to whoever made it, and never repeated.
"""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from connector.app import Connector
from connector.cli.applying import open_leg_document
from connector.cli.call import Call
from connector.cli.documents import revocation_document
from connector.cli.people import asked_reason, proof
from connector.cli.printing import Rows, heading, warning
from connector.cli.reporting import write_file
from connector.cli.verb import Group, Verb
from connector.cli.words import Parts, open_parts, row_parts
from connector.operators import Proof
from connector.reconcile.authority import CODE_MINUTES, Signature, reopening
from connector.reconcile.certificate import Certificate, certificate_html, certificate_text, certificate_title
from connector.reconcile.report_json import plain
from connector.reconcile.wording import counted, listed
from connector.urgent import Order

Function = TypeVar("Function", bound=Callable[..., Any])


@click.command(cls=Verb)
@click.argument("words", nargs=-1, required=True, metavar="WORDS...")
@asked_reason("Why; it stays with the block and the certificate.")
@click.option("--contact-type", default="", metavar="TYPE", help="What the person is; it must be one of theirs.")
@click.option("--apply", is_flag=True, help="Start at once. Without it nothing is written.")
@click.pass_obj
def terminate(call: Call, words: tuple[str, ...], reason: str, contact_type: str, apply: bool) -> int:
    """Close every record of one human now, ahead of any run, and certify it: a court order, a threat.

    WORDS are a contact code, name, username, e-mail or child. Every record is blocked, so that nothing brings the
    person back; reopening takes two. An authority role countersigns afterwards: connector authorise. Exits 4 while
    something is open, such as a vendor's ticket that waits for the countersignature.
    """
    with call.connector() as connector:
        urgent = connector.urgent
        order = urgent.order(call.day(connector), " ".join(words), reason, contact_type)
        if not apply:
            return _shown(call, connector, order)
        stored, done = urgent.terminate(order)
        unsent, nobody = connector.summons.of_order(stored), _without_signer(connector)
        made = urgent.certificate(stored.number)
    text: Parts = [*certificate_text(made).splitlines(), *open_parts(done.open)]
    text += ["", *map(warning, (*([order.note] if order.note else []), *unsent, *nobody))]
    if done.not_read_again:
        look = "What was added while it ran could not be looked for; type the same again:"
        text += ["", warning(f"{look} {done.not_read_again}")]
    text += ["", f"To countersign, by an authority: connector authorise {stored.number} --as NAME"]
    text.append(f"This certificate again, as it stands then: connector certificate {stored.number} --html FILE")
    document = {
        "dry_run": False,
        "note": order.note,
        "unsigned": list(nobody),
        "unsent": list(unsent),
        "certificate": plain(made),
        "blocked": list(done.blocked),
        "open_legs": [open_leg_document(leg) for leg in done.open],
    }
    call.answer(document, _door_rows(made), text)
    return done.exit_code


def _shown(call: Call, connector: Connector, order: Order) -> int:
    human = order.human
    of = f" of {listed(human.children)}" if human.children else ""
    parts: Parts = [warning(f"URGENT TERMINATION of {human.label}: {counted(len(human.identities), 'record')}")]
    parts += [warning(order.note)] if order.note else []
    parts.append(f"  {listed(human.contact_types) or 'nobody is their child'}{of}")
    for record in human.records:
        row = order.row_of(record.key)
        blocked = "it is blocked all the same" if record.person_id else "there is no person to block"
        nothing: Parts = ["", heading(record.label), f"  Nothing of this record lives: {blocked}."]
        parts += row_parts(row) if row else nothing
    hours = connector.config.authority.countersign_hours
    roles = listed(connector.config.authority.roles, "or")
    block = "with a block" if order.blocks else "without a block, for there is no person to put it on"
    parts += ["", f"All of it starts at once, {block}. {roles} countersigns within {counted(hours, 'hour')}."]
    parts += map(warning, nobody := _without_signer(connector))
    document = {
        "dry_run": True,
        "note": order.note,
        "unsigned": list(nobody),
        "records": [plain(r) for r in human.records],
        "contact_types": list(human.contact_types),
        "rows": [revocation_document(r) for r in order.rows],
    }
    rows = Rows(("code", "name", "person_id"), tuple((r.code, r.name, r.person_id) for r in human.records))
    call.answer(document, rows, parts)
    return call.dry_run(would_change=True)


def _without_signer(connector: Connector) -> tuple[str, ...]:
    """Say where nobody could countersign: the order closes all the same, and its countersignature would be overdue."""
    if connector.urgent.signers():
        return ()
    roles = listed(connector.config.authority.roles, "or")
    add = f"connector operator add NAME --role {shlex.quote(connector.config.authority.roles[0])}"
    what = f"Nobody but you is enrolled as {roles}, so nobody can countersign it yet. It closes all the same."
    return (f"{what} Enrol somebody who can: {add}",)


def _door_rows(made: Certificate) -> Rows:
    columns = ("record", "what", "state", "closed_at", "ended", "effective_by", "detail")
    return Rows(columns, tuple(tuple(getattr(door, column) for column in columns) for door in made.doors))


@click.command(cls=Verb)
@click.argument("number", type=int)
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write it as one HTML file.")
@click.pass_obj
def certificate(call: Call, number: int, html: Path | None) -> int:
    """Show the certificate of an urgent termination as it stands now, on one page.

    Why is told to the authority role only; anybody else reads access-ended.
    """
    with call.connector() as connector:
        made = connector.urgent.certificate(number)
    if html:
        written = write_file(html, certificate_html(made), "utf-8")
        call.said(certificate_title(made), f"Written: {written}", written=[written])
    else:
        call.answer(plain(made), _door_rows(made), certificate_text(made).splitlines())
    return 0


# --- signing ----------------------------------------------------------------------------------------------------------


def _as_authority(verb: Function) -> Function:
    """Take who signs, and how they prove it."""
    name = click.option("--as", "name", metavar="NAME", help="Who you are: enrolled with an authority role.")
    password = click.option(
        "--password-file", type=click.Path(path_type=Path), metavar="FILE", help="Your password, instead of a prompt."
    )
    totp = click.option("--totp", metavar="DIGITS", help="Your authenticator's code, instead of a prompt.")
    return name(password(totp(verb)))


def _proof(call: Call, name: str | None, password_file: Path | None, totp: str | None) -> Proof:
    if not name:
        raise click.UsageError("Say who you are: --as NAME")
    call.end()
    return Proof(name, *proof(name, password_file, totp))


@click.command(cls=Verb)
@click.argument("number", type=int)
@_as_authority
@click.option("--code", metavar="CODE", help="A code the authority gave you by telephone, or a sealed one.")
@click.pass_obj
def authorise(
    call: Call, number: int, name: str | None, password_file: Path | None, totp: str | None, code: str | None
) -> int:
    """Countersign an urgent termination: as an authority (--as NAME), or with a code an authority gave you (--code).

    What waited for it, such as a vendor's ticket, is handed in at once.
    """
    if (name is None) == (code is None):
        raise click.UsageError("Give --as NAME or --code CODE.")
    with call.connector() as connector:
        urgent = connector.urgent
        signature = (
            urgent.authorise_with_code(number, code)
            if code is not None
            else urgent.authorise(number, _proof(call, name, password_file, totp))
        )
        handed_in = urgent.hand_in(number, call.day(connector))
    _signed(call, number, signature, handed_in)
    return 0


def _signed(call: Call, number: int, signature: Signature, handed_in: bool) -> None:
    last = "" if handed_in else "A run is going: the next one hands in what waited. Or then: connector resume --apply"
    call.said(
        f"Urgent termination {number} is countersigned: {signature.sentence}.",
        *([last] if last else []),
        f"See: connector certificate {number}",
        number=number,
        signature=plain(signature),
    )


@click.group(cls=Group)
def authority() -> None:
    """Verbs for whoever signs for urgent terminations: operators enrolled with an authority role."""


@authority.command("code")
@click.argument("person")
@click.option("--for", "requester", required=True, metavar="OPERATOR", help="The user who ordered it and will type it.")
@_as_authority
@click.pass_obj
def authority_code(
    call: Call, person: str, requester: str, name: str | None, password_file: Path | None, totp: str | None
) -> None:
    """Make a one-time code to read out by telephone: good once, for 15 minutes, for one requester and one person."""
    with call.connector() as connector:
        judgement = connector.look(call.as_of)
        code = connector.urgent.give_code(judgement, person, requester, _proof(call, name, password_file, totp))
    call.said(
        f"Read this to {requester}, and to nobody else: {code}",
        f"It is good once, within {CODE_MINUTES} minutes: connector authorise NUMBER --code CODE",
        code=code,
        requester=requester,
    )


@authority.command("print-codes")
@click.option("--count", type=click.IntRange(1, 100), default=10, show_default=True, help="How many.")
@_as_authority
@click.pass_obj
def print_codes(call: Call, count: int, name: str | None, password_file: Path | None, totp: str | None) -> None:
    """Make sealed codes for the day when no authority answers. Shown now and never again: print and seal them.

    Each is good once; using one raises an alarm that stands in status, check and report until it is acknowledged.
    """
    with call.connector() as connector:
        made = connector.urgent.print_codes(count, _proof(call, name, password_file, totp))
    text: Parts = ["Shown only now. Put each into an envelope of its own and seal it.", ""]
    text += [f"  {number:>4}  {code}" for number, code in made]
    document = [{"number": number, "code": code} for number, code in made]
    call.answer(document, Rows(("number", "code"), made), text)


@authority.command("refuse")
@click.argument("number", type=int)
@asked_reason("Why you do not countersign; who ordered it is told.")
@_as_authority
@click.pass_obj
def refuse(
    call: Call, number: int, reason: str, name: str | None, password_file: Path | None, totp: str | None
) -> None:
    """Refuse to countersign an urgent termination. It opens nothing: who was closed stays closed and blocked.

    The reminders end, and who ordered it reads an alarm until the person is let in again, which takes two, or the
    order is given anew.
    """
    with call.connector() as connector:
        urgent = connector.urgent
        refused = urgent.refuse(number, reason, _proof(call, name, password_file, totp))
        handed_in = urgent.hand_in(number, call.day(connector))
    last = "" if handed_in else "A run is going: the next one calls off what waited for it."
    call.said(
        f"The countersignature of urgent termination {number} of {refused.label} is refused. Nothing was opened.",
        *([last] if last else []),
        f"To let the person in again, which takes two: {reopening(refused)}",
        number=number,
        refusal=plain(refused.refusal),
    )


@authority.command("acknowledge")
@_as_authority
@click.pass_obj
def acknowledge(call: Call, name: str | None, password_file: Path | None, totp: str | None) -> None:
    """Say that you know of every alarm there is; until then each stands in status, check and report."""
    with call.connector() as connector:
        alarms = connector.urgent.acknowledge(_proof(call, name, password_file, totp))
    sentences = [alarm.sentence for alarm in alarms] or ["There is no alarm."]
    call.said(*sentences, *(["Acknowledged."] if alarms else []), alarms=[plain(alarm) for alarm in alarms])
