"""What named people decided about persons: blocks, keeps, requests, releases.

A block outlives everything but `unblock`, which takes two people. Nothing here is ever deleted but a release, which the
next one of the same hold replaces.
"""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import Table, insert, select, update

from connector.errors import NotAllowed, UnknownPerson
from connector.reconcile import journal_tables as tables
from connector.reconcile.journal_standing import read_register
from connector.reconcile.journal_store import Detail, Store, Writing, upsert
from connector.reconcile.memory import Block, Keep, Release
from connector.reconcile.standing import BLOCK


class People:
    """Block, keep, request and release."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def block(self, person_id: str, operator: str, reason: str, until: date | None = None) -> None:
        """Keep someone out, until and including a day or until `unblock`. A second block does not shorten the first."""
        with self._store.writing() as writing:
            write_block(writing, Block(person_id, operator, reason, until))

    def unblock(self, person_id: str, operator: str, second_operator: str, also: Sequence[str] = ()) -> tuple[str, ...]:
        """Lift every block on and request about someone; give the records that had one.

        `also` are the other records of the same human: a block on one keeps out all. Raises NotAllowed without a
        second, enrolled operator, UnknownPerson where there is nothing to lift.
        """
        with self._store.writing() as writing:
            require_second(writing, operator, second_operator)
            records = dict.fromkeys((person_id, *also))
            told = read_register(writing.conn, self._store.audit_key).words
            by_trail = {said[0] for (kind, _), said in told.items() if kind == BLOCK}
            lifted = tuple(
                record
                for record in records
                if _unblock(writing, record, operator, second_operator, stands=record in by_trail)
            )
            _require_lifted(len(lifted), person_id, "block")
        return lifted

    def keep(self, person_id: str, operator: str, reason: str, until: date | None = None) -> None:
        """Keep someone in: their row is held, until and including a day or until `unkeep`."""
        with self._store.writing() as writing:
            _write(writing, tables.keeps, Keep(person_id, operator, reason, until))
            sentence = f"{person_id} is kept in{_until(until)}: {reason}."
            detail = _word(reason, until)
            writing.note("kept", person_id, operator, sentence, person_id=person_id, detail=detail)

    def unkeep(self, person_id: str, operator: str) -> None:
        """Take every keep on someone back. Raises UnknownPerson where there is none."""
        with self._store.writing() as writing:
            _require_lifted(_lift(writing, tables.keeps, person_id, operator, None), person_id, "keep")
            writing.note(
                "unkept", person_id, operator, f"Keep on {person_id} taken back by {operator}.", person_id=person_id
            )

    def request_revocation(self, person_id: str, operator: str, reason: str) -> None:
        """Ask for someone's revocation by name. The block goes with it, so that no nightly add brings them back."""
        with self._store.writing() as writing:
            writing.conn.execute(
                insert(tables.requests).values(
                    id=writing.next_id(tables.requests),
                    person_id=person_id,
                    operator=operator,
                    reason=_reasoned(reason, "request"),
                    made_at=writing.now,
                )
            )
            sentence = f"Revocation of {person_id} requested by {operator}: {reason}."
            detail = _word(reason)
            writing.note("requested", person_id, operator, sentence, person_id=person_id, detail=detail)
            write_block(writing, Block(person_id, operator, reason))

    def release(self, release: Release) -> None:
        """Lift one hold of one identity, for as long as its evidence has this digest."""
        with self._store.writing() as writing:
            row = {
                "key": release.key,
                "hold": release.hold.value,
                "evidence_digest": release.evidence_digest,
                "owner": release.owner,
                "reason": release.reason,
                "released_at": writing.now,
            }
            upsert(writing.conn, tables.releases, [row])
            sentence = f"Hold {release.hold} of {release.key} released by {release.owner}."
            detail = {"hold": release.hold.value, "evidence": release.evidence_digest, "reason": release.reason}
            writing.note("released", release.key, release.owner, sentence, detail=detail)


def write_block(writing: Writing, block: Block) -> None:
    """Write a block inside a transaction that does more: an intent and its block stand or fall together."""
    _write(writing, tables.blocks, block)
    sentence = f"{block.person_id} is blocked{_until(block.until)} by {block.owner}: {block.reason}."
    detail = _word(block.reason, block.until)
    writing.note("blocked", block.person_id, block.owner, sentence, person_id=block.person_id, detail=detail)


def require_second(writing: Writing, operator: str, second: str) -> None:
    """Raise NotAllowed unless the second operator is enrolled and is somebody else."""
    if second.casefold() == operator.casefold():
        raise NotAllowed(
            f"{operator} cannot second themselves.", "Ask another enrolled operator: connector operator list"
        )
    if writing.conn.scalar(select(tables.operators.c.name).where(tables.operators.c.name == second)) is None:
        raise NotAllowed(
            f"{second or 'Nobody'} is not an enrolled operator, and this takes two.", "See: connector operator list"
        )


def _write(writing: Writing, table: Table, row: Block | Keep) -> None:
    writing.conn.execute(
        insert(table).values(
            id=writing.next_id(table),
            person_id=row.person_id,
            owner=row.owner,
            reason=_reasoned(row.reason, table.name.removesuffix("s")),
            until=row.until,
            made_at=writing.now,
        )
    )


def _unblock(writing: Writing, person_id: str, operator: str, second: str, *, stands: bool) -> bool:
    """Lift what there is, also a block that stands by the audit trail and whose row is gone (`stands`)."""
    lifted = stands + _lift(writing, tables.blocks, person_id, operator, second)
    requests = tables.requests
    standing = (requests.c.person_id == person_id) & requests.c.lifted_at.is_(None)
    lifted += writing.conn.execute(update(requests).where(standing).values(lifted_at=writing.now)).rowcount
    if lifted:
        sentence = f"Block on {person_id} lifted by {operator}, seconded by {second}."
        writing.note("unblocked", person_id, operator, sentence, person_id=person_id, detail={"second": second})
    return bool(lifted)


def _lift(writing: Writing, table: Table, person_id: str, operator: str, second: str | None) -> int:
    standing = (table.c.person_id == person_id) & table.c.lifted_at.is_(None)
    lifted = update(table).where(standing).values(lifted_at=writing.now, lifted_by=operator, seconded_by=second)
    return writing.conn.execute(lifted).rowcount


def _reasoned(reason: str, what: str) -> str:
    if not reason.strip():
        raise NotAllowed(f"A {what} without a reason is not taken.", "Say why: --reason TEXT")
    return reason


def _require_lifted(lifted: int, person_id: str, what: str) -> None:
    if not lifted:
        raise UnknownPerson(f"There is no {what} on {person_id}.", "See what there is: connector history PERSON")


def _word(reason: str, until: date | None = None) -> Detail:
    """Give what the register of standing words is made of: see `standing`."""
    return {"reason": reason, "until": until.isoformat() if until else ""}


def _until(until: date | None) -> str:
    return f" until {until}" if until else ""
