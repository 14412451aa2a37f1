"""A session store whose owner acts only on an authority's word: an urgent request waits until it is countersigned.

It stands before the real store and hands on everything else. What waits is `intended`, never done; what an authority
refused is called off.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from connector.interfaces import SessionStore
from connector.model import EndSessions, Finding, LegState, Outcome, SessionKey, SessionsReading
from connector.reconcile.authority import Refusal, Signature

Signatures = Callable[[Collection[int]], Mapping[int, Signature | Refusal | None]]
"""Gives, of these legs, those an urgent termination asked for, each with the authority's answer (none: it is due)."""

WAITS = "waits for the authority's countersignature"


class AwaitingAuthority:
    """Hands on what is countersigned, or was never an urgent termination's; keeps back the rest."""

    def __init__(self, store: SessionStore, signatures: Signatures) -> None:
        self._store = store
        self._signatures = signatures

    @property
    def user_key(self) -> SessionKey:
        """What the user value of the store is."""
        return self._store.user_key

    def read_all(self) -> SessionsReading:
        """Read what the store lists."""
        return self._store.read_all()

    def close(self, batch: Sequence[EndSessions]) -> tuple[Outcome, ...]:
        """Hand on what may go, in one batch; say of the rest that it waits."""
        numbers = [_leg_of(item) for item in batch]
        asked = self._signatures({number for number in numbers if number})
        items = [_signed(item, asked.get(number)) for item, number in zip(batch, numbers, strict=True)]
        kept = [_kept_back(asked[number]) if number in asked else None for number in numbers]
        going = [item for item, back in zip(items, kept, strict=True) if back is None]
        sent = iter(self._store.close(going) if going else ())
        return tuple(back or next(sent) for back in kept)

    def check(self) -> tuple[Finding, ...]:
        """Check the store."""
        return self._store.check()

    def disconnect(self) -> None:
        """Let go of the store's connections."""
        self._store.disconnect()


def _leg_of(item: EndSessions) -> int:
    """Give the number of the leg an item belongs to: what its reference begins with; 0 where it has none."""
    number = item.reference.partition("-")[0]
    return int(number) if number.isdecimal() else 0


def _kept_back(answer: Signature | Refusal | None) -> Outcome | None:
    """Give the outcome of what is not handed on: it waits, or an authority refused it."""
    if isinstance(answer, Signature):
        return None
    if isinstance(answer, Refusal):
        return Outcome(LegState.CALLED_OFF, f"not handed in: the countersignature was refused by {answer.sentence}")
    return Outcome(LegState.INTENDED, WAITS)


def _signed(item: EndSessions, answer: Signature | Refusal | None) -> EndSessions:
    return replace(item, authorised_by=answer.sentence) if isinstance(answer, Signature) else item


def awaiting(stores: Mapping[str, SessionStore], signatures: Signatures) -> dict[str, SessionStore]:
    """Put those that need an authoriser behind the wait; the others stay as they are."""
    return {
        name: AwaitingAuthority(store, signatures) if getattr(store, "needs_authoriser", False) else store
        for name, store in stores.items()
    }
