"""What leaves: over a real mail server and a real web server, at least once, recognisable, and never in the clear."""

import io
import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from io import StringIO
from pathlib import Path

import pytest
from PIL import Image

import connector.post
from connector.config_daemon import Webhook
from connector.daemon import hanging_up, sending
from connector.daemon.letters import content_of
from connector.daemon.sending import Sending
from connector.daemon.webhook import Genuine, checked
from connector.interfaces import Secret
from connector.outgoing import findings
from connector.post import Letter, Mail
from tests.daemon.mailed import MAIL, Mailed, told
from tests.servers import free_port, https, smtp, stop
from tests.servers.greylisting import LATER, NEVER, Greylisting, Leaving
from tests.servers.https import WebServer
from tests.servers.smtp import MailServer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(scope="module")
def mail_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    made = smtp.start(tmp_path_factory.mktemp("mail"), "starttls")
    yield made
    stop(made.process)


@pytest.fixture
def server(mail_server: MailServer) -> MailServer:
    """Give the mail server, empty."""
    for place in ("new", "cur"):
        shutil.rmtree(mail_server.folder / "mail" / place)
        (mail_server.folder / "mail" / place).mkdir()
    return mail_server


@pytest.fixture(scope="module")
def web_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with https.serving(tmp_path_factory.mktemp("web")) as made:
        yield made


@pytest.fixture
def web(web_server: WebServer, monkeypatch: pytest.MonkeyPatch) -> WebServer:
    """Give the web server as it answers unless told otherwise, and the secrets."""
    web_server.status, web_server.location = 204, ""
    web_server.asked.clear()
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    monkeypatch.setenv("PING_URL", f"{web_server.url}/ping/4f3c-secret")
    return web_server


def mail_to(server: MailServer, port: int = 0) -> Mail:
    to = ("directory@school.example", "second@school.example")
    port = port or server.port
    return Mail("127.0.0.1", "connector@school.example", to, port, ca_file=str(server.ca_file))


def posted(one: Mailed, web: WebServer, *, ca_file: bool = True, **other: object) -> Mailed:
    hook = Webhook(f"{web.url}/connector", Secret(env="HOOK_SECRET"), str(web.ca_file) if ca_file else "")
    return one.reported(mail=None, webhook=hook, **other)


def arrived(server: MailServer) -> list[EmailMessage]:
    found = [message_from_bytes(m.as_bytes(), policy=policy.default) for m in server.messages()]
    assert all(isinstance(m, EmailMessage) for m in found)
    return found


def part(message: EmailMessage, kind: str) -> EmailMessage:
    (found,) = [p for p in message.walk() if p.get_content_type() == kind]
    assert isinstance(found, EmailMessage)
    return found


# --- mail -------------------------------------------------------------------------------------------------------------


def test_the_report_arrives_with_text_html_and_its_picture(tmp_path: Path, server: MailServer) -> None:
    told(tmp_path, sends=True).reported(mail=mail_to(server)).leave("ok0").nights_pass()

    (message,) = arrived(server)
    assert message["Subject"] == "0 need you, 1 closed, 0 open (Harbour)"
    assert message["To"] == "directory@school.example, second@school.example"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Auto-Response-Suppress"] == "All"
    assert message["List-Id"] == "<connector.school.example>"
    assert str(message["Date"]).endswith(("+0100", "+0200"))
    assert message.get_content_type() == "multipart/alternative"
    assert [p.get_content_type() for p in message.iter_parts()] == ["text/plain", "multipart/related"]
    assert "Closed (1)" in part(message, "text/plain").get_content()
    html, picture = part(message, "text/html").get_content(), part(message, "image/png")
    assert f'<img src="cid:{picture["Content-ID"].strip("<>")}" alt="' in html
    Image.open(io.BytesIO(picture.get_content())).verify()
    assert all(len(line) <= 998 and line.isascii() for line in message.as_bytes().decode("latin-1").splitlines())


def test_names_from_outside_do_no_harm(tmp_path: Path, server: MailServer) -> None:
    one = told(tmp_path, sends=True).reported(mail=mail_to(server))
    one.name = "Harbour\r\nBcc: everybody@evil.example\r\n\r\n<b>"
    hostile = '<img src=x onerror=alert(1)>"\r\nBcc: all@evil.example\r\n.\r\n\u202ekcatta\u202c \u05d0\u05d1'
    one.nights.school.change("ok0", given_name=hostile, family_name="</td></table><script>alert(2)</script>")
    one.leave("ok0").nights_pass()

    (message,) = arrived(server)
    html, text = part(message, "text/html").get_content(), part(message, "text/plain").get_content()
    assert "Bcc" not in message
    assert message["Subject"].strip() == "0 need you, 1 closed, 0 open (Harbour Bcc: everybody@evil.example <b>)"
    assert "<script" not in html
    assert "<img src=x" not in html
    assert "&lt;script&gt;" in html
    assert "\u202e" not in html + text
    assert "\u05d0\u05d1" in text


def test_whom_the_server_puts_off_gets_the_same_a_minute_later_and_the_others_only_once(tmp_path: Path) -> None:
    (tmp_path / "mail").mkdir()
    handler = f"{Greylisting.__module__}.{Greylisting.__qualname__}"
    server = smtp.start(tmp_path / "mail", "starttls", handler=handler)
    try:
        mail = replace(mail_to(server), to=("directory@school.example", LATER, NEVER))
        one = told(tmp_path, sends=True).reported(mail=mail).leave("ok0").nights_pass()
        first, again = sorted(arrived(server), key=lambda message: str(message["X-RcptTo"]))
    finally:
        stop(server.process)

    assert (str(first["X-RcptTo"]), str(again["X-RcptTo"])) == ("directory@school.example", LATER)
    assert again["Subject"] == first["Subject"]
    assert part(again, "text/plain").get_content() == part(first, "text/plain").get_content()
    assert one.journal.duties.unsent() == ()
    (kept,) = one.journal.duties.find(sending.GIVEN_UP).values()
    assert NEVER in kept.value
    assert LATER not in kept.value


def test_what_was_taken_is_sent_though_the_server_is_gone_before_the_goodbye(tmp_path: Path) -> None:
    (tmp_path / "mail").mkdir()
    server = smtp.start(tmp_path / "mail", "starttls", handler=f"{Leaving.__module__}.{Leaving.__qualname__}")
    try:
        one = told(tmp_path, sends=True).reported(mail=mail_to(server)).leave("ok0").nights_pass()
        taken = arrived(server)
    finally:
        stop(server.process)

    assert len(taken) == 1
    assert one.journal.duties.unsent() == ()


def test_what_a_clock_that_was_a_year_ahead_put_leaves_today(tmp_path: Path, server: MailServer) -> None:
    one = told(tmp_path).reported(mail=mail_to(server)).leave("ok0")
    one.clock.on(days=365)
    one.nights_pass()
    one.clock.on(days=-365)
    one.sends = True
    one.minutes_pass(2)

    assert one.journal.duties.unsent() == ()


def test_what_was_never_tried_is_tried_once_before_it_is_given_up(tmp_path: Path, server: MailServer) -> None:
    one = told(tmp_path).reported(mail=mail_to(server)).leave("ok0").nights_pass()
    (waiting,) = one.journal.duties.unsent()
    one.clock.on(days=4)  # over a long weekend the machine was off
    one.sends = True
    one.minutes_pass(2)

    assert f"<{waiting.name}@school.example>" in {message["Message-ID"] for message in arrived(server)}


def test_a_mail_server_that_stutters_for_ever_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector.post, "_ALL_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_stutter, args=(listener,), daemon=True).start()
        mail = replace(MAIL, host="127.0.0.1", port=listener.getsockname()[1])
        one = told(tmp_path, sends=True).reported(mail=mail).leave("ok0").nights_pass()

    assert {"does not answer" in message.problem for message in one.journal.duties.unsent()} == {True}


def _stutter(listener: socket.socket, begins: bytes = b"") -> None:
    """Answer byte by byte, as a tarpit does."""
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.send(begins)
                while True:
                    connection.send(b"2")
                    time.sleep(0.05)


def test_a_crash_between_sending_and_marking_sends_the_same_again_under_the_same_id(
    tmp_path: Path, server: MailServer
) -> None:
    one = told(tmp_path).reported(mail=mail_to(server)).leave("ok0").nights_pass()
    scene = one.scene
    (message,) = one.journal.duties.due()
    sending._mail(scene, message)

    Sending().every_minute(scene)
    Sending().every_minute(scene)

    first, second = arrived(server)
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Message-ID"] == f"<{message.name}@school.example>"
    assert one.journal.duties.unsent() == ()


def test_a_mail_server_that_is_away_is_tried_again_ever_more_seldom_and_said(
    tmp_path: Path, server: MailServer, logged: StringIO
) -> None:
    port = free_port()
    one = told(tmp_path).reported(mail=mail_to(server, port)).leave("ok0").nights_pass()
    one.sends = True

    one.minutes_pass(9 * 60)

    waiting = one.journal.duties.unsent()[0]
    (finding, *_) = [f for f in findings(one.config(), one.journal) if f.subject == "outbox"]
    tries = [json.loads(line) for line in logged.getvalue().splitlines() if "message-not-sent" in line]
    assert sum(line["message"] == waiting.name for line in tries) == waiting.tries
    assert 11 <= waiting.tries <= 12  # after 1, 5, 15 minutes, then every hour
    assert "1 message could not be sent since 2026-11-19 02:3" in finding.message
    assert f"127.0.0.1:{port} does not answer" in finding.message


def test_a_mail_server_that_comes_back_gets_everything_once(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, port = tmp_path_factory.mktemp("away"), free_port()
    server = smtp.start(folder, "starttls", port)
    stop(server.process)
    one = told(tmp_path, sends=True).reported(mail=mail_to(server)).leave("ok0").nights_pass(2)
    assert len(one.journal.duties.unsent()) == 2

    server = smtp.start(folder, "starttls", port)
    one.reported(mail=mail_to(server)).nights_pass()
    stop(server.process)

    assert len({message["Message-ID"] for message in arrived(server)}) == len(arrived(server)) == 3
    assert one.journal.duties.unsent() == ()


def test_what_could_not_be_sent_for_three_days_is_said_in_the_log_and_in_the_next_mail(
    tmp_path: Path, server: MailServer, logged: StringIO
) -> None:
    one = told(tmp_path).reported(mail=mail_to(server)).leave("ok0").nights_pass()
    (lost,) = one.journal.duties.unsent()
    one.journal.duties.failed(one.scene.claim, lost, "the mail server does not answer", 60)
    one.clock.on(days=4)
    one.sends = True
    one.nights_pass(2)

    texts = [part(message, "text/plain").get_content() for message in arrived(server)]
    said = [text for text in texts if lost.name in text]
    assert len(said) == 1
    assert "A message could never be sent" in said[0]
    assert "message-given-up" in logged.getvalue()
    assert one.journal.duties.unsent() == ()


def test_a_letter_that_cannot_be_sent_keeps_no_other_one_waiting(tmp_path: Path, server: MailServer) -> None:
    one = told(tmp_path, sends=True).reported(mail=mail_to(server))
    odd = content_of(Letter("odd", "odd", "odd", to=("not an address",)))
    one.journal.duties.put(one.scene.claim, "mail", [("odd", odd)])

    one.nights_pass()

    assert [message["Subject"] for message in arrived(server)] == ["0 need you, 0 closed, 0 open (Harbour)"]
    assert "is no e-mail address" in one.journal.duties.unsent()[0].problem


def test_a_server_nobody_vouches_for_gets_nothing(tmp_path: Path, server: MailServer) -> None:
    mail = replace(mail_to(server), ca_file="")
    one = told(tmp_path, sends=True).reported(mail=mail).leave("ok0").nights_pass()

    assert arrived(server) == []
    assert "certificate" in one.journal.duties.unsent()[0].problem


def test_check_signs_in_and_sends_nothing(tmp_path: Path, server: MailServer) -> None:
    one = told(tmp_path).reported(mail=mail_to(server))

    said = [finding.message for finding in findings(one.config(), one.journal)]

    assert said == ["The mail server 127.0.0.1 takes reports."]
    assert arrived(server) == []


# --- the webhook ------------------------------------------------------------------------------------------------------


def test_the_report_is_posted_signed_and_the_same_id_stays(tmp_path: Path, web: WebServer) -> None:
    web.status = 503
    one = posted(told(tmp_path, sends=True), web).leave("ok0").nights_pass()
    web.status = 200
    one.nights_pass()

    asked = [a for a in web.asked if a.method == "POST"]
    first, again = asked[0], asked[-2]
    assert first.path == "/connector"
    assert first.headers["webhook-id"] == again.headers["webhook-id"]
    for one_try in (first, again):
        at = int(one_try.headers["webhook-timestamp"])
        now = one.clock.now.fromtimestamp(at, one.clock.now.tzinfo)
        assert isinstance(checked(SECRET, one_try.headers, one_try.body, now), Genuine)
    assert json.loads(first.body)["data"]["subject"] == "0 need you, 1 closed, 0 open (Harbour)"
    assert one.journal.duties.unsent() == ()


def test_a_redirect_is_not_followed(tmp_path: Path, web: WebServer) -> None:
    web.status, web.location = 307, f"{web.url}/elsewhere"
    one = posted(told(tmp_path, sends=True, retry_minutes=600), web).leave("ok0").nights_pass()

    assert {asked.path for asked in web.asked} == {"/connector"}
    assert "redirects are not followed" in one.journal.duties.unsent()[0].problem


@pytest.mark.parametrize("begins", [b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\nX-Slow: "])
def test_a_web_server_that_stutters_for_ever_is_hung_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begins: bytes
) -> None:
    monkeypatch.setattr(hanging_up, "_ALL_SECONDS", 0.2)
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_stutter, args=(listener, begins), daemon=True).start()
        hook = Webhook(f"http://127.0.0.1:{listener.getsockname()[1]}/", Secret(env="HOOK_SECRET"), "")
        one = told(tmp_path, sends=True, retry_minutes=1_440).reported(mail=None, webhook=hook)
        one.leave("ok0").goes_on(one.daemon(), hours=14)

    assert {"does not answer" in message.problem for message in one.journal.duties.unsent()} == {True}


def test_a_web_server_nobody_vouches_for_gets_nothing(tmp_path: Path, web: WebServer) -> None:
    one = posted(told(tmp_path, sends=True), web, ca_file=False).leave("ok0").nights_pass()

    assert web.asked == []
    assert "certificate" in one.journal.duties.unsent()[0].problem


def test_what_the_environment_says_of_proxies_and_authorities_counts_for_nothing(
    tmp_path: Path, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(web.ca_file))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for school in ("ours", "theirs"):
        (tmp_path / school).mkdir()

    believed = posted(told(tmp_path / "ours", sends=True), web).nights_pass()
    vouched_for = len(web.asked)
    strange = posted(told(tmp_path / "theirs", sends=True), web, ca_file=False).nights_pass()

    assert (vouched_for, believed.journal.duties.unsent()) == (1, ())
    assert len(web.asked) == vouched_for
    assert "certificate" in strange.journal.duties.unsent()[0].problem


def test_a_secret_that_is_not_there_is_said_and_nothing_is_posted(
    tmp_path: Path, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", "hunter2-not-base64!")
    one = posted(told(tmp_path, sends=True), web).leave("ok0").nights_pass()

    assert web.asked == []
    problem = one.journal.duties.unsent()[0].problem
    assert "base64" in problem
    assert "hunter2" not in problem


# --- signs of life ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("web")
def test_a_sign_of_life_waits_until_the_report_is_gone(tmp_path: Path, server: MailServer) -> None:
    one = told(tmp_path, ping_url=Secret(env="PING_URL")).reported(mail=mail_to(server, free_port())).nights_pass()
    one.clock.on(hours=-10)
    one.sends = True
    one.minutes_pass(8)
    before = {message.channel: message.tries for message in one.journal.duties.unsent()}

    one.reported(mail=mail_to(server)).minutes_pass(20)

    after = {message.channel: message.tries for message in one.journal.duties.unsent()}
    assert before == {"mail": 3, "ping": 0}
    assert list(after) == ["ping"]
    assert after["ping"] > 0  # nobody vouches for this web server


@pytest.mark.usefixtures("web")
def test_an_address_that_is_a_secret_is_never_told(tmp_path: Path, logged: StringIO) -> None:
    one = told(tmp_path, sends=True, ping_url=Secret(env="PING_URL")).reported(mail=None).nights_pass()

    problem = one.journal.duties.unsent()[0].problem
    assert "The dead-man switch: the certificate" in problem
    assert "4f3c-secret" not in problem + logged.getvalue()


def test_a_sign_of_life_over_tls_asks_the_address_and_nothing_else(
    tmp_path: Path, web: WebServer, monkeypatch: pytest.MonkeyPatch, logged: StringIO
) -> None:
    plain = sending._ask
    monkeypatch.setattr(
        sending, "_ask", lambda config, request: plain(config, replace(request, ca_file=str(web.ca_file)))
    )
    one = told(tmp_path, sends=True, ping_url=Secret(env="PING_URL")).reported(mail=None).nights_pass(2)

    assert [(asked.method, asked.path, asked.body) for asked in web.asked] == [("GET", "/ping/4f3c-secret", b"")] * 2
    assert one.journal.duties.unsent() == ()
    assert "4f3c-secret" not in logged.getvalue()


def test_a_sign_of_life_that_is_half_a_day_late_is_none(tmp_path: Path, web: WebServer) -> None:
    one = told(tmp_path, ping_url=Secret(env="PING_URL")).reported(mail=None).nights_pass()
    one.clock.now += timedelta(hours=2)

    Sending().every_minute(one.scene)

    assert web.asked == []
    assert one.journal.duties.unsent() == ()


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://ping.example", "no address with https"),
        ("http://ping.example\\@127.0.0.1", "no address with https"),  # one reader finds this machine there
        ("https://ping..example", "no address"),
    ],
)
def test_an_address_in_the_clear_or_none_is_refused_without_being_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: StringIO, address: str, why: str
) -> None:
    monkeypatch.setenv("PING_URL", f"{address}/4f3c-secret")
    one = told(tmp_path, sends=True, ping_url=Secret(env="PING_URL")).reported(mail=None).nights_pass()

    assert why in one.journal.duties.unsent()[0].problem
    assert "4f3c-secret" not in one.journal.duties.unsent()[0].problem + logged.getvalue()
