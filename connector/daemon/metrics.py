"""The metrics of a school, made of its journal when somebody asks: what a restart forgets is not worth an alert.

It reads over connections of its own and writes nothing, so that a scrape never keeps a run waiting. What it shows is
named in `metric_names`, and names nobody.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from connector.config import Config, NightlyMode
from connector.daemon.calendar import Schedule
from connector.daemon.health import Reading
from connector.daemon.loop import State
from connector.daemon.metric_names import BY_NAME, COUNTER, HISTOGRAM, NAMES
from connector.daemon.proving import PROVEN, is_sound
from connector.daemon.timing import TOLD, told_seconds
from connector.errors import ConnectorError, PlanError
from connector.model import Hold, LegKind, LegState, Status
from connector.reconcile import journal_gauges
from connector.reconcile.going_live import GO_LIVE, is_live
from connector.reconcile.guard import standing_objections
from connector.reconcile.journal import Journal
from connector.reconcile.journal_gauges import Gauges, Waiting
from connector.reconcile.journal_values import Direction
from connector.reconcile.plan_values import Objection, Plan
from connector.reconcile.stages import REPORT, STAGES, seconds_of
from connector.reconcile.wording import ACCESS_ENDED, said
from connector.scim import counting

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

FAILED = (LegState.REFUSED, LegState.UNREACHABLE, LegState.CONFLICT)
"""What came of the last try of a leg that needs somebody, or another try."""

CHANNELS = ("mail", "webhook", "ping")

_NONE = Waiting(0, None)
_THROTTLED = 429
_log = structlog.stdlib.get_logger("connector.daemon")

Sample = tuple[str, tuple[str, ...], float]
"""A metric's name, the values of its labels, and its value."""


@dataclass(slots=True)
class Planned:
    """The newest plan, read once: it is as large as the school, and the same until the next run."""

    _plan: Plan | None = None

    def read(self, journal: Journal, plan_id: str) -> Plan | None:
        """Give a plan; none where it is gone, or not as it was kept."""
        if self._plan is None or self._plan.plan_id != plan_id:
            try:
                self._plan = journal.plan(plan_id).plan if plan_id else None
            except PlanError:
                self._plan = None
        return self._plan


@dataclass(slots=True, eq=False)
class SchoolCollector(Collector):
    """Gives Prometheus everything there is to say about one school and its daemon."""

    config: Config
    reading: Reading
    state: Callable[[], State]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _planned: Planned = field(default_factory=Planned)

    def describe(self) -> Iterable[Metric]:
        """Name them without reading anything."""
        return [family for one in NAMES if (family := _family(one.name)) is not None]

    def collect(self) -> Iterator[Metric]:
        """Read the journal, and give every metric with its samples."""
        clients, said = self._said_by_journal()
        counts = counting.summed(self.config.site.state_folder, clients)
        up = "connector_journal_up", (), float(bool(said))
        yield from families((*self._own(), up, *said, *_scim(counts)))
        yield _durations(counts)

    def _said_by_journal(self) -> tuple[tuple[str, ...], list[Sample]]:
        """Give the SCIM clients and all that the journal says; nothing where it cannot be read now."""
        try:
            journal = self.reading.journal()
            gauges = journal_gauges.read(journal.store)
            return gauges.scim_clients, list(self._of_journal(journal, gauges))
        except ConnectorError as error:
            _log.warning("scrape-without-journal", problem=str(error))
            return (), []

    def _own(self) -> Iterator[Sample]:
        """Give what needs no journal."""
        state, nightly = self.state(), self.config.nightly
        yield "connector_info", (version("connector"),), 1.0
        yield "connector_daemon_works", (), float(state.works)
        if state.stepped_at is not None:
            yield "connector_daemon_step_timestamp_seconds", (), state.stepped_at.timestamp()
        night = Schedule(nightly.at, self.config.site.zone).next_night(self.clock())
        yield "connector_next_night_timestamp_seconds", (), night.timestamp()

    def _of_journal(self, journal: Journal, gauges: Gauges) -> Iterator[Sample]:
        by_config = self.config.nightly.mode is NightlyMode.APPLY
        yield "connector_live", (), float(is_live(gauges.settings.get(GO_LIVE, ""), by_config=by_config))
        yield from _runs(gauges)
        yield from self._plan(journal, gauges)
        yield from _open(gauges, self._targets())
        yield from _came_back(gauges, [section.name for section in self.config.session_stores])
        yield from _words(journal, gauges)
        yield from _keeping(gauges)

    def _targets(self) -> list[tuple[str, str]]:
        config = self.config
        return [
            *((LegKind.DIRECTORY.value, section.name) for section in config.directories),
            *((LegKind.CREDENTIAL.value, section.name) for section in config.portals),
            *((LegKind.SESSIONS.value, section.name) for section in config.session_stores),
        ]

    def _plan(self, journal: Journal, gauges: Gauges) -> Iterator[Sample]:
        """Give what the last plan says: statuses, holds, and the objections that stand."""
        if gauges.planned is None:  # nobody was looked at yet: that is not the same as nobody
            return
        counts = gauges.planned.counts
        for status in Status:
            yield "connector_identities", (status.value,), float(counts.get(status.value, 0))
        yield "connector_rows_held", (), float(counts.get("held", 0))
        yield "connector_rows_pending", (), float(counts.get("pending", 0))
        yield "connector_accounts_unmanaged", (), float(counts.get("unmanaged", 0))
        plan = self._planned.read(journal, gauges.planned.plan_id)
        waiting = [row for row in plan.revocations if row.holds and not row.applies] if plan else []
        for hold in Hold:
            yield "connector_holds", (hold.value,), float(sum(hold in row.holds for row in waiting))
        yield from _objections(journal, plan)


def exposition(collector: Collector) -> bytes:
    """Give everything as Prometheus reads it, this process's own figures included."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    ProcessCollector(registry=registry)
    return generate_latest(registry)


# --- what the journal says ------------------------------------------------------------------------------------------


def _runs(gauges: Gauges) -> Iterator[Sample]:
    for labels, count in gauges.runs.items():
        yield "connector_runs", labels, float(count)
    yield "connector_run_going", (), float(gauges.going)
    if gauges.accepted_at is not None:
        yield "connector_last_accepted_timestamp_seconds", (), gauges.accepted_at.timestamp()
    last = gauges.last
    if last is None:
        return
    stages = seconds_of(last.counts)
    yield "connector_last_run_timestamp_seconds", (), last.ended_at.timestamp()
    yield "connector_last_run_result", (last.result.partition(":")[0],), 1.0
    # A run begins with its lease, which it takes when everything is read.
    took = sum(stages.values()) or (last.ended_at - last.started_at).total_seconds()
    yield "connector_last_run_duration_seconds", (), took
    if last.exit_code is not None:
        yield "connector_last_run_exit_code", (), float(last.exit_code)
    _, told = gauges.duties.get(TOLD, (None, ""))
    stages[REPORT] = told_seconds(told, last.run_id)
    for stage in STAGES:
        yield "connector_last_run_stage_seconds", (stage,), stages.get(stage, 0.0)


def _objections(journal: Journal, plan: Plan | None) -> Iterator[Sample]:
    if plan is None:
        return
    waived = [label for one in journal.standing_approvals(plan.digest) for label in one.waivers]
    kinds = [_kind(objection) for objection in standing_objections(plan, waived)]
    for kind in sorted(set(kinds)):
        yield "connector_objections", (kind,), float(kinds.count(kind))


def _kind(objection: Objection) -> str:
    """Name what objects. Whoever scrapes is not told that a court order was cleared: it is confidential."""
    kind = objection.label.partition(":")[0]
    return kind if said(kind, discreet=True) == kind else ACCESS_ENDED


def _open(gauges: Gauges, targets: Sequence[tuple[str, str]]) -> Iterator[Sample]:
    """Give what is open. What is configured and has nothing open says 0: an alert on it can end."""
    yield "connector_revocations_closed_total", (), float(gauges.closed)
    for way in Direction:
        yield "connector_open_revocations", (way.value,), float(gauges.revocations.get(way.value, 0))
    opened: dict[tuple[str, ...], list[Waiting]] = {(*target, Direction.CLOSE.value): [] for target in targets}
    failed = {(*target, state.value): 0 for target in targets for state in FAILED}
    for (kind, target, direction, state), waiting in gauges.legs.items():
        opened.setdefault((kind, target, direction), []).append(waiting)
        if state in FAILED:
            failed[kind, target, state] = failed.get((kind, target, state), 0) + waiting.count
    for labels, many in opened.items():
        yield "connector_open_legs", labels, float(sum(one.count for one in many))
        yield "connector_open_leg_oldest_age_seconds", labels, max((_age(one, gauges.now) for one in many), default=0.0)
    for labels, count in failed.items():
        yield "connector_leg_failures", labels, float(count)
    for labels, waiting in gauges.changes.items():
        yield "connector_open_changes", labels, float(waiting.count)


def _came_back(gauges: Gauges, stores: Iterable[str]) -> Iterator[Sample]:
    for store in sorted({*stores, *gauges.came_back}):
        yield "connector_sessions_came_back", (store,), float(gauges.came_back.get(store, 0))


def _words(journal: Journal, gauges: Gauges) -> Iterator[Sample]:
    for channel in sorted({*CHANNELS, *gauges.unsent, *gauges.sent}):
        waiting = gauges.unsent.get(channel, _NONE)
        yield "connector_unsent_messages", (channel,), float(waiting.count)
        yield "connector_unsent_message_oldest_age_seconds", (channel,), _age(waiting, gauges.now)
        if channel in gauges.sent:
            yield "connector_message_last_sent_timestamp_seconds", (channel,), gauges.sent[channel].timestamp()
    due = journal.authority_due()
    yield "connector_countersignatures_waiting", (), float(len(due.unsigned))
    yield "connector_countersignatures_overdue", (), float(sum(one.due_at < due.now for one in due.unsigned))
    yield "connector_authority_alarms", (), float(len(due.alarms) + len(due.refused))


def _keeping(gauges: Gauges) -> Iterator[Sample]:
    yield "connector_daemon_claimed", (), float(gauges.claimed)
    yield "connector_journal_size_bytes", (), float(gauges.size_bytes)
    yield "connector_audit_records", (), float(gauges.audit_records)
    if PROVEN in gauges.duties:
        proven_at, said = gauges.duties[PROVEN]
        yield "connector_audit_ok", (), float(is_sound(said))
        yield "connector_audit_proven_timestamp_seconds", (), proven_at.timestamp()
    yield "connector_scim_pending", (), float(gauges.scim_pending.count)
    yield "connector_scim_pending_oldest_age_seconds", (), _age(gauges.scim_pending, gauges.now)
    for client in gauges.scim_clients:
        yield "connector_scim_deactivations_refused", (client,), float(gauges.refused.get(client, 0))


def _age(waiting: Waiting, now: datetime) -> float:
    return max(0.0, (now - waiting.since).total_seconds()) if waiting.since is not None else 0.0


# --- what the workers counted ---------------------------------------------------------------------------------------


def _scim(counts: counting.Counts) -> Iterator[Sample]:
    summed: dict[tuple[str, tuple[str, ...]], float] = {}

    def add(name: str, labels: tuple[str, ...], count: int) -> None:
        summed[name, labels] = summed.get((name, labels), 0.0) + count

    for (client, method, resource, status), count in counts.requests.items():
        add("connector_scim_requests_total", (client, method, resource, f"{status // 100}xx"), count)
        if 400 <= status < 500:  # noqa: PLR2004 - what HTTP calls the client's fault (RFC 9110 15.5)
            add("connector_scim_refused_total", (client, str(status)), count)
        if status == _THROTTLED:
            add("connector_scim_throttled_total", (client,), count)
    return ((name, labels, value) for (name, labels), value in summed.items())


def _durations(counts: counting.Counts) -> Metric:
    one = BY_NAME["connector_scim_request_duration_seconds"]
    family = HistogramMetricFamily(one.name, one.says, labels=one.labels)
    for kind, amounts in sorted(counts.amounts.items()):
        family.add_metric(kind, counting.cumulated(amounts), counts.seconds[kind])
    return family


def families(samples: Iterable[Sample]) -> Iterator[Metric]:
    """Give samples as what Prometheus takes, in the order of the names; one that is not named is a mistake of ours."""
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample[0], []).append(sample)
    if unknown := by_name.keys() - BY_NAME.keys():
        raise KeyError(f"No metric is named {', '.join(sorted(unknown))}.")
    for name, mine in sorted(by_name.items(), key=lambda item: list(BY_NAME).index(item[0])):
        if (family := _family(name)) is not None:
            for _, labels, value in mine:
                family.add_metric(labels, value)
            yield family


def _family(name: str) -> GaugeMetricFamily | CounterMetricFamily | None:
    one = BY_NAME[name]
    if one.kind == HISTOGRAM:
        return None
    return (CounterMetricFamily if one.kind == COUNTER else GaugeMetricFamily)(one.name, one.says, labels=one.labels)
