"""How a command is typed and how it ends: options anywhere, sentences not tracebacks, exit codes with a meaning."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from connector.app import Connector
from connector.cli import cli
from tests.cli.builders import AS_OF, School, typed

NAMED = (
    "init check status memberships changes plan show approve release keep block unblock link unlink run revoke restore "
    "resume abandon go-live rollover backlog compare explain family history report operator demo membership audit "
    "daemon db terminate authorise certificate authority serve token"
)
NAMED_BELOW = {
    "rollover": "complete",
    "operator": "add list remove",
    "membership": "refresh add enable disable remove disable-mismatched remove-mismatched remove-disabled",
    "audit": "verify export seal",
    "report": "audit",
    "db": "status backup restore migrate start-anew move prune",
    "authority": "code print-codes acknowledge refuse",
    "token": "create list rotate revoke limit",
}


def verbs() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Give every verb with the words that name it."""
    for name, verb in cli.commands.items():
        yield (name,), verb
        if isinstance(verb, click.Group):
            yield from (((name, below), each) for below, each in verb.commands.items())


def test_every_verb_of_the_design_is_there() -> None:
    assert {name for name, verb in cli.commands.items() if not verb.hidden} == set(NAMED.split())
    for name, below in NAMED_BELOW.items():
        group = cli.commands[name]
        assert isinstance(group, click.Group)
        assert set(group.commands) == set(below.split())


@pytest.mark.parametrize("words", [words for words, _ in verbs()], ids=" ".join)
def test_every_verb_has_a_sentence_for_an_administrator(words: tuple[str, ...]) -> None:
    answer = typed(*words, "--help")

    sentence = re.search(r"\n\n  (\S.*?\.)(\s|$)", answer.out, re.DOTALL)
    assert answer.code == 0
    assert sentence
    assert len(sentence[1].split()) >= 4


@pytest.mark.parametrize("words", [words for words, verb in verbs() if not isinstance(verb, click.Group)], ids=" ".join)
def test_every_option_says_what_it_does(words: tuple[str, ...]) -> None:
    verb = dict(verbs())[words]

    silent = [p.name for p in verb.params if isinstance(p, click.Option) and not p.help]

    assert silent == []


def test_the_help_names_every_verb_and_the_exit_codes() -> None:
    answer = typed("--help")

    assert answer.code == 0
    assert all(re.search(rf"^  {verb} ", answer.out, re.MULTILINE) for verb in NAMED.split())
    assert "3\n  stopped by an objection" in answer.out or "3 stopped by an objection" in answer.out


@pytest.mark.parametrize("place", ["before", "after"])
def test_the_day_and_the_format_are_taken_before_and_after_the_verb(built: School, place: str) -> None:
    options = ["--as-of", "2025-06-01", "--format", "json"]
    words = [*options, "status"] if place == "before" else ["status", *options]

    answer = typed("--config", str(built.config), *words)

    assert answer.document["as_of"] == "2025-06-01"


def test_what_is_said_after_the_verb_wins(built: School) -> None:
    answer = typed(
        "--config", str(built.config), "--as-of", "2025-06-01", "status", "--as-of", AS_OF, "--format", "json"
    )

    assert answer.document["as_of"] == AS_OF


def test_the_config_is_found_through_the_environment_and_in_the_current_folder(
    built: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = typed("operator", "list", environment={"CONNECTOR_CONFIG": str(built.config)})
    monkeypatch.chdir(built.folder)
    here = typed("operator", "list")

    assert (named.code, here.code) == (0, 0)


def test_no_config_is_an_error_that_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    answer = typed("status")

    assert answer.code == 1
    assert "connector init" in answer.err


@pytest.mark.parametrize(
    "words",
    [
        ("status", "--as-of", "yesterday"),
        ("status", "--as-of", "0001-01-01"),
        ("status", "--as-of", "9999-12-31"),
        ("status", "--format", "xml"),
        ("plan", "--without", "Stepmother"),
        ("statsu",),
        ("show",),
        ("run", "--apply", "--dry-run"),
        ("block", "DLA1209"),
        (),
    ],
    ids=" ".join,
)
def test_a_mistyped_command_ends_with_1_because_2_means_changes(built: School, words: tuple[str, ...]) -> None:
    answer = typed("--config", str(built.config), *words)

    assert answer.code == 1
    assert answer.err
    assert answer.out == ""


@pytest.mark.parametrize(
    "words", [("explain", "Jos\udce9"), ("block", "XU1003", "--reason", "a\udcff")], ids=["a name", "a reason"]
)
def test_what_a_terminal_sent_that_is_no_unicode_is_never_taken_for_something_else(
    built: School, words: tuple[str, ...]
) -> None:
    answer = built.typed(*words)

    assert answer.code == 1
    assert "no UTF-8: type it anew" in answer.err


def test_a_refusal_is_a_plain_sentence_with_what_to_do_next(built: School) -> None:
    answer = built.typed("show", "ffff")

    assert answer.code == 1
    assert answer.out == ""
    assert answer.err == "There is no plan ffff.\nMake one: connector plan\n"


def test_what_nobody_foresaw_is_one_sentence_and_a_traceback_only_on_demand(
    built: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret of the house")

    monkeypatch.setattr(Connector, "look", broken)

    plain, debug = built.typed("status"), built.typed("--debug", "status")

    assert (plain.code, debug.code) == (1, 1)
    assert "Please report it" in plain.err
    assert "Traceback" not in plain.err
    assert "secret of the house" not in plain.err
    assert "Traceback" in debug.err


def test_a_traceback_that_quotes_a_hostile_name_steers_no_terminal(
    built: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("Ada\x1b[2J\u202e")

    monkeypatch.setattr(Connector, "look", broken)

    debug = built.typed("--debug", "status")

    assert "ZeroDivisionError: Ada" in debug.err
    assert "\x1b" not in debug.err
    assert "\u202e" not in debug.err


def test_ctrl_c_says_that_nothing_is_lost(built: School, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Connector, "look", stopped)

    answer = built.typed("status")

    assert answer.code == 1
    assert "connector resume --apply" in answer.err


def test_the_version_is_the_installed_one() -> None:
    assert re.fullmatch(r"connector, version \d+.*\n", typed("--version").out)


def test_a_plan_that_was_only_tried_cannot_be_approved_and_says_what_can(school: School) -> None:
    tried, checked = school.typed("run", "--dry-run"), school.typed("plan", "--check")

    for answer in (tried, checked):
        assert answer.code == 3
        assert "This plan was not kept. Keep it first, so that it can be approved: connector plan" in answer.out
    assert "not kept" not in school.typed("plan").out


def test_where_nothing_was_run_the_report_says_how_to_run_once(school: School) -> None:
    school.typed("run", "--dry-run")

    refused = school.typed("report")

    assert refused.code == 1
    assert "At a terminal a run only tries, without --apply." in refused.err
    assert "connector run --apply" in refused.err
