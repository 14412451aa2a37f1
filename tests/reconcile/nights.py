"""A school over several nights: fake systems, the real journal, one run after the other.

What a test changes in `school` between two nights is what changed in the systems. Nothing here decides anything.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from connector.model import Account, LegState, Member, SessionKey
from connector.reconcile.apply import Applier, Pace
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import OpenLeg
from connector.reconcile.reading import Targets
from connector.reconcile.running import Running, RunResult, Setup
from tests.fakes import FakeAdminSystem, FakeDirectory, FakePortal, FakeSessionStore
from tests.reconcile import new_journal
from tests.reconcile.build import TODAY, SchoolBuilder, guid
from tests.reconcile.journal_builders import KEY


class Nights:
    """One school's systems, its journal, and the runs over them."""

    def __init__(self, folder: Path, school: SchoolBuilder, **pace: Any) -> None:
        self.folder, self.school = folder, school
        self.pace = Pace(**{"settle_seconds": 0, **pace})
        self.slept: list[float] = []
        directories = dict.fromkeys(["ad", *(a.directory for a in school.accounts)])
        self.admin = FakeAdminSystem(lambda: self.school.snapshot().people)
        self.portals = {name: FakePortal(name, school.members) for name in school.portals}
        self.directories = {name: FakeDirectory(name, school.accounts) for name in directories}
        self.stores = {name: FakeSessionStore(name, key, school.sessions) for name, key in school.store_keys.items()}
        self.journal = self.open_journal()

    # --- the systems ------------------------------------------------------------------------------------------------

    @property
    def ad(self) -> FakeDirectory:
        return self.directories["ad"]

    @property
    def engage(self) -> FakePortal:
        return self.portals["engage"]

    @property
    def web(self) -> FakeSessionStore:
        return self.stores["web"]

    def portal(self, portal: FakePortal) -> FakePortal:
        """Put another kind of portal in the place of one."""
        self.portals[portal.name] = portal
        return portal

    @property
    def targets(self) -> Targets:
        return Targets(self.admin, self.portals, self.directories, self.stores)

    def account(self, person_id: str) -> Account:
        return next(a for a in self.school.accounts if a.guid == guid(f"ad:{person_id}"))

    def member(self, person_id: str, portal: str = "engage") -> Member | None:
        return next((m for m in self.school.members if (m.person_id, m.portal) == (person_id, portal)), None)

    def sessions(self, person_id: str) -> int:
        return sum(s.user == f"u{person_id}" for s in self.school.sessions)

    def edit_account(self, person_id: str, **changes: Any) -> None:
        """Change an account as somebody else would."""
        before = self.account(person_id)
        self.school.accounts[self.school.accounts.index(before)] = replace(before, **changes)

    def edit_member(self, person_id: str, portal: str = "engage", **changes: Any) -> None:
        """Change a member as somebody else would."""
        before = self.member(person_id, portal)
        assert before is not None
        self.school.members[self.school.members.index(before)] = replace(before, **changes)

    def is_closed(self, person_id: str) -> bool:
        """Say whether nothing of a person lives."""
        member = self.member(person_id)
        lives = member is not None and (member.enabled or member.credential_lives)
        return not (lives or self.account(person_id).enabled or self.sessions(person_id))

    def is_open(self, person_id: str) -> bool:
        """Say whether everything of a person stands."""
        member = self.member(person_id)
        stands = member is not None and member.enabled and bool(member.username)
        return stands and self.account(person_id).enabled and self.sessions(person_id) > 0

    def everything(self) -> tuple[list[Account], list[Member], list[Any]]:
        """Give a copy of what all targets hold."""
        return list(self.school.accounts), list(self.school.members), list(self.school.sessions)

    # --- the journal ------------------------------------------------------------------------------------------------

    def open_journal(self) -> Journal:
        """Open the journal as another process would."""
        return Journal.open(new_journal.lay(self.folder / "journal.db"), audit_key=KEY)

    def open_legs(self) -> dict[tuple[str, str], OpenLeg]:
        """Give the open legs by (person, target)."""
        return {(leg.key, leg.planned.target): leg for leg in self.journal.open_legs()}

    def open_states(self) -> dict[tuple[str, str], LegState]:
        return {where: leg.state for where, leg in self.open_legs().items()}

    # --- runs -------------------------------------------------------------------------------------------------------

    def running(self, *, reports_only: bool = False, operator: str = "alice@host") -> Running:
        school = self.school
        setup = Setup(school.the_rules, school.rules_of_portals(), school.the_limits, self.pace, ZoneInfo("UTC"))
        running = Running(self.journal, self.targets, setup, operator, reports_only=reports_only)
        running.sleep = self.slept.append
        return running

    def run(self, plan_id: str = "", as_of: Any = TODAY, *, reports_only: bool = False) -> RunResult:
        """Run once."""
        return self.running(reports_only=reports_only).run(as_of, plan_id=plan_id)

    def resume(self, as_of: Any = TODAY) -> RunResult:
        return self.running().resume(as_of)

    def approve(self, result: RunResult, *waivers: str) -> None:
        """Approve a run's plan, waiving these objections."""
        plan = result.judgement.plan
        self.journal.approve(plan.digest, plan.plan_id, waivers, "alice@host", "looked at")

    def keep_plan(self) -> str:
        """Make today's plan and keep it; give its id."""
        running = self.running()
        judgement = running.look(TODAY)
        with running.acting("plan", TODAY, {}) as applier:
            self.journal.keep_plan(judgement.plan, applier.run)
            self.journal.end_run(applier.run, "planned", 0)
        return judgement.plan.plan_id

    def applier(self) -> Applier:
        """Begin a run and give its applier."""
        run = self.journal.begin_run("run", "alice@host", TODAY, {})
        return Applier(self.journal, self.targets, run, self.pace, sleep=self.slept.append)


def settled(folder: Path, school: SchoolBuilder, **pace: Any) -> Nights:
    """Give a school whose first night was accepted: what changes afterwards is news."""
    nights = Nights(folder, school, **pace)
    result = nights.run()
    assert (result.result, result.exit_code) == ("applied", 0), result.stopped
    return nights


__all__ = ["Nights", "SessionKey", "settled"]
