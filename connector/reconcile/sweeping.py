"""End sessions until none is left: sweep, settle, sweep again until clean.

Stores whose applications save at request end bring a deleted session back, so one sweep proves nothing. A leg whose
person still has a door open is swept but stays open: a session ended while a door is open is opened again.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from connector.errors import ConnectorError, TargetUnreachable
from connector.model import EndSessions, LegState, Outcome
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import FINAL, OpenLeg, Run
from connector.reconcile.reading import Progress, Targets

_UNREAD = Outcome(LegState.UNREACHABLE, "a directory could not be read: whose user name this is, is not known yet")


@dataclass(slots=True)
class Sweeping:
    """Sweeps the session stores for the session legs of one run."""

    journal: Journal
    targets: Targets
    run: Run
    sleep: Callable[[float], None]
    progress: Progress
    keep_lease: Callable[[], None]

    def sweep(
        self,
        legs: Sequence[OpenLeg],
        doors_open: Collection[str],
        older_only: Collection[int],
        settle_seconds: float,
        sweeps_max: int,
    ) -> list[OpenLeg]:
        """Sweep every store once per round for all its legs; give the legs still open.

        `doors_open` are the keys of people who can still sign in somewhere. Of the legs in `older_only`, sessions that
        began after the intent are spared: the user value may be somebody else's by now.
        """
        tally = _Tally({leg.leg_id: 0 for leg in legs}, {leg.leg_id: _UNREAD for leg in legs if leg.planned.unread})
        dirty = [leg for leg in legs if not leg.planned.unread]
        self.keep_lease()
        self.journal.attempt(dirty, self.run)
        self._round(dirty, tally, older_only)
        for _ in range(max(1, sweeps_max)):
            dirty = [leg for leg in dirty if leg.leg_id not in tally.failed]
            if not dirty:
                break
            self._settle(settle_seconds)
            dirty = self._round(dirty, tally, older_only)
        came_back = {leg.leg_id for leg in dirty}
        outcomes = [(leg, tally.outcome(leg, came_back, doors_open)) for leg in legs]
        self.keep_lease()
        self.journal.record(outcomes, self.run)
        return [replace(leg, state=o.state, detail=o.detail) for leg, o in outcomes if o.state not in FINAL]

    def _settle(self, seconds: float) -> None:
        """Wait longer than the longest request under way, keeping the lease meanwhile."""
        self.progress(f"settle {seconds:g} s")
        left = seconds
        while left > 0:
            part = min(left, 30.0)
            self.sleep(part)
            left -= part
            self.keep_lease()

    def _round(self, legs: Sequence[OpenLeg], tally: "_Tally", older_only: Collection[int]) -> list[OpenLeg]:
        """Sweep each store once; give the legs for which something was found."""
        found: list[OpenLeg] = []
        for store, mine in _by_store(legs):
            self.progress(f"sessions {store}: {len(mine)}")
            self.keep_lease()
            for leg, outcome in zip(mine, self._sweep_store(store, mine, older_only), strict=True):
                if outcome.state in (LegState.CLOSED, LegState.ALREADY_CLOSED):
                    tally.ended[leg.leg_id] += outcome.ended
                    found += [leg] if outcome.ended else []
                else:
                    tally.failed[leg.leg_id] = outcome
        return found

    def _sweep_store(self, store: str, legs: Sequence[OpenLeg], older_only: Collection[int]) -> Sequence[Outcome]:
        if store not in self.targets.session_stores:
            return [Outcome(LegState.REFUSED, f"{store} is no longer in the config")] * len(legs)
        batch = [_ending(leg, older_only=leg.leg_id in older_only) for leg in legs]
        try:
            return self.targets.session_stores[store].close(batch)
        except TargetUnreachable as error:
            return [Outcome(LegState.UNREACHABLE, str(error))] * len(legs)
        except ConnectorError as error:
            return [Outcome(LegState.REFUSED, str(error))] * len(legs)


@dataclass(frozen=True, slots=True)
class _Tally:
    """What came of every leg so far, by its number."""

    ended: dict[int, int]
    failed: dict[int, Outcome]

    def outcome(self, leg: OpenLeg, came_back: Collection[int], doors: Collection[str]) -> Outcome:
        """Say what came of a leg. Closed is said only of what a last sweep found clean, with every door closed."""
        count = self.ended[leg.leg_id]
        failed = self.failed.get(leg.leg_id)
        # While a door is open, a time after which sessions are over is no end: a new one may begin.
        if failed and not (failed.state is LegState.EFFECTIVE_BY and leg.key in doors):
            return replace(failed, ended=count)
        if leg.key in doors:
            return Outcome(LegState.INTENDED, "swept; swept again when the last door is closed", ended=count)
        if leg.leg_id in came_back:
            return Outcome(LegState.INTENDED, "sessions keep coming back: raise settle_seconds", ended=count)
        return Outcome(LegState.CLOSED if count else LegState.ALREADY_CLOSED, f"{count} sessions ended", ended=count)


def _ending(leg: OpenLeg, *, older_only: bool) -> EndSessions:
    """Say whose sessions end, and in words for a store where somebody else has to act."""
    return EndSessions(
        leg.planned.subject,
        leg.planned.portals,
        leg.intended_at if older_only else None,
        code=leg.code,
        name=leg.name,
        contact_type=", ".join(leg.contact_types),
        requested_by=leg.operator,
        reference=f"{leg.leg_id}-{leg.intended_at:%Y%m%d%H%M%S}",
    )


def _by_store(legs: Iterable[OpenLeg]) -> Iterable[tuple[str, list[OpenLeg]]]:
    groups: dict[str, list[OpenLeg]] = {}
    for leg in legs:
        groups.setdefault(leg.planned.target, []).append(leg)
    return groups.items()
