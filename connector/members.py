"""What is asked and changed about the members of portals, for every front end: the three actions, refresh, one member.

It decides nothing itself: `membership` and `membership_changes` say what changes, `apply` does it through the journal.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from connector.errors import ConfigError, PlanStopped
from connector.model import MemberStatus
from connector.opening import refuse_outrun
from connector.policy import Limits, PortalRules
from connector.reconcile.correlate import Identity
from connector.reconcile.guard import addition_objections, enable_objections
from connector.reconcile.journal_values import ChangeKind, MembershipChange, OpenChange
from connector.reconcile.judge import Judgement
from connector.reconcile.membership import Action, ActionPlan, action_plan
from connector.reconcile.membership_changes import OPENS, MemberChanges, change_of_one, changes_of_action
from connector.reconcile.plan_values import Addition
from connector.reconcile.rule_changes import RESTRICTION_LIFTED
from connector.reconcile.running import UNBELIEVED, Running


@dataclass(frozen=True, slots=True)
class Members:
    """The verbs about members, for one operator. `today` gives the day in the school's zone."""

    running: Running
    portals: tuple[PortalRules, ...]
    limits: Limits
    today: Callable[[], date]

    def portal(self, name: str) -> PortalRules:
        """Give a portal's rules. Raises ConfigError naming those there are."""
        for portal in self.portals:
            if portal.name == name:
                return portal
        raise ConfigError(f"There is no portal {name}.", f"There are: {', '.join(p.name for p in self.portals)}.")

    def action(self, judgement: Judgement, action: Action, portal: str, *, manually_added_too: bool) -> ActionPlan:
        """Say whom one of the three explicit actions changes. Raises PlanStopped for a source nobody can believe."""
        self._refuse_unbelieved(judgement)
        return action_plan(action, self.portal(portal), judgement.memberships, manually_added_too=manually_added_too)

    def apply(self, plan: ActionPlan, as_of: date) -> tuple[OpenChange, ...]:
        """Carry an explicit action out."""
        return self.change(changes_of_action(plan), as_of)

    def change(self, changes: Sequence[MembershipChange], as_of: date) -> tuple[OpenChange, ...]:
        """Make membership changes through the journal; give those still open."""
        kinds, limits = [c.kind for c in changes], self.limits
        enabling, adding = kinds.count(ChangeKind.ENABLE), kinds.count(ChangeKind.ADD)
        if objections := (*enable_objections(enabling, limits), *addition_objections(adding, limits)):
            raise PlanStopped(objections[0].text, objections[0].fix)
        refuse_outrun(self.running.look, self.today(), as_of, (c.person_id for c in changes if c.kind in OPENS))
        with self.running.acting("membership", as_of, {}) as applier:
            left = applier.change(changes)
            self.running.journal.end_run(applier.run, "changed", 4 if left else 0)
        return left

    def refresh(self, judgement: Judgement, portal: str) -> tuple[Addition, ...]:
        """Give what *refresh* would add to one portal: what the nightly run adds, now. Raises PlanStopped as above."""
        self.portal(portal)
        self._refuse_unbelieved(judgement)
        return tuple(a for a in judgement.plan.additions if a.portal == portal)

    def one(
        self,
        judgement: Judgement,
        kind: ChangeKind,
        portal: str,
        identity: Identity,
        status: MemberStatus = MemberStatus.ENABLED,
    ) -> MemberChanges:
        """Say what changes for one person in one portal. Raises NotAllowed, ConfigError."""
        if kind in OPENS:
            self._refuse_unbelieved(judgement, RESTRICTION_LIFTED)
        return change_of_one(kind, self.portal(portal), identity, judgement.decisions, status)

    def _refuse_unbelieved(self, judgement: Judgement, *also: str) -> None:
        """A source that cannot be believed decides nothing about members either."""
        for objection in self.running.standing(judgement.plan):
            if objection.label.startswith((UNBELIEVED, *also)):
                raise PlanStopped(objection.text, objection.fix)
