"""The last accepted snapshot, as far as limits and causes need it. Pure values; the journal keeps them encoded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from connector.model import PeopleReading
from connector.policy import PortalRules, Rules
from connector.reconcile.school import School
from connector.reconcile.snapshot import Snapshot


@dataclass(frozen=True)
class Baseline:
    """What was so when a run was last accepted.

    `enabled` gives, per portal, the person_ids of its enabled members. `counts` gives the size of every dimension.
    """

    as_of: date
    rules: Rules
    portals: tuple[PortalRules, ...]
    people: PeopleReading
    enabled: Mapping[str, tuple[str, ...]]
    counts: Mapping[str, int]

    @cached_property
    def school(self) -> School:
        """The people as they were then, indexed once for everything that is compared with them."""
        return School(self.people, self.rules, self.as_of)


def baseline_of(
    snapshot: Snapshot, rules: Rules, portals: Sequence[PortalRules], as_of: date, before: Baseline | None = None
) -> Baseline:
    """Keep of a snapshot what the next run is compared with; of what did not answer, what was kept `before`."""
    enabled = {r.portal: tuple(m.person_id for m in r.members if m.enabled) for r in snapshot.portals}
    counts = counts_of(snapshot)
    if before is not None:
        unread = frozenset(f"{u.kind} {u.name}" for u in snapshot.unread)
        counts |= {name: count for name, count in before.counts.items() if name in unread}
        enabled |= {p: people for p, people in before.enabled.items() if f"portal {p}" in unread}
    return Baseline(as_of, rules, tuple(portals), snapshot.people, enabled, counts)


def counts_of(snapshot: Snapshot) -> dict[str, int]:
    """Give the size of every dimension that was read; sessions come and go and are not counted."""
    people = snapshot.people
    counts = {
        "people": len(people.people) - len(people.granted),  # an identity provider's people come and go by its word
        "relationships": len(people.relationships),
        "enrolments": len(people.enrolments),
        "security_roles": len(people.security_roles),
        "contact_types": len(people.contact_types),
    }
    counts |= {f"portal {r.portal}": len(r.members) for r in snapshot.portals}
    counts |= {f"directory {r.directory}": len(r.accounts) for r in snapshot.directories}
    return counts
