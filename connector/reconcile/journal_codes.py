"""The authority's codes in the journal: made, shown once, used once, and recognised without being kept.

Only a hash keyed with the audit key is stored, over the code and all it is bound to. Wrong tries are counted and
audited, and never say what was wrong. A sealed code that is used raises an alarm an authority has to acknowledge.
"""

import hmac
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from connector.errors import NotAllowed
from connector.reconcile.authority import (
    ALPHABET,
    CODE_MINUTES,
    ONE_TIME_LENGTH,
    SEALED_LENGTH,
    TRIES,
    Action,
    Alarm,
    CodeKind,
    Signature,
    StoredTermination,
    code_content,
    grouped_code,
    is_same_user,
    typed_code,
)
from connector.reconcile.codec import canonical
from connector.reconcile.journal_audit import keyed
from connector.reconcile.journal_authority_tables import authority_codes, authority_tries
from connector.reconcile.journal_signing import sign
from connector.reconcile.journal_store import Store, Writing, insert_rows


class Codes:
    """Make, print, use and acknowledge codes; count wrong tries."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def make(self, by: tuple[str, str], requester: str, person_id: str, operator: str) -> str:
        """Make a one-time code that lets one requester act on one person; `by` is who gives it, and their role."""
        with self._store.writing() as writing:
            bound = (requester, person_id, Action.COUNTERSIGN.value)
            code = self._insert(writing, CodeKind.ONE_TIME, 1, by, bound)[0][1]
            sentence = f"{by[0]} ({by[1]}) gave {requester} a one-time code to {Action.COUNTERSIGN} for {person_id}."
            writing.note("code-given", person_id, operator, sentence, person_id=person_id, detail={"for": requester})
        return grouped_code(code)

    def print_sealed(self, by: tuple[str, str], count: int, operator: str) -> tuple[tuple[int, str], ...]:
        """Make sealed codes, each with its number. This is the only time they are seen."""
        with self._store.writing() as writing:
            made = self._insert(writing, CodeKind.SEALED, count, by, ("", "", Action.COUNTERSIGN.value))
            sentence = f"{by[0]} ({by[1]}) printed {count} sealed codes, {made[0][0]} to {made[-1][0]}."
            writing.note("codes-printed", "authority", operator, sentence, detail={"count": count})
        return tuple((number, grouped_code(code)) for number, code in made)

    def countersign(self, termination: StoredTermination, text: str, operator: str) -> Signature:
        """Countersign an urgent termination with a code, which is used up in the same transaction.

        Raises NotAllowed, never saying what was wrong: unknown, used, too old, another requester's or person's.
        """
        with self._store.writing() as writing:
            # Counted, compared and written down in one transaction: many tries at once are not more tries.
            _refuse_tired(writing.conn, writing.now, operator)
            row = self._match(writing, typed_code(text), termination, operator)
            if row is not None:
                word = self._spend(writing, row, termination.number, operator)
                return sign(writing, self._store.audit_key, termination.number, word, operator)
            _write_try(writing, operator, f"a code for urgent termination {termination.number}")
        raise NotAllowed(
            "That code does not fit.",
            f"A code is good once, for {CODE_MINUTES} minutes, for one requester and one person. Ask for a new one.",
        )

    def refuse_tired(self, operator: str) -> None:
        """Raise NotAllowed where an operator was wrong too often just now."""
        with self._store.reading() as conn:
            _refuse_tired(conn, self._store.clock(conn), operator)

    def tried(self, operator: str, what: str) -> None:
        """Write a wrong try down."""
        with self._store.writing() as writing:
            _write_try(writing, operator, what)

    def acknowledge(self, name: str, operator: str) -> tuple[Alarm, ...]:
        """Write down that an authority knows of every alarm there is; give them."""
        with self._store.writing() as writing:
            alarms = open_alarms(writing.conn)
            for alarm in alarms:
                known = {"acknowledged_at": writing.now, "acknowledged_by": name}
                writing.conn.execute(
                    update(authority_codes).where(authority_codes.c.id == alarm.number).values(**known)
                )
                writing.note("alarm-acknowledged", "authority", operator, f"{name} knows: {alarm.sentence}")
        return alarms

    def _insert(
        self, writing: Writing, kind: CodeKind, count: int, by: tuple[str, str], bound: tuple[str, str, str]
    ) -> list[tuple[int, str]]:
        length = SEALED_LENGTH if kind is CodeKind.SEALED else ONE_TIME_LENGTH
        first = writing.next_id(authority_codes)
        made = [(first + n, "".join(secrets.choice(ALPHABET) for _ in range(length))) for n in range(count)]
        ends = None if kind is CodeKind.SEALED else writing.now + timedelta(minutes=CODE_MINUTES)
        shared = {"kind": kind.value, "made_by": by[0], "role": by[1], "made_at": writing.now, "expires_at": ends}
        shared |= dict(zip(("requester", "person_id", "action"), bound, strict=True))
        rows = [
            {"id": number, "code_hash": self._hash(kind, code, (*by, *bound, _stamp(ends))), **shared}
            for number, code in made
        ]
        insert_rows(writing.conn, authority_codes, rows)
        return made

    def _hash(self, kind: CodeKind, code: str, bound_to: Sequence[str]) -> str:
        return keyed(self._store.audit_key, "code", canonical(code_content(kind, code, bound_to)).encode())

    def _match(self, writing: Writing, code: str, termination: StoredTermination, operator: str) -> Row[Any] | None:
        """Find the code among those that are good now. All are compared, so that time tells nothing."""
        table, found = authority_codes, None
        people = {record.person_id or record.key for record in termination.records}
        for row in writing.conn.execute(select(table).where(table.c.used_at.is_(None)).order_by(table.c.id)):
            kind = CodeKind(row.kind)
            bound = (row.made_by, row.role, row.requester, row.person_id, row.action, _stamp(row.expires_at))
            same = hmac.compare_digest(self._hash(kind, code, bound), row.code_hash)
            ours = is_same_user(termination.operator, operator) and _fits(row, operator, people, writing.now)
            if same and (kind is CodeKind.SEALED or ours):
                found = row
        return found

    def _spend(self, writing: Writing, row: Row[Any], termination: int, operator: str) -> tuple[str, str, str]:
        used = {"used_at": writing.now, "used_by": operator, "termination_id": termination}
        writing.conn.execute(update(authority_codes).where(authority_codes.c.id == row.id).values(**used))
        if row.kind == CodeKind.SEALED:
            alarm = Alarm(row.id, row.made_by, operator, writing.now, termination)
            detail = {"code": row.id, "termination": termination}
            writing.note("alarm", "authority", operator, alarm.sentence, detail=detail)
            # Nobody was there to sign: the certificate must not say that whoever printed the code was.
            return f"sealed code {row.id}", "", f"printed by {row.made_by} ({row.role}), typed by {operator}"
        sentence = f"{operator} used the one-time code of {row.made_by} for urgent termination {termination}."
        writing.note("code-used", row.person_id, operator, sentence, person_id=row.person_id)
        return row.made_by, row.role, f"by one-time code, typed by {operator}"


def _refuse_tired(conn: Connection, now: datetime, operator: str) -> None:
    recent = authority_tries.c.operator == operator, authority_tries.c.at > now - timedelta(minutes=CODE_MINUTES)
    tried = conn.scalar(select(func.count()).select_from(authority_tries).where(*recent)) or 0
    if tried >= TRIES:
        raise NotAllowed(
            f"{operator} was wrong {tried} times within {CODE_MINUTES} minutes.",
            "Wait that long. What is closed stays closed meanwhile.",
        )


def _write_try(writing: Writing, operator: str, what: str) -> None:
    row = {"id": writing.next_id(authority_tries), "operator": operator, "at": writing.now}
    writing.conn.execute(insert(authority_tries).values(**row))
    writing.note("wrong-try", "authority", operator, f"{operator} was wrong: {what}.")


def _stamp(at: datetime | None) -> str:
    return at.isoformat(timespec="microseconds") if at else ""


def _fits(row: Row[Any], operator: str, people: Collection[str], now: datetime) -> bool:
    """Say whether a one-time code is this requester's, to countersign for one of these people, and still good."""
    ends: datetime | None = row.expires_at
    return (
        row.action == Action.COUNTERSIGN
        and ends is not None
        and now <= ends
        and row.person_id in people
        and is_same_user(row.requester, operator)
    )


def open_alarms(conn: Connection) -> tuple[Alarm, ...]:
    """Give the sealed codes that were used and not acknowledged, oldest first."""
    table = authority_codes
    used = table.c.kind == CodeKind.SEALED.value, table.c.used_at.is_not(None), table.c.acknowledged_at.is_(None)
    rows = conn.execute(select(table).where(*used).order_by(table.c.used_at)).all()
    return tuple(Alarm(r.id, r.made_by, r.used_by or "", r.used_at, r.termination_id or 0) for r in rows)
