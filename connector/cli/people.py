"""Verbs about one person that only the journal hears: release, keep, block, unblock, link, unlink, abandon.

They act at once and say what happens next. What needs four eyes asks a second operator, who proves who they are.
"""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import click

from connector.cli.call import Call, is_interactive
from connector.cli.verb import Verb, to_last_day
from connector.errors import ConfigError
from connector.model import Hold
from connector.reconcile.wording import clean, counted, label_of, listed, who

Function = TypeVar("Function", bound=Callable[..., Any])
OPEN = 4


def asked_reason(text: str) -> Callable[[Function], Function]:
    """Take --reason: asked for at a terminal where it was left out, and needed everywhere."""

    def ask(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
        if value is None and is_interactive():
            value = str(click.prompt("Why", err=True))
        if not (value or "").strip():
            raise click.MissingParameter(ctx=ctx, param=param)
        return value or ""

    return click.option("--reason", callback=ask, metavar="TEXT", help=text)


@click.command(cls=Verb)
@click.argument("person")
@click.option("--hold", required=True, type=click.Choice([h.value for h in Hold]), help="Which hold to lift.")
@click.option("--reason", default="", help="Why it may go; it stays with the release.")
@click.pass_obj
def release(call: Call, person: str, hold: str, reason: str) -> None:
    """Lift one hold of one person, by name: their row goes with the next run if nothing else holds it.

    The release holds until the evidence of that hold changes. A protected account is never released from here.
    """
    with call.connector() as connector:
        judgement = connector.look(call.as_of)
        decision = connector.one(judgement, person)
        connector.release(decision, Hold(hold), reason)
        left = [h.value for h in _standing(connector.look(call.as_of), decision.identity.key)]
    whom = who(decision.identity)
    free = "Nothing else holds it; the next run that applies acts on it: connector plan"
    following = f"Still held by {', '.join(left)}." if left else free
    call.said(
        f"The hold {hold} of {whom.label} is released.", following, person_id=whom.person_id, hold=hold, left=left
    )


def _standing(judgement: Any, key: str) -> tuple[Hold, ...]:
    return next((r.holds for r in judgement.plan.revocations if r.key == key), ())


@click.command(cls=Verb)
@click.argument("person")
@click.option("--reason", default="", help="Why this person stays in (needed, but for --end).")
@click.option("--until", callback=to_last_day, metavar="DATE", help="The last day; without it until taken back.")
@click.option("--end", is_flag=True, help="Take the keep back.")
@click.pass_obj
def keep(call: Call, person: str, reason: str, until: date | None, end: bool) -> None:
    """Keep someone in: their row waits, whatever the rules say, until a day or until the keep is taken back."""
    with call.connector() as connector:
        whom = who(connector.person(connector.look(call.as_of), person))
        key = whom.person_id or ""
        if end:
            connector.unkeep(key)
            call.said(f"{whom.label} is no longer kept in.", "See what that changes: connector plan", person_id=key)
            return
        connector.keep(key, reason, until)
    ending = f"until {until}" if until else f"until: connector keep {whom.typed} --end"
    note = "What is urgent (a court order, a block) goes all the same."
    call.said(f"{whom.label} is kept in {ending}.", note, person_id=key, until=until)


@click.command(cls=Verb)
@click.argument("person")
@asked_reason("Why; it stays with the block.")
@click.option("--until", callback=to_last_day, metavar="DATE", help="The last day; without it until unblocked.")
@click.pass_obj
def block(call: Call, person: str, reason: str, until: date | None) -> None:
    """Keep someone out: nothing adds, provisions or refreshes them, and the next run closes what lives.

    To close it now instead of with the next run: connector revoke, which blocks as well.
    """
    with call.connector() as connector:
        whom = who(connector.person(connector.look(call.as_of), person))
        connector.block(whom.person_id or "", reason, until)
    ending = f" until {until}" if until else ""
    call.said(
        f"{whom.label} is blocked{ending}.",
        "The next run that applies closes what lives, as urgent.",
        f"To close it now: connector revoke {whom.typed} --reason TEXT --apply",
        f"To lift it, with a second operator: connector unblock {whom.typed} --second NAME",
        person_id=whom.person_id,
        until=until,
    )


def four_eyes(verb: Function) -> Function:
    """Take how a second operator proves who they are."""
    password = click.option(
        "--password-file", type=click.Path(path_type=Path), metavar="FILE", help="Their password, instead of a prompt."
    )
    code = click.option("--code", metavar="DIGITS", help="Their one-time code, instead of a prompt.")
    return password(code(verb))


def proof(second: str, password_file: Path | None, code: str | None) -> tuple[str, str]:
    """Give the second operator's password and one-time code, asking for what was not given."""
    if password_file:
        password = first_line(password_file)
    else:
        password = click.prompt(f"Password of {second}", hide_input=True, err=True)
    return password, code or str(click.prompt(f"One-time code of {second}", err=True))


def first_line(path: Path) -> str:
    """Read a password from a file: its first line. Raises ConfigError where it cannot be read."""
    try:
        return (path.read_text(encoding="utf-8").splitlines() or [""])[0]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The password file {path} cannot be read.", "Check path and owner.") from error


@click.command(cls=Verb)
@click.argument("person")
@click.option("--second", required=True, metavar="NAME", help="The enrolled operator who agrees: somebody else.")
@four_eyes
@click.pass_obj
def unblock(call: Call, person: str, second: str, password_file: Path | None, code: str | None) -> None:
    """Lift a block, which takes two: a second operator proves who they are with password and one-time code."""
    with call.connector() as connector:
        judgement = connector.look(call.as_of)
        whom = who(connector.person(judgement, person))
        others = judgement.decisions.school.same_human(whom.person_id or "")
        call.end()
        password, one_time = proof(second, password_file, code)
        lifted = connector.unblock(whom.person_id or "", second, password, one_time, others)
    records = [label_of(judgement.decisions, record) for record in lifted if record != whom.person_id]
    same = f" So is that on the same person's record {listed(records)}." if records else ""
    call.said(
        f"The block on {whom.label} is lifted, seconded by {second}.{same}",
        f"What was closed stays closed. To open it again: connector restore {whom.typed} --apply",
        person_id=whom.person_id,
        second=second,
    )


@click.command(cls=Verb)
@click.argument("account")
@click.argument("person")
@click.pass_obj
def link(call: Call, account: str, person: str) -> None:
    """Say by hand whose an account is. ACCOUNT is its username or GUID; the link is stored and comes first."""
    with call.connector() as connector:
        judgement = connector.look(call.as_of)
        directory, guid, person_id = connector.link(judgement, account, person)
        whom = who(connector.person(judgement, person))
    call.said(
        f"The account {account} ({guid} in {directory}) is {whom.label}'s.",
        "It counts from the next decision on: connector plan        To take it back: connector unlink ACCOUNT",
        directory=directory,
        guid=guid,
        person_id=person_id,
    )


@click.command(cls=Verb)
@click.argument("account")
@click.pass_obj
def unlink(call: Call, account: str) -> None:
    """Take a stored link back: the account is matched by employee id, username or e-mail again."""
    with call.connector() as connector:
        directory, guid = connector.unlink(connector.look(call.as_of), account)
    call.said(
        f"The account {account} ({guid} in {directory}) has no stored link any more.", directory=directory, guid=guid
    )


@click.command(cls=Verb)
@click.argument("person_or_number", metavar="PERSON_OR_NUMBER")
@asked_reason("Why it is given up; it stays in the journal.")
@click.pass_obj
def abandon(call: Call, person_or_number: str, reason: str) -> int:
    """Give up what is still open for a person or a revocation number. What is closed already stays closed.

    What people were asked to do by hand is taken off their list first; where that fails the leg stays open (exit 4).
    """
    with call.connector() as connector:
        done = connector.abandon(person_or_number, reason)
    targets = listed(list(dict.fromkeys(clean(leg.planned.target) for leg in done.left)))
    asked = f"{counted(len(done.left), 'leg')} of {targets} stay open: the worklist cannot be changed just now."
    call.said(
        f"{counted(done.called_off, 'open leg')} called off: {reason}",
        *([asked, "Close it in the spreadsheet and type the same again."] if done.left else []),
        "If the rules still ask for it, the next plan has it again: connector plan",
        legs=done.called_off,
        left=len(done.left),
    )
    return OPEN if done.left else 0
