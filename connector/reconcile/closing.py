"""Close people now, on claims alone, ahead of any run: what a client asked for, already decided and blocked.

It never decides who may be closed: the rows are planned and guarded. Whom a running batch holds is left for the next
try, and marked so that no run takes them again before it.
"""

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from connector.reconcile.apply import Applier, Pace
from connector.reconcile.boundaries import Boundary, Reached, unwatched
from connector.reconcile.decide import Decisions
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import Claim, OpenLeg
from connector.reconcile.plan_values import Revocation
from connector.reconcile.reading import Progress, Targets, silent
from connector.reconcile.resume import decide_again, read_again


@dataclass(frozen=True, slots=True)
class Closer:
    """Closes on one school's targets. `owner` is the same for every try, so that a mark of ours stays ours."""

    journal: Journal
    targets: Targets
    pace: Pace
    owner: str
    operator: str
    progress: Progress = silent
    reached: Reached = unwatched
    sleep: Callable[[float], None] = time.sleep

    def close(self, rows: Sequence[Revocation], keys: Collection[str], decisions: Decisions) -> frozenset[str]:
        """Intend these rows and drive them; give the keys others hold.

        What is open of `keys` from earlier is decided again, and driven with them.
        """
        wanted = list(dict.fromkeys((*keys, *(row.key for row in rows))))
        with self._held(wanted) as claims:
            ours = {claim.key for claim in claims}
            if ours:
                self._close([row for row in rows if row.key in ours], ours, claims, decisions)
        return frozenset(wanted) - ours

    def _close(
        self, rows: Sequence[Revocation], keys: Collection[str], claims: Sequence[Claim], decisions: Decisions
    ) -> None:
        self.reached(Boundary.CLAIMED)
        applier = Applier(self.journal, self.targets, None, self.pace, self.progress, self.sleep, self.reached, claims)
        earlier = [leg for key in sorted(keys) for leg in self.journal.open_legs(key=key)]
        new = self._intended(rows, claims)
        over = read_again(earlier, decisions, {row.key for row in rows})
        applier.call_off(over, asked_anew=True)
        gone = {leg.leg_id for leg, _ in over}
        once_more = decide_again([leg for leg in earlier if leg.leg_id not in gone], decisions)
        applier.call_off(once_more.call_off)
        applier.drive((*new, *once_more.drive), once_more.older_only)

    def _intended(self, rows: Sequence[Revocation], claims: Sequence[Claim]) -> tuple[OpenLeg, ...]:
        if not rows:
            return ()
        self.reached(Boundary.BEFORE_INTENT)
        legs = self.journal.intend(None, "", rows, self.operator, claims=claims)
        self.reached(Boundary.INTENT_DURABLE)
        return legs

    @contextlib.contextmanager
    def _held(self, keys: Sequence[str]) -> Iterator[tuple[Claim, ...]]:
        seconds = self.pace.lease_seconds
        claims = self.journal.claim_urgently(keys, self.owner, seconds)
        if not claims:
            claims = tuple(one for key in keys for one in self.journal.claim_urgently([key], self.owner, seconds))
        try:
            yield claims
        except BaseException:
            # The first error is the one to show; where giving back fails too, the claims end by themselves.
            with contextlib.suppress(Exception):
                self.journal.release_claims(claims)
            raise
        self.journal.release_claims(claims)
