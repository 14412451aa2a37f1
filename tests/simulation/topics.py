"""What a history is about beside crashes and faults: what people say, which accounts are special, how plans are made.

A topic brings its situation about, offers acts and deeds, and at the end takes back what would keep people waiting.
"""

from collections.abc import Callable
from dataclasses import replace

from connector.model import LegKind
from connector.reconcile.journal_values import ChangeKind
from connector.reconcile.membership import Action
from tests.simulation import acts, others
from tests.simulation.acts import Act
from tests.simulation.others import Deed, Others
from tests.simulation.promises import Promises
from tests.simulation.school import LEAVERS, STAFF
from tests.simulation.world import World

Do = Callable[[Act], None]
"""Lets somebody do one thing that nothing goes wrong with."""

_DEEDS: dict[str, tuple[Deed, ...]] = {
    "protected": (others.protect_account,) * 3 + (others.unprotect_accounts,),
    "disputed": (others.dispute_account,) * 3 + (others.settle_disputes,),
    "members": (others.lose_role, others.edit_member, others.gain_role, others.disable_member),
    "plans": (others.leave,) * 8,
    "paper": (others.do_the_worklist,) * 6,
}


_KINDS = (ChangeKind.ADD, ChangeKind.ENABLE, ChangeKind.DISABLE, ChangeKind.REMOVE)


class Topic:
    """One history's topic; an empty name adds nothing."""

    def __init__(self, name: str, world: World, promises: Promises, everybody: Others) -> None:
        self.name, self.world, self.words, self.others = name, world, promises.words, everybody
        self.rng = everybody.rng

    def begin(self, do: Do) -> None:
        """Bring the situation about before anything else happens."""
        school = self.world.school
        match self.name:
            case "keep" if self.rng.random() < 0.8:
                do(acts.keep(self.rng.choice(LEAVERS)))
            case "plans" if self.rng.random() < 0.5:
                school.the_limits = replace(school.the_limits, max_revocations=1)
            case "held":
                self.world.held_by_policy = True
            case "urgent":
                self.world.needs_authoriser = "app"
            case _:
                pass

    def prepare(self, do: Do) -> None:
        """Bring about what comes after the evening, when somebody has left."""
        match self.name:
            case "plans":
                for _ in range(self.rng.choice([0, 1, 2])):
                    self.others.act(others.leave)
                do(acts.make_plan)
                if self.rng.random() < 0.5:
                    do(acts.approve(wholly=self.rng.random() < 0.6))
                if self.rng.random() < 0.4:
                    self.others.act(others.leave)
                    do(acts.run_plan)
            case "protected" | "disputed" if self.rng.random() < 0.7:
                self.others.act(_DEEDS[self.name][0])
            case "members":
                self.others.act(self.rng.choice([others.lose_role, others.disable_member]))
            case "urgent" if self.rng.random() < 0.6:
                do(acts.terminate(self.rng.choice(["g0", "g0", "g1"])))
            case "urgent":
                self.others.act(others.court_order)
                do(acts.night)
            case _:
                pass

    def deeds(self) -> tuple[Deed, ...]:
        """Give what others may do meanwhile."""
        return (*others.SOURCE, *others.TARGETS, *_DEEDS.get(self.name, ()))

    def acts(self) -> list[Act]:
        """Give what may be asked of an instance."""
        rng, person = self.rng, self.rng.choice(LEAVERS)
        match self.name:
            case "keep":
                return [acts.keep(person), acts.unkeep(rng.choice(self.words.standing_keeps() or [person]))]
            case "plans":
                approve = acts.approve(wholly=rng.random() < 0.7)
                return [acts.make_plan, approve, acts.run_plan, acts.run_plan, acts.night]
            case "members":
                kind, portal = rng.choice(_KINDS), rng.choice(["club", "club", "faculty", "engage"])
                action = acts.member_action(rng.choice(list(Action)), portal)
                return [action, action, acts.one_member(kind, portal, rng.choice([person, STAFF]))]
            case "urgent":
                return [acts.terminate(rng.choice(["g0", "g0", person])), acts.countersign, self._restore()]
            case _:
                return [acts.release] if self.name == "held" else self._restores()

    def _restore(self) -> Act:
        closed = sorted({who for kind, _, who in self.world.before_us if kind == LegKind.CREDENTIAL.value})
        return acts.restore(self.rng.choice(closed or ["g0"]))

    def _restores(self) -> list[Act]:
        runs = self.words.runs()
        return [acts.restore_run(self.rng.randrange(2, runs + 1))] if runs > 1 and self.rng.random() < 0.15 else []

    def take_back(self, do: Do) -> None:
        """Take back at the end what keeps rows waiting for ever."""
        for person in self.words.standing_keeps():
            do(acts.unkeep(person))
        self.others.act(others.unprotect_accounts)
        self.others.act(others.settle_disputes)

    def last_word(self, do: Do) -> None:
        """Say before a quiet night what people have to say, so that nothing waits for them."""
        match self.name:
            case "urgent" if self.words.unsigned():
                do(acts.countersign)
            case "held":
                do(acts.release)
            case "plans":
                do(acts.make_plan)
                do(acts.approve(wholly=True))
            case _:
                pass
