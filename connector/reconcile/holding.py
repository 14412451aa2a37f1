"""What an applier stands on: the run lease, and claims on the identities it is changing just now.

A run claims one batch at a time, so that an urgent termination goes ahead of it: it waits for the batch its person is
in, never for the whole run. Without a run, claims alone are stood on from beginning to end. Whoever lost what they
stood on sends and writes nothing more.
"""

import contextlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from connector.errors import RunInProgress
from connector.permission import asked_before_each_send
from connector.reconcile.boundaries import Boundary, Reached, unwatched
from connector.reconcile.interrupting import Check, unasked
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import Claim, Run

_FRESH_SECONDS = 1.0


@dataclass(slots=True)
class Holding:
    """A run with the claims of its batch, or claims alone. `busy` are the keys that somebody else held.

    `asked` may end what is under way: it is asked before each request of a batch too.
    """

    journal: Journal
    run: Run | None
    ttl_seconds: float
    reached: Reached = unwatched
    claims: tuple[Claim, ...] = ()
    _checked_at: float = float("-inf")
    busy: dict[str, None] = field(default_factory=dict)
    asked: Check = unasked

    def keep(self) -> None:
        """Extend the lease and the claims before they end. Raises RunInProgress where one was lost."""
        if self.run is not None:
            self.run = self.journal.renew(self.run, self.ttl_seconds)
        if self.claims:
            self.claims = self._extended(self.claims)

    def check(self) -> None:
        """Ask the database, just before a send, whether we still hold what is changed. Raises RunInProgress."""
        self.journal.require(self.run, self.claims)
        self._checked_at = time.monotonic()

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """Hold on while a batch is sent by one request after the other, asked again before each. Raises RunInProgress.

        The database is asked where the last answer is older than any freeze that matters: no claim ends within it.
        Whoever was asked to stop sends nothing more: StoppedEarly, and the next run reads back what went out.
        """

        def check() -> None:
            self.asked()
            if time.monotonic() - self._checked_at > _FRESH_SECONDS:
                self.check()

        self.check()
        with asked_before_each_send(check):
            yield

    @contextlib.contextmanager
    def over(self, keys: Iterable[str]) -> Iterator[frozenset[str]]:
        """Hold identities for one batch, and give those that are ours. What somebody else holds becomes `busy`."""
        wanted = list(dict.fromkeys(keys))
        if self.run is None:
            self.keep()
            yield self._ours(wanted)
            return
        self.run, self.claims = self.journal.claim_for(self.run, wanted, self.ttl_seconds)
        try:
            self.reached(Boundary.CLAIMED)
            yield self._ours(wanted)
        except BaseException:
            # The first error is the one to show; where giving back fails too, the claims end by themselves.
            with contextlib.suppress(Exception):
                self._release()
            raise
        self._release()
        self.reached(Boundary.RELEASED)

    def _ours(self, wanted: list[str]) -> frozenset[str]:
        ours = frozenset(claim.key for claim in self.claims).intersection(wanted)
        self.busy.update(dict.fromkeys(key for key in wanted if key not in ours))
        return ours

    def _release(self) -> None:
        claims, self.claims = self.claims, ()
        self.journal.release_claims(claims)

    def _extended(self, claims: tuple[Claim, ...]) -> tuple[Claim, ...]:
        kept = self.journal.extend_many(claims, self.ttl_seconds)
        lost = {claim.key for claim in claims} - {claim.key for claim in kept}
        if lost:
            raise RunInProgress(
                f"The claim on {', '.join(sorted(lost)[:3])} has ended or was taken over: nothing more is sent.",
                "Whoever holds it now reads the target again and decides; what is open: connector resume --dry-run",
            )
        return kept
