"""How a filter is read: what RFC 7644 3.4.2.2 writes, what providers send, and what is refused."""

import time

import pytest

from connector.reconcile.journal_scim_tables import scim_users
from connector.scim.attributes import RESOURCE_TYPES, find, resolve
from connector.scim.errors import ScimError
from connector.scim.filter import And, Compare, Constant, Filter, Not, Or, Present, ValuePath, parse
from connector.scim.filter_sql import compile_filter
from connector.scim.filter_tokens import MOST_CHARACTERS, MOST_LEVELS, MOST_TERMS
from connector.scim.models import CONNECTOR_SCHEMA, ENTERPRISE_SCHEMA, USER_SCHEMA


def shape(tree: Filter) -> str:
    """Write a filter so that a test can read it."""
    if isinstance(tree, And | Or):
        return f"({f' {type(tree).__name__.lower()} '.join(map(shape, tree.terms))})"
    if isinstance(tree, Not):
        return f"not {shape(tree.term)}"
    if isinstance(tree, Compare):
        return f"{tree.path} {tree.operator} {tree.value!r}"
    if isinstance(tree, Present):
        return f"{tree.path} pr"
    return f"{tree.path}[{shape(tree.term)}]" if isinstance(tree, ValuePath) else str(tree.holds)


def read(text: str, resource_type: str = "User") -> str:
    return shape(parse(text, resource_type))


def refusal(text: str, resource_type: str = "User") -> str:
    with pytest.raises(ScimError) as refused:
        parse(text, resource_type)
    assert (refused.value.status, refused.value.scim_type) == (400, "invalidFilter")
    return refused.value.detail


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("title pr or nickName pr and userType pr", "(title pr or (nickName pr and userType pr))"),
        ("title pr and nickName pr or userType pr", "((title pr and nickName pr) or userType pr)"),
        ("(title pr or nickName pr) and userType pr", "((title pr or nickName pr) and userType pr)"),
        (
            "title pr and nickName pr or userType pr and locale pr or id pr",
            "((title pr and nickName pr) or (userType pr and locale pr) or id pr)",
        ),
        ("title pr and (nickName pr and (userType pr))", "(title pr and nickName pr and userType pr)"),
        ("not (title pr) and nickName pr", "(not title pr and nickName pr)"),
        ("not(title pr or nickName pr)", "(not title pr and not nickName pr)"),
        ("not (not (title pr))", "title pr"),
        ("title pr or not (nickName pr and userType pr)", "(title pr or not nickName pr or not userType pr)"),
    ],
)
def test_and_binds_closer_than_or_and_parentheses_closer_than_both(text: str, meaning: str) -> None:
    assert read(text) == meaning


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ('USERNAME Eq "Ada"', "userName eq 'ada'"),
        ('username sw "J"  AND  TITLE pr', "(userName sw 'j' and title pr)"),
        (f'{USER_SCHEMA.upper()}:username eq "x"', "userName eq 'x'"),
        (f'{ENTERPRISE_SCHEMA}:employeenumber eq "7"', f"{ENTERPRISE_SCHEMA}:employeeNumber eq '7'"),
        (f'{ENTERPRISE_SCHEMA}:manager.value eq "A"', f"{ENTERPRISE_SCHEMA}:manager.value eq 'A'"),
        (f"{ENTERPRISE_SCHEMA} pr", f"{ENTERPRISE_SCHEMA} pr"),
        (
            f'{CONNECTOR_SCHEMA}:legs[state eq "closed"]',
            f"{CONNECTOR_SCHEMA}:legs[{CONNECTOR_SCHEMA}:legs.state eq 'closed']",
        ),
        ('externalId eq "AbC"', "externalId eq 'AbC'"),
        ("title eq NULL", "title eq None"),
    ],
)
def test_names_and_words_are_read_in_any_case_and_with_their_urn(text: str, meaning: str) -> None:
    assert read(text) == meaning


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ('emails co "X"', "emails.value co 'x'"),
        ('emails[type eq "Work" and value co "X"]', "emails[(emails.type eq 'work' and emails.value co 'x')]"),
        ('emails[type eq "work"].value eq "X"', "emails[(emails.type eq 'work' and emails.value eq 'x')]"),
        (
            'emails[type eq "work" or primary eq true].value pr',
            "emails[((emails.type eq 'work' or emails.primary eq True) and emails.value pr)]",
        ),
        ('not (emails[type eq "work"])', "not emails[emails.type eq 'work']"),
        ("emails[not (type pr)]", "emails[not emails.type pr]"),
        (f'schemas eq "{USER_SCHEMA}"', f"schemas eq '{USER_SCHEMA.lower()}'"),
        ('schemas[value sw "urn:"]', "schemas[schemas sw 'urn:']"),
        ('groups eq "g-1"', "groups.value eq 'g-1'"),
    ],
)
def test_several_values_are_compared_by_value_or_chosen_by_brackets(text: str, meaning: str) -> None:
    assert read(text) == meaning


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (r'"a\"b"', 'a"b'),
        (r'"a\\b"', "a\\b"),
        (r'"\u00e9\/\t"', "é/\t"),
        (r'"\ud83d\ude00"', "😀"),
        ('"e\u0301"', "é"),
        ('"(and) ] or not"', "(and) ] or not"),
        ('""', ""),
    ],
)
def test_a_text_is_read_as_json(written: str, value: str) -> None:
    assert parse(f"title eq {written}", "User") == Compare(resolve("User", "title"), "eq", value)


@pytest.mark.parametrize("text", ["-1", "0", "12", "1.5", "-0.5e-3", "1E+10", f"1{'0' * 5000}"])
def test_a_number_is_read_with_sign_fraction_and_exponent_and_no_attribute_of_ours_is_one(text: str) -> None:
    assert "cannot be compared like this" in refusal(f"title eq {text}")


@pytest.mark.parametrize(
    "name", ["trueName", "falsehood", "nullable", "prefix", "android", "nothing", "eqName", "oracle"]
)
def test_a_name_that_begins_like_a_word_of_the_grammar_is_a_name(name: str) -> None:
    assert refusal(f"{name} pr") == f"{name} is not an attribute of User. See /Schemas."


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "userName",
            "userName eq",
            'eq "x"',
            'userName = "x"',
            'userName regex "x"',
            'userName eq "x',
            "userName eq x",
        ),
        *(
            'userName eq "x" and',
            'and userName eq "x"',
            'userName eq "x" title pr',
            "not userName pr",
            "userName pr pr",
        ),
        *(
            "()",
            "(",
            ")",
            "[",
            "]",
            "emails[",
            "emails[]",
            "emails[type pr",
            "(title pr",
            "title pr)",
            'emails[type pr] eq "x"',
        ),
        *(
            'emails[type eq "x"][type eq "y"]',
            "emails[emails[type pr]]",
            "emails[phoneNumbers[type pr]]",
            "emails .value pr",
        ),
        *(".x pr", "userName. pr", "userName.x pr", "emails.value.x pr", "emails[type pr].value.x pr", "emails[value]"),
        *(
            'title eq "\x01"',
            r'title eq "\x"',
            r'title eq "\u12"',
            r'title eq "\ud800"',
            r'title eq "\u0000"',
            "title eq 01",
        ),
        *(
            "title eq +1",
            "title eq 1.",
            "title eq .5",
            "title eq 'x'",
            "title eq tru",
            "\x00",
            "\ud800",
            'title eq "\udfff"',
            "🙂 pr",
        ),
        *("urn:", "urn::x pr", "urn:x pr", f"{USER_SCHEMA} pr", f'{ENTERPRISE_SCHEMA} eq "x"', "title eq null null"),
    ],
)
def test_what_is_no_filter_is_refused_and_never_answered_with_everybody(text: str) -> None:
    assert refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "nickname2 pr",
            'employeeNumber eq "7"',
            "urn:example:2.0:User:userName pr",
            'emails.city eq "x"',
            "members pr",
        ),
        *(
            'emails[city eq "x"]',
            'emails[emails.type eq "x"]',
            f'emails[{USER_SCHEMA}:type eq "x"]',
            "$ref pr",
            "emails.$ref pr",
        ),
    ],
)
def test_an_attribute_nobody_declared_is_refused_by_name(text: str) -> None:
    assert "is not a" in refusal(text)


@pytest.mark.parametrize("operator", ["gt", "ge", "lt", "le", "co", "sw", "ew"])
@pytest.mark.parametrize(
    "comparison", ["active {} true", 'x509Certificates.value {} "AQID"', "emails[primary {} null]"]
)
def test_booleans_and_binaries_have_no_order(operator: str, comparison: str) -> None:
    assert f"no {operator}." in refusal(comparison.format(operator))


@pytest.mark.parametrize(
    "text",
    [
        *(
            'active eq "yes"',
            "active eq 1",
            "title eq true",
            "title co 5",
            'meta.created gt "yesterday"',
            "meta.created gt 5",
        ),
        *(
            'meta.created gt "2026-11-20"',
            'meta.created gt "2026-11-20T12:00:00"',
            'meta.created gt "2026-02-30T00:00:00Z"',
        ),
        *('meta.created gt "0001-01-01T00:00:00+01:00"', 'meta.created sw "2026"', 'x509Certificates.value eq "*"'),
        *('name eq "Ada"', "name eq null", 'addresses eq "x"', 'name[givenName eq "x"]', 'emails.value[type eq "x"]'),
        *('password eq "x"', "password pr", 'meta.location eq "x"'),
    ],
)
def test_a_comparison_that_makes_no_sense_is_refused(text: str) -> None:
    assert refusal(text)


@pytest.mark.parametrize(
    ("written", "value"), [("true", True), ('"True"', True), ('"False"', False), ('"false"', False)]
)
def test_a_boolean_may_be_spelled_as_entra_id_spells_it(written: str, value: bool) -> None:
    assert parse(f"active eq {written}", "User") == Compare(resolve("User", "active"), "eq", value)


def test_a_moment_is_compared_in_utc_to_the_microsecond() -> None:
    assert (
        read('meta.lastModified gt "2026-11-20T13:00:00.5+01:00"')
        == "meta.lastModified gt '2026-11-20T12:00:00.500000Z'"
    )


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000 + "title pr" + ")" * 10_000,
        "(" * 3_000,
        "(" * (MOST_LEVELS + 1) + "title pr" + ")" * (MOST_LEVELS + 1),
        "not (" * (MOST_LEVELS + 1) + "title pr" + ")" * (MOST_LEVELS + 1),
        "emails[" * 1_000,
        " or ".join(["id pr"] * (MOST_TERMS + 1)),
        f'title eq "{"x" * MOST_CHARACTERS}"',
        '"' + "\\" * (MOST_CHARACTERS - 1),
        "urn:" + "a:" * 4_000,
        "urn:" + "a." * 4_000,
        " " * (MOST_CHARACTERS + 1),
        "1" * 8_000 + "x",
    ],
)
def test_a_filter_made_to_hurt_is_refused_at_once(text: str) -> None:
    begun = time.perf_counter()

    refusal(text)

    assert time.perf_counter() - begun < 0.5


def test_an_error_repeats_no_more_than_the_beginning_of_a_name() -> None:
    assert len(refusal(f"{'x' * 5_000} pr")) < 200


def test_where_users_and_groups_are_searched_together_an_attribute_of_the_other_has_no_value() -> None:
    both = ("User", "Group")

    found = [
        parse(text, "Group", both) for text in ('userName eq "x"', 'userName ne "x"', "userName eq null", "userName pr")
    ]

    assert found == [Constant(holds=holds) for holds in (False, True, True, False)]
    assert parse('emails[type eq "x"]', "Group", both) == Constant(holds=False)
    assert shape(parse('displayName eq "X" or userName pr', "Group", both)) == "(displayName eq 'x' or False)"
    with pytest.raises(ScimError):
        parse("nickname2 pr", "Group", both)
    with pytest.raises(ScimError):
        parse("emails[city pr]", "Group", both)


def test_a_simple_filter_is_a_condition_within_150_microseconds_also_the_first_time() -> None:
    def batch(number: int) -> float:
        texts = [f'userName eq "user{number}.{each}@example.org"' for each in range(200)]
        begun = time.perf_counter()
        for text in texts:
            compile_filter(parse(text, "User"), scim_users, "sqlite")
        return (time.perf_counter() - begun) / len(texts)

    best = min(batch(number) for number in range(10))

    # Twice the limit: a machine that is shared is slower, and one that is twice as slow as that has another fault.
    assert best < 2 * 150e-6


# --- the table of attributes ----------------------------------------------------------------------------------------


def test_every_attribute_of_the_table_is_found_by_its_name_in_any_case() -> None:
    for kind in RESOURCE_TYPES.values():
        for attribute in kind.core.attributes:
            found = find(kind.name, f"{kind.core.urn}:{attribute.name}".upper())

            assert found is not None
            assert found.attribute == attribute


@pytest.mark.parametrize(
    "path", ["", ":", "urn:", "x", "emails.", ".value", "emails.value.x", "name.givenName.x", "members"]
)
def test_a_path_that_leads_nowhere_is_an_invalid_path(path: str) -> None:
    with pytest.raises(ScimError) as refused:
        resolve("User", path)

    assert refused.value.scim_type == "invalidPath"
