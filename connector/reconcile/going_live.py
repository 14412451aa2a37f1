"""When unattended runs may apply: enough accepted runs, and a list of holds that somebody has read. Pure.

A journal that was put back from a backup is in report mode, whatever the config says, until somebody has looked: what
was done after the backup is not in it.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta

from connector.errors import NotAllowed
from connector.model import Hold
from connector.reconcile.advice import hold_advice, standing_holds
from connector.reconcile.codec import canonical
from connector.reconcile.judge import Judgement
from connector.reconcile.plan import digest_of
from connector.reconcile.wording import counted, who

GO_LIVE = "go_live"
"""The setting that says so. Its values: yes, no, or that the journal was put back from a backup."""

YES, NO, PUT_BACK = "yes", "no", "put-back"

RUNS = 5
"""How many runs are accepted before the connector goes live."""


def is_live(word: str, *, by_config: bool) -> bool:
    """Say whether unattended runs apply, by the setting's value and by what the config says."""
    return word == YES or (by_config and word != PUT_BACK)


@dataclass(frozen=True, slots=True)
class HeldRow:
    """Somebody whose row waits for a person. `status` says what would be done, `commands` are what may be typed."""

    key: str
    label: str
    status: str
    reasons: tuple[str, ...]
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeldGroup:
    """All rows with one hold, and what to do about it."""

    hold: Hold
    advice: str
    rows: tuple[HeldRow, ...]


@dataclass(frozen=True, slots=True)
class Holds:
    """The list that is read before the connector goes live. The digest is another as soon as a row or a hold is."""

    groups: tuple[HeldGroup, ...]
    digest: str

    @property
    def people(self) -> int:
        """How many people wait."""
        return len({row.key for group in self.groups for row in group.rows})


def holds_to_read(judgement: Judgement) -> Holds:
    """Give every row that waits for a person, by its holds that nobody has released."""
    found: dict[Hold, list[HeldRow]] = {}
    texts: dict[Hold, str] = {}
    for decision in judgement.decisions.rows:
        identity = decision.identity
        for hold in standing_holds(decision, judgement.night.memory):
            advice, reasons = hold_advice(hold, who(identity)), tuple(reason.value for reason in decision.reasons)
            row = HeldRow(identity.key, who(identity).label, decision.status.value, reasons, advice.commands)
            found.setdefault(hold, []).append(row)
            texts.setdefault(hold, advice.text)
    groups = tuple(HeldGroup(hold, texts[hold], tuple(found[hold])) for hold in sorted(found))
    seen = [[g.hold.value, row.key, row.status, list(row.reasons)] for g in groups for row in g.rows]
    return Holds(groups, digest_of(sorted(seen, key=canonical))[:12])


def refuse_too_soon(accepted: int, now: datetime, night: time) -> None:
    """Raise NotAllowed below five accepted runs. `now` and `night`, when one begins, are the school's local time."""
    missing = RUNS - accepted
    if missing <= 0:
        return
    first = now.date() if now.time() < night else now.date() + timedelta(days=1)
    last = first + timedelta(days=missing - 1)
    so_far = f"{counted(accepted, 'was', 'were')} accepted" if accepted else "none was accepted"
    raise NotAllowed(
        f"The connector goes live after {RUNS} accepted runs, and {so_far} so far: "
        f"{counted(missing, 'is', 'are')} missing. It stays in report mode.",
        f"The daemon's nights will have done them on {last} at {night:%H:%M}, if nothing stops them: a run that an "
        "objection stops is not accepted (connector report). By hand: connector run --apply",
    )


def refuse_unread(holds: Holds, read: str) -> None:
    """Raise NotAllowed unless this list of holds, and no other, was read."""
    if read == holds.digest:
        return
    what = "The list of holds is another by now" if read else "Nobody said that the list of holds was read"
    raise NotAllowed(
        f"{what}: {counted(holds.people, 'person waits', 'people wait')}. The connector stays in report mode.",
        "Read it: connector go-live --show. Then: connector go-live --holds-read DIGEST",
    )
