"""Kept plans and approvals of them.

A plan is kept as text and signed, and so is an approval; one that was edited is refused, never applied. An approval
fits one digest only, so the same facts give the same plan tomorrow and the approval still fits.
"""

import hmac
import json
from dataclasses import replace
from datetime import UTC
from typing import Any

from sqlalchemy import Row, func, insert, or_, select, update

from connector.errors import PlanError
from connector.model import Hold
from connector.reconcile import journal_tables as tables
from connector.reconcile.codec import CodecError, canonical, from_json, to_json
from connector.reconcile.journal_audit import keyed
from connector.reconcile.journal_claims import require_run
from connector.reconcile.journal_store import Detail, Store, upsert
from connector.reconcile.journal_values import Approval, PlanEntry, Run, StoredPlan
from connector.reconcile.plan_values import Plan

MADE = "made"
_APPLIED = "applied"
_NIGHTS = ("run", "report")
"""The kinds of run whose holds somebody is told of."""

_ENTRY = tuple(
    tables.plans.c[name] for name in ("plan_id", "digest", "as_of", "created_at", "state", "run_id", "snapshot_id")
)


class Plans:
    """Keep, find and mark plans; approve them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self, plan: Plan, run: Run, snapshot_id: int | None = None) -> None:
        """Keep a plan. The same plan made again is as young as its newest making, and keeps its approvals."""
        content = to_json(replace(plan, held_before=self._held_before(plan, run)))
        row = {
            "digest": plan.digest,
            "plan_id": plan.plan_id,
            "run_id": run.run_id,
            "snapshot_id": snapshot_id,
            "as_of": plan.as_of,
            "state": MADE,
            "content": content,
            "content_mac": keyed(self._store.audit_key, "plan", content.encode()),
        }
        with self._store.writing() as writing:
            require_run(writing, run)
            upsert(writing.conn, tables.plans, [{**row, "created_at": writing.now}])
            sentence = f"Plan {plan.plan_id} made: it would apply {plan.pending} row{'' if plan.pending == 1 else 's'}."
            detail: Detail = {"digest": plan.digest, "objections": len(plan.objections)}
            writing.note("plan-made", f"plan:{plan.plan_id}", run.operator, sentence, run_id=run.run_id, detail=detail)

    def _held_before(self, plan: Plan, run: Run) -> tuple[tuple[str, Hold], ...]:
        """Give the holds people were told of before this run: those of the newest night."""
        table = tables.runs
        ended = table.c.ended_at.is_not(None) & (table.c.plan_id != "") & table.c.kind.in_(_NIGHTS)
        with self._store.reading() as conn:
            before = conn.scalar(select(table.c.plan_id).where(ended).order_by(table.c.id.desc()).limit(1))
        try:
            told = self.find(before) if before else None
        except PlanError:  # too old to be kept
            told = None
        if told is None:
            return ()
        # Made by hand in between, it is no news; and of a source that cannot be believed nobody was told a hold.
        is_no_news = told.plan.digest == plan.digest and run.kind not in _NIGHTS
        if is_no_news or any(objection.is_of_source for objection in told.plan.objections):
            return told.held_before or ()
        return tuple((row.key, hold) for row in told.plan.revocations for hold in row.holds)

    def find(self, id_prefix: str) -> StoredPlan:
        """Give the one plan whose id or digest begins so. Raises PlanError: unknown, several, or edited by hand."""
        row = self._one(id_prefix)
        if not hmac.compare_digest(keyed(self._store.audit_key, "plan", row.content.encode()), row.content_mac):
            raise _edited(row.plan_id)
        try:
            plan = from_json(Plan, row.content)
        except CodecError as error:
            raise PlanError(
                f"Plan {row.plan_id} was written by another version and cannot be read ({error}).",
                "Make a new one: connector plan",
            ) from error
        if (plan.digest, plan.plan_id) != (row.digest, row.plan_id):
            raise _edited(row.plan_id)
        shown = replace(plan, held_before=None)
        return StoredPlan(shown, row.created_at, row.state, row.run_id, row.snapshot_id, plan.held_before)

    def _one(self, prefix: str) -> Row[Any]:
        table = tables.plans
        begins = or_(
            table.c.digest.startswith(prefix, autoescape=True), table.c.plan_id.startswith(prefix, autoescape=True)
        )
        with self._store.reading() as conn:
            found = conn.execute(select(table).where(begins).limit(2)).all() if prefix else []
        if len(found) > 1:
            raise PlanError(f"Several plans begin with {prefix}.", "Type more of the id: connector plan lists them.")
        if not found:
            raise PlanError(f"There is no plan {prefix or '(nothing typed)'}.", "Make one: connector plan")
        return found[0]

    def recent(self, limit: int = 20) -> tuple[PlanEntry, ...]:
        """List the newest plans, newest first, without their content."""
        query = select(*_ENTRY).order_by(tables.plans.c.created_at.desc()).limit(limit)
        with self._store.reading() as conn:
            return tuple(PlanEntry(*row) for row in conn.execute(query))

    def mark(self, plan_id: str, state: str, operator: str) -> None:
        """Record what became of a plan. Raises PlanError where it is unknown."""
        table = tables.plans
        with self._store.writing() as writing:
            marked = update(table).where(table.c.plan_id == plan_id).values(state=state)
            if not writing.conn.execute(marked).rowcount:
                raise PlanError(f"There is no plan {plan_id}.", "Make one: connector plan")
            writing.note("plan-marked", f"plan:{plan_id}", operator, f"Plan {plan_id} is {state}.")

    def approve(self, digest: str, plan_id: str, waivers: tuple[str, ...], operator: str, reason: str) -> None:
        """Record a named person's approval of one plan and which objections it waives. Raises PlanError if unknown."""
        with self._store.writing() as writing:
            known = select(tables.plans.c.digest).where(tables.plans.c.digest == digest)
            if writing.conn.scalar(known) is None:
                raise PlanError(f"There is no plan {plan_id} to approve.", "Make one: connector plan")
            made = Approval(digest, plan_id, waivers, operator, reason, writing.now)
            row = {
                "id": writing.next_id(tables.approvals),
                "digest": digest,
                "plan_id": plan_id,
                "waivers": canonical(list(waivers)),
                "operator": operator,
                "reason": reason,
                "approved_at": writing.now,
                "mac": self._signature(made),
            }
            writing.conn.execute(insert(tables.approvals).values(**row))
            sentence = (
                f"Plan {plan_id} approved, waiving {', '.join(waivers) or 'nothing'}: {reason or 'no reason given'}."
            )
            writing.note("plan-approved", f"plan:{plan_id}", operator, sentence, detail={"digest": digest})

    def approvals(self, digest: str) -> tuple[Approval, ...]:
        """Give the approvals of one plan, oldest first. Raises PlanError where one was written by another way."""
        table = tables.approvals
        with self._store.reading() as conn:
            rows = conn.execute(select(table).where(table.c.digest == digest).order_by(table.c.id)).all()
        found = tuple(approval(row) for row in rows)
        for one, row in zip(found, rows, strict=True):
            if not hmac.compare_digest(self._signature(one).encode(), row.mac.encode()):
                raise PlanError(
                    f"An approval of plan {one.plan_id} is not as a person gave it: somebody wrote to the journal's "
                    "database by another way. Nothing was applied.",
                    "See who could, compare it with a backup, and: connector audit verify",
                )
        return found

    def standing_approvals(self, digest: str) -> tuple[Approval, ...]:
        """Give the approvals of one plan that no applied run has used yet.

        A plan without rows is the same plan every night: what was waived in it once must not be waived for ever.
        """
        table = tables.runs
        used = select(func.max(table.c.started_at)).where(table.c.result == _APPLIED).where(table.c.plan_id != "")
        approvals = self.approvals(digest)
        if not approvals:
            return ()
        with self._store.reading() as conn:
            last = {a.plan_id: conn.scalar(used.where(table.c.plan_id == a.plan_id)) for a in approvals}
        return tuple(a for a in approvals if (since := last[a.plan_id]) is None or a.approved_at > since)

    def _signature(self, made: Approval) -> str:
        when = made.approved_at.astimezone(UTC).isoformat()
        said = [made.digest, made.plan_id, list(made.waivers), made.operator, made.reason, when]
        return keyed(self._store.audit_key, "approval", canonical(said).encode())


def approval(row: Row[Any]) -> Approval:
    """Make an approval of a row of `approvals`."""
    return Approval(row.digest, row.plan_id, tuple(json.loads(row.waivers)), row.operator, row.reason, row.approved_at)


def _edited(plan_id: str) -> PlanError:
    return PlanError(
        f"Plan {plan_id} is not as it was kept: it was edited by hand. Nothing was applied.",
        "Make a new one: connector plan. What should be left out is said there: --without, --except",
    )
