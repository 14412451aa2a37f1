"""End sessions until none is left: sweep, settle, sweep again until clean.

Stores whose applications save at request end bring a deleted session back, so one sweep proves nothing. A leg whose
person still has a door open is swept but stays open: a session ended while a door is open is opened again. While it
settles, what was ended is watched where the store can. What was clean is swept again by the runs of the next nights.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from connector.errors import ConnectorError, TargetUnreachable
from connector.interfaces import Returning
from connector.model import EndSessions, LegState, Outcome
from connector.reconcile.boundaries import Boundary, Reached, unwatched
from connector.reconcile.holding import Holding
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import FINAL, OpenLeg
from connector.reconcile.reading import Progress, Targets
from connector.reconcile.watching import Watch

_UNREAD = Outcome(LegState.UNREACHABLE, "a directory could not be read: whose user name this is, is not known yet")

_COMES_BACK = (
    "somebody asks without pause, or signs in by a way that is not closed here. Have that way closed, or the "
    "application restarted; the next run sweeps again. A longer settle_seconds helps only if one request takes so long"
)

_SWEPT = (LegState.CLOSED, LegState.ALREADY_CLOSED)


@dataclass(slots=True)
class Sweeping:
    """Sweeps the session stores for session legs, under the claims of one applier.

    A store is swept once for all its legs, however many: it may have to be read from end to end. The claims are held
    during a sweep, not while it settles. `last_ended` is the database's time after the last sweep that found one.
    """

    journal: Journal
    targets: Targets
    holding: Holding
    sleep: Callable[[float], None]
    progress: Progress
    reached: Reached = unwatched
    batch_size: int = 500
    last_ended: datetime | None = None

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
        self._round(dirty, tally, older_only, self.journal.attempt, Boundary.SWEEP_COUNTED)
        for _ in range(max(1, sweeps_max)):
            dirty = [leg for leg in dirty if tally.goes_on(leg)]
            if not dirty:
                break
            self.reached(Boundary.BETWEEN_SWEEPS)
            back = self._settle(settle_seconds, self._watch(dirty, tally, older_only))
            found = self._round(dirty, tally, older_only, self._still_open)
            back.update(leg.leg_id for leg in found)
            dirty = [leg for leg in dirty if leg.leg_id in back]
        tally.came_back.update(leg.leg_id for leg in dirty)
        self.reached(Boundary.SWEEPS_CLEAN)
        return self._record(legs, tally, doors_open)

    def again(self, legs: Sequence[OpenLeg], older_only: Collection[int]) -> int:
        """Sweep once for legs that were closed some nights ago; give how many sessions had come back."""
        ended = 0
        for store, mine in _by_store(legs):
            self.progress(f"sessions {store}, again: {len(mine)}")
            self.reached(Boundary.BEFORE_RESWEEP)
            with self.holding.over(leg.key for leg in mine) as ours:
                held = [leg for leg in mine if leg.key in ours]
                self.holding.check()
                outcomes = self._sweep_store(store, held, older_only) if held else ()
                self.reached(Boundary.RESWEPT)
                found = [(leg, o.ended) for leg, o in zip(held, outcomes, strict=True) if o.ended]
                if found:
                    self.journal.swept_again(found, self.holding.run, self.holding.claims)
                    self.reached(Boundary.RESWEEP_RECORDED)
                ended += sum(count for _, count in found)
        return ended

    def _record(self, legs: Sequence[OpenLeg], tally: "_Tally", doors_open: Collection[str]) -> list[OpenLeg]:
        """Record what came of the legs, batch by batch; give those still open."""
        still_open = [leg for leg in legs if leg.leg_id in tally.missed]
        outcomes = [(leg, tally.outcome(leg, doors_open)) for leg in legs if not tally.is_left_out(leg)]
        for start in range(0, len(outcomes), self.batch_size):
            batch = outcomes[start : start + self.batch_size]
            with self.holding.over(leg.key for leg, _ in batch) as ours:
                mine = [(leg, outcome) for leg, outcome in batch if leg.key in ours]
                self.journal.record(mine, self.holding.run, self.holding.claims)
                self.reached(Boundary.SWEEP_RECORDED)
            still_open += [leg for leg, _ in batch if leg.key not in ours]
            still_open += [replace(leg, state=o.state, detail=o.detail) for leg, o in mine if o.state not in FINAL]
        return still_open

    def _settle(self, seconds: float, watch: Watch | None) -> set[int]:
        """Wait longer than the longest request under way, keeping the lease; give the legs whose sessions came back."""
        self.progress(f"settle {seconds:g} s")
        left = seconds
        while left > 0:
            part = min(left, 30.0, self.holding.ttl_seconds / 3)
            if watch is None:
                self.sleep(part)
            elif watch.for_seconds(part):
                self.last_ended = self.journal.now()
            left -= part
            self.holding.keep()
        return watch.returned if watch else set()

    def _watch(self, legs: Sequence[OpenLeg], tally: "_Tally", older_only: Collection[int]) -> Watch | None:
        """Give what watches the sessions that were ended, where there are any and their store can."""
        stores: dict[str, Returning] = {}
        items: dict[str, dict[EndSessions, int]] = {}
        for name, mine in _by_store(leg for leg in legs if tally.ended[leg.leg_id] and tally.goes_on(leg)):
            store = self.targets.session_stores[name]
            if isinstance(store, Returning):
                stores[name] = store
                items[name] = {_ending(leg, older_only=leg.leg_id in older_only): leg.leg_id for leg in mine}
        return Watch(stores, items, self.holding.check, self.sleep) if stores else None

    def _still_open(self, legs: Sequence[OpenLeg], _run: object, _claims: object) -> tuple[OpenLeg, ...]:
        return self.journal.still_open(legs)

    def _round(
        self,
        legs: Sequence[OpenLeg],
        tally: "_Tally",
        older_only: Collection[int],
        admit: Callable[..., tuple[OpenLeg, ...]],
        counted: Boundary | None = None,
    ) -> list[OpenLeg]:
        """Sweep each store once, for the legs that `admit` gives; give those for which something was found."""
        found: list[OpenLeg] = []
        for store, mine in _by_store(legs):
            self.progress(f"sessions {store}: {len(mine)}")
            self.reached(Boundary.BEFORE_SWEEP)
            with self.holding.over(leg.key for leg in mine) as ours:
                held = [leg for leg in mine if leg.key in ours]
                tally.missed.update(leg.leg_id for leg in mine if leg.key not in ours)
                admitted = admit(held, self.holding.run, self.holding.claims) if held else ()
                tally.over.update({leg.leg_id for leg in held} - {leg.leg_id for leg in admitted})
                if admitted:
                    if counted:
                        self.reached(counted)
                    found += self._swept(store, admitted, tally, older_only)
        return found

    def _swept(
        self, store: str, legs: Sequence[OpenLeg], tally: "_Tally", older_only: Collection[int]
    ) -> list[OpenLeg]:
        with self.holding.sending():
            outcomes = self._sweep_store(store, legs, older_only)
        self.reached(Boundary.SWEPT)
        if any(outcome.ended for outcome in outcomes):
            self.last_ended = self.journal.now()
        found: list[OpenLeg] = []
        for leg, outcome in zip(legs, outcomes, strict=True):
            tally.ended[leg.leg_id] += outcome.ended if outcome.state in _SWEPT else 0
            if outcome.state not in _SWEPT:
                tally.failed[leg.leg_id] = outcome
            elif outcome.ended:
                found.append(leg)
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
    """What came of every leg so far, by its number. `missed` are those somebody else holds, `over` those that ended."""

    ended: dict[int, int]
    failed: dict[int, Outcome]
    missed: set[int] = field(default_factory=set)
    over: set[int] = field(default_factory=set)
    came_back: set[int] = field(default_factory=set)

    def is_left_out(self, leg: OpenLeg) -> bool:
        """Say whether somebody else drives the leg or has ended it."""
        return leg.leg_id in self.missed or leg.leg_id in self.over

    def goes_on(self, leg: OpenLeg) -> bool:
        """Say whether a further sweep makes sense for this leg."""
        return leg.leg_id not in self.failed and not self.is_left_out(leg)

    def outcome(self, leg: OpenLeg, doors: Collection[str]) -> Outcome:
        """Say what came of a leg. Closed is said only of what a last sweep found clean, with every door closed."""
        count = self.ended[leg.leg_id]
        failed = self.failed.get(leg.leg_id)
        # While a door is open, a time after which sessions are over is no end: a new one may begin.
        if failed and not (failed.state is LegState.EFFECTIVE_BY and leg.key in doors):
            return replace(failed, ended=count)
        if leg.key in doors:
            return Outcome(LegState.INTENDED, "swept; swept again when the last door is closed", ended=count)
        if leg.leg_id in self.came_back:
            return Outcome(LegState.INTENDED, f"sessions keep coming back: {_COMES_BACK}", ended=count)
        return Outcome(
            LegState.CLOSED if count else LegState.ALREADY_CLOSED,
            f"{count} session{'' if count == 1 else 's'} ended",
            ended=count,
        )


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
