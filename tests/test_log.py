"""What is logged can be read line by line, by run, and holds no secret."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from connector import log
from connector.log import configure, during_run

HUNTER = "hunter2-Xy"


@pytest.fixture(autouse=True)
def quiet_afterwards() -> Iterator[None]:
    """Give the next test the logging it would have had without this one."""
    root, ours = logging.getLogger(), logging.getLogger("connector")
    before = (list(root.handlers), root.level, ours.level)
    yield
    structlog.reset_defaults()
    root.handlers[:], level, our_level = before
    root.setLevel(level)
    ours.setLevel(our_level)


def configured(as_json: bool = True, level: int = logging.INFO) -> io.StringIO:
    stream = io.StringIO()
    configure(stream, json=as_json, level=level)
    return stream


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_names_what_whom_and_the_run() -> None:
    stream = configured()

    with during_run("r-17"):
        structlog.get_logger("connector.apply").info("leg-closed", person_id="1009", target="ad")
    structlog.get_logger("connector.apply").info("idle")

    first, second = events(stream)
    assert first["event"] == "leg-closed"
    assert first["person_id"] == "1009"
    assert first["run_id"] == "r-17"
    assert first["level"] == "info"
    assert first["logger"] == "connector.apply"
    assert first["timestamp"].endswith("Z")
    assert "run_id" not in second


@pytest.mark.parametrize(
    "key", ["password", "bind_password", "api_token", "secret", "session_id", "Cookie", "set_cookie"]
)
def test_a_key_that_names_a_secret_is_masked(key: str) -> None:
    stream = configured()

    structlog.get_logger("connector").info("signed-in", **{key: HUNTER, "nested": {key: [HUNTER]}})

    assert HUNTER not in stream.getvalue()
    assert events(stream)[0][key] == log.MASK


@pytest.mark.parametrize(
    "text",
    [
        f"cannot connect to postgresql://connector:{HUNTER}@db/journal",
        f"connection string host=db password={HUNTER} dbname=x",
        f"parameters: {{'password': '{HUNTER}'}}",
        f"Authorization: Bearer {HUNTER}",
    ],
)
def test_a_password_inside_a_text_is_masked(text: str) -> None:
    stream = configured()

    structlog.get_logger("connector").warning("unreachable", detail=text)
    logging.getLogger("somelibrary").warning("%s", text)

    assert HUNTER not in stream.getvalue()
    assert stream.getvalue().count(log.MASK) == 2


def test_a_flag_about_a_password_is_a_fact_and_stays() -> None:
    stream = configured()

    structlog.get_logger("connector").info("member-read", has_password=True, person_id="1009")

    assert events(stream)[0]["has_password"] is True


def test_a_secret_in_a_traceback_is_masked() -> None:
    stream = configured()

    try:
        int(f"ldaps://cn=x:{HUNTER}@dc1")
    except ValueError:
        structlog.get_logger("connector").exception("failed")
        logging.getLogger("somelibrary").exception("failed too")

    assert HUNTER not in stream.getvalue()
    assert all("ValueError" in event["exception"] for event in events(stream))


def test_libraries_are_heard_from_warning_on() -> None:
    stream = configured(level=logging.DEBUG)

    logging.getLogger("somelibrary").info("chatter")
    logging.getLogger("somelibrary").warning("trouble")
    structlog.get_logger("connector.ldap").debug("page-read", entries=1000)

    assert [event["event"] for event in events(stream)] == ["trouble", "page-read"]


def test_events_below_the_level_are_left_out() -> None:
    stream = configured(level=logging.WARNING)

    structlog.get_logger("connector").info("idle")

    assert stream.getvalue() == ""


@pytest.mark.parametrize("as_json", [True, False])
def test_a_hostile_name_cannot_forge_a_line(as_json: bool) -> None:
    stream = configured(as_json=as_json)

    structlog.get_logger("connector").info("seen", name="x\n2026-11-21 [info] leg-closed\x1b[2K", who={"n": "a\nb"})

    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("as_json", [True, False])
def test_nor_can_one_that_an_error_quotes(as_json: bool) -> None:
    stream = configured(as_json=as_json)
    hostile = "x\x1b[2K\x9b2J\u202e\u2028\udcff\n2026-11-21T08:00:00Z [info] leg-closed"

    structlog.get_logger("connector").error("failed", name=hostile, exc_info=ValueError(hostile))

    written = stream.getvalue()
    assert not any(c in written for c in "\x1b\x9b\u202e\u2028\udcff")
    assert not any(line.startswith("2026-11-21T08") for line in written.splitlines())
    assert not as_json or "leg-closed" in events(stream)[0]["exception"]


def test_text_for_a_file_has_no_colours() -> None:
    stream = configured(as_json=False)

    structlog.get_logger("connector.apply").info("leg-closed", person_id="1009")

    assert "leg-closed" in stream.getvalue()
    assert "person_id=1009" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_configuring_again_replaces_the_first_stream() -> None:
    first = configured()
    second = configured()

    structlog.get_logger("connector").info("once")

    assert first.getvalue() == ""
    assert len(events(second)) == 1


def test_importing_the_module_sets_nothing_up() -> None:
    handlers = list(logging.getLogger().handlers)

    sys.modules.pop("connector.log")
    __import__("connector.log")

    assert logging.getLogger().handlers == handlers
    assert not structlog.is_configured()
