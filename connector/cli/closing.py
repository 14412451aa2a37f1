"""Verbs that close and open one person by name: revoke, restore. Always a dry run unless somebody says --apply."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from connector.app import Connector
from connector.cli.applying import open_leg_document
from connector.cli.call import Call
from connector.cli.documents import leg_document, revocation_document
from connector.cli.people import asked_reason, four_eyes, proof
from connector.cli.printing import Rows, heading, warning
from connector.cli.verb import Verb
from connector.cli.words import Parts, closing_words, open_parts, opening_words, row_parts
from connector.reconcile.decide import Decision, Decisions
from connector.reconcile.journal_values import OpenLeg
from connector.reconcile.plan_values import Revocation
from connector.reconcile.restoring import SHOWS_WITHIN, Restore, tell_the_person
from connector.reconcile.wording import label_of, listed, who

OPEN = 4
REFUSED = 1


@click.command(cls=Verb)
@click.argument("person")
@asked_reason("Why; it stays with the block and the revocation.")
@click.option("--apply", is_flag=True, help="Really do it. Without it nothing is written.")
@click.pass_obj
def revoke(call: Call, person: str, reason: str, apply: bool) -> int:
    """Close one person's access everywhere, now, although nothing else asks for it.

    A block goes with it, so that nothing brings the person back; only unblock lifts it, with a second operator.
    """
    with call.connector() as connector:
        judgement = connector.look(call.as_of)
        decision = connector.one(judgement, person)
        row = connector.revocation_of(judgement, decision, reason)
        if row is None:
            return _nothing_lives(call, decision)
        left = connector.revoke(row, reason, call.day(connector)) if apply else ()
    parts = [*row_parts(row), *_same_human(judgement.decisions, decision)]
    parts += _revoked_parts(row, left) if apply else ["", "A block goes with it."]
    document = {
        "dry_run": not apply,
        "row": revocation_document(row),
        "open_legs": [open_leg_document(o) for o in left],
    }
    call.answer(document, _row_rows((row,), left), parts)
    if not apply:
        return call.dry_run(would_change=True)
    return OPEN if left else 0


def _nothing_lives(call: Call, decision: Decision) -> int:
    whom = who(decision.identity)
    call.said(
        f"Nothing of {whom.label} lives: there is nothing to close.",
        f"To keep this person out: connector block {whom.typed} --reason TEXT",
        person_id=whom.person_id,
    )
    return 0


def _same_human(decisions: Decisions, decision: Decision) -> Parts:
    others = decisions.school.same_human(decision.identity.person_id or "")
    if not others:
        return []
    labels = [label_of(decisions, other) for other in others]
    return [
        "",
        warning(
            f"The block keeps the same human out on every record; the next run closes {listed(labels)} as well. "
            "To close only an old record: leave it to the next run."
        ),
    ]


def _revoked_parts(row: Revocation, left: Sequence[OpenLeg]) -> Parts:
    if left:
        return open_parts(tuple(left))
    whom = row.code or row.key
    if withheld := [closing_words(leg) for leg in row.legs if leg.withheld]:
        return ["", warning(f"{whom} is blocked, and closed but for this, which is not done from here:"), *withheld]
    return ["", heading(f"{whom} is closed everywhere, read back, and blocked.")]


def _row_rows(rows: Sequence[Revocation], left: Sequence[OpenLeg] = ()) -> Rows:
    still = {(leg.planned.kind, leg.planned.target, leg.planned.subject): leg.state.value for leg in left}
    found = [
        (r.code, r.name, r.person_id, *leg_document(leg).values(), still.get((leg.kind, leg.target, leg.subject), ""))
        for r in rows
        for leg in r.legs
    ]
    return Rows(("code", "name", "person_id", "kind", "target", "subject", "withheld", "unread", "open"), tuple(found))


# --- restore --------------------------------------------------------------------------------------------------------


@click.command(cls=Verb)
@click.argument("person", required=False)
@click.option("--run", "run_id", type=int, metavar="N", help="Everything run N closed, instead of one person.")
@click.option("--second", metavar="NAME", help="The enrolled operator who agrees, where it takes two.")
@four_eyes
@click.option("--apply", is_flag=True, help="Really do it. Without it nothing is written.")
@click.pass_obj
def restore(
    call: Call,
    person: str | None,
    run_id: int | None,
    second: str | None,
    password_file: Path | None,
    code: str | None,
    apply: bool,
) -> int:
    """Open again what we closed: of one person, or of a whole run (connector history shows the numbers).

    What somebody changed since stays as it is. A cleared password cannot come back: who needs a welcome e-mail is
    named. Exits 1 where nothing could be opened, and says why.
    """
    if (person is None) == (run_id is None):
        raise click.UsageError("Give a PERSON or --run N.")
    with call.connector() as connector:
        judgement = connector.look(call.as_of)
        closed = connector.closed(judgement, person or "", run_id)
        plan = connector.restore_of(judgement, closed, seconded=second is not None)
        if apply and second:
            call.end()
            connector.second(second, *proof(second, password_file, code), f"restore {person or f'run {run_id}'}")
        left = _restored(connector, plan, call) if apply else ()
        now = connector.journal.now().astimezone(connector.config.site.zone)
    tell = tell_the_person(now + SHOWS_WITHIN if apply else None) if plan.members else ""
    text = [*_restore_parts(plan, judgement.decisions, done=apply), *([tell] if tell else []), *open_parts(tuple(left))]
    call.answer(_restore_document(plan, left, tell, dry=not apply), _row_rows(plan.rows, left), text)
    if not apply:
        return call.dry_run(would_change=bool(plan.rows))
    if plan.refused and not plan.rows:
        return REFUSED
    return OPEN if left else 0


def _restored(connector: Connector, plan: Restore, call: Call) -> tuple[OpenLeg, ...]:
    return connector.restore(plan, call.day(connector)) if plan.rows else ()


def _restore_parts(plan: Restore, decisions: Decisions, *, done: bool) -> Parts:
    parts: Parts = []
    for row in plan.rows:
        parts.append(heading(f"{row.code or row.key}  {row.name}"))
        parts += [f"  {opening_words(leg)}" for leg in row.legs]
        parts += [f"  {e.text}" for e in row.evidence]
    parts += [f"Stays closed: {whom}: {why}" for whom, why in plan.refused]
    if plan.welcome:
        parts.append(f"Needs a welcome e-mail, the password cannot come back: {listed(plan.welcomed)}")
    if not plan.rows:
        parts.append("There is nothing to open.")
    ready = [row.code or row.key for row in plan.rows if not decisions.scene.claims.portals_of(row.person_id)]
    if ready:
        then = "closes again" if done else "would close again"
        parts.append(f"Not entitled, so the next run {then}: {listed(ready)}.")
        parts.append("To keep somebody in: connector keep PERSON --reason TEXT")
    return parts


def _restore_document(plan: Restore, left: Sequence[OpenLeg], tell: str, *, dry: bool) -> dict[str, Any]:
    return {
        "dry_run": dry,
        "rows": [revocation_document(r) for r in plan.rows],
        "refused": [{"who": whom, "why": why} for whom, why in plan.refused],
        "welcome": list(plan.welcome),
        "tell": tell,
        "open_legs": [open_leg_document(leg) for leg in left],
    }
