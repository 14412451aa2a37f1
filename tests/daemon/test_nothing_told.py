"""Nothing that leaves the daemon tells who is restricted or blocked, by any way it has, and no name does harm there."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from email import message_from_bytes, policy
from email.message import EmailMessage
from io import StringIO
from pathlib import Path

import pytest

from connector.config_daemon import Webhook
from connector.daemon.health import Reading
from connector.daemon.listening import Listening
from connector.daemon.loop import Daemon
from connector.interfaces import Secret
from connector.post import _written, is_address
from connector.reconcile.report import ReportLine, _told
from connector.reconcile.wording import said
from tests.daemon.mailed import MAIL, Mailed, told

REASON = "court\u00a0order 7, restr\u200bicted by custody"
"""Why somebody is kept out, typed so that a look at its characters finds less than a reader does."""

HOSTILE = "=cmd|' /C calc'!A0\r\nBcc: all@evil.example\r\n\r\n\u202e<script>\ud800\U0001f600" + "x" * 10_000

TELLING = re.compile(r"restrict|court|custody|barred|injunction|order 7|\b(un)?block(ed)?\b")
STYLE = re.compile(r"<style>.*?</style>", re.DOTALL)


def barred(one: Mailed, *people: str, but: str = "") -> None:
    """Let a court order keep people from their children, but from the one named."""
    school = one.nights.school
    school.relationships = [
        replace(r, restricted=r.student_id != but) if r.contact_id in people else r for r in school.relationships
    ]


@pytest.fixture
def one(tmp_path: Path, logged: StringIO) -> Mailed:  # noqa: ARG001 - what is logged is heard from the beginning
    """Give a school after some days in which people were kept out in every way, and after everything was told."""
    made = told(tmp_path, families=9, retry_minutes=300).reported(
        webhook=Webhook("https://hooks.school.example", Secret(env="HOOK")),
        escalate_to=("head@school.example",),
        untouched_hours=1,
    )
    made.nights.school.contact("ok2", of="s-ok0")
    made.nights.school.change("ok8", given_name=HOSTILE, family_name="\ud800", email=HOSTILE)
    made.journal.block("ok0", "alice@host", REASON, date(2026, 11, 24))
    made.journal.keep("ok5", "alice@host", REASON, date(2026, 11, 24))
    made.journal.block("ok4", "alice@host", REASON, None)
    barred(made, "ok1", "ok3", "ok8")
    barred(made, "ok2", but="s-ok0")
    made.nights.edit_account("ok3", protected="Domain Admins")
    made.nights_pass()
    made.nights.ad.trouble.down = True
    made.journal.block("ok6", "alice@host", REASON, None)
    made.nights_pass()
    made.nights.ad.trouble.down = False
    made.nights.school.relationships = [replace(r, restricted=False) for r in made.nights.school.relationships]
    made.nights_pass(2)
    made.nights.admin.trouble.down = True
    return made.nights_pass(3)


def listened(one: Mailed) -> Iterator[str]:
    """Give what health, readiness and metrics answer."""
    daemon: Daemon = one.daemon()
    app = Listening(one.config(), lambda: daemon.state, lambda: 0.0, daemon.ask, Reading(one.open_journal), one.clock)
    for path in ("/healthz", "/readyz", "/metrics"):
        yield b"".join(app({"PATH_INFO": path, "REQUEST_METHOD": "GET"}, lambda *_: None)).decode()
    daemon.close()


def read_back(one: Mailed) -> list[EmailMessage]:
    """Give the mails as their readers' programs read them."""
    written = [
        _written(letter, MAIL.sender, MAIL.to, "Sat, 21 Nov 2026 02:30:00 +0100").as_bytes() for letter in one.letters()
    ]
    return [message_from_bytes(each, policy=policy.default) for each in written]


def everything_said(one: Mailed) -> Iterator[tuple[str, str]]:
    """Give every text that leaves, and where it does."""
    for letter in one.letters():
        yield f"{letter.name} subject", letter.subject
        yield f"{letter.name} text", letter.text
        yield f"{letter.name} html", STYLE.sub("", letter.html)
    for event in one.events():
        yield "webhook", json.dumps(event, ensure_ascii=False)
    for answer in listened(one):
        yield "listener", answer


def test_no_mail_no_webhook_no_metric_no_log_tells_why_somebody_is_kept_out(one: Mailed, logged: StringIO) -> None:
    texts = [*everything_said(one), ("log", logged.getvalue())]

    telling = {(where, found[0]) for where, text in texts for found in TELLING.finditer(text.lower())}

    channels = {where.partition("-")[0].partition(" ")[0] for where, _ in texts}
    assert channels == {"report", "digest", "remind", "untouched", "failed", "webhook", "listener", "log"}
    assert any("access-ended" in text for where, text in texts if where == "webhook")
    assert telling == set()


@pytest.mark.parametrize(
    "text",
    [
        "court\u00a0order",
        "a court  order",
        "court-ordered",
        "restr\u200bicted",
        "is_restricted",
        "Injunction",
        "custodial",
    ],
)
def test_no_sentence_tells_it_however_it_is_typed(text: str) -> None:
    assert "authority role" in said(text, discreet=True)


def test_no_command_for_the_authority_tells_it_in_a_mail() -> None:
    commands = ("connector unblock C1 --second NAME", "connector certificate 3")
    line = ReportLine("Authority", "countersign", "was refused", commands=commands)

    assert _told(line, discreet=True).commands == ("connector certificate 3",)
    assert _told(line, discreet=False).commands == commands


@pytest.mark.parametrize("text", ["<head@school.example>", "a@b\r\nBcc: c@d", "a@b, c@d", "", "\u202ea@b"])
def test_what_is_no_address_is_said_to_be_none_and_breaks_nothing(text: str) -> None:
    assert not is_address(text)


def test_no_name_changes_a_mail_or_keeps_it_from_being_written(one: Mailed) -> None:
    arrived = read_back(one)

    parts = [part for message in arrived for part in message.walk() if part.get_content_maintype() == "text"]
    texts = [part.get_content() for part in parts]
    assert len(arrived) == len(one.letters())
    assert [message for message in arrived if "Bcc" in message or len(message.get_all("Subject", [])) != 1] == []
    assert any("Bcc: all@evil.example" in text for text in texts)
    assert [text for text in texts if "\u202e" in text] == []
    assert [letter for letter in one.letters() if "<script" in letter.html] == []
