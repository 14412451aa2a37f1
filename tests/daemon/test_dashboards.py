"""The dashboard and the alert rules ask for nothing that is not exposed, and fire when they should.

A real Prometheus scrapes a real listener over a journal in which there is something of everything.
"""

import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector.daemon.metric_names import NAMES, series_of
from tests.daemon.watching import busy
from tests.servers.prometheus import Prometheus, promtool, scraping

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "connector.json"

_NAMED = re.compile(r"\b(?:connector|process|python)_[a-z0-9_]+")
_SERIES = {series for name in NAMES for series in series_of(name)}
_LABELS = {series: {*name.labels, "le"} for name in NAMES for series in series_of(name)}

_A_DAY_AND_MORE = 30
_AT_REST = {
    "connector_info": 1,
    "connector_journal_up": 1,
    "connector_daemon_claimed": 1,
    "connector_last_run_timestamp_seconds": 0,
    "connector_last_run_exit_code": 0,
    'connector_open_leg_oldest_age_seconds{kind="sessions",target="web",direction="close"}': 0,
    'connector_leg_failures{kind="sessions",target="web",state="refused"}': 0,
    'connector_leg_failures{kind="sessions",target="web",state="conflict"}': 0,
    "connector_countersignatures_overdue": 0,
    "connector_audit_ok": 1,
    "connector_audit_proven_timestamp_seconds": 0,
    'connector_unsent_message_oldest_age_seconds{channel="mail"}': 0,
    'connector_sessions_came_back{store="web"}': 0,
    'connector_scim_requests_total{client="entra",method="GET",resource="Users",status="2xx"}': "0+60x2000",
    'connector_scim_requests_total{client="entra",method="GET",resource="Users",status="5xx"}': 0,
    'connector_scim_deactivations_refused{client="entra"}': 0,
}
"""A school in which nothing is wrong, for less than 26 hours after its run."""

_FIRES: dict[str, tuple[str, str, int]] = {
    "ConnectorSilent": ("connector_info", "", 1),
    "ConnectorJournalUnreadable": ("connector_journal_up", "0x2000", 1),
    "ConnectorNoDaemon": ("connector_daemon_claimed", "0x2000", 1),
    "ConnectorNoRun": ("connector_last_run_timestamp_seconds", "0x2000", 27),
    "ConnectorRunFailed": ("connector_last_run_exit_code", "1x2000", 1),
    "ConnectorObjection": ('connector_objections{kind="max-share"}', "1x2000", 1),
    "ConnectorRevocationOpen": (
        'connector_open_leg_oldest_age_seconds{kind="sessions",target="web",direction="close"}', "86401x2000", 1,
    ),
    "ConnectorTargetFailing": ('connector_leg_failures{kind="sessions",target="web",state="refused"}', "2x2000", 1),
    "ConnectorConflict": ('connector_leg_failures{kind="sessions",target="web",state="conflict"}', "1x2000", 1),
    "ConnectorCountersignatureOverdue": ("connector_countersignatures_overdue", "1x2000", 1),
    "ConnectorAuditBroken": ("connector_audit_ok", "0x2000", 1),
    "ConnectorAuditUnproven": ("connector_audit_proven_timestamp_seconds", "0x6000", 73),
    "ConnectorUnsent": ('connector_unsent_message_oldest_age_seconds{channel="mail"}', "3601x2000", 1),
    "ConnectorSessionsComeBack": ('connector_sessions_came_back{store="web"}', "1x2000", 1),
    "ConnectorScimErrors": (
        'connector_scim_requests_total{client="entra",method="GET",resource="Users",status="5xx"}', "0+6x2000", 1,
    ),
    "ConnectorScimRefused": ('connector_scim_deactivations_refused{client="entra"}', "30x2000", 1),
}  # fmt: skip
"""What each alert fires on: one series other than at rest, and after how many hours."""


def panels() -> list[dict[str, Any]]:
    return list(json.loads(DASHBOARD.read_text())["panels"])


def asked_by_panels() -> list[tuple[str, str]]:
    return [(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> list[str]:
    return [*(rule["expr"] for rule in rules()), *(expression for _, expression in asked_by_panels())]


# --- words ------------------------------------------------------------------------------------------------------------


def test_every_metric_that_is_asked_for_is_exposed() -> None:
    asked = {name for expression in expressions() for name in _NAMED.findall(expression)}

    assert asked
    assert asked - _SERIES == set()


def test_every_label_that_is_asked_for_is_one_of_its_metric() -> None:
    for expression in expressions():
        for name, inside in re.findall(r"\b(connector_\w+)\{([^}]*)\}", expression):
            assert set(re.findall(r"(\w+)\s*(?:=~|!=|=)", inside)) <= _LABELS[name], expression
        shown = set().union(*(_LABELS[name] for name in _NAMED.findall(expression)))
        for inside in re.findall(r"\bby \(([^)]*)\)", expression):
            assert {label.strip() for label in inside.split(",")} <= shown, expression


def test_every_alert_says_what_happened_and_what_to_do() -> None:
    for rule in rules():
        assert set(rule["annotations"]) == {"summary", "description", "action"}, rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning"}


def test_promtool_finds_nothing_to_mend_in_the_rules() -> None:
    checked = promtool("check", "rules", "--lint-fatal", str(ALERTS))

    assert checked.returncode == 0, checked.stderr


def test_the_dashboard_fits_one_screen_and_no_panel_covers_another() -> None:
    places: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        mine = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not places & mine, panel["title"]
        assert panel["description"]
        places |= mine

    assert max(x for x, _ in places) < 24
    assert max(y for _, y in places) < 26


# --- alerts by their own clock ----------------------------------------------------------------------------------------


def case(folder: Path, name: str, *, fires: bool) -> Path:
    series, values, hours = _FIRES[name]
    at_rest: dict[str, Any] = {one: says if isinstance(says, str) else f"{says}x2000" for one, says in _AT_REST.items()}
    if fires:
        at_rest.pop(series, None)
        at_rest |= {series: values} if values else {}
    asked = {"alertname": name, "eval_time": f"{hours if fires else 1}h", "exp_alerts": []}
    interval = "1m" if hours <= _A_DAY_AND_MORE else "10m"  # three days by the minute would take as long as all others
    test = {
        "interval": interval,
        "input_series": [{"series": one, "values": says} for one, says in at_rest.items()],
        "alert_rule_test": [asked],
    }
    path = folder / f"{name}-{fires}.yml"
    path.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": interval, "tests": [test]}))
    return path


def test_every_alert_is_tried() -> None:
    assert {rule["alert"] for rule in rules()} == set(_FIRES)


def test_no_alert_fires_where_nothing_is_wrong(tmp_path: Path) -> None:
    files = [str(case(tmp_path, name, fires=False)) for name in _FIRES]

    tried = promtool("test", "rules", *files)

    assert tried.returncode == 0, tried.stdout + tried.stderr


@pytest.mark.parametrize("name", sorted(_FIRES))
def test_an_alert_fires_when_it_should(tmp_path: Path, name: str) -> None:
    tried = promtool("test", "rules", str(case(tmp_path, name, fires=True)))

    # What it says is not repeated here: promtool names the alert it did not expect.
    said = tried.stdout + tried.stderr
    assert tried.returncode == 1, said
    assert f'alertname="{name}"' in said, said
    assert "severity" in said


# --- a real Prometheus ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("watched")
    one = busy(folder)
    one.nights.school.leave("ok3", date(2026, 11, 17))
    one.limited(max_revocations=0)
    one.goes_on(one.one, days=1)
    with one.listening() as address, scraping(address.removeprefix("http://"), ALERTS, folder) as prometheus:
        prometheus.until("rate(connector_scim_requests_total[1m])")
        yield prometheus


@pytest.mark.parametrize(("title", "expression"), asked_by_panels())
def test_every_panel_has_something_to_show(prometheus: Prometheus, title: str, expression: str) -> None:
    found = prometheus.ask(expression.replace("$__rate_interval", "1m"))

    assert found or "> 0" in expression, title


def test_prometheus_takes_every_rule(prometheus: Prometheus) -> None:
    assert set(prometheus.rules()) == set(_FIRES)


def test_a_scrape_takes_less_time_than_is_between_two(prometheus: Prometheus) -> None:
    (took,) = prometheus.ask('max_over_time(scrape_duration_seconds{job="connector"}[1m])')

    assert float(took["value"][1]) < 2
