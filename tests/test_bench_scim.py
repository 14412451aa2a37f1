"""The benchmark of the endpoint still runs, and a small dose of ours alone is answered without an error.

No peer and no wrk: a few threads ask for a second each. Its figures are for CI's log; only what is broken is below
the floor.
"""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tools.bench_scim import BEGIN, END, OURS, PEERS, Figures, missed, table
from tools.bench_scim_load import OPERATIONS, PATCH, Asking, Endpoint, Speed, check
from tools.bench_scim_ours import connector, school
from tools.bench_scim_people import user, user_name

ROOT = Path(__file__).parent.parent
DOSE, THREADS, SECONDS, FLOOR = 500, 4, 1.0, 20

Ask = Callable[[Asking, int], object]


def test_a_dose_of_it_is_answered_without_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with connector(school(tmp_path / "school", DOSE)) as serving:
        check(serving.endpoint)
        rates = {operation: rate(serving.endpoint, ask) for operation, ask in asks(serving.endpoint).items()}
        with Asking(serving.endpoint) as client:
            there = client.get("/Users?count=0")["totalResults"]
        peak = serving.peak_mb()

    assert rates.keys() == OPERATIONS.keys()
    assert min(rates.values()) > FLOOR, rates
    assert there > DOSE
    with capsys.disabled():
        said = ", ".join(f"{OPERATIONS[operation]} {rate:,.0f}/s" for operation, rate in rates.items())
        print(f"\nSCIM, {DOSE} Users, a client in Python: {said}; peak {peak:.0f} MB")  # noqa: T201 - for CI's log


def rate(endpoint: Endpoint, ask: Ask) -> float:
    """Let some threads ask for a second; what is no success ends the test."""
    until = time.monotonic() + SECONDS

    def asking(thread: int) -> int:
        number = 0
        with Asking(endpoint) as client:
            while time.monotonic() < until:
                ask(client, THREADS * number + thread)
                number += 1
        return number

    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(asking, range(THREADS))) / SECONDS


def asks(endpoint: Endpoint) -> dict[str, Ask]:
    """Give what each operation sends for the nth time; a PATCH always changes something."""
    ids, chance = endpoint.ids.read_text(encoding="ascii").split(), random.Random(7)  # noqa: S311 - no secret

    def patch(client: Asking, number: int) -> object:
        change = {"op": "replace", "path": "active", "value": bool(number // DOSE % 2)}
        return client.send("PATCH", f"/Users/{ids[number % DOSE]}", {"schemas": [PATCH], "Operations": [change]})

    def named(client: Asking, _number: int) -> object:
        return client.get(f"/Users?filter=userName%20eq%20%22{user_name(chance.randrange(DOSE))}%22")

    return {
        "get": lambda client, _: client.get(f"/Users/{chance.choice(ids)}"),
        "filter": named,
        "first": lambda client, _: client.get("/Users?count=100"),
        "middle": lambda client, _: client.get(f"/Users?count=100&startIndex={DOSE // 2 + 1}"),
        "patch": patch,
        "post": lambda client, number: client.send("POST", "/Users", user(1_000_000 + number)),
    }


def figures(**other: float) -> Figures:
    """Give figures in which all is as wanted, but for the rate of some servers by their last word."""
    rates = {"SQLite": 4000.0, "PostgreSQL": 3000.0, "scim2-server": 900.0, "SCIMMY": 1000.0, **other}
    names = (*OURS, *PEERS)
    speeds = {
        (name, count, operation): Speed(rates[name.split()[-1]], 1.25, 30.4)
        for name in names
        for count in (10, 100)
        for operation in OPERATIONS
    }
    peaks = {(name, count): 90.0 if name in OURS else 300.0 for name in names for count in (10, 100)}
    return Figures(speeds, peaks, (10, 100))


def test_the_tables_say_rates_ratios_growth_and_memory() -> None:
    text = table(figures(), "make it", 3, 2)

    assert "`make it`" in text
    assert "| GET by id | 4,000 (1.2, 30) | 3,000 (1.2, 30) | 900 (1.2, 30) | 1,000 (1.2, 30) | **4.0, 3.0** |" in text
    assert "| POST | 1.00 | 1.00 | 1.00 | 1.00 |" in text
    assert "| 100 Users | 90 | 90 | 300 | 300 |" in text
    assert missed(figures()) == []


def test_what_was_wanted_and_not_reached_is_named() -> None:
    said = missed(figures(SQLite=1500.0))

    assert len(said) == 2 * 4
    assert "connector, SQLite, 10: GET by id is 1.50 of the better peer, 2.0 wanted." in said


def test_the_page_of_figures_has_its_marks_and_names_its_command() -> None:
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")

    assert text.index("make bench-scim") < text.index(BEGIN) < text.index(END)
