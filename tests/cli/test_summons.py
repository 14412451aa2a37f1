"""The authority is told at once, by e-mail over a real mail server; what cannot be sent is said and stops nothing."""

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

import pytest

from connector.reconcile.authority import StoredTermination
from connector.summons import message_name
from tests.cli.builders import School
from tests.servers import smtp, stop
from tests.servers.smtp import MailServer

MAIL = """
[authority]
escalate_to = ["head@school.example"]
[authority.mail]
host = "127.0.0.1"
port = {port}
tls = "starttls"
sender = "connector@school.example"
to = ["secretary@school.example"]
ca_file = "{ca_file}"
"""


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    made = smtp.start(tmp_path_factory.mktemp("mail"), "starttls")
    yield made
    stop(made.process)


def with_mail(school: School, server: MailServer) -> School:
    text = school.config.read_text(encoding="utf-8")
    section = MAIL.format(port=server.port, ca_file=server.ca_file)
    school.config.write_text(text + section, encoding="utf-8")
    return school


def messages(server: MailServer) -> list[EmailMessage]:
    read = [BytesParser(policy=policy.default).parsebytes(m.as_bytes()) for m in server.messages()]
    return [message for message in read if isinstance(message, EmailMessage)]


def arrived(server: MailServer) -> list[tuple[str, str, str]]:
    """Give subject, recipients and text of every message."""
    return [(str(m["Subject"]), str(m["To"]), m.get_content()) for m in messages(server)]


def terminated(school: School) -> str:
    answer = school.typed("terminate", "XU1003", "--reason", "custody order of 21 November", "--apply")
    assert answer.code == 0, answer
    return answer.out


def test_an_urgent_termination_is_told_to_the_authority_and_not_why(school: School, server: MailServer) -> None:
    out = terminated(with_mail(school, server))

    ((subject, to, text),) = arrived(server)
    assert "countersign urgent termination 1" in subject
    assert to == "secretary@school.example"
    assert "Hamish Xu (XU1003)" in text
    assert "connector authorise 1" in text
    assert "custody" not in text
    assert "could not be told" not in out


def test_what_is_overdue_is_told_once_and_one_level_up_too(school: School, server: MailServer) -> None:
    terminated(with_mail(school, server))
    with sqlite3.connect(school.folder / "journal.sqlite") as journal:
        journal.execute("UPDATE terminations SET due_at = '2020-01-01 00:00:00.000000'")

    for _ in range(2):
        school.typed("run", "--apply")

    overdue = [(subject, to) for subject, to, _ in arrived(server) if "OVERDUE" in subject]
    assert len(overdue) == 1
    assert overdue[0][1] == "secretary@school.example, head@school.example"
    first, second = sorted(messages(server), key=lambda m: "OVERDUE" in m["Subject"])
    assert second["In-Reply-To"] == second["References"] == first["Message-ID"]
    assert {m["Auto-Submitted"] for m in (first, second)} == {"auto-generated"}


def test_a_mail_server_that_is_away_keeps_nothing_from_being_closed(school: School, server: MailServer) -> None:
    stop(server.process)

    out = terminated(with_mail(school, server))

    assert "The authority could not be told by e-mail" in out
    assert "telephone" in out
    assert school.identity("XU1003")["status"] == "revoked"


def test_an_urgent_account_that_is_protected_and_stays_open_is_told_once(school: School, server: MailServer) -> None:
    with_mail(school, server)
    assert school.typed("block", "TAN1009", "--reason", "a threat").code == 0
    plan_id = school.read("plan")["plan_id"]
    school.typed("approve", plan_id, "--waive", "first-run")

    for _ in range(2):
        school.typed("run", "--apply")

    told = [(subject, text) for subject, _, text in arrived(server) if "protected account" in subject]
    assert len(told) == 1
    assert "TAN1009" in told[0][1]
    assert "threat" not in told[0][1]


def test_two_schools_of_one_domain_never_give_two_messages_one_id() -> None:
    """Mail servers throw away what has an id they have seen: the second school's order would be lost."""
    at = datetime(2026, 11, 21, 9, tzinfo=UTC)
    order = StoredTermination(1, "alice", "a reason", "", at, at, ())
    later = replace(order, commanded_at=at + timedelta(days=1))

    ids = {message_name(name, "order 1", one) for name in ("Harbour", "Hill") for one in (order, later)}

    assert len(ids) == 4
    assert all(re.fullmatch(r"[a-z0-9-]+", text) for text in ids)
