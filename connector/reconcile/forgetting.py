"""Which old closings and changes nothing rests on any more. Pure.

What we did last to an account or a member stays remembered as long as it was a closing: whoever comes back is let in
because it was us who closed. What a restore or a certificate would need stays whole. What goes is older than asked for,
and no decision is another without it.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

V = TypeVar("V")
K = TypeVar("K", bound=Hashable)

Door = tuple[str, str, str]
"""The kind, target and subject of an account or a member."""


@dataclass(frozen=True, slots=True)
class OldRevocation:
    """A revocation or restore; `over` where it is done and older than asked for."""

    number: int
    key: str
    over: bool
    intended_at: datetime
    done_at: datetime | None


@dataclass(frozen=True, slots=True)
class Effect:
    """A proven change of a door, by a revocation or by a change of memberships (`is_change`), of this number."""

    door: Door
    at: datetime
    closing: bool
    number: int
    is_change: bool = False

    @property
    def source(self) -> tuple[bool, int]:
        """What it belongs to."""
        return self.is_change, self.number


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The numbers of what is forgotten, in this order: closings first, so that none is ever the last that is known."""

    closing_revocations: tuple[int, ...] = ()
    closing_changes: tuple[int, ...] = ()
    other_revocations: tuple[int, ...] = ()
    other_changes: tuple[int, ...] = ()


@dataclass(slots=True)
class _Keeping:
    """What is kept so far."""

    revocations: set[int]
    changes: set[int]

    def keeps(self, effect: Effect) -> bool:
        return effect.number in (self.changes if effect.is_change else self.revocations)

    def keep(self, effect: Effect) -> None:
        (self.changes if effect.is_change else self.revocations).add(effect.number)

    def __len__(self) -> int:
        return len(self.revocations) + len(self.changes)


def forgotten(
    revocations: Sequence[OldRevocation],
    old_changes: Collection[int],
    effects: Sequence[Effect],
    terminated: Collection[str],
) -> Forgotten:
    """Give what may go. `old_changes` are final and older than asked for; `terminated` keys keep their certificates."""
    by_change = {effect.number for effect in effects if effect.is_change}
    kept = _Keeping(
        {r.number for r in revocations if not r.over or r.key in terminated}, by_change.difference(old_changes)
    )
    doors, keys = _grouped(effects, lambda effect: effect.door), _grouped(revocations, lambda one: one.key)
    size = -1
    while size != len(kept):  # what is kept for one reason may need something else
        size = len(kept)
        for each in doors.values():
            _keep_last(each, kept)
        for one in keys.values():
            _keep_whole(one, kept)
    closings = {effect.source for effect in effects if effect.closing}
    gone = [(False, r.number) for r in revocations if r.number not in kept.revocations]
    gone += [(True, number) for number in old_changes if number not in kept.changes]

    def these(*, is_change: bool, closing: bool) -> tuple[int, ...]:
        return tuple(sorted(one[1] for one in gone if one[0] == is_change and (one in closings) == closing))

    return Forgotten(
        these(is_change=False, closing=True),
        these(is_change=True, closing=True),
        these(is_change=False, closing=False),
        these(is_change=True, closing=False),
    )


def _grouped(values: Iterable[V], key: Callable[[V], K]) -> dict[K, list[V]]:
    found: defaultdict[K, list[V]] = defaultdict(list)
    for value in values:
        found[key(value)].append(value)
    return found


def _keep_last(effects: Sequence[Effect], kept: _Keeping) -> None:
    """Keep what we did last to a door where it was a closing, or where a closing before it is kept."""
    last = max(effect.at for effect in effects)
    newest = [effect for effect in effects if effect.at == last]
    if any(effect.closing for effect in newest) or any(e.closing and kept.keeps(e) for e in effects):
        for effect in newest:
            kept.keep(effect)


def _keep_whole(revocations: Sequence[OldRevocation], kept: _Keeping) -> None:
    """Keep whatever came after one that is kept, and what overlaps with it: a restore undoes it as one closing."""
    newest_first = sorted(revocations, key=lambda one: -one.number)
    oldest_kept = min((r.number for r in revocations if r.number in kept.revocations), default=None)
    if oldest_kept is None:
        return
    begun_at = max(one.intended_at for one in revocations)
    for one in newest_first:
        if one.number < oldest_kept and one.done_at is not None and one.done_at < begun_at:
            return
        kept.revocations.add(one.number)
        begun_at = one.intended_at
