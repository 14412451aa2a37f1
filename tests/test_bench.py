"""The benchmark still runs and still decides the same school the same way. Its times are nobody's test."""

import gc
from pathlib import Path

import pytest

from connector.model import Reason, Status
from connector.reconcile.collector import collector_held
from connector.reconcile.judge import Judgement
from tools.bench import BEGIN, END, main, night, outcome_of, sizes_of
from tools.bench_school import bench_school

ROOT = Path(__file__).parent.parent
ONE_PERCENT = 0.01


@pytest.fixture(scope="module")
def judged() -> Judgement:
    return night(bench_school(ONE_PERCENT))


def test_the_school_has_the_sizes_it_promises() -> None:
    sizes = sizes_of(bench_school(ONE_PERCENT))

    assert (sizes.contacts, sizes.students, sizes.relationships, sizes.accounts) == (1_000, 600, 2_500, 1_000)


def test_the_night_finds_what_was_put_into_the_school(judged: Judgement) -> None:
    outcome = outcome_of(judged)

    assert (outcome.active, outcome.ready_to_revoke, outcome.ready_to_provision, outcome.revoked) == (831, 31, 3, 35)


def test_the_night_meets_the_reasons_a_real_one_meets(judged: Judgement) -> None:
    rows = [row for row in judged.decisions.rows if row.status is Status.READY_TO_REVOKE]

    reasons = {reason for row in rows for reason in row.reasons}

    assert reasons >= {Reason.HALF_REVOKED, Reason.NO_STUDENT_AT_SCHOOL}


def test_the_same_school_gives_the_same_plan(judged: Judgement) -> None:
    again = night(bench_school(ONE_PERCENT))

    assert outcome_of(again) == outcome_of(judged)


def test_the_figures_land_between_the_marks_of_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold figures\n{END}\nafter\n", encoding="utf-8")

    main(["--scale", str(ONE_PERCENT), "--times", "1", "--write", str(page)])

    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{BEGIN}\nMade by `make bench`")
    assert text.endswith(f"{END}\nafter\n")
    assert "1,000 contacts | 2,000 contacts" in text
    assert "old figures" not in text


def test_a_page_without_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no marks\n", encoding="utf-8")

    with pytest.raises(SystemExit, match="put them where the figures belong"):
        main(["--scale", str(ONE_PERCENT), "--times", "1", "--write", str(page)])


def test_the_page_of_figures_has_its_marks_and_names_its_command() -> None:
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")

    assert text.index("make bench") < text.index(BEGIN) < text.index(END)


def test_the_collector_is_left_as_it_was_found() -> None:
    with collector_held():
        inside = gc.isenabled()

    assert (inside, gc.isenabled()) == (False, True)


def test_the_collector_comes_back_after_an_error() -> None:
    with pytest.raises(ValueError, match="broken"), collector_held():
        raise ValueError("broken")

    assert gc.isenabled()
