"""Whether the sources of a plan can be believed: age and shrinking. Pure.

A source that is too old or shrank too much gives neither negative nor positive decisions: the objection stops everything.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from connector.model import PeopleReading
from connector.policy import Limits
from connector.reconcile.baseline import Baseline
from connector.reconcile.plan_values import Objection

_ADMIN = ("people", "relationships", "enrolments", "security_roles", "contact_types")


def source_objections(
    people: PeopleReading,
    now: datetime,
    limits: Limits,
    baseline: Baseline | None,
    counts: Mapping[str, int],
    highest: Mapping[str, int],
) -> Iterable[Objection]:
    """Give the objections to the sources. `counts` are today's sizes, `highest` the highest of 30 days."""
    made = people.provenance.produced_at
    if made is not None and now - made > timedelta(hours=limits.max_age_hours):
        hours = int((now - made).total_seconds() // 3600)
        text = (
            f"{people.provenance.source} was made {hours:,} hours ago; [limits] max_age_hours is {limits.max_age_hours}. "
            "Nothing is decided from it."
        )
        yield Objection("source-too-old", text, "Export the admin system again, then run again.", stops_urgent=True)
    before = dict(highest)
    for name, count in (baseline.counts if baseline else {}).items():
        before[name] = max(count, before.get(name, 0))
    for name, was in before.items():
        if name in counts and _shrank(name, was, counts[name], limits):
            yield _shrunk(name, was, counts[name], limits)


def _shrank(name: str, was: int, now: int, limits: Limits) -> bool:
    lost = was - now
    # Small portals and directories shrink by a few people whenever somebody tidies up.
    floor = 0 if name in _ADMIN else limits.share_floor
    return lost > floor and lost > limits.max_shrink * was


def _shrunk(name: str, was: int, now: int, limits: Limits) -> Objection:
    text = (
        f"{name} shrank from {was:,} to {now:,} rows ({(was - now) / was:.1%}; [limits] max_shrink is {limits.max_shrink:.0%}). "
        "A short source is not a decision: nothing is decided from it."
    )
    fix = f"Export again and compare: {name} should have about {was:,} rows."
    return Objection(f"source-shrank:{name.replace(' ', '-')}", text, fix, stops_urgent=True)
