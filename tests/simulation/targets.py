"""The four Protocols for one instance of the connector: the world's systems, with a step before and after each effect.

At a step the instance may die, be paused, or somebody else may act. What an instance changes is told to the promises
at once, so that each effect is judged by what the journal held at that very moment.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from connector.adapters.member_outcomes import Attempt, close_outcome, open_outcome
from connector.errors import TargetUnreachable
from connector.model import (
    Account,
    AccountsReading,
    CloseAccount,
    CloseMember,
    EndSessions,
    LegKind,
    LegState,
    Member,
    MembersReading,
    OpenAccount,
    OpenMember,
    Outcome,
    PeopleReading,
    Session,
    SessionKey,
    SessionsReading,
)
from connector.reconcile.awaiting import Signatures, awaiting
from connector.reconcile.reading import Targets
from tests.fakes import FakeAdminSystem, FakeDirectory, FakePortal, FakeSessionStore
from tests.simulation.school import PAPER
from tests.simulation.world import Door, State

if TYPE_CHECKING:
    from tests.simulation.instance import Instance


def targets_of(who: "Instance") -> Targets:
    """Give an instance its adapters."""
    school = who.world.school
    return Targets(
        SimAdminSystem(who),
        {name: (SimWorklist if name == PAPER.name else SimPortal)(name, who) for name in school.portals},
        {"ad": SimDirectory("ad", who)},
        awaiting({name: SimSessionStore(name, key, who) for name, key in school.store_keys.items()}, _signatures(who)),
    )


def _signatures(who: "Instance") -> Signatures:
    signatures: Signatures = who.journal.signatures
    return signatures


class SimAdminSystem(FakeAdminSystem):
    """The admin system. An instance is judged by what was true before it last began to read."""

    def __init__(self, who: "Instance") -> None:
        super().__init__(lambda: who.world.school.snapshot().people)
        self.who = who

    def read_all(self) -> PeopleReading:
        self.who.step("reads admin system")
        self.who.read_at = self.who.world.tick()
        self.who.has_read_directory = False
        return super().read_all()


class SimDirectory(FakeDirectory):
    """The directory."""

    def __init__(self, name: str, who: "Instance") -> None:
        super().__init__(name, who.world.school.accounts)
        self.who, self.trouble = who, who.world.trouble[name]

    def read_all(self) -> AccountsReading:
        self.who.step(f"reads {self.name}")
        read = super().read_all()
        self.who.has_read_directory = True
        return read

    def close(self, batch: Sequence[CloseAccount]) -> tuple[Outcome, ...]:
        self.who.requests(self.name, f"close {' '.join(i.before.username for i in batch)}")
        for item in batch:
            self.who.promises.words.on_account_request(self.who, item.before.guid)
        return super().close(batch)

    def open(self, batch: Sequence[OpenAccount]) -> tuple[Outcome, ...]:
        self.who.requests(self.name, f"open {' '.join(i.now.username for i in batch)}")
        return super().open(batch)

    def _write(self, planned: Account, change: Callable[[str], str]) -> Outcome:
        door = (LegKind.DIRECTORY.value, self.name, planned.guid)

        def now() -> Account | None:
            return next((a for a in self.accounts if (a.directory, a.guid) == (self.name, planned.guid)), None)

        return _effect(self.who, door, now, lambda: super(SimDirectory, self)._write(planned, change))


class SimPortal(FakePortal):
    """A portal."""

    def __init__(self, name: str, who: "Instance") -> None:
        super().__init__(name, who.world.school.members)
        self.who, self.trouble = who, who.world.trouble[name]

    def read_all(self) -> MembersReading:
        self.who.step(f"reads {self.name}")
        return super().read_all()

    def close(self, batch: Sequence[CloseMember]) -> tuple[Outcome, ...]:
        self.who.requests(self.name, f"close {' '.join(i.before.person_id for i in batch)}")
        return super().close(batch)

    def open(self, batch: Sequence[OpenMember]) -> tuple[Outcome, ...]:
        self.who.requests(self.name, f"open {' '.join(i.now.person_id for i in batch)}")
        return super().open(batch)

    def add(self, batch: Sequence[Member]) -> tuple[Outcome, ...]:
        self.who.requests(self.name, f"add {' '.join(m.person_id for m in batch)}")
        return super().add(batch)

    def remove(self, batch: Sequence[Member]) -> tuple[Outcome, ...]:
        self.who.requests(self.name, f"remove {' '.join(m.person_id for m in batch)}")
        return super().remove(batch)

    def _close(self, item: CloseMember) -> Outcome:
        return self._told(item.before.person_id, lambda: super(SimPortal, self)._close(item))

    def _open(self, item: OpenMember) -> Outcome:
        return self._told(item.now.person_id, lambda: super(SimPortal, self)._open(item))

    def _add(self, wanted: Member) -> Outcome:
        return self._told(wanted.person_id, lambda: super(SimPortal, self)._add(wanted))

    def _remove(self, before: Member) -> Outcome:
        return self._told(before.person_id, lambda: super(SimPortal, self)._remove(before))

    def _told(self, person_id: str, act: Callable[[], Outcome]) -> Outcome:
        door = (LegKind.CREDENTIAL.value, self.name, person_id)
        return _effect(self.who, door, lambda: self.who.world.member(person_id, self.name), act)


class SimWorklist(SimPortal):
    """A portal that people close by hand: what is asked lies on a list until somebody does it."""

    def _close(self, item: CloseMember) -> Outcome:
        def by_hand() -> None:
            FakePortal(self.name, self.members).close([item])

        return self._asked(item.before, lambda now: close_outcome(item, now, Attempt()), by_hand)

    def _open(self, item: OpenMember) -> Outcome:
        def by_hand() -> None:
            FakePortal(self.name, self.members).open([item])

        return self._asked(item.now, lambda now: open_outcome(item, now, Attempt()), by_hand)

    def withdraw(self, batch: Sequence[CloseMember | OpenMember | Member]) -> None:
        """Take rows back that nobody has done yet."""
        people = [_whom(item) for item in batch]
        self.who.requests(self.name, f"withdraw {' '.join(people)}")
        if not self.trouble.answers():
            raise TargetUnreachable(f"{self.name} did not answer.")
        for person in people:
            self.who.world.worklist.pop(person, None)

    def _asked(
        self, planned: Member, judge: Callable[[Sequence[Member]], Outcome], by_hand: Callable[[], None]
    ) -> Outcome:
        self.who.step(f"asks for {planned.person_id} on the worklist of {self.name}")
        if not self.trouble.answers():
            return self._unread(planned)
        outcome = judge(self._rows(planned))
        if outcome.state in (LegState.ALREADY_CLOSED, LegState.CALLED_OFF, LegState.CONFLICT):
            return outcome
        self.who.world.worklist[planned.person_id] = by_hand
        return Outcome(LegState.INTENDED, "on the worklist", before=planned)


def _effect(who: "Instance", door: Door, now: Callable[[], State], act: Callable[[], Outcome]) -> Outcome:
    """Let one item be written, between two steps; tell what it changed."""
    trouble = who.world.trouble[door[1]]
    who.step(f"sends {' '.join(door)}")
    if door[2] in trouble.lost_before:
        who.world.trace.count("fault:time-out before")
    before = now()
    outcome = act()
    after = now()
    if before != after:
        who.world.observe()
        if door[2] in trouble.lost_after:
            who.world.trace.count("fault:time-out after")
        who.changed(door, before, after)
    elif outcome.state is LegState.UNREACHABLE and trouble.down:
        who.world.trace.count("fault:target down in a batch")
    who.step(f"sent {' '.join(door)}: {outcome.state} {outcome.detail}")
    return outcome


def _whom(item: CloseMember | OpenMember | Member) -> str:
    match item:
        case CloseMember():
            return item.before.person_id
        case OpenMember():
            return item.now.person_id
        case Member():
            return item.person_id


class SimSessionStore(FakeSessionStore):
    """A session store. `cut_after`: it answers for so many items of a batch, and then no more."""

    def __init__(self, name: str, key: SessionKey, who: "Instance") -> None:
        super().__init__(name, key, who.world.school.sessions)
        self.who, self.trouble = who, who.world.trouble[name]
        self.needs_authoriser = name == who.world.needs_authoriser

    def read_all(self) -> SessionsReading:
        self.who.step(f"reads {self.name}")
        return super().read_all()

    def close(self, batch: Sequence[EndSessions]) -> tuple[Outcome, ...]:
        self.who.requests(self.name, f"sweep {' '.join(i.user for i in batch)}")
        world, done = self.who.world, []
        for item in batch:
            self.who.step(f"sweeps {self.name} {item.user} {','.join(item.portals)} {item.older_than or ''}".rstrip())
            if item.user in self.trouble.lost_before or not self.trouble.answers():
                world.trace.count("fault:time-out before")
                raise TargetUnreachable(f"{self.name} did not answer.")
            if self.needs_authoriser:
                self.who.promises.words.on_authorised_request(self.who, item)
            done.append(self._sweep(item))
            if item.user in self.trouble.lost_after:
                world.trace.count("fault:time-out after")
                raise TargetUnreachable(f"{self.name} did not answer.")
        return tuple(done)

    def _sweep(self, item: EndSessions) -> Outcome:
        world = self.who.world
        before = list(self.sessions)
        (outcome,) = super().close([item])
        ended = [s for s in before if s not in self.sessions]
        if ended:
            world.observe()
            self.who.ended(self.name, item, ended)
            self._keep_for_later(ended)
            self.who.step(f"swept {self.name} {item.user}: {' '.join(s.session_id for s in ended)}")
        return outcome

    def _keep_for_later(self, ended: list[Session]) -> None:
        world = self.who.world
        if world.saves_at_end:
            world.saves_at_end -= 1
            if world.rng.random() < world.late_share:
                world.late.extend(ended)
            else:
                world.under_way.extend((session, world.now) for session in ended)
