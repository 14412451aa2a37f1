"""Verbs about members of one portal, each done only when somebody asks. A dry run unless somebody says --apply."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import click

from connector.app import Connector
from connector.cli.call import Call
from connector.cli.printing import Rows, heading
from connector.cli.verb import Group, Verb
from connector.cli.words import Parts, change_words, open_parts
from connector.model import MemberStatus
from connector.reconcile.journal_values import AccountChange, Change, ChangeKind, MembershipChange
from connector.reconcile.judge import Judgement
from connector.reconcile.membership import Action
from connector.reconcile.membership_changes import changes_of_action, changes_of_additions
from connector.reconcile.wording import counted, label_of

OPEN = 4
Found = tuple[Sequence[MembershipChange], Sequence[str]]
"""What would change, and what somebody should know."""


@click.group(cls=Group)
def membership() -> None:
    """Add, enable, disable or remove members of one portal; each only when you ask for it."""


_apply = click.option("--apply", is_flag=True, help="Really do it. Without it nothing is written.")


def _carry_out(call: Call, find: Callable[[Connector, Judgement], Found], *, apply: bool) -> int:
    """Say what would change; with --apply change it."""
    with call.connector() as connector:
        judgement = connector.look(call.as_of)
        changes, notes = find(connector, judgement)
        left = connector.members.change(changes, call.day(connector)) if apply and changes else ()
    names = partial(label_of, judgement.decisions)
    done = "changed" if apply else "would change"
    text: Parts = [
        heading(f"{counted(len(changes), 'membership')} {done}"),
        *(f"  {change_words(c, names(c.person_id))}" for c in changes),
    ]
    document: dict[str, Any] = {
        "dry_run": not apply,
        "changes": [_change_document(c) for c in changes],
        "notes": list(notes),
        "open_changes": [_change_document(o.change) | {"state": o.state.value, "detail": o.detail} for o in left],
    }
    columns = ("kind", "portal", "person_id", "code", "name", "status")
    rows = Rows(columns, tuple(tuple(d[c] for c in columns) for d in document["changes"]))
    call.answer(document, rows, [*text, *notes, *open_parts((), left)])
    if not apply:
        return call.dry_run(would_change=bool(changes))
    return OPEN if left else 0


def _change_document(change: Change) -> dict[str, Any]:
    member = None if isinstance(change, AccountChange) else change.after or change.before
    return {
        "kind": change.kind.value,
        "portal": change.target,
        "person_id": change.person_id,
        "code": member.code if member else "",
        "name": member.name if member else "",
        "status": member.status.value if member and change.kind is not ChangeKind.REMOVE else None,
    }


@membership.command()
@click.argument("portal")
@_apply
@click.pass_obj
def refresh(call: Call, portal: str, apply: bool) -> int:
    """Add now whom the nightly run would add to PORTAL: entitled people who are no members yet."""
    return _carry_out(call, lambda c, j: (changes_of_additions(c.members.refresh(j, portal)), ()), apply=apply)


@membership.command()
@click.argument("portal")
@click.argument("person")
@click.option("--disabled", is_flag=True, help="Add as a disabled member.")
@_apply
@click.pass_obj
def add(call: Call, portal: str, person: str, disabled: bool, apply: bool) -> int:
    """Add one person to PORTAL by hand, enabled or disabled; they count as manually added."""
    status = MemberStatus.DISABLED if disabled else MemberStatus.ENABLED
    return _carry_out(call, _single(ChangeKind.ADD, portal, person, status), apply=apply)


@membership.command()
@click.argument("portal")
@click.argument("person")
@_apply
@click.pass_obj
def enable(call: Call, portal: str, person: str, apply: bool) -> int:
    """Enable one member of PORTAL. Blocked and restricted people go through unblock and restore instead."""
    return _carry_out(call, _single(ChangeKind.ENABLE, portal, person), apply=apply)


@membership.command()
@click.argument("portal")
@click.argument("person")
@_apply
@click.pass_obj
def disable(call: Call, portal: str, person: str, apply: bool) -> int:
    """Disable one member of PORTAL; username and history stay."""
    return _carry_out(call, _single(ChangeKind.DISABLE, portal, person), apply=apply)


@membership.command()
@click.argument("portal")
@click.argument("person")
@_apply
@click.pass_obj
def remove(call: Call, portal: str, person: str, apply: bool) -> int:
    """Remove one member from PORTAL; the history in the portal is lost."""
    return _carry_out(call, _single(ChangeKind.REMOVE, portal, person), apply=apply)


def _single(
    kind: ChangeKind, portal: str, person: str, status: MemberStatus = MemberStatus.ENABLED
) -> Callable[[Connector, Judgement], Found]:
    def find(connector: Connector, judgement: Judgement) -> Found:
        found = connector.members.one(judgement, kind, portal, connector.person(judgement, person), status)
        return found.changes, found.notes

    return find


_EXPLICIT = {
    Action.DISABLE_MISMATCHED: "Disable the members of PORTAL that do not match its strategy; reversible.",
    Action.REMOVE_MISMATCHED: "Remove the members of PORTAL that do not match its strategy; their history is lost.",
    Action.REMOVE_DISABLED: "Remove all disabled members of PORTAL, but those the next run would bring back.",
}


def _explicit(action: Action, text: str) -> Verb:
    @click.command(action.value, cls=Verb, help=f"{text} Manually added ones are left out and named, unless asked for.")
    @click.argument("portal")
    @click.option("--include-manual", is_flag=True, help="Manually added members too.")
    @_apply
    @click.pass_obj
    def verb(call: Call, portal: str, include_manual: bool, apply: bool) -> int:
        def find(connector: Connector, judgement: Judgement) -> Found:
            plan = connector.members.action(judgement, action, portal, manually_added_too=include_manual)
            names = partial(label_of, judgement.decisions)
            notes = [f"Left out: {names(m.person_id)}: {why}" for m, why in plan.left_out]
            return changes_of_action(plan), notes

        return _carry_out(call, find, apply=apply)

    return verb


for _action, _text in _EXPLICIT.items():
    membership.add_command(_explicit(_action, _text))
