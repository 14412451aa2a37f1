"""What the connector writes holds no password, no secret and no session id: all of it is searched for planted ones.

A whole story is typed on the sample school. Targets and secret files hold the planted values, nothing else may.
"""

import base64
import gzip
import hashlib
import logging
import re
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from io import StringIO

import pyotp
import pytest

from connector import log
from tests.cli.builders import Answer, School

MARK = "PLANTED-SECRET-VALUE-"
"""How every planted value begins: long enough that it stands nowhere by chance, also in base64."""

SESSION = f"{MARK}session-1".encode()

TARGETS = {"portal.sqlite", "sessions.sqlite", "directory.ldif", "audit.key", "config.toml", "password.txt"}
"""What is read, and what secrets are kept in: the only files that may hold a planted value."""

PASSWORD = f"{MARK}operator-password"
DATABASE_PASSWORD = f"{MARK}database-password"
_HASH = re.compile(rb"[0-9a-f]{128}|[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32}", re.IGNORECASE)


def forms(text: str) -> dict[str, bytes]:
    """Give a text as it may stand in a file: as it is, in UTF-16, in hex, and in base64 wherever in one it begins."""
    raw = text.encode()
    found = {
        "plain": raw,
        "utf-16": text.encode("utf-16-le"),
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
    }
    for shift in range(3):
        # What stands before and after changes the characters at both ends: those in between are always the same.
        inner = base64.b64encode(b"x" * shift + raw)[4 if shift else 0 : -4]
        found[f"base64 {shift}"] = inner
    return found


def hashes(value: str) -> set[bytes]:
    """Give a value's plain hashes: without a key they can be looked up."""
    raw = value.encode()
    made = (hashlib.new(name, raw, usedforsecurity=False).hexdigest() for name in ("md5", "sha1", "sha256", "sha512"))
    return {each.encode() for each in made}


def told(content: bytes, values: set[str]) -> list[str]:
    """Name in which forms a planted value stands in a content."""
    found = [name for name, form in forms(MARK).items() if form in content]
    known = set().union(*(hashes(value) for value in values))
    return found + ["a hash without a key" for each in _HASH.findall(content) if each.lower() in known]


class Story:
    """The school with planted values, everything that was printed, and the log."""

    def __init__(self, school: School) -> None:
        self.school, self.log = school, StringIO()
        self.printed: list[str] = []
        self.values: set[str] = {PASSWORD, DATABASE_PASSWORD}
        self._sessions()
        self._passwords()
        self._directory()
        for begun in school.folder.glob("journal.sqlite*"):  # whoever only looked at the school it is copied from
            begun.unlink()
        self._secret("audit.key", "audit-key-0123456789abcdef")
        self._secret("password.txt", "operator-password")

    def type(self, *words: str) -> Answer:
        """Type a command; what it prints is searched too."""
        answer = self.school.typed(*words)
        self.printed.append(answer.out + answer.err)
        assert "nobody foresaw" not in answer.err, answer
        return answer

    def written(self) -> Iterator[tuple[str, bytes]]:
        """Give everything that was written or said, by name."""
        yield "what was printed", "\n".join(self.printed).encode()
        yield "the log", self.log.getvalue().encode()
        for path in sorted(self.school.folder.rglob("*")):
            if path.is_file() and path.name not in TARGETS and path.parent.name != "admin":
                yield path.name, path.read_bytes()
        with closing(sqlite3.connect(self.school.folder / "journal.sqlite")) as database:
            for number, content in database.execute("SELECT id, content FROM snapshots"):
                yield f"snapshot {number}", zlib.decompress(content)

    def _planted(self, kind: str, number: object) -> str:
        value = f"{MARK}{kind}-{number}"
        self.values.add(value)
        return value

    def _sessions(self) -> None:
        with closing(sqlite3.connect(self.school.folder / "sessions.sqlite")) as database, database:
            for (old,) in database.execute("SELECT session_id FROM sessions").fetchall():
                new = self._planted("session", old)
                database.execute("UPDATE sessions SET session_id = ? WHERE session_id = ?", (new, old))

    def _passwords(self) -> None:
        with closing(sqlite3.connect(self.school.folder / "portal.sqlite")) as database, database:
            for (row,) in database.execute("SELECT rowid FROM members WHERE password IS NOT NULL").fetchall():
                planted = self._planted("password", row)
                database.execute("UPDATE members SET password = ? WHERE rowid = ?", (planted, row))

    def _directory(self) -> None:
        path = self.school.folder / "directory.ldif"
        lines = []
        for line in path.read_text(encoding="utf-8").splitlines():
            lines.append(line)
            if line.startswith("sAMAccountName: u"):
                lines.append(f"userPassword: {self._planted('bind', line.removeprefix('sAMAccountName: '))}")
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _secret(self, name: str, kind: str) -> None:
        value = f"{MARK}{kind}"
        self.values.add(value)
        (self.school.folder / name).write_text(value + "\n", encoding="ascii")
        (self.school.folder / name).chmod(0o600)


@pytest.fixture
def story(school: School, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
    """Give the school with planted values, and a log that hears everything."""
    monkeypatch.setenv("DATABASE_PASSWORD", DATABASE_PASSWORD)
    for table in ("portal", "sessions"):
        url = f'url = "sqlite:///{table}.sqlite"'
        school.configured(url, f'{url}\npassword = {{ env = "DATABASE_PASSWORD" }}')
    made = Story(school)
    root, package = logging.getLogger(), logging.getLogger("connector")
    before = root.level, package.level, list(root.handlers)
    log.configure(made.log, level=logging.DEBUG)
    # The planted key is there before its journal: that is refused until somebody begins the journal by name.
    assert made.type("journal", "start-anew", "--reason", "a school to try").code == 0
    yield made
    root.handlers[:] = before[2]
    root.setLevel(before[0])
    package.setLevel(before[1])


# --- the story --------------------------------------------------------------------------------------------------------


def refusing(story: Story) -> str:
    """Let the session store refuse to end one session, and quote it by its id as databases do."""
    quoted = f"row {MARK}session-{_one_session(story)} of table sessions is locked"
    with closing(sqlite3.connect(story.school.folder / "sessions.sqlite")) as database, database:
        database.execute(f"CREATE TRIGGER locked BEFORE DELETE ON sessions BEGIN SELECT RAISE(ABORT, '{quoted}'); END")
    return quoted


def _one_session(story: Story) -> str:
    with closing(sqlite3.connect(story.school.folder / "sessions.sqlite")) as database:
        (found,) = database.execute("SELECT session_id FROM sessions WHERE username = 'u1209'").fetchone()
    return str(found).removeprefix(f"{MARK}session-")


def accepting(story: Story) -> None:
    """Let the session store end sessions again."""
    with closing(sqlite3.connect(story.school.folder / "sessions.sqlite")) as database, database:
        database.execute("DROP TRIGGER locked")


def tell(story: Story) -> str:
    """Type the whole story; give the one-time seed of the operator who was enrolled in it."""
    folder = story.school.folder
    enrolling = ("operator", "add", "grace", "--password-file", str(folder / "password.txt"), "--format", "json")
    seed = str(story.school.typed(*enrolling).document["secret"])
    plan_id = story.school.read("plan")["plan_id"]
    for words in ("check", "status", "memberships", "plan", "run", f"approve {plan_id} --waive first-run"):
        story.type(*words.split())
    refusing(story)
    assert story.type("run").code == 4
    story.type("report", "--html", str(folder / "open.html"), "--text", str(folder / "open.txt"))
    accepting(story)
    assert story.type("resume").code == 0
    _about_people(story, seed)
    _for_the_auditor(story)
    return seed


def _about_people(story: Story, seed: str) -> None:
    folder = story.school.folder
    for words in (
        "keep YOU1286 --reason fees",
        "release UED1537 --hold possible-successor --reason looked",
        "block XU1003 --reason order",
        "revoke XU1003 --reason order --apply",
        "restore DLA1209 --apply",
        "terminate OB1111 --reason order --apply",
        f"certificate 1 --html {folder / 'certificate.html'}",
        "certificate 1",
        "explain DLA1209",
        "family DLA1209",
        "membership refresh association --apply",
        "run",
        "history",
        "changes",
    ):
        assert story.type(*words.split()).code != 1
    code = pyotp.TOTP(seed).now()
    proof = ("--second", "grace", "--password-file", str(folder / "password.txt"), "--code", code)
    assert story.type("unblock", "XU1003", *proof).code == 0
    wrong = ("--second", "grace", "--password-file", str(folder / "audit.key"), "--code", code)
    assert story.type("unblock", "XU1003", *wrong).code == 1


def _for_the_auditor(story: Story) -> None:
    folder = story.school.folder
    for kind in ("html", "csv", "json", "text"):
        assert story.type("report", f"--{kind}", str(folder / f"night.{kind}")).code == 0
    period = ("--from", "2000-01-01", "--to", "2099-12-31")
    assert story.type("report", "audit", *period, "--html", str(folder / "audit.html")).code == 0
    for words in (("report", "audit", *period), ("report", "audit", *period, "--format", "csv")):
        assert story.type(*words).code == 0
    assert story.type("report", "audit", *period, "--format", "json").code == 0
    assert story.type("audit", "export", "--out", str(folder / "trail.jsonl")).code == 0
    assert story.type("audit", "export", "--format", "csv", "--out", str(folder / "trail.csv")).code == 0
    assert story.type("audit", "seal", "--before", "2100-01-01", "--out", str(folder / "sealed.jsonl")).code == 0
    assert story.type("audit", "verify").code == 0
    assert story.type("db", "backup", str(folder / "made.backup")).code == 0
    (folder / "backup").write_bytes(gzip.decompress((folder / "made.backup").read_bytes()))


def test_nothing_that_is_written_or_said_holds_a_secret_a_password_or_a_session_id(story: Story) -> None:
    story.type("status")
    # Held open, so that what SQLite has not yet moved out of its write-ahead log is searched where it stands.
    with closing(sqlite3.connect(story.school.folder / "journal.sqlite")) as watching:
        watching.execute("SELECT count(*) FROM audit").fetchone()
        seed = tell(story)

        written = dict(story.written())

    assert {name: found for name, content in written.items() if (found := told(content, story.values))} == {}
    assert [name for name, content in written.items() if seed.encode() in content] == []
    some = (
        "journal.sqlite",
        "journal.sqlite-wal",
        "trail.csv",
        "sealed.jsonl",
        "backup",
        "audit.html",
        "night.html",
        "snapshot 1",
    )
    assert min(len(written[name]) for name in some) > 1000


def test_what_the_session_store_quotes_is_told_without_the_session_id(story: Story) -> None:
    tell(story)

    assert "of table sessions is locked" in "\n".join(story.printed)


@pytest.mark.parametrize(
    "content",
    [
        SESSION,
        SESSION.decode().encode("utf-16-le"),
        SESSION.hex().encode(),
        base64.b64encode(SESSION),
        base64.b64encode(b"u:" + SESSION),
        base64.b64encode(b"user:" + SESSION),
        hashlib.sha256(SESSION).hexdigest().encode(),
        hashlib.md5(SESSION).hexdigest().upper().encode(),  # noqa: S324 - what is looked for
    ],
    ids=["plain", "utf-16", "hex", "base64", "base64 shifted once", "base64 shifted twice", "sha256", "md5"],
)
def test_the_search_finds_a_value_written_in(content: bytes) -> None:
    assert told(b"before " + content + b" after", {SESSION.decode()})


def test_the_search_finds_the_values_where_they_are_planted(story: Story) -> None:
    found = {name for name in TARGETS if told((story.school.folder / name).read_bytes(), story.values)}

    assert found == TARGETS - {"config.toml"}
    assert told(b"nothing of the kind", story.values) == []
