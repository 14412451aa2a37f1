"""Who works at the school: a directory administrator, and whoever makes accounts and members for new people.

The administrator reads the night's result each weekday morning and acts through the connector's own verbs; whether a
row is right is asked of the oracle, as a person would ask the family. Neither lets a mistake pass.
"""

from dataclasses import replace

from connector.app import Connector
from connector.errors import ConnectorError
from connector.model import Account, Hold, Member, MemberStatus, Status
from connector.reconcile.advice import BY_ITSELF, closed_by_us, standing_holds
from connector.reconcile.decide import Decision
from connector.reconcile.plan_values import Objection, Plan
from connector.reconcile.restoring import Restore
from connector.reconcile.running import UNBELIEVED, RunResult
from tests.simulation.year_oracle import Oracle, is_unknown
from tests.simulation.year_watch import Watch
from tests.simulation.year_world import HUB, ON_ACCOUNTS, DoorState, World, door_of

_ASKED_OF_NOBODY = BY_ITSELF | {Hold.PROTECTED, Hold.DISPUTED, Hold.DISABLED_ELSEWHERE}
"""Holds that end with time, or that are mended where they stand."""
_MOSTLY = 0.8
"""How often somebody gets round to a thing on a working day."""


class Administrator:
    """Releases what is right, approves what is legitimate, and opens again who is to be let in again."""

    def __init__(self, world: World, watch: Watch, connector: Connector) -> None:
        self.world, self.watch, self.connector = world, watch, connector
        self.oracle = watch.oracle

    def morning(self, last: RunResult | None) -> None:
        """Read the night's result and see to it."""
        if last is None:
            return
        memory = last.judgement.night.memory
        for decision in last.judgement.decisions.rows:
            if decision.status is Status.READY_TO_REVOKE and decision.holds:
                self._look_at(decision, standing_holds(decision, memory))
        if last.stopped:
            self._look_at_objections(last.judgement.plan, last.stopped)
        again = [d for d in last.judgement.decisions.rows if d.status is Status.READY_TO_PROVISION]
        for decision in again:
            if closed_by_us(decision.identity, memory) and self.world.dice.random() < 0.3:
                self._restore(decision)

    # --- holds ------------------------------------------------------------------------------------------------------

    def _look_at(self, decision: Decision, holds: tuple[Hold, ...]) -> None:
        if not holds or not self._is_right(decision) or self.world.dice.random() > _MOSTLY:
            return
        if Hold.PROTECTED in holds:
            self._unprotect(decision)
        if Hold.UNCLEAR_DATA in holds:
            self._correct(decision)
            return
        for hold in (h for h in holds if h not in _ASKED_OF_NOBODY):
            self._release(decision, hold)

    def _is_right(self, decision: Decision) -> bool:
        """Say whether a row closes only what is to be closed, by what is true."""
        whom = decision.identity.person_id
        if whom is None:
            return all(not self.oracle.claimants(a.account) for a in decision.identity.accounts)
        mine = self.oracle.portals_of(whom)
        return mine.isdisjoint(decision.closing) and not (decision.legs.accounts and self.oracle.needs_account(whom))

    def _release(self, decision: Decision, hold: Hold) -> None:
        self.connector.release(decision, hold, "looked at: it is right")
        self.watch.released.add((decision.identity.key, hold))
        self.watch.counts["holds released"] += 1
        self.watch.counts[f"hold {hold}"] += 1
        self.world.say("administrator", f"releases {hold} of {decision.identity.key} ({', '.join(decision.reasons)})")

    def _correct(self, decision: Decision) -> None:
        """Have the enrolments corrected that cannot be right: the child never came."""
        students = self.world.children_of(decision.identity.key)
        for wrong in [e for e in self.world.enrolments if e.student_id in students and is_unknown(e)]:
            self.world.change_enrolments(lambda e, wrong=wrong: e == wrong, entry_date=wrong.exit_date)  # type: ignore[misc] # mypy cannot type a lambda's defaults
            self.world.say("administrator", f"has the enrolment of {wrong.student_id} corrected")

    def _unprotect(self, decision: Decision) -> None:
        for account in (a.account for a in decision.identity.accounts if a.account.protected):
            self.world.put(replace(account, protected=""))
            self.world.say("administrator", f"takes {account.username} out of the protected group")

    # --- objections -------------------------------------------------------------------------------------------------

    def _look_at_objections(self, plan: Plan, stopped: tuple[Objection, ...]) -> None:
        """Approve a stopped plan whose every row is right; never one whose source cannot be believed."""
        labels = tuple(o.label for o in stopped)
        if self.watch.accident or any(label.startswith(UNBELIEVED) for label in labels):
            self.watch.counts["stopped plans left alone"] += 1
            self.world.say("administrator", f"approves nothing: {', '.join(labels)}")
            return
        rows = [r for r in plan.revocations if r.applies]
        if not all(self._row_is_right(r.person_id, r.values("portal")) for r in rows):
            self.watch.counts["stopped plans left alone"] += 1
            return
        self.connector.approve(plan.plan_id, labels, "checked, every one of them")
        self.watch.counts["plans approved"] += 1
        self.world.say("administrator", f"approves plan {plan.plan_id}: {', '.join(labels)}")
        self._run(plan)

    def _row_is_right(self, whom: str | None, portals: tuple[str, ...]) -> bool:
        return whom is None or self.oracle.portals_of(whom).isdisjoint(portals)

    def _run(self, plan: Plan) -> None:
        """Apply the approved plan today, on a day for that; else the next night does."""
        if not self.connector.is_live or self.world.today.weekday() > 3 or not any(r.applies for r in plan.revocations):
            return
        try:
            self.watch.after_run(self.connector.run(self.world.today, plan.plan_id))
        except ConnectorError as error:
            self.world.say("administrator", f"could not run plan {plan.plan_id}: {error.message}")

    # --- opening again ----------------------------------------------------------------------------------------------

    def _restore(self, decision: Decision) -> None:
        """Give somebody back what we closed, where they are entitled again; what cannot return is made by hand."""
        whom = decision.identity.key
        if not self._lacks(whom) or any(self.world.trouble[t].down for t in self.world.trouble):
            return
        try:
            restore = self._restore_of(whom)
            if restore is not None and restore.rows:
                self.connector.restore(restore, self.world.today)
                self.watch.counts["people restored"] += 1
                self.world.say("administrator", f"restores {whom}")
        except ConnectorError as error:
            self.world.say("administrator", f"could not restore {whom}: {error.message}")

    def _lacks(self, whom: str) -> bool:
        """Say whether a door that somebody is entitled to stands closed by us."""
        account, portals = self.world.account_of(whom), self.oracle.portals_of(whom)
        doors: list[DoorState] = [m for p in portals if (m := self.world.member(whom, p)) is not None]
        doors += [account] if account is not None and self.oracle.needs_account(whom) else []
        return any(self.world.left_as[door_of(door)] != door for door in doors)

    def _restore_of(self, whom: str) -> Restore | None:
        judgement = self.connector.look(self.world.today)
        restore = self.connector.restore_of(judgement, self.connector.journal.revocations(whom))
        mine = self.oracle.portals_of(whom)
        rows = tuple(replace(r, legs=tuple(g for g in r.legs if g.target in {*mine, "ad"})) for r in restore.rows)
        return replace(restore, rows=tuple(r for r in rows if r.legs))


class AccountMaker:
    """Makes accounts and members for whoever is entitled and lacks them, some days later, and keeps codes right."""

    def __init__(self, world: World, oracle: Oracle) -> None:
        self.world, self.oracle = world, oracle

    def afternoon(self) -> None:
        """Go through everybody who lacks something."""
        accounts = {self.world.owner[a.guid]: a for a in self.world.accounts}
        members = {(m.person_id, m.portal): m for m in self.world.members}
        for whom, person in list(self.world.people.items()):
            portals, account = self.oracle.portals_of(whom), accounts.get(whom)
            if portals and (
                (account and account.employee_id != person.code)
                or (self.oracle.needs_account(whom) and not (account and account.enabled))
                or any(self._is_missing(members.get((whom, portal)), whom, portal, account) for portal in portals)
            ):
                self._see_to(whom, portals)

    def _is_missing(self, member: Member | None, whom: str, portal: str, account: Account | None) -> bool:
        if account is None or member is None:
            return member is not None or portal == "engage"
        return not self._stands(member, self._username(whom, portal, account))

    @staticmethod
    def _username(whom: str, portal: str, account: Account) -> str:
        return account.username if portal in ON_ACCOUNTS else f"{portal}-{whom}"

    def _see_to(self, whom: str, portals: frozenset[str]) -> None:
        account = self.world.account_of(whom)
        if account is not None and account.employee_id != self.world.people[whom].code and self._gets_round():
            account = self._put(replace(account, employee_id=self.world.people[whom].code), "relabels")
        if self.oracle.needs_account(whom) and (account is None or not account.enabled):
            account = self._account(whom, account)
        if account is not None and account.enabled:
            self._members(whom, portals, account)

    def _account(self, whom: str, account: Account | None) -> Account | None:
        if not self._gets_round() or (account and account.guid in self.world.by_hand):
            return None
        if account is not None:
            return self._put(replace(account, enabled=True, state="512"), "enables")
        older = [a for r in sorted(self.oracle.human(whom) - {whom}) if (a := self.world.account_of(r)) is not None]
        if older and self.world.dice.random() < 0.5 and not self.oracle.needs_account(self.world.owner[older[0].guid]):
            return self._take_over(whom, older[0])
        self.world.say("account manager", f"makes an account for {whom}")
        return self.world.make_account(whom)

    def _take_over(self, whom: str, account: Account) -> Account:
        """Give a human's account to their newer record: the employee id is the newer code."""
        self.world.owner[account.guid] = whom
        changed = replace(account, employee_id=self.world.people[whom].code, enabled=True, state="512")
        return self._put(changed, f"gives to {whom}")

    def _put(self, account: Account, what: str) -> Account:
        self.world.put(account)
        self.world.say("account manager", f"{what} the account {account.username} of {account.employee_id}")
        return account

    def _members(self, whom: str, portals: frozenset[str], account: Account) -> None:
        for portal in sorted(portals):
            member = self.world.member(whom, portal)
            username = self._username(whom, portal, account)
            if member is None:
                if portal == "engage" and self._gets_round():
                    self.world.make_member(whom, portal, username)
            elif not self._stands(member, username) and self._gets_round():
                self.world.open_member(member, username)
                self.world.say("account manager", f"gives {whom} the username {username} in {portal}")

    @staticmethod
    def _stands(member: Member, username: str) -> bool:
        by_password = member.portal != HUB.name or member.has_password
        return member.status is MemberStatus.ENABLED and member.username == username and by_password

    def _gets_round(self) -> bool:
        return self.world.dice.random() < 0.6
