"""What a report is made of: a run's facts, lines, sections. Values only: others say what stands there. Pure."""

from dataclasses import dataclass
from datetime import date, datetime

from connector.model import Hold
from connector.reconcile.leg_words import LegLine
from connector.reconcile.plan_values import Addition, Objection, Plan, Revocation
from connector.reconcile.wording import counted

OPEN = "open"
"""The section of doors that are open; a person may have several."""

MOST_SHOWN, MOST_DONE, MOST_EXPLAINED = 100, 50, 10
"""How many lines of a section people are shown: of any, of what is done, of what one cause above explains.

CSV and JSON have all. Some mail programs cut off what is longer than about 100 kB.
"""

_INTENDED = "If intended (the next run that applies then applies it):"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The run a report is about. `result` is its one word, `mode` says why nothing was applied (may be empty).

    What came to an end after `since` is told. Times are in the zone people read them in.
    """

    run_id: str
    school: str
    as_of: date
    started_at: datetime
    ended_at: datetime | None = None
    operator: str = ""
    result: str = ""
    mode: str = ""
    plan_id: str = ""
    audit_head: str = ""
    since: datetime | None = None

    @property
    def at(self) -> datetime:
        """When the report was made: at the end of the run, or at its start while it is going."""
        return self.ended_at or self.started_at


@dataclass(frozen=True, slots=True)
class RunCounts:
    """How many people a run closed, left open, held and found ready to revoke."""

    at: datetime
    closed: int
    open: int
    held: int
    ready: int
    as_of: date | None = None

    @property
    def day(self) -> date:
        """The school's day it was decided about: by the clock of UTC, a night may belong to the day before."""
        return self.as_of or self.at.date()


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What came of a run: legs driven or still open, members added, objections that stood, rows skipped with why."""

    legs: tuple[LegLine, ...] = ()
    added: tuple[Addition, ...] = ()
    stopped: tuple[Objection, ...] = ()
    skipped: tuple[tuple[Revocation, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ReportLine:
    """One line: who, what, in which words, what to do. `warns` marks what is overdue or in conflict."""

    label: str
    what: str
    text: str
    to_do: str = ""
    commands: tuple[str, ...] = ()
    at: datetime | None = None
    key: str = ""
    warns: bool = False

    @property
    def steps(self) -> tuple[tuple[str, str], ...]:
        """Give each command with what has to be said before it: an override is no mend."""
        return tuple((_INTENDED if c.startswith("connector approve ") else "", c) for c in self.commands)


@dataclass(frozen=True, slots=True)
class ReportSection:
    """Lines of one kind. `name` is for machines, `title` for people; `all_in` lists all of a long one.

    `most` is how many lines people are shown.
    """

    name: str
    title: str
    lines: tuple[ReportLine, ...]
    all_in: str = "connector report --csv FILE"
    most: int = MOST_SHOWN

    @property
    def heading(self) -> str:
        """The title with how many there are: of people with several doors, both."""
        lines, people = len(self.lines), len({line.key for line in self.lines})
        if self.name != OPEN or people == lines:
            return f"{self.title} ({lines:,})"
        return f"{self.title} ({counted(people, 'person', 'people')}, {lines:,} doors)"

    @property
    def shown(self) -> tuple[ReportLine, ...]:
        """The lines people read."""
        return self.lines[: self.most]

    @property
    def folded(self) -> str:
        """Say how many lines are left out, and where they are; empty where all are shown."""
        more = len(self.lines) - len(self.shown)
        return f"and {counted(more, 'more line')}; all of them: {self.all_in}" if more else ""


@dataclass(frozen=True, slots=True)
class Report:
    """A report: its subject line, its sections in order (empty ones left out), and the counts of the last runs.

    `lead` is read first: what is told, and how the numbers of the subject come about.
    """

    run: RunFacts
    subject: str
    need_you: int
    closed: int
    open: int
    old_holds: int
    waiting: int
    sections: tuple[ReportSection, ...]
    notes: tuple[str, ...]
    history: tuple[RunCounts, ...]
    lead: tuple[str, ...] = ()


HeldKeys = frozenset[tuple[str, Hold]]


def holds_of(plan: Plan | None) -> HeldKeys:
    """Give the holds of a plan: what the next report calls old."""
    return frozenset((row.key, hold) for row in plan.revocations for hold in row.holds) if plan else frozenset()
