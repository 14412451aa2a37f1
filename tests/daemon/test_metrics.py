"""What a scrape says, of a real journal and over real HTTP, and what it never says."""

import re
from datetime import date, timedelta
from pathlib import Path

import pytest
import requests

from connector.daemon.metric_names import BY_NAME, NAMES, as_table, series_of
from connector.daemon.proving import PROVEN
from connector.daemon.timing import told_seconds
from connector.reconcile import journal_gauges
from connector.reconcile.journal_gauges import LATELY
from connector.reconcile.stages import STAGES, Stopwatch, seconds_of
from tests.daemon.watching import busy, journal_gone, scraped, value
from tests.reconcile.journal_builders import execute
from tests.servers.prometheus import promtool

DOCUMENT = Path(__file__).parents[2] / "docs" / "operating.md"


def test_a_scrape_says_how_the_last_night_went(tmp_path: Path) -> None:
    one = busy(tmp_path)

    with one.listening() as address:
        said = scraped(address)

    assert value(said, "connector_last_run_exit_code") == 4
    assert value(said, "connector_last_run_result", result="applied") == 1
    assert value(said, "connector_runs", kind="run", result="applied") == 3
    assert value(said, "connector_identities", status="active") == 2
    assert value(said, "connector_revocations_closed_total") == 2
    assert value(said, "connector_last_run_timestamp_seconds") < one.clock.now.timestamp()
    assert value(said, "connector_next_night_timestamp_seconds") > one.clock.now.timestamp()
    assert value(said, "connector_live") == 1


def test_a_scrape_says_what_is_open_at_which_target_and_since_when(tmp_path: Path) -> None:
    one = busy(tmp_path)
    one.clock.on(hours=30)

    with one.listening() as address:
        said = scraped(address)

    assert value(said, "connector_open_revocations", direction="close") == 1
    assert value(said, "connector_open_legs", kind="sessions", target="web") == 1
    assert value(said, "connector_leg_failures", target="web", state="unreachable") == 1
    assert value(said, "connector_open_leg_oldest_age_seconds", target="web") > 30 * 3600


def test_what_has_nothing_open_says_zero_so_that_an_alert_can_end(tmp_path: Path) -> None:
    with busy(tmp_path).listening() as address:
        said = scraped(address)

    assert value(said, "connector_open_legs", kind="directory", target="ad") == 0
    assert value(said, "connector_leg_failures", target="engage", state="refused") == 0
    assert value(said, "connector_unsent_messages", channel="mail") == 0


def test_the_stages_of_a_run_are_timed_and_outlive_the_process(tmp_path: Path) -> None:
    one = busy(tmp_path)

    with one.listening() as address:
        said = scraped(address)

    stages = {labels["stage"]: number for labels, number in said["connector_last_run_stage_seconds"]}
    assert set(stages) == set(STAGES)
    assert all(stages[stage] > 0 for stage in ("read", "decide", "apply"))
    assert value(said, "connector_last_run_duration_seconds") == pytest.approx(
        sum(stages.values()) - stages["report"], abs=0.01
    )


def test_a_stopwatch_tells_sweeps_from_sends_and_what_is_resumed_from_what_is_applied() -> None:
    times = iter(range(100))
    watch = Stopwatch(lambda _: None, lambda: float(next(times)))

    for word in ("admin system", "directory ad", "decide"):
        watch(word)
    watch.enter("resume")
    for word in ("directory ad: 3", "sessions web: 3", "settle 60 s", "sessions web, again: 2"):
        watch(word)
    watch.enter("apply")
    for word in ("credential engage: 1", "add in engage: 4"):
        watch(word)

    assert seconds_of(watch.counts()) == {"read": 2, "decide": 1, "resume": 2, "sweep": 3, "apply": 3}


def test_how_long_telling_took_belongs_to_its_run_alone() -> None:
    assert told_seconds("7 1500", 7) == 1.5
    assert told_seconds("6 1500", 7) == 0
    assert told_seconds("", 7) == 0


def test_holds_and_objections_are_those_of_the_last_plan(tmp_path: Path) -> None:
    one = busy(tmp_path)
    one.journal.keep("ok2", "alice", "A friend of the house", date(2027, 1, 1))
    for person in ("ok2", "ok3"):
        one.nights.school.leave(person, date(2026, 11, 17))
    one.limited(max_revocations=0)
    one.goes_on(one.one, days=1)

    with one.listening() as address:
        said = scraped(address)

    assert value(said, "connector_holds", hold="keep") == 1
    assert value(said, "connector_rows_held") == 1
    assert [labels["kind"] for labels, _ in said["connector_objections"]] == ["max-revocations"]
    assert value(said, "connector_last_run_exit_code") in (3, 4)


def test_sessions_that_came_back_are_counted_by_store_for_a_day(tmp_path: Path) -> None:
    one = busy(tmp_path)
    (leg,) = [leg for leg in one.journal.lately_ended(9) if leg.key == "ok0"]
    one.journal.swept_again([(leg, 3)], None, (one.journal.claim("ok0", "me", 60),))

    with one.listening() as address:
        lately = scraped(address)
        one.clock.on(seconds=LATELY.total_seconds() + 1)
        later = scraped(address)

    assert value(lately, "connector_sessions_came_back", store="web") == 3
    assert value(later, "connector_sessions_came_back", store="web") == 0


def test_only_the_end_of_a_long_trail_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = busy(tmp_path)
    monkeypatch.setattr(journal_gauges, "_STRIDE", 2)
    store = one.journal.store
    with store.reading() as conn:
        records = journal_gauges.read(store).audit_records
        ago = (timedelta(0), timedelta(hours=3), timedelta(days=900))
        now, hours, years = (journal_gauges._before(conn, records, one.clock.now - time) for time in ago)

    assert now == records - 2
    assert records > hours > 0
    assert years == 0


def test_messages_that_wait_are_shown_with_the_age_of_the_oldest(tmp_path: Path) -> None:
    one = busy(tmp_path)
    claim = one.journal.succeed("daemon", one.one._succession.owner, 60)
    one.journal.duties.put(claim, "mail", [("report-1", "{}"), ("report-2", "{}")])
    one.clock.on(minutes=90)

    with one.listening() as address:
        said = scraped(address)

    assert value(said, "connector_unsent_messages", channel="mail") == 2
    assert value(said, "connector_unsent_message_oldest_age_seconds", channel="mail") == 5400


def test_a_countersignature_is_overdue_when_its_time_is_over(tmp_path: Path) -> None:
    one = busy(tmp_path)
    execute(
        one.journal,
        "INSERT INTO terminations (id, operator, reason, contact_type, commanded_at, due_at)"
        " VALUES (1, 'alice', 'court', '', '2026-11-19 00:00:00', '2026-11-20 00:00:00')",
    )

    with one.listening() as address:
        said = scraped(address)

    assert value(said, "connector_countersignatures_waiting") == 1
    assert value(said, "connector_countersignatures_overdue") == 1


def test_the_audit_trail_is_proven_after_a_night_and_not_by_the_scrape(tmp_path: Path) -> None:
    one = busy(tmp_path)
    execute(one.journal, "UPDATE audit SET text = 'nothing happened' WHERE id = 3")

    with one.listening() as address:
        before = scraped(address)
        one.goes_on(one.one, days=1)
        after = scraped(address)

    assert value(before, "connector_audit_ok") == 1
    assert value(after, "connector_audit_ok") == 0
    assert value(after, "connector_audit_proven_timestamp_seconds") > value(
        before, "connector_audit_proven_timestamp_seconds"
    )
    assert PROVEN in one.journal.duties.find()


def test_a_journal_that_is_away_is_said_and_everything_else_still_answered(tmp_path: Path) -> None:
    one = busy(tmp_path)
    one.reads = journal_gone

    with one.listening() as address:
        said = scraped(address)

    assert value(said, "connector_journal_up") == 0
    assert value(said, "connector_daemon_works") == 1
    assert value(said, "connector_scim_requests_total", method="PATCH") == 1
    assert "connector_runs" not in said
    assert "process_cpu_seconds_total" in said


def test_a_scrape_waits_for_no_writer_and_keeps_none_waiting(tmp_path: Path) -> None:
    one = busy(tmp_path)

    with one.listening() as address, one.journal.store.writing():
        said = scraped(address)

    assert value(said, "connector_journal_up") == 1


def test_every_name_is_declared_and_every_declared_one_is_exposed(tmp_path: Path) -> None:
    one = busy(tmp_path)
    one.nights.school.leave("ok3", date(2026, 11, 17))
    one.limited(max_revocations=0)
    one.goes_on(one.one, days=1)
    claim = one.journal.succeed("daemon", one.one._succession.owner, 60)
    one.journal.duties.put(claim, "mail", [("report-1", "{}")])
    one.journal.duties.sent(claim, one.journal.duties.unsent()[0])
    with one.listening() as address:
        said = {name for name in scraped(address) if name.startswith("connector_")}

    declared = {series for name in NAMES for series in series_of(name)}
    assert said <= declared
    assert declared - said == {"connector_open_changes"}


def test_no_label_names_a_person_and_each_has_values_that_are_known(tmp_path: Path) -> None:
    one = busy(tmp_path)
    one.answered(("mallory", "BREW", "coffee", 418), ("", "GET", "other", 404))
    with one.listening() as address:
        text = requests.get(f"{address}/metrics", timeout=10).text
        said = scraped(address)

    for name, samples in said.items():
        series = BY_NAME.get(re.sub(r"(?<=_seconds)_(bucket|count|sum)$", "", name))
        for labels, _ in samples:
            assert series is None or set(labels) - {"le"} == set(series.labels), name
    for word in ("ok0", "ok1", "mallory", "Ada", "@"):
        assert word not in text
    clients = {labels["client"] for labels, _ in said["connector_scim_requests_total"]}
    assert clients == {"", "entra"}


def test_prometheus_finds_nothing_to_mend_in_the_names(tmp_path: Path) -> None:
    with busy(tmp_path).listening() as address:
        said = requests.get(f"{address}/metrics", timeout=10).text

    checked = promtool("check", "metrics", stdin=said)

    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_table_in_the_documents_is_the_one_in_the_code() -> None:
    assert as_table() in DOCUMENT.read_text()
