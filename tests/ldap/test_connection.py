"""No password leaves before the server is verified; every way a directory cannot be used has its sentence."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connector.errors import ConfigError, SourceError, TargetUnreachable
from connector.interfaces import Secret
from connector.ldap.connection import LdapSettings, Transport
from connector.ldap.directory import LdapDirectory
from connector.model import CloseAccount, LegState
from tests.ldap.builders import openldap_settings, site
from tests.servers import free_port
from tests.servers.certificates import make_authority
from tests.servers.slapd import Slapd


@contextmanager
def directory(slapd: Slapd, folder: Path, **settings: Any) -> Iterator[LdapDirectory]:
    opened = LdapDirectory("ldap", openldap_settings(slapd, folder, **settings), site(folder))
    try:
        yield opened
    finally:
        opened.disconnect()


@contextmanager
def eavesdropper() -> Iterator[tuple[int, list[bytes]]]:
    """A listener that accepts, writes down what it is told, and never answers."""
    heard: list[bytes] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def listen() -> None:
            caller, _ = listener.accept()
            with caller:
                while said := caller.recv(65536):
                    heard.append(said)

        thread = threading.Thread(target=listen)
        thread.start()
        yield listener.getsockname()[1], heard
        thread.join(10)


@pytest.mark.parametrize(
    "host",
    ["ldap://dc1.school.example", "LDAP://dc1", "ldaps://dc1", "ldapi://%2ftmp", "admin:hunter2@dc1", " dc1", "a/b"],
)
def test_a_host_is_a_name_and_never_an_order_to_go_without_tls(host: str) -> None:
    with pytest.raises(ConfigError, match="names or addresses only") as refused:
        LdapSettings(host=host, base="DC=x", bind_dn="CN=connector", bind_password=Secret(env="PASSWORD"))

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "host", ["dc1.school.example", "DC-1", "127.0.0.1", "::1", "fe80::1%eth0", "dc1.school.example."]
)
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    settings = LdapSettings(host=host, base="DC=x", bind_dn="CN=connector", bind_password=Secret(env="PASSWORD"))

    assert settings.all_hosts == (host,)


def test_ldaps_with_the_right_authority_reads(slapd: Slapd, tmp_path: Path) -> None:
    with directory(slapd, tmp_path, base=slapd.add_ou()) as opened:
        assert opened.read_all().accounts == ()


def test_starttls_with_the_right_authority_reads(slapd: Slapd, tmp_path: Path) -> None:
    with directory(slapd, tmp_path, base=slapd.add_ou(), tls=Transport.STARTTLS, port=slapd.starttls_port) as opened:
        assert opened.read_all().accounts == ()


@pytest.mark.parametrize("tls", list(Transport))
def test_a_certificate_of_an_unknown_authority_is_refused(slapd: Slapd, tmp_path: Path, tls: Transport) -> None:
    stranger = make_authority(tmp_path / "stranger").certificate
    port = slapd.port if tls is Transport.LDAPS else slapd.starttls_port

    with (
        directory(slapd, tmp_path, ca_file=str(stranger), tls=tls, port=port) as opened,
        pytest.raises(ConfigError, match=r"not trusted.*No password was sent") as caught,
    ):
        opened.read_all()

    assert "ca_file" in caught.value.remedy


def test_without_a_ca_file_the_machines_own_authorities_count_and_ours_is_none(slapd: Slapd, tmp_path: Path) -> None:
    with directory(slapd, tmp_path, ca_file="") as opened, pytest.raises(ConfigError, match="not trusted"):
        opened.read_all()


def test_a_certificate_for_another_name_is_refused(slapd: Slapd, tmp_path: Path) -> None:
    # "127.1" reaches 127.0.0.1 and is not what its certificate says.
    with directory(slapd, tmp_path, host="127.1") as opened, pytest.raises(ConfigError, match=r"not trusted.*127\.1"):
        opened.read_all()


def test_a_plain_text_port_is_refused_before_anything_is_said(slapd: Slapd, tmp_path: Path) -> None:
    with (
        directory(slapd, tmp_path, port=slapd.starttls_port) as opened,
        pytest.raises((ConfigError, TargetUnreachable), match=str(slapd.starttls_port)),
    ):
        opened.read_all()


@pytest.mark.parametrize("tls", list(Transport))
def test_a_server_that_never_answers_hears_no_password_and_is_unreachable(
    slapd: Slapd, tmp_path: Path, tls: Transport
) -> None:
    with (
        eavesdropper() as (port, heard),
        directory(slapd, tmp_path, port=port, tls=tls, receive_timeout=1) as opened,
        pytest.raises(TargetUnreachable, match="did not answer"),
    ):
        opened.read_all()

    assert heard
    assert slapd.admin_password.encode() not in b"".join(heard)


def test_a_wrong_password_says_so_and_does_not_say_the_password(slapd: Slapd, tmp_path: Path) -> None:
    with directory(slapd, tmp_path, password="wrong-one") as opened, pytest.raises(SourceError) as caught:
        opened.read_all()

    assert "refused the sign-in of cn=admin" in str(caught.value)
    assert "bind_password" in caught.value.remedy
    assert "wrong-one" not in repr(caught.value)


def test_an_empty_password_is_never_sent_for_it_would_succeed_as_nobody(slapd: Slapd, tmp_path: Path) -> None:
    with directory(slapd, tmp_path, password="") as opened, pytest.raises(ConfigError, match="empty"):
        opened.read_all()


def test_a_host_that_is_down_is_passed_over_for_the_next(slapd: Slapd, tmp_path: Path) -> None:
    with directory(slapd, tmp_path, host="", hosts=("127.0.0.77", slapd.host), base=slapd.add_ou()) as opened:
        assert opened.read_all().accounts == ()


def test_no_host_at_all_is_unreachable_and_closing_says_so_for_every_item(slapd: Slapd, tmp_path: Path) -> None:
    slapd.add_user("someone", ou=(ou := slapd.add_ou()))
    with directory(slapd, tmp_path, base=ou) as opened:
        (account,) = opened.read_all().accounts

    with directory(slapd, tmp_path, port=free_port()) as opened:
        with pytest.raises(TargetUnreachable, match="did not answer"):
            opened.read_all()
        outcomes = opened.close([CloseAccount(account), CloseAccount(account)])

    assert [outcome.state for outcome in outcomes] == [LegState.UNREACHABLE] * 2
    assert "was not written" in outcomes[0].detail


def test_a_ca_file_that_is_not_there_is_named(slapd: Slapd, tmp_path: Path) -> None:
    with directory(slapd, tmp_path, ca_file="gone.pem") as opened, pytest.raises(ConfigError, match=r"gone\.pem"):
        opened.read_all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"host": ""}, "host"),
        ({"bind_dn": ""}, "bind_dn"),
        ({"receive_timeout": 0}, "receive_timeout"),
        ({"base": "school"}, "not a distinguished name"),
        ({"managed": ("OU=a,DC=elsewhere",)}, "not below the base"),
        ({"protected_mark": "vip"}, "not a pair"),
        ({"protected_mark": "a)(b=c"}, "not a pair"),
        ({"username_attribute": "uid)("}, "not the name of an attribute"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(
    slapd: Slapd, tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        openldap_settings(slapd, tmp_path, **settings)


def test_a_secret_is_named_never_shown(slapd: Slapd, tmp_path: Path) -> None:
    settings = openldap_settings(slapd, tmp_path, bind_password=Secret(env="BIND"))

    assert slapd.admin_password not in repr(settings)


def test_check_says_what_is_wrong_with_a_host_and_goes_no_further(slapd: Slapd, tmp_path: Path) -> None:
    with directory(slapd, tmp_path, password="wrong-one") as opened:
        (finding,) = opened.check()

    assert finding.level == "error"
    assert finding.subject == slapd.host
    assert finding.remedy


def test_check_names_what_is_not_there_and_a_wrong_dialect(slapd: Slapd, tmp_path: Path) -> None:
    with directory(slapd, tmp_path, managed=(f"ou=gone,{slapd.base}",), dialect="ad") as opened:
        findings = opened.check()

    said = "\n".join(f"{finding.level} {finding.message} {finding.remedy}" for finding in findings)
    assert f"error ou=gone,{slapd.base} is not there." in said
    assert 'error The server is not ad but openldap. Write dialect = "openldap".' in said


def test_check_counts_a_spare_host_that_is_down_as_a_warning(slapd: Slapd, tmp_path: Path) -> None:
    with directory(slapd, tmp_path, hosts=("127.0.0.77",), base=slapd.add_ou()) as opened:
        findings = opened.check()

    assert [(finding.subject, finding.level) for finding in findings[:2]] == [
        (slapd.host, "ok"),
        ("127.0.0.77", "warning"),
    ]
