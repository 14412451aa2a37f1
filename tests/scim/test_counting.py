"""SCIM requests are counted across worker processes, without naming anybody and without failing one."""

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from connector.scim import counting
from connector.scim.clients import Client
from connector.scim.counting import BOUNDS, Counts, Tally, cumulated, prepare, summed

_ENTRA = Client("entra")


def wsgi(status: str, tally: Tally | None = None) -> counting.Wsgi:
    def answers(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if tally:
            tally.known(_ENTRA)
        start_response(status, [])
        return (b"",)

    return answers


def asked(application: counting.Wsgi, path: str, method: str = "GET") -> None:
    list(application({"REQUEST_METHOD": method, "PATH_INFO": path}, lambda *_: None))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepare(tmp_path)


def requests_of(tmp_path: Path) -> dict[counting.Answered, int]:
    return summed(tmp_path, ["entra"]).requests


def test_a_request_is_counted_by_client_method_resource_and_status(tmp_path: Path, folder: Path) -> None:
    tally = Tally(folder)
    asked(tally.counting(wsgi("200 OK", tally)), "/scim/v2/Users/2819c223")
    asked(tally.counting(wsgi("201 Created", tally)), "/scim/v2/Groups", "POST")
    asked(tally.counting(wsgi("401 Unauthorized")), "/scim/v2/Users")

    tally.write()

    assert requests_of(tmp_path) == {
        ("entra", "GET", "Users", 200): 1,
        ("entra", "POST", "Groups", 201): 1,
        ("", "GET", "Users", 401): 1,
    }


@pytest.mark.parametrize("path", ["/", "", "/scim/v2", "/scim/v2/ada.lovelace", "/scim/v2/users", "/wp-admin/x/y"])
def test_whoever_makes_addresses_up_makes_no_new_series(tmp_path: Path, folder: Path, path: str) -> None:
    tally = Tally(folder)
    asked(tally.counting(wsgi("404 Not Found")), path, "BREW")

    tally.write()

    assert requests_of(tmp_path) == {("", "other", "other", 404): 1}


def test_the_counts_of_all_workers_are_added_up(tmp_path: Path, folder: Path) -> None:
    for _ in range(3):
        tally = Tally(folder)
        tally.add(("entra", "GET", "Users", 200), 0.02)
        tally.write()

    whole = summed(tmp_path, ["entra"])

    assert whole.requests == {("entra", "GET", "Users", 200): 3}
    assert whole.seconds["GET", "Users"] == pytest.approx(0.06)


def test_a_client_that_is_not_known_any_more_is_not_named(tmp_path: Path, folder: Path) -> None:
    tally = Tally(folder)
    tally.add(("okta", "GET", "Users", 200), 0.02)
    tally.add(("", "GET", "Users", 200), 0.02)

    tally.write()

    assert requests_of(tmp_path) == {("", "GET", "Users", 200): 2}


def test_what_breaks_off_counts_as_an_error_of_ours(tmp_path: Path, folder: Path) -> None:
    tally = Tally(folder)

    def breaks(_environ: dict[str, Any], _start: Callable[..., Any]) -> Iterable[bytes]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        asked(tally.counting(breaks), "/scim/v2/Users")
    tally.write()

    assert requests_of(tmp_path) == {("", "GET", "Users", 500): 1}


def test_what_was_counted_is_laid_down_by_itself(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_EVERY_SECONDS", 0.01)
    tally = Tally(folder)

    tally.add(("entra", "GET", "Users", 200), 0.02)

    until = time.monotonic() + 10
    while not requests_of(tmp_path):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_threads_of_one_worker_lose_no_request(tmp_path: Path, folder: Path) -> None:
    tally = Tally(folder)
    application = tally.counting(wsgi("200 OK", tally))

    def ask() -> None:
        for _ in range(500):
            asked(application, "/scim/v2/Users")

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.write()

    assert requests_of(tmp_path) == {("entra", "GET", "Users", 200): 4_000}


def test_a_new_start_takes_the_counts_of_earlier_processes_away(tmp_path: Path, folder: Path) -> None:
    tally = Tally(folder)
    tally.add(("entra", "GET", "Users", 200), 0.02)
    tally.write()
    (folder / "kept").write_text("by somebody else")

    prepare(tmp_path)

    assert [path.name for path in folder.iterdir()] == ["kept"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"requests": [[1]], "durations": []}', '{"requests": []}'])
def test_a_file_that_cannot_be_read_hides_no_other(tmp_path: Path, folder: Path, text: str) -> None:
    (folder / "scim-1-odd.json").write_text(text)
    tally = Tally(folder)
    tally.add(("entra", "GET", "Users", 200), 0.02)
    tally.write()

    assert requests_of(tmp_path) == {("entra", "GET", "Users", 200): 1}


def test_a_folder_that_cannot_be_written_fails_no_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally(tmp_path / "nowhere")
    asked(tally.counting(wsgi("200 OK")), "/scim/v2/Users")

    tally.write()

    assert "cannot be counted" in caplog.text


def test_durations_are_told_apart_by_their_bounds() -> None:
    counts = Counts()
    for seconds in (0.0005, 0.001, 0.3, 99.0):
        counts.add(("", "GET", "Users", 200), seconds)

    found = dict(cumulated(Counts.from_json(counts.to_json()).amounts["GET", "Users"]))

    assert (found["0.001"], found["0.25"], found["0.5"], found[str(BOUNDS[-1])], found["+Inf"]) == (2, 2, 3, 3, 4)


def test_counting_costs_less_than_five_microseconds(folder: Path) -> None:
    tally = Tally(folder)
    bare, counted = wsgi("200 OK", tally), tally.counting(wsgi("200 OK", tally))

    def microseconds(application: counting.Wsgi) -> float:
        environ, start = {"REQUEST_METHOD": "GET", "PATH_INFO": "/scim/v2/Users/2819c223"}, lambda *_: None
        begun = time.thread_time()
        for _ in range(20_000):
            application(environ, start)
        return (time.thread_time() - begun) / 20_000 * 1e6

    assert min(microseconds(counted) - microseconds(bare) for _ in range(3)) < 5
