"""A school in place: its systems filled, its config written, the command line at hand."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from connector.config import load
from connector.journal_key import open_journal
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import StoredLeg
from tests.e2e.command import Command
from tests.e2e.families import School
from tests.e2e.systems import ActiveDirectory, Cache, Database, OpenLdap

D = TypeVar("D", ActiveDirectory, OpenLdap)
S = TypeVar("S", Cache, Database)


def new_tag() -> str:
    """Give what sets this school's names apart in a domain shared by all tests."""
    return uuid.uuid4().hex[:6]


@dataclass(frozen=True, slots=True)
class Scene(Generic[D, S]):
    """One school with all its systems, each read beside the connector."""

    school: School
    portal: Database
    sessions: S
    directory: D
    connector: Command

    def member(self, who: str, portal: str = "engage") -> tuple[object, ...]:
        """Give username, password and status of a member."""
        return self.portal.members()[portal, self.school.ids.get(who, f"gone-{who}")]

    def open_accounts(self) -> set[str]:
        """Give the usernames whose password still works."""
        return self.directory.open_usernames([account.username for account in self.school.accounts])

    def everything(self) -> tuple[object, ...]:
        """Give what stands in every system, to be compared."""
        return self.portal.members(), self.sessions.session_ids(), self.open_accounts()

    @contextmanager
    def journal(self) -> Iterator[Journal]:
        """Open the journal beside the connector."""
        with journal_of(self.connector.config) as journal:
            yield journal

    def legs(self, who: str) -> dict[str, StoredLeg]:
        """Give the legs of somebody's newest revocation by kind."""
        with self.journal() as journal:
            found = journal.revocations(person_key=self.school.ids[who])
        return {leg.planned.kind.value: leg for leg in found[0].legs}


C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Evening(Generic[C]):
    """A scene after `plan --check`, approval, `plan --check`, `run`, `plan --check`, and what stood before them."""

    scene: C
    codes: tuple[int, ...]
    members_before: dict[tuple[str, str], tuple[object, ...]]
    sessions_before: set[str]
    open_before: set[str]


@contextmanager
def journal_of(config: Path) -> Iterator[Journal]:
    """Open a school's journal beside the connector."""
    with open_journal(load(config)) as journal:
        yield journal
