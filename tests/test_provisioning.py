"""Whatever a provider calls somebody, it is one value of the entry's own name, and never another place."""

from hypothesis import given
from hypothesis import strategies as st

from connector.ldap.names import dn_key, is_below, own_name
from connector.provisioning import escaped, filled_dn, is_path, unusable, unwritable

TEMPLATE = "CN={user_name} of {family_name},OU=Parents\\, old,DC=school"
NAMES = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)
HOSTILE = st.text(st.sampled_from('\\,+"<>;=# *()/aŁ\u202e名'), min_size=1).filter(str.strip)


@given(NAMES | HOSTILE, NAMES | HOSTILE)
def test_every_name_is_one_value_below_the_ou_of_the_template(user_name: str, family_name: str) -> None:
    dn = filled_dn(TEMPLATE, {"userName": user_name, "name.familyName": family_name})

    key = dn_key(dn)
    assert own_name(dn) == ("CN", f"{user_name} of {family_name}")
    assert is_below(key, dn_key("OU=Parents\\2C old,DC=school"))
    assert len(key) == 3


@given(NAMES | HOSTILE)
def test_a_value_that_is_the_whole_name_survives_but_for_the_spaces_around_it(value: str) -> None:
    dn = f"CN={escaped(value)},DC=school"

    assert own_name(dn)[1].strip(" ") == value.strip(" ")
    assert len(dn_key(dn)) == 2


@given(st.text(max_size=8))
def test_a_text_with_a_control_character_is_never_used(text: str) -> None:
    assert unusable([f"{text}\0"])
    assert unusable([f"{text}\ud800"])


@given(st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,30}", fullmatch=True))
def test_an_attribute_is_unwritable_unless_it_is_on_the_list(name: str) -> None:
    writable = not unwritable(name)

    assert not (writable and "pwd" in name.lower())
    assert unwritable(name, mark=name)


def test_paths_are_those_of_a_user() -> None:
    assert all(map(is_path, ("userName", "name.givenName", "emails[work]", "phoneNumbers[mobile]", "department")))
    assert not any(map(is_path, ("username", "password", "emails", "active", "manager", "groups", "name", "emails[]")))
