"""Verbs about plans: plan, show, approve. A plan never writes to a target; kept, it can be approved and applied."""

import shlex
from collections.abc import Iterable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import click

from connector.cli.call import PENDING, Call
from connector.cli.documents import plan_document, plan_rows
from connector.cli.printing import heading
from connector.cli.verb import Verb
from connector.cli.words import NOT_KEPT, Parts, open_parts, plan_parts
from connector.reconcile.guard import standing_objections
from connector.reconcile.journal_values import Approval, StoredPlan
from connector.reconcile.plan_values import Plan
from connector.reconcile.wording import counted, listed, moment

STOPPED = 3
OPEN = 4


def _factors(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Read KEY=VALUE, facts that rows of a plan share."""
    for value in values:
        key, sign, rest = value.partition("=")
        if not (key.strip() and sign and rest.strip()):
            raise click.BadParameter(f"{value!r} is not KEY=VALUE, such as contact_type=Stepmother.", ctx, param)
    return tuple((v.partition("=")[0].strip(), v.partition("=")[2].strip()) for v in values)


@click.command(cls=Verb)
@click.option("--check", is_flag=True, help="Keep nothing; exit 2 where a run would change something, 3 if stopped.")
@click.option(
    "--without", callback=_factors, multiple=True, metavar="KEY=VALUE", help="Leave out rows that share this."
)
@click.option("--except", "excepted", multiple=True, metavar="CODE", help="Leave out this person.")
@click.option("--reason", default="", help="Why they are left out; it stays with the plan.")
@click.pass_obj
def plan(call: Call, check: bool, without: tuple[tuple[str, str], ...], excepted: tuple[str, ...], reason: str) -> int:
    """Make the plan: whom the next run closes or adds, why, and what stops it.

    Nothing is written to any system. The plan is kept in the journal, so that it can be shown, approved and applied by
    its name. KEY is contact_type, portal, reason, role, exit_date or exit_reason. With --check nothing is kept, and the
    exit code says what a run would do now: 0 nothing, 2 changes, 3 stopped by an objection, 4 revocations stand open.
    """
    with call.connector() as connector:
        judgement = connector.plan(call.as_of, without, excepted, reason)
        made = judgement.plan
        waived = connector.running().waived(made)
        legs, changes = connector.journal.open_legs(), connector.journal.open_changes()
        if not check:
            connector.keep_plan(judgement)
    text = [*plan_parts(made, waived), *open_parts(legs, changes), "", _next_step(made, waived, kept=not check)]
    call.answer(plan_document(made, waived), plan_rows(made), text)
    if not check:
        return 0
    return OPEN if legs or changes else check_code(made, waived)


def check_code(made: Plan, waived: Iterable[str]) -> int:
    """Give what `plan --check` exits with where nothing stands open: held and provisionable rows do not count."""
    if standing_objections(made, waived):
        return STOPPED
    return PENDING if made.pending else 0


def _next_step(made: Plan, waived: Iterable[str], *, kept: bool) -> str:
    standing = standing_objections(made, waived)
    if standing:
        labels = " ".join(f"--waive {shlex.quote(o.label)}" for o in standing)
        first = f"Stopped by {listed([o.label for o in standing])}. Mend it at its source, or approve it knowingly:"
        keep = "" if kept else f" {NOT_KEPT}"
        return f"{first} connector approve {made.plan_id} {labels}{keep}"
    if not made.pending:
        waiting = f" now: {counted(len(made.revocations), 'row')} waiting for a person" if made.revocations else ""
        return f"Nothing to do{waiting}."
    return f"To apply it: connector run --plan {made.plan_id} --apply" if kept else "To apply it: connector run --apply"


@click.command(cls=Verb)
@click.argument("plan_id", metavar="PLAN")
@click.pass_obj
def show(call: Call, plan_id: str) -> None:
    """Show a kept plan as it was made, who approved it, and what became of it."""
    with call.connector() as connector:
        stored = connector.stored_plan(plan_id)
        approvals = connector.journal.approvals(stored.plan.digest)
        zone = connector.config.site.zone
    waived = {label for approval in approvals for label in approval.waivers}
    document = plan_document(stored.plan, waived) | {
        "state": stored.state,
        "created_at": stored.created_at.isoformat(),
        "approvals": [_approval_document(a) for a in approvals],
    }
    text = [*plan_parts(stored.plan, waived), *_story(stored, approvals, zone)]
    call.answer(document, plan_rows(stored.plan), text)


def _approval_document(approval: Approval) -> dict[str, Any]:
    return {
        "operator": approval.operator,
        "approved_at": approval.approved_at.isoformat(),
        "waivers": list(approval.waivers),
        "reason": approval.reason,
    }


def _story(stored: StoredPlan, approvals: Sequence[Approval], zone: ZoneInfo) -> Parts:
    parts: Parts = ["", heading(f"Kept {moment(stored.created_at.astimezone(zone))}, now {stored.state}")]
    for a in approvals:
        why = f": {a.reason}" if a.reason else ""
        waiving = listed(a.waivers) or "nothing"
        at = moment(a.approved_at.astimezone(zone))
        parts.append(f"  approved by {a.operator} on {at}, waiving {waiving}{why}")
    return parts if approvals else [*parts, "  approved by nobody yet"]


@click.command(cls=Verb)
@click.argument("plan_id", metavar="PLAN")
@click.option("--waive", multiple=True, metavar="LABEL", help="Waive this objection by its name; repeatable.")
@click.option("--reason", default="", help="Why; it stays with the approval.")
@click.pass_obj
def approve(call: Call, plan_id: str, waive: tuple[str, ...], reason: str) -> None:
    """Approve a kept plan in your name, waiving objections by name.

    The approval fits exactly this plan: the same facts give the same plan tomorrow, other facts give another one.
    """
    with call.connector() as connector:
        made = connector.approve(plan_id, waive, reason).plan
        waived = connector.running().waived(made)
        operator = connector.operator
    standing = [o.label for o in standing_objections(made, waived)]
    sentences = [f"Plan {made.plan_id} is approved by {operator}, waiving {listed(waive) or 'nothing'}."]
    if standing:
        sentences.append(f"It is still stopped by {listed(standing)}.")
    else:
        sentences.append(f"To apply it: connector run --plan {made.plan_id} --apply")
    call.said(*sentences, plan_id=made.plan_id, waived=sorted(waived), standing=standing)
