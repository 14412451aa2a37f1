"""The section for identity providers says what it means, and nothing in it lets a provider reach what it must not."""

from pathlib import Path

import pytest

from connector.config import Config, load
from connector.config_scim import RANGES, Scim
from connector.errors import ConfigError
from connector.provisioning import AccountTemplate, filled, filled_dn
from connector.registry import validate

START = """
[school]
name = "Harbour College"
timezone = "Australia/Sydney"
[admin_system]
adapter = "csv"
folder = "admin"
[portals.engage]
adapter = "sql"
strategy = "contacts"
on_mismatch = "revoke"
[directories.ad]
adapter = "ldap"
protected_mark = "employeeType=vip"
employee_id_attribute = "schoolCode"
"""
TEMPLATE = """
[scim.directories.ad]
dn = "CN={user_name},OU=Parents,DC=school,DC=example"
[scim.directories.ad.attributes]
sAMAccountName = "userName"
schoolCode = "employeeNumber"
userPrincipalName = "{user_name}@school.example"
"""


def loaded(folder: Path, text: str) -> Config:
    path = folder / "config.toml"
    path.write_text(f"{START}\n{text}", encoding="utf-8")
    path.chmod(0o600)
    return load(path)


def scim(folder: Path, text: str = "[scim]") -> Scim:
    config = loaded(folder, text)
    assert config.scim is not None
    return config.scim


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text)
    return str(caught.value)


def test_without_the_section_nothing_is_served(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").scim is None


def test_an_empty_section_has_the_defaults(tmp_path: Path) -> None:
    assert scim(tmp_path) == Scim()


def test_a_template_says_which_paths_it_reads(tmp_path: Path) -> None:
    template = scim(tmp_path, TEMPLATE).directories["ad"]

    assert template.enabled
    assert template.paths == {"userName", "employeeNumber"}


def test_a_template_is_filled_with_values_and_only_where_all_are_there() -> None:
    template = AccountTemplate("CN={family_name} ({user_name}),OU=Parents,DC=school", {})
    values = {"userName": "a,b", "name.familyName": "Smith"}

    assert filled_dn(template.dn, values) == "CN=Smith (a\\,b),OU=Parents,DC=school"
    assert filled_dn(template.dn, {"userName": "a"}) == ""
    assert filled("{user_name}@x", {"userName": "{email}"}) == "{email}@x"
    assert filled("emails[work]", {"emails[work]": "a@x"}) == "a@x"


@pytest.mark.parametrize("key", RANGES)
def test_every_number_has_a_range(tmp_path: Path, key: str) -> None:
    least, most = RANGES[key]

    for number in (least - 1, most + 1):
        assert f"[scim] {key} must be between {least} and {most}." in refusal(tmp_path, f"[scim]\n{key} = {number}")
    assert getattr(scim(tmp_path, f"[scim]\n{key} = {most}"), key) == most


@pytest.mark.parametrize(
    "attribute",
    [
        "userAccountControl", "unicodePwd", "userPassword", "member", "memberOf", "adminCount", "objectClass",
        "primaryGroupID", "servicePrincipalName", "sIDHistory", "msDS-KeyCredentialLink", "pwdAccountLockedTime",
        "pwdLastSet", "accountExpires", "nTSecurityDescriptor", "altSecurityIdentities", "proxyAddresses",
        "employeeType", "mail;lang-en",
    ],
)  # fmt: skip
def test_an_attribute_that_decides_over_access_cannot_be_mapped(tmp_path: Path, attribute: str) -> None:
    message = refusal(tmp_path, f'{TEMPLATE}\n"{attribute}" = "title"')

    assert f"[scim.directories.ad.attributes] {attribute} " in message


def test_a_name_of_the_directory_cannot_smuggle_one_in(tmp_path: Path) -> None:
    text = f'name_attribute = "servicePrincipalName"\n{TEMPLATE}\nservicePrincipalName = "title"'

    assert "never written" in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("dn", "sentence"),
    [
        ("CN=x,OU=Parents,DC=school", "must have a placeholder in its first part"),
        ("CN={user_name},OU={family_name},DC=school", "in its first part only"),
        ("CN={user},OU=Parents,DC=school", "and no other braces"),
        ("CN={user_name,OU=Parents,DC=school", "and no other braces"),
        ("{user_name}", "must be a name like"),
        ("CN={user_name}", "must be a name like"),
        ("CN={user_name},,DC=school", "must be a name like"),
        ("CN={user_name}+SN={family_name},DC=school", "must be a name like"),
        ("", "must be a name like"),
    ],
)
def test_a_template_of_a_name_that_cannot_be_meant_is_refused(tmp_path: Path, dn: str, sentence: str) -> None:
    message = refusal(tmp_path, f'[scim.directories.ad]\ndn = "{dn}"\nattributes = {{}}')

    assert "[scim.directories.ad] dn" in message
    assert sentence in message


@pytest.mark.parametrize("text", ["username", "{surname}", "Parents", "", "emails", "name", "{user_name} {x}"])
def test_an_attribute_is_given_a_path_or_a_text_with_placeholders(tmp_path: Path, text: str) -> None:
    assert "must be a path like userName" in refusal(tmp_path, f'{TEMPLATE}\ntitle = "{text}"')


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[scim]\nproxies = ["10.0.0.0/8", "10.1.2.3/8"]', "[scim] proxies, item 2 must be an address or a network"),
        ('[scim]\nbase_url = "connector.school.example/scim/v2"', "[scim] base_url must be an address"),
        ('[scim]\nbase_url = "https://x.example/scim/v2/"', "without a / at the end"),
        ('[scim]\nbase_url = "https://x.example/scim/v2?a=b"', "[scim] base_url must be an address"),
        ('[scim.directories.ads]\ndn = "CN={user_name},DC=x"\nattributes = {}', "Did you mean 'ad'?"),
        ('[scim.groups.A]\nrole = "x"\ndirectory = "ad"', "and not both"),
        ("[scim.groups.A]", "and not both"),
        ('[scim.groups.A]\ndirectory = "od"\ndn = "CN=g,DC=x"', "there is no [directories.od]"),
        ('[scim.groups.A]\ndirectory = "ad"\ndn = "g"', "[scim.groups.A] dn must be a name"),
        ('[scim.groups.A]\nrole = "x"\n[scim.groups.a]\nrole = "y"', "differ by case only"),
        ("[scim]\nworker = 2", "[scim] has no key 'worker'. Did you mean 'workers'?"),
        ('[scim.directories.ad]\ndn = "CN={user_name},DC=x"\nattributes = {}\nenable = true', "has no key 'enable'"),
        ("[scim]\nworkers = true", "must be a whole number"),
        (TEMPLATE + 'samaccountname = "title"', "is there twice, in other letters"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in refusal(tmp_path, text)


def test_a_directory_in_which_no_account_can_be_made_is_refused_for_providers(tmp_path: Path) -> None:
    start = START.replace('adapter = "ldap"', 'adapter = "ldif"\nfile = "x.ldif"\nbase = "DC=school"')
    portal = 'url = "sqlite:///p.db"\ntable = "members"\n[portals.engage.columns]\nperson_id = "a"\nusername = "b"\n'
    path = tmp_path / "config.toml"
    path.write_text(start.replace('on_mismatch = "revoke"', f'on_mismatch = "revoke"\n{portal}') + TEMPLATE)
    path.chmod(0o600)

    with pytest.raises(ConfigError, match="adapter 'ldif' cannot make or change accounts"):
        validate(load(path))
