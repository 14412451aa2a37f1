"""Raw attributes become an Account."""

import uuid
from datetime import UTC, datetime

import pytest

from connector.errors import SourceError
from connector.ldap.dialect import VOCABULARIES, Dialect
from connector.ldap.entry import Lens, to_account
from connector.ldap.names import dn_key
from connector.ldap.protection import Protection
from connector.model import Account

GUID = uuid.UUID("0d065a21-a64b-48b0-802d-b60395655d03")
MANAGED = "OU=Parents,DC=x"


def read(dn: str = "CN=a,OU=Parents,DC=x", dialect: Dialect = Dialect.AD, **raw: bytes | None) -> Account:
    identity = (
        {"objectguid": GUID.bytes_le, "useraccountcontrol": b"512"}
        if dialect is Dialect.AD
        else {"entryuuid": str(GUID).encode()}
    )
    given = {name: [value] for name, value in (identity | raw).items() if value is not None}
    return to_account(dn, given, Lens("ad", VOCABULARIES[dialect], (dn_key(MANAGED),), Protection()))


def test_a_guid_of_active_directory_is_read_in_its_mixed_byte_order() -> None:
    assert read(objectguid=bytes.fromhex("215a060d4ba6b048802db60395655d03")).guid == str(GUID)


def test_an_entry_uuid_is_canonical_lower_case() -> None:
    assert read(dialect=Dialect.OPENLDAP, entryuuid=str(GUID).upper().encode()).guid == str(GUID)


@pytest.mark.parametrize(("state", "enabled"), [(b"512", True), (b"514", False), (b"66050", False), (b"66048", True)])
def test_bit_two_of_user_account_control_disables(state: bytes, enabled: bool) -> None:
    account = read(useraccountcontrol=state)

    assert account.enabled is enabled
    assert account.state == state.decode()


@pytest.mark.parametrize(("locked", "enabled"), [(None, True), (b"000001010000Z", False), (b"20260101120000Z", True)])
def test_a_lockout_that_may_expire_does_not_count_as_disabled(locked: bytes | None, enabled: bool) -> None:
    assert read(dialect=Dialect.OPENLDAP, pwdaccountlockedtime=locked).enabled is enabled


@pytest.mark.parametrize("never", [b"0", b"9223372036854775807", b"9223372032559808511", b"nonsense", None])
def test_an_account_that_never_expires_has_no_date(never: bytes | None) -> None:
    assert read(accountexpires=never).expires_at is None


def test_times_of_active_directory_count_from_1601() -> None:
    account = read(accountexpires=b"134142912000000000", lastlogontimestamp=b"116444736000000000")

    assert account.expires_at == datetime(2026, 1, 31, tzinfo=UTC)
    assert account.last_login == datetime(1970, 1, 1, tzinfo=UTC)
    assert account.enabled  # expired is not disabled


def test_times_of_openldap_are_generalized_times() -> None:
    account = read(dialect=Dialect.OPENLDAP, pwdlastsuccess=b"20261120083015.123456Z", pwdendtime=b"20270101000000Z")

    assert account.last_login == datetime(2026, 11, 20, 8, 30, 15, tzinfo=UTC)
    assert account.expires_at == datetime(2027, 1, 1, tzinfo=UTC)


def test_the_display_name_is_taken_else_the_common_name() -> None:
    assert read(displayname=b"Nora N", cn=b"nn").name == "Nora N"
    assert read(cn=b"nn").name == "nn"


def test_bytes_that_are_no_text_do_not_stop_a_reading() -> None:
    assert read(employeeid=b"\xff\xfe1").employee_id == "\ufffd\ufffd1"


def test_a_managed_account_whose_state_cannot_be_read_is_an_error_naming_it() -> None:
    with pytest.raises(SourceError, match=r"CN=a,OU=Parents,DC=x.*userAccountControl") as caught:
        read(useraccountcontrol=None)

    assert "read userAccountControl" in caught.value.remedy


def test_an_account_outside_the_scope_whose_state_cannot_be_read_counts_as_open() -> None:
    account = read(dn="CN=a,OU=Staff,DC=x", useraccountcontrol=None)

    assert account.enabled
    assert not account.managed


@pytest.mark.parametrize("raw", [{"objectguid": None}, {"objectguid": b"short"}, {"useraccountcontrol": b"0x200"}])
def test_what_cannot_be_told_is_never_guessed(raw: dict[str, bytes | None]) -> None:
    with pytest.raises(SourceError):
        read(**raw)  # type: ignore[arg-type] # every key is an attribute
