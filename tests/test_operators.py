"""The second pair of eyes: who acts is who the system says, and a second is somebody else's, proven, and once."""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pyotp
import pytest

from connector import operators
from connector.errors import NotAllowed
from connector.operators import Proof, enrol, hash_password, second, takes_two, who_acts
from connector.reconcile.journal import Journal

PASSWORD = "correct horse battery"
ALICE = "alice@desk"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(file: Path) -> Iterator[Journal]:
    with Journal.open(f"sqlite:///{file}", audit_key=b"k" * 32) as opened:
        yield opened


def code_of(seed: str, steps: int = 0) -> str:
    return pyotp.TOTP(seed).at(int(time.time()) + 30 * steps)


@pytest.mark.parametrize("variable", ["LOGNAME", "USER", "LNAME", "USERNAME"])
def test_who_acts_is_not_what_an_environment_variable_says(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "principal")

    assert not who_acts().startswith("principal@")


def test_a_one_time_code_is_good_once_and_so_is_every_older_one(journal: Journal) -> None:
    seed = enrol(journal, ALICE, "grace", "SEC", PASSWORD)
    now, older = code_of(seed), code_of(seed, -1)
    second(journal, ALICE, Proof("grace", PASSWORD, now), "unblock")

    for spent in (now, older):
        with pytest.raises(NotAllowed, match=r"used already|could not be proven"):
            second(journal, ALICE, Proof("grace", PASSWORD, spent), "unblock")


def test_a_code_is_not_spent_by_a_wrong_password(journal: Journal) -> None:
    seed = enrol(journal, ALICE, "grace", "SEC", PASSWORD)
    with pytest.raises(NotAllowed, match="could not be proven"):
        second(journal, ALICE, Proof("grace", "guessed guessed", code_of(seed)), "unblock")

    second(journal, ALICE, Proof("grace", PASSWORD, code_of(seed)), "unblock")

    assert "grace proved themselves to second alice@desk: unblock." in journal.events(1)[0].text


def test_no_seed_is_in_the_database(journal: Journal, file: Path) -> None:
    seed = enrol(journal, ALICE, "grace", "SEC", PASSWORD)

    journal.disconnect()

    everything = b"".join(each.read_bytes() for each in file.parent.glob(f"{file.name}*"))
    assert seed.encode() not in everything


@pytest.mark.parametrize("column", ["secret_hash", "totp_secret", "role"])
def test_an_operator_edited_in_the_database_proves_nobody(journal: Journal, file: Path, column: str) -> None:
    seed = enrol(journal, ALICE, "grace", "SEC", PASSWORD)
    with sqlite3.connect(file) as database:
        value = hash_password(PASSWORD) if column == "secret_hash" else "ab" * 16
        database.execute(f"UPDATE operators SET {column} = ?", (value,))  # noqa: S608 - one of three names above

    with pytest.raises(NotAllowed, match="could not be proven"):
        second(journal, ALICE, Proof("grace", PASSWORD, code_of(seed)), "unblock")


@pytest.mark.parametrize("name", ["alice", "ALICE", "Alice"])
def test_nobody_seconds_themselves_in_another_spelling(journal: Journal, name: str) -> None:
    seed = enrol(journal, "bob@desk", name, "SEC", PASSWORD)

    with pytest.raises(NotAllowed, match="somebody else's"):
        second(journal, ALICE, Proof(name, PASSWORD, code_of(seed)), "unblock")


def test_nobody_seconds_themselves_as_the_user_that_several_administrators_share(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pwd = pytest.importorskip("pwd")
    seed = enrol(journal, ALICE, "grace", "SEC", PASSWORD)
    (tmp_path / "loginuid").write_text("1234", encoding="ascii")
    monkeypatch.setattr(operators, "_LOGIN", tmp_path / "loginuid")
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_name="grace" if uid == 1234 else "connector"))

    with pytest.raises(NotAllowed, match="somebody else's"):
        second(journal, "connector@desk", Proof("grace", PASSWORD, code_of(seed)), "unblock")


@pytest.mark.parametrize("said", [None, "4294967295", "nobody", ""])
def test_where_it_is_not_known_who_signed_in_nobody_is_taken_for_somebody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str | None
) -> None:
    if said is not None:
        (tmp_path / "loginuid").write_text(said, encoding="ascii")
    monkeypatch.setattr(operators, "_LOGIN", tmp_path / "loginuid")

    assert not operators.who_signed_in()


def test_whoever_guesses_a_second_operators_code_has_to_wait_and_is_in_the_trail(journal: Journal) -> None:
    seed = enrol(journal, ALICE, "grace", "SEC", PASSWORD)
    for _ in range(5):
        with pytest.raises(NotAllowed, match="could not be proven"):
            second(journal, ALICE, Proof("grace", PASSWORD, "x"), "unblock 4711")

    with pytest.raises(NotAllowed, match="was wrong 5 times"):
        second(journal, ALICE, Proof("grace", PASSWORD, code_of(seed)), "unblock 4711")

    assert "alice@desk was wrong: grace to second: unblock 4711." in journal.events(1)[0].text


def test_what_a_terminal_sent_that_is_no_unicode_proves_nobody(journal: Journal) -> None:
    seed = enrol(journal, ALICE, "grace", "SEC", PASSWORD)

    for proof in (Proof("grace", PASSWORD, "\udcff"), Proof("grace", "guessed guess\udcff", code_of(seed))):
        with pytest.raises(NotAllowed, match="could not be proven"):
            second(journal, ALICE, proof, "unblock")


@pytest.mark.parametrize("name", ["", " alice", "alice ", "al\u200bice", "\u0430lice", "alice@home", "a\x1b[2J"])
def test_an_operator_has_a_plain_name(journal: Journal, name: str) -> None:
    with pytest.raises(NotAllowed, match="no name"):
        enrol(journal, "bob@desk", name, "SEC", PASSWORD)


def test_one_name_is_enrolled_once_in_whatever_case(journal: Journal) -> None:
    enrol(journal, ALICE, "grace", "SEC", PASSWORD)

    with pytest.raises(NotAllowed, match="enrolled already"):
        enrol(journal, ALICE, "Grace", "SEC", PASSWORD)


def test_enrolling_takes_two_as_soon_as_somebody_else_is_enrolled(journal: Journal) -> None:
    first = takes_two(journal, ALICE)
    enrol(journal, ALICE, "alice", "STC", PASSWORD)
    alone = takes_two(journal, ALICE)
    enrol(journal, ALICE, "grace", "SEC", PASSWORD)

    assert (first, alone, takes_two(journal, ALICE)) == (False, False, True)
    assert not takes_two(journal, ALICE, leaving="grace")
    assert takes_two(journal, ALICE, leaving="alice")


def test_a_user_without_a_name_is_named_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    pwd = pytest.importorskip("pwd")

    def nobody(_uid: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nobody)

    assert operators.who_acts().startswith("uid")
