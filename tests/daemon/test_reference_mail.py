"""The mail in the morning after the sample school's first night, as a reader's mail program gets it."""

import io
from collections.abc import Iterator
from datetime import UTC, date, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from PIL import Image

from connector.app import Connector
from connector.daemon.errand import Ran, Scene
from connector.daemon.reporting import Reports
from connector.daemon.sending import Sending
from connector.demo import build
from tests.cli.builders import AS_OF, SAMPLE, School
from tests.reconcile.test_report_html import Page
from tests.servers import smtp, stop
from tests.servers.smtp import MailServer

MAIL = """
[reports.mail]
host = "127.0.0.1"
port = {port}
tls = "tls"
sender = "connector@school.example"
to = ["directory@school.example"]
ca_file = "{ca_file}"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    made = smtp.start(tmp_path_factory.mktemp("mail"), "tls")
    yield made
    stop(made.process)


@pytest.fixture(scope="module")
def message(server: MailServer, tmp_path_factory: pytest.TempPathFactory) -> EmailMessage:
    folder: Path = tmp_path_factory.mktemp("harbour") / "school"
    build(SAMPLE, folder)
    school = School(folder)
    with school.config.open("a", encoding="utf-8") as config:
        config.write(MAIL.format(port=server.port, ca_file=server.ca_file))
    assert school.typed("approve", school.read("plan")["plan_id"], "--waive", "first-run").code == 0
    connector = Connector.open(school.config)
    began = datetime.now(UTC)
    result = connector.run(date.fromisoformat(AS_OF))
    scene = Scene(connector, connector.journal.succeed("daemon", "a test", 60), datetime.now(UTC))
    ran = Ran("night", began, scene.now, result)
    for errand in (Reports(), Sending()):
        errand.after(scene, ran)
    connector.close()
    (arrived,) = server.messages()
    read = message_from_bytes(arrived.as_bytes(), policy=policy.default)
    assert isinstance(read, EmailMessage)
    return read


def part(message: EmailMessage, kind: str) -> EmailMessage:
    (found,) = [p for p in message.walk() if p.get_content_type() == kind]
    assert isinstance(found, EmailMessage)
    return found


def test_the_subject_says_all_there_is_to_know_on_a_telephone(message: EmailMessage) -> None:
    assert message["Subject"] == "11 need you, 29 closed, 0 open (Harbour College)"


def test_what_needs_somebody_comes_before_what_was_closed(message: EmailMessage) -> None:
    text = part(message, "text/plain").get_content()
    titles = [line.rpartition(" (")[0] for line in text.splitlines() if line.endswith(")") and line[:1].isupper()]

    assert [title for title in titles if title in ("Urgent", "New holds", "Closed")] == [
        "Urgent",
        "New holds",
        "Closed",
    ]
    assert "\r" not in text


def test_the_html_is_whole_fetches_nothing_and_shows_its_picture(message: EmailMessage) -> None:
    html, picture = part(message, "text/html").get_content(), part(message, "image/png")
    page = Page(html)
    sources = [value for _, name, value in page.attributes if name in ("src", "href", "background")]

    assert sources == [f"cid:{picture['Content-ID'].strip('<>')}"]
    assert "script" not in page.tags
    assert "http" not in html.replace("http-equiv", "")
    image = Image.open(io.BytesIO(picture.get_content()))
    image.verify()
    assert image.size == (1280, 520)


def test_no_reader_is_told_why_somebody_is_kept_out(message: EmailMessage) -> None:
    everything = part(message, "text/plain").get_content() + part(message, "text/html").get_content()

    assert "access-ended" in everything
    assert [word for word in ("restricted", "court", "custody") if word in everything.lower()] == []
