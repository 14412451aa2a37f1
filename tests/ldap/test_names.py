"""Distinguished names compare as directories compare them."""

import pytest

from connector.ldap.names import dn_key, is_at_or_below, is_below

PARENTS = dn_key("OU=Parents,DC=school,DC=example")


@pytest.mark.parametrize(
    "dn",
    [
        "CN=Xu\\, Hamish (u1003),OU=Parents,DC=school,DC=example",
        "CN=Xu\\2C Hamish,ou=parents,dc=SCHOOL,dc=example",
        "cn=a, ou = Parents , dc=school, dc=example",
        "CN=a,OU=Year 7,OU=Parents,DC=school,DC=example",
        "CN=trailing\\\\,OU=Parents,DC=school,DC=example",
        "CN=a+UID=b,OU=\\50arents,DC=school,DC=example",
    ],
)
def test_a_name_inside_the_ou_is_below_it_however_it_is_written(dn: str) -> None:
    assert is_below(dn_key(dn), PARENTS)


@pytest.mark.parametrize(
    "dn",
    [
        "CN=a,OU=Staff,DC=school,DC=example",
        "CN=a\\,OU=Parents,DC=school,DC=example",
        "CN=a,OU=Not Parents,DC=school,DC=example",
        "CN=a,OU=XOU\\=Parents,DC=school,DC=example",
        "CN=a\\,OU\\=Parents\\,DC\\=school\\,DC\\=example,OU=Staff,DC=school,DC=example",
        "OU=Parents,DC=school,DC=example",
        "CN=a,OU=Parents,DC=school,DC=example,DC=org",
    ],
)
def test_a_name_that_only_looks_like_it_is_not(dn: str) -> None:
    assert not is_below(dn_key(dn), PARENTS)


def test_an_entry_is_at_or_below_itself() -> None:
    assert is_at_or_below(PARENTS, PARENTS)


def test_letters_beyond_ascii_compare_escaped_or_not_in_any_case() -> None:
    assert dn_key("CN=Łukasz,DC=x") == dn_key("cn=\\C5\\81UKASZ,dc=X") == dn_key("CN=łukasz,DC=x")


def test_the_order_in_a_multi_valued_name_means_nothing() -> None:
    assert dn_key("CN=a+UID=b,DC=x") == dn_key("uid=B + cn=A,DC=x")


def test_doubled_and_outer_spaces_are_insignificant() -> None:
    assert dn_key("OU=Old  Parents ,DC=x") == dn_key("OU= old parents,DC=x")


@pytest.mark.parametrize("dn", ["Parents", "OU=a,,DC=x", "OU=a,", "=a,DC=x", "OU=a,nonsense,DC=x", "OU=a\\"])
def test_what_is_no_name_is_an_error(dn: str) -> None:
    with pytest.raises(ValueError, match="type=value"):
        dn_key(dn)


def test_an_absurdly_long_name_is_an_error_not_a_hang() -> None:
    with pytest.raises(ValueError, match="longer"):
        dn_key(",".join(["OU=a"] * 100_000))
