"""The benchmark of batches still runs, closes everybody and nobody else, and says so. Its times are nobody's test."""

from pathlib import Path

import pytest

from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisDatabase
from tools.bench_batches import BEGIN, END, TIMES, Bench, Figures, rounds, table
from tools.bench_servers import samba_with, slapd_with

ROOT = Path(__file__).parent.parent
ONE_PERCENT = 100


def test_one_percent_of_it_on_slapd_closes_everybody_with_two_sweeps_a_round(
    tmp_path: Path, postgres: PostgresServer, redis_database: RedisDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    with slapd_with(tmp_path / "slapd", ONE_PERCENT) as place:
        figures = rounds(Bench(place, postgres, redis_database, tmp_path / "rounds"), TIMES)

    assert (figures.count, figures.sweeps) == (ONE_PERCENT, 2)
    assert capsys.readouterr().err.count("ratio") == TIMES


def test_a_few_of_it_on_samba_are_closed_too(
    tmp_path: Path, postgres: PostgresServer, redis_database: RedisDatabase
) -> None:
    with samba_with(tmp_path / "samba", 10) as place:
        figures = Bench(place, postgres, redis_database, tmp_path / "rounds").round(0)

    assert (figures.count, figures.sweeps) == (10, 2)


def test_the_table_says_rates_ratio_and_command() -> None:
    text = table(Figures(10_000, 4.0, 8.0, 2), Figures(1_000, 4.0, 5.0, 2), "make bench-batches")

    assert "`make bench-batches`" in text
    assert "| **share of the bare rate** | **50%** | **80%** |" in text


def test_the_page_of_figures_has_its_marks_and_names_its_command() -> None:
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")

    assert text.index("make bench-batches") < text.index(BEGIN) < text.index(END)
