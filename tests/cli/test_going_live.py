"""Going live takes five accepted runs and a list somebody has read; going back takes nothing."""

import pytest

from connector.cli import live
from tests.cli.builders import School, copied


@pytest.fixture(scope="module")
def five_once(closed_once: School, tmp_path_factory: pytest.TempPathFactory) -> School:
    """Give the closed school in report mode after five accepted runs, which no test may change."""
    school = copied(closed_once, tmp_path_factory.mktemp("five") / "school")
    school.configured('mode = "apply"', 'mode = "report"')
    for _ in range(4):
        assert school.typed("run").code in (0, 2)
    return school


@pytest.fixture
def five(five_once: School, tmp_path_factory: pytest.TempPathFactory) -> School:
    return copied(five_once, tmp_path_factory.mktemp("live") / "school")


def test_too_few_runs_say_how_many_are_missing_and_when_they_will_be_done(closed: School) -> None:
    closed.configured('mode = "apply"', 'mode = "report"')

    answer = closed.typed("go-live", "--holds-read", "whatever")

    assert answer.code == 1
    assert "1 was accepted so far: 4 are missing" in answer.err
    assert "The daemon's nights will have done them on " in answer.err


def test_a_script_names_the_list_it_has_read(five: School) -> None:
    shown = five.read("go-live", "--show")
    unread = five.typed("go-live")
    another = five.typed("go-live", "--holds-read", "0" * 12)
    gone = five.typed("go-live", "--holds-read", shown["digest"])
    again = five.typed("go-live", "--holds-read", shown["digest"])

    assert [answer.code for answer in (unread, another, gone, again)] == [1, 1, 0, 0]
    assert "Nobody said that the list of holds was read" in unread.err
    assert "The list of holds is another by now" in another.err
    assert gone.out.startswith("Live: ")
    assert again.out.startswith("Live already")
    assert f"has read the list of holds {shown['digest']}" in five.typed("history").out


def test_the_list_names_everybody_who_waits_by_hold_with_what_to_do(five: School) -> None:
    shown, text = five.read("go-live", "--show"), five.typed("go-live", "--show")
    held = {row["person_id"] for row in five.read("plan")["revocations"] if row["holds"]}

    assert held <= {row["key"] for group in shown["holds"] for row in group["rows"]}
    assert text.code == 0
    assert "connector release" in text.out
    assert f"connector go-live --holds-read {shown['digest']}" in text.out


@pytest.mark.parametrize(("typed", "code"), [("yes\n", 0), ("y\n", 1), ("\n", 1)])
def test_at_a_terminal_the_list_is_shown_and_yes_is_typed(
    five: School, monkeypatch: pytest.MonkeyPatch, typed: str, code: int
) -> None:
    monkeypatch.setattr(live, "is_interactive", lambda: True)

    answer = five.typed("go-live", answers=typed)

    assert answer.code == code
    assert "for somebody to look" in answer.out
    assert ("Live: " in answer.out) is (code == 0)


def test_going_back_needs_nothing_and_the_config_has_the_last_word(five: School) -> None:
    digest = five.read("go-live", "--show")["digest"]
    five.typed("go-live", "--holds-read", digest)

    back = five.typed("go-live", "--back")
    five.configured('mode = "report"', 'mode = "apply"')
    still = five.typed("go-live", "--back")

    assert back.out.startswith("Report mode")
    assert still.out.startswith("The config still says")


def test_one_thing_is_asked_at_a_time(five: School) -> None:
    assert five.typed("go-live", "--back", "--show").code == 1
