"""Whether the sources of a plan can be believed: age and shrinking. Pure.

A source that is too old or shrank too much gives neither negative nor positive decisions: the objection stops all.
"""

from collections.abc import Iterable
from datetime import timedelta

from connector.model import PeopleReading
from connector.policy import Limits
from connector.reconcile.night import Night, is_over
from connector.reconcile.plan_values import Objection

_ADMIN = ("people", "relationships", "enrolments", "security_roles", "contact_types")


def source_objections(people: PeopleReading, night: Night) -> Iterable[Objection]:
    """Give the objections to the sources: today's sizes against the last accepted run and the highest of 30 days."""
    yield from _too_old(people, night)
    before = dict(night.highest_counts)
    for name, count in (night.baseline.counts if night.baseline else {}).items():
        before[name] = max(count, before.get(name, 0))
    for name, was in before.items():
        if name in night.counts and _shrank(name, was, night.counts[name], night.limits):
            yield _shrunk(name, was, night.counts[name], night.limits)


def _too_old(people: PeopleReading, night: Night) -> Iterable[Objection]:
    made, allowed = people.provenance.produced_at, night.limits.max_age_hours
    if made is not None and night.now - made > timedelta(hours=allowed):
        hours = int((night.now - made).total_seconds() // 3600)
        text = (
            f"{people.provenance.source} was made {hours:,} hours ago; [limits] max_age_hours is {allowed}. "
            "Nothing is closed, added or asked of you on its word."
        )
        yield Objection("source-too-old", text, "Export the admin system again, then run again.", stops_urgent=True)


def _shrank(name: str, was: int, now: int, limits: Limits) -> bool:
    # Small portals and directories shrink by a few people whenever somebody tidies up.
    floor = 0 if name in _ADMIN else limits.share_floor
    return was - now > floor and is_over(was - now, limits.max_shrink, was)


def _shrunk(name: str, was: int, now: int, limits: Limits) -> Objection:
    text = (
        f"{name} shrank from {was:,} to {now:,} rows ({(was - now) / was * 100:.1f} %; [limits] max_shrink is "
        f"{limits.max_shrink * 100:g} %). Nothing is closed, added or asked of you on a short source's word."
    )
    fix = f"If wrong: export again and compare: {name} should have about {was:,} rows."
    return Objection(f"source-shrank:{name.replace(' ', '-')}", text, fix, stops_urgent=True)
