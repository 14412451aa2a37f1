"""Give up what is open, by a named person's word; what people were asked to do by hand is taken back first.

Nobody else drives these legs meanwhile. A leg whose row cannot be taken back stays open: somebody would act on it.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import uuid4

from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import Claim, OpenLeg
from connector.reconcile.reading import Targets
from connector.reconcile.withdrawing import withdrawn


@dataclass(frozen=True, slots=True)
class Abandoned:
    """How many legs were called off, and those that stay open: what was asked for them cannot be taken back now."""

    called_off: int
    left: tuple[OpenLeg, ...] = ()


def abandon(
    journal: Journal, targets: Targets, which: int | str, operator: str, reason: str, seconds: float
) -> Abandoned:
    """Call off the open legs of a revocation (by number) or an identity (by key or person). `seconds` are a claim's.

    Raises UnknownPerson where nothing is open, RunInProgress where somebody is driving it just now.
    """
    keys = list(dict.fromkeys(leg.key for leg in _open_of(journal, which)))
    with _claimed(journal, keys, seconds) as claims:
        legs = _open_of(journal, which)
        taken_back = {leg.leg_id for leg, _ in withdrawn(targets, [(leg, reason) for leg in legs])}
        left = tuple(leg for leg in legs if leg.leg_id not in taken_back)
        but = [leg.leg_id for leg in left]
        return Abandoned(journal.abandon(which, operator, reason, claims=claims, but=but), left)


def _open_of(journal: Journal, which: int | str) -> tuple[OpenLeg, ...]:
    return tuple(leg for leg in journal.open_legs() if which in (leg.revocation_id, leg.key, leg.person_id))


@contextlib.contextmanager
def _claimed(journal: Journal, keys: Sequence[str], seconds: float) -> Iterator[tuple[Claim, ...]]:
    """Hold all of these identities. Raises RunInProgress where somebody else holds one."""
    owner, claims = uuid4().hex, list[Claim]()
    try:
        claims += [journal.claim(key, owner, seconds) for key in keys]
        yield tuple(claims)
    finally:
        # What cannot be given back ends by itself.
        with contextlib.suppress(Exception):
            journal.release_claims(claims)
