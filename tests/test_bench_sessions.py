"""The benchmark of sessions still runs, and a twentieth of it keeps what is promised of the whole, generously."""

from pathlib import Path

import pytest

from tests.servers import stop
from tests.servers.redis import start
from tools.bench_sessions import BEGIN, END, Pings, Swept, one_indexed, sweep, table

ROOT = Path(__file__).parent.parent
A_TWENTIETH = 50_000
SECONDS = 30 / 20
NOTICED = 0.25
"""Seconds: nobody waits for a sweep as long as this, though a shared machine has pauses of its own."""


@pytest.mark.alone
def test_a_twentieth_of_a_million_sessions_is_swept_in_a_twentieth_of_the_time_and_others_are_served(
    tmp_path: Path,
) -> None:
    server = start(tmp_path)
    try:
        swept = sweep(server, tmp_path, A_TWENTIETH, 100, before_seconds=0.2)
        indexed = one_indexed(server, tmp_path, 2_000)
    finally:
        stop(server.process)

    assert (swept.sessions, swept.ended) == (A_TWENTIETH, 200)
    assert swept.seconds < 2 * SECONDS, "twice, for a machine with something else to do"
    assert swept.command < NOTICED / 5
    assert swept.during.count > 10
    assert swept.during.longest < NOTICED
    assert min(indexed) < 0.05


def test_the_table_says_seconds_pings_and_command() -> None:
    pings = Pings(1_000, 0.0001, 0.002, 0.003)

    text = table(Swept(1_000_000, 500, 1_000, 14.21, 0.0031, pings, pings), [0.0004, 0.0007], 100_000, "make it")

    assert "`make it`" in text
    assert "| **seconds** | **14.2** |" in text
    assert "PING meanwhile: median, 99 %, longest of 1,000, ms | 0.1, 2.0, 3.0 |" in text
    assert "| **longest of 2 times, ms** | **0.7** |" in text


def test_the_page_of_figures_has_its_marks_and_names_its_command() -> None:
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")

    assert text.index("make bench-sessions") < text.index(BEGIN) < text.index(END)
