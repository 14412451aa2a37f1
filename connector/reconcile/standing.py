"""What stands by people's words, as the audit trail tells it: blocks, requests, keeps, links, settings. Pure.

The journal's rows say the same. A row that somebody wrote, changed or took out without the audit key differs from this;
what takes access away then still holds, because the trail says that it stands.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from connector.reconcile.journal_values import AuditRecord
from connector.reconcile.memory import Block
from connector.reconcile.wording import clean

Words = Mapping[tuple[str, str], tuple[str, ...]]
"""Of each word its kind and key, and what it says. A block's key is the number of its audit record."""

BLOCK, REQUEST, KEEP, LINK, SETTING = "block", "request", "keep", "link", "setting"

SAID = (BLOCK, REQUEST, KEEP)
"""What is said about persons: a few rows, held against the trail before every decision."""

_LIFTED = {"unblocked": (BLOCK, REQUEST), "unkept": (KEEP,)}
_MADE = {"blocked": BLOCK, "requested": REQUEST, "kept": KEEP}
_KEEPS_OUT = ("blocked", "requested")


@dataclass(slots=True)
class Telling:
    """Takes the audit records in their order, and knows after each what stands."""

    words: dict[tuple[str, str], tuple[str, ...]]

    def take(self, record: AuditRecord, *, proven: bool = True) -> None:
        """Take the next record. One that is not proven can keep somebody out, and nothing else."""
        if not proven and record.kind not in _KEEPS_OUT:
            return
        detail, person = _detail(record), record.person_id or ""
        if kind := _MADE.get(record.kind):
            said = (person, record.operator, _text(detail, "reason"), _text(detail, "until"))
            self.words[kind, str(record.number)] = said
        elif kinds := _LIFTED.get(record.kind):
            self.words = {k: said for k, said in self.words.items() if k[0] not in kinds or said[0] != person}
        elif record.kind in ("linked", "link-moved"):
            self.words[LINK, record.subject] = (record.subject, person)
        elif record.kind == "unlinked":
            self.words.pop((LINK, record.subject), None)
        elif record.kind in ("setting", "seconded") and "value" in detail:
            name = _text(detail, "name") or record.subject.partition(":")[2]
            self.words[SETTING, name] = (name, _text(detail, "value"))


def _detail(record: AuditRecord) -> dict[str, object]:
    try:
        return dict(json.loads(record.detail))
    except (TypeError, ValueError):  # somebody wrote it by another way
        return {}


def _text(detail: Mapping[str, object], name: str) -> str:
    value = detail.get(name)
    return "" if value is None else str(value)


def standing_blocks(words: Words, as_of: date) -> tuple[Block, ...]:
    """Give the blocks that stand on a day, of several on one person the one that holds longest last."""
    found = [_block(said) for (kind, _), said in words.items() if kind == BLOCK]
    standing = [block for block in found if block.until is None or block.until >= as_of]
    return tuple(sorted(standing, key=lambda block: block.until or date.max))


def _block(said: tuple[str, ...]) -> Block:
    person, owner, reason, until = said
    try:
        return Block(person, owner, reason, date.fromisoformat(until) if until else None)
    except ValueError:  # written by another way: it keeps out until somebody lifts it
        return Block(person, owner, reason)


def differences(told: Words, rows: Iterable[tuple[str, tuple[str, ...]]], kinds: Iterable[str]) -> tuple[str, ...]:
    """Say which rows (kind and what they say) of these kinds are not as the trail tells it; empty where all are."""
    wanted = set(kinds)
    by_trail = Counter((kind, said) for (kind, _), said in told.items() if kind in wanted)
    by_rows = Counter((kind, said) for kind, said in rows if kind in wanted)
    gone = [f"{_named(*one)} stands by the audit trail, and its row is gone or changed" for one in by_trail - by_rows]
    odd = [f"{_named(*one)} is a row that the audit trail does not know" for one in by_rows - by_trail]
    return (*sorted(gone), *sorted(odd))


def _named(kind: str, said: tuple[str, ...]) -> str:
    if kind == LINK:
        return clean(f"the link of {said[0]} to {said[1]}")
    if kind == SETTING:
        return clean(f"the setting {said[0]} ({said[1]})")
    until = f" until {said[3]}" if said[3] else ""
    return clean(f"the {kind} on {said[0]} by {said[1]}{until}")
