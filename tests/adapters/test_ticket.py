"""Tickets: complete, asked once, open until confirmed; by e-mail over verified TLS, against a real mail server."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email import policy
from email.parser import BytesParser
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from connector.adapters.ticket import TicketSessionStore, TicketSettings
from connector.errors import ConfigError
from connector.interfaces import Secret, SessionStore, Site
from connector.model import EndSessions, LegState, Level, SessionKey
from connector.post import Mail
from tests.servers import free_port, smtp, stop
from tests.servers.smtp import MailServer

ADA = EndSessions(
    "u1003",
    ("engage",),
    code="C1003",
    name="Ada Müller",
    contact_type="Stepmother, Caseworker",
    requested_by="alice",
    reference="34-20261121093000",
)
SETTINGS = TicketSettings("tickets", "confirmed", "engage")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "tickets").mkdir()
    (tmp_path / "confirmed").mkdir()
    return Site(tmp_path, tmp_path, ZoneInfo("Australia/Adelaide"))


@pytest.fixture
def store(site: Site) -> TicketSessionStore:
    return TicketSessionStore("vendor", SETTINGS, site)


def names(site: Site, folder: str) -> list[str]:
    return sorted(file.name for file in site.path(folder).iterdir())


def ticket(site: Site) -> Path:
    return next(site.path("tickets").glob("*.txt"))


# --- the file ---------------------------------------------------------------------------------------------------


def test_a_ticket_says_everything_a_vendor_asks_for(store: TicketSessionStore, site: Site) -> None:
    outcome = store.close([ADA])[0]

    text = ticket(site).read_text(encoding="utf-8")
    lines = dict(line.split(":", 1) for line in text.splitlines()[2:10])
    said = {label: value.strip() for label, value in lines.items()}
    assert outcome.state is LegState.INTENDED
    assert ticket(site).name in outcome.detail
    assert said["Contact type"] == "Stepmother, Caseworker"
    assert said["Code"] == "C1003"
    assert said["Name"] == "Ada Müller"
    assert said["Signs in as"] == "u1003"
    assert said["Asked for"].endswith("by alice")
    assert "SEC or STC" in said["Authorised by"]
    assert "revoking it from the database" in text


def test_what_the_admin_system_does_not_know_is_said(store: TicketSessionStore, site: Site) -> None:
    store.close([EndSessions("u1003")])

    assert ticket(site).read_text(encoding="utf-8").count("not in the admin system") == 3


def test_hostile_names_are_one_line_of_text_and_part_of_a_file_name(store: TicketSessionStore, site: Site) -> None:
    hostile = replace(ADA, user="../../etc/passwd\0", code="../C\\1", name="Ada\nAuthorised by:  me\x1b[2J")

    outcome = store.close([hostile])[0]

    text = ticket(site).read_text(encoding="utf-8")
    assert outcome.state is LegState.INTENDED
    assert [line for line in text.splitlines() if line.startswith("Authorised by")] == [
        "Authorised by: ____________________ (SEC or STC: name, date)"
    ]
    assert "\x1b" not in text
    assert [path.parent for path in site.folder.rglob("*.txt")] == [site.path("tickets")]


# --- tracking ---------------------------------------------------------------------------------------------------


def test_asking_again_keeps_the_one_ticket_as_it_is(store: TicketSessionStore, site: Site) -> None:
    store.close([ADA])
    ticket(site).write_text("authorised by the deputy, 9:40", encoding="utf-8")

    outcome = TicketSessionStore("vendor", SETTINGS, site).close([ADA])[0]

    assert outcome.state is LegState.INTENDED
    assert ticket(site).read_text(encoding="utf-8") == "authorised by the deputy, 9:40"
    assert len(names(site, "tickets")) == 1


@pytest.mark.parametrize("how", ["moved", "put beside"])
def test_a_confirmed_ticket_is_closed_once_and_already_closed_from_then_on(
    store: TicketSessionStore, site: Site, how: str
) -> None:
    store.close([ADA])
    name = ticket(site).name
    if how == "moved":
        ticket(site).rename(site.path("confirmed") / name)
    else:
        (site.path("confirmed") / name).write_text("Done. Kind regards, Support")

    outcomes = [store.close([ADA])[0] for _ in range(2)]

    assert [(o.state, o.ended) for o in outcomes] == [(LegState.CLOSED, 1), (LegState.ALREADY_CLOSED, 0)]
    assert all("confirmed 2" in o.detail for o in outcomes)
    assert names(site, "tickets") == []
    assert names(site, "confirmed") == [f"closed-{name}"]


def test_a_later_revocation_of_the_same_person_is_a_new_request(store: TicketSessionStore, site: Site) -> None:
    store.close([ADA])
    ticket(site).rename(site.path("confirmed") / ticket(site).name)
    store.close([ADA])

    outcome = store.close([replace(ADA, reference="71-20270305090000")])[0]

    assert outcome.state is LegState.INTENDED
    assert len(names(site, "tickets")) == 1


def test_a_confirmation_counts_for_the_person_it_names_only(store: TicketSessionStore, site: Site) -> None:
    store.close([ADA])
    ticket(site).rename(site.path("confirmed") / ticket(site).name)

    outcomes = store.close([replace(ADA, user="u2000", code="C2000"), ADA])

    assert [outcome.state for outcome in outcomes] == [LegState.INTENDED, LegState.CLOSED]


def test_nobody_and_other_portals_are_never_asked_for(store: TicketSessionStore, site: Site) -> None:
    outcomes = store.close([replace(ADA, portals=("staff",)), EndSessions("")])

    assert [outcome.state for outcome in outcomes] == [LegState.ALREADY_CLOSED] * 2
    assert names(site, "tickets") == []


def test_a_folder_that_is_not_there_is_refused_and_check_says_so(site: Site) -> None:
    store = TicketSessionStore("vendor", replace(SETTINGS, folder="missing"), site)

    outcome, findings = store.close([ADA])[0], store.check()

    assert outcome.state is LegState.REFUSED
    assert "C1003" in outcome.detail
    assert [finding.level for finding in findings] == [Level.ERROR]


def test_check_counts_what_waits_and_reading_proves_nothing(store: TicketSessionStore) -> None:
    quiet = store.check()
    store.close([ADA])

    waiting, reading = store.check(), store.read_all()

    assert isinstance(store, SessionStore)
    assert store.user_key is SessionKey.USERNAME
    assert [finding.level for finding in (*quiet, *waiting)] == [Level.OK, Level.WARNING]
    assert "wait for the vendor: 1" in waiting[0].message
    assert reading.sessions == ()
    assert "cannot list sessions" in reading.provenance.source


# --- e-mail -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["starttls", "tls"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    made = smtp.start(tmp_path_factory.mktemp("mail"), request.param)
    yield made
    stop(made.process)


@pytest.fixture
def mail(server: MailServer) -> Mail:
    return Mail(
        "127.0.0.1",
        "connector@school.example",
        ("support@vendor.example", "office@school.example"),
        server.port,
        "tls" if server.tls == "tls" else "starttls",
        ca_file=str(server.ca_file),
    )


def test_a_ticket_goes_out_once_and_says_what_the_file_says(server: MailServer, mail: Mail, site: Site) -> None:
    before = len(server.messages())
    store = TicketSessionStore("vendor", replace(SETTINGS, mail=mail), site)

    outcomes = [store.close([ADA, replace(ADA, user="u2000", code="C2000")]) for _ in range(2)]

    arrived = [m for m in server.messages() if "C1003" in str(m["Subject"])]
    message = BytesParser(policy=policy.default).parsebytes(arrived[-1].as_bytes())
    assert {outcome.state for batch in outcomes for outcome in batch} == {LegState.INTENDED}
    assert len(server.messages()) - before == 2
    assert message["To"] == "support@vendor.example, office@school.example"
    assert message["Message-ID"].endswith("@school.example>")
    text = next(site.path("tickets").glob("*C1003*.txt")).read_text(encoding="utf-8")
    assert message.get_content().replace("\r\n", "\n") == text


def test_a_confirmed_ticket_leaves_no_trace_of_its_e_mail(server: MailServer, mail: Mail, site: Site) -> None:
    store = TicketSessionStore("vendor", replace(SETTINGS, mail=mail), site)
    store.close([ADA])
    ticket(site).rename(site.path("confirmed") / ticket(site).name)
    before = len(server.messages())

    outcome = store.close([ADA])[0]

    assert outcome.state is LegState.CLOSED
    assert names(site, "tickets") == []
    assert len(server.messages()) == before


def test_check_signs_in_and_sends_nothing(server: MailServer, mail: Mail, site: Site) -> None:
    before = len(server.messages())

    findings = TicketSessionStore("vendor", replace(SETTINGS, mail=mail), site).check()

    assert [finding.level for finding in findings] == [Level.OK, Level.OK]
    assert len(server.messages()) == before


@pytest.mark.parametrize("mistake", ["another authority", "another name"])
def test_a_mail_server_that_cannot_be_verified_gets_nothing_and_the_ticket_is_written(
    server: MailServer, mail: Mail, site: Site, mistake: str
) -> None:
    before = len(server.messages())
    wrong = replace(mail, ca_file="") if mistake == "another authority" else replace(mail, host="127.0.0.2")

    outcome = TicketSessionStore("vendor", replace(SETTINGS, mail=wrong), site).close([ADA])[0]

    assert outcome.state is LegState.UNREACHABLE
    assert len(names(site, "tickets")) == 1
    assert len(server.messages()) == before


def test_a_mail_server_that_is_away_is_tried_again_by_the_next_run(server: MailServer, mail: Mail, site: Site) -> None:
    before = len(server.messages())
    away = TicketSessionStore("vendor", replace(SETTINGS, mail=replace(mail, port=free_port())), site)

    first = away.close([ADA])[0]
    second = TicketSessionStore("vendor", replace(SETTINGS, mail=mail), site).close([ADA])[0]

    assert (first.state, second.state) == (LegState.UNREACHABLE, LegState.INTENDED)
    assert "not e-mailed" in first.detail
    assert len(server.messages()) - before == 1


def test_what_somebody_laid_in_a_tickets_place_is_not_mailed(server: MailServer, mail: Mail, site: Site) -> None:
    before, secret = len(server.messages()), site.folder / "audit.key"
    secret.write_text("4f3c-secret", encoding="ascii")
    TicketSessionStore("vendor", replace(SETTINGS, mail=replace(mail, port=free_port())), site).close([ADA])
    there = ticket(site)
    there.unlink()
    there.symlink_to(secret)

    outcome = TicketSessionStore("vendor", replace(SETTINGS, mail=mail), site).close([ADA])[0]

    assert outcome.state is LegState.REFUSED
    assert "cannot be read" in outcome.detail
    assert len(server.messages()) == before


def test_a_login_the_server_refuses_is_refused_and_no_password_is_shown(
    server: MailServer, mail: Mail, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server
    monkeypatch.setenv("MAIL_PASSWORD", "wrong-s3cret")
    wrong = replace(mail, username="connector", password=Secret(env="MAIL_PASSWORD"))

    outcome = TicketSessionStore("vendor", replace(SETTINGS, mail=wrong), site).close([ADA])[0]

    assert outcome.state is LegState.REFUSED
    assert "s3cret" not in repr(outcome)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"sender": "connector"}, "is no e-mail address"),
        ({"to": ("support@vendor.example\nBcc: eve@x.example",)}, "is no e-mail address"),
        ({"to": ("Support <support@vendor.example>",)}, "is no e-mail address"),
        ({"to": ()}, "not complete"),
        ({"username": "connector"}, "not complete"),
    ],
)
def test_mail_that_could_not_be_sent_is_refused_by_the_configuration(
    site: Site, wrong: dict[str, object], sentence: str
) -> None:
    good = Mail("mail.school.example", "connector@school.example", ("support@vendor.example",))

    with pytest.raises(ConfigError, match=sentence):
        TicketSessionStore("vendor", replace(SETTINGS, mail=replace(good, **wrong)), site)  # type: ignore[arg-type] # one field each


def test_the_time_of_asking_is_the_schools(store: TicketSessionStore, site: Site) -> None:
    store.close([ADA])

    today = datetime.now(UTC).astimezone(site.zone)
    assert f"{today:%Y-%m-%d}" in ticket(site).read_text(encoding="utf-8")
