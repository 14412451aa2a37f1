"""What the journal keeps can be read back unchanged, and nothing else can be read at all."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.model import Account, Member, PeopleReading, Person, Provenance, Reason, Session
from connector.policy import Rules
from connector.reconcile.codec import CodecError, canonical, from_json, to_json
from connector.reconcile.plan_values import Evidence, Plan, PlannedLeg
from tests.reconcile.journal_builders import account, credential_leg, directory_leg, plan, revocation


def test_a_plan_comes_back_as_it_went() -> None:
    made = plan(revocation(1, last_login=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)), revocation(2, person_id=None))

    assert from_json(Plan, to_json(made)) == made


def test_an_account_and_a_member_are_told_apart() -> None:
    for leg in (directory_leg(), credential_leg(), directory_leg(before=None)):
        assert from_json(PlannedLeg, to_json(leg)) == leg


def test_the_school_s_rules_and_people_come_back_as_they_went() -> None:
    rules = Rules(rollover_from=date(2026, 12, 1))
    made = PeopleReading(
        Provenance("csv", "f", datetime.now(UTC)), (Person("p1", "C1"),), missing=frozenset({"b", "a"})
    )

    assert from_json(Rules, to_json(rules)) == rules
    assert from_json(PeopleReading, to_json(made)) == made


@given(st.builds(Evidence, st.text(), st.text()))
def test_any_text_comes_back_as_it_went(evidence: Evidence) -> None:
    assert from_json(Evidence, to_json(evidence)) == evidence


@given(st.builds(Person, *[st.text()] * 4, previous_codes=st.lists(st.text()).map(tuple)))
def test_what_is_written_is_canonical_json(person: Person) -> None:
    text = to_json(person)

    assert canonical(json.loads(text)) == text
    assert canonical(json.loads(to_json(person.previous_codes, tuple[str, ...]))) == canonical(person.previous_codes)


@given(st.frozensets(st.text()), st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)))
def test_sets_and_maps_are_written_in_the_order_of_their_texts(some: frozenset[str], named: dict[str, float]) -> None:
    assert to_json(some, frozenset[str]) == canonical(sorted(some))
    assert to_json(named, dict[str, float]) == canonical(named)


def test_a_whole_plan_and_a_tagged_value_are_canonical_json() -> None:
    made = plan(revocation(1, last_login=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)), revocation(2, person_id=None))

    for text in (to_json(made), to_json(account(), Account | Member), to_json(Rules())):
        assert canonical(json.loads(text)) == text


def test_the_same_value_gives_the_same_text() -> None:
    people = [frozenset({"a", "b", "c"}), frozenset({"c", "b", "a"})]

    assert to_json(people[0], frozenset[str]) == to_json(people[1], frozenset[str]) == '["a","b","c"]'


def test_what_an_older_version_left_out_takes_its_default() -> None:
    assert from_json(Person, '{"person_id":"p1","code":"C1"}') == Person("p1", "C1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ('{"about":"a"}', "missing key text"),
        ('{"about":"a","text":"t","more":1}', "unknown key more"),
        ('{"about":1,"text":"t"}', "about: expected str, found int"),
        ('{"about":"a","about":"b","text":"t"}', "a key stands twice"),
        ('{"about":NaN,"text":"t"}', "NaN is not JSON"),
        ("[]", "expected dict, found list"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_text_that_is_not_the_value_is_refused(text: str, said: str) -> None:
    with pytest.raises(CodecError, match=said):
        from_json(Evidence, text)


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (bool, "1", "expected bool, found int"),
        (int, "true", "expected int, found bool"),
        (date, '"2026-02-30"', "is not a date"),
        (datetime, '"2026-02-01T10:00:00"', "has no zone"),
        (Reason, '"bored"', "is not a Reason"),
        (tuple[str, ...], '["a",1]', "1: expected str"),
        (tuple[str, str], '["a"]', "expected 2 values, found 1"),
        (dict[str, int], '{"a":"b"}', "a: expected int"),
        (Account | Member, '{"type":"Person"}', "expected one of Account, Member, found 'Person'"),
        (float, '"1"', "expected float"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(kind: Any, text: str, said: str) -> None:
    with pytest.raises(CodecError, match=said):
        from_json(kind, text)


def test_the_place_of_a_wrong_value_is_named_from_the_outside_in() -> None:
    text = to_json(plan(revocation())).replace('"no-student-at-school"', '"bored"', 1)

    with pytest.raises(CodecError, match=r"^revocations\.0\.(evidence|reasons)\.0"):
        from_json(Plan, text.replace('["no-student-at-school"]', '["bored"]'))


def test_a_datetime_without_a_zone_is_not_written() -> None:
    with pytest.raises(CodecError, match="without a zone"):
        to_json(account(last_login=datetime(2026, 1, 1)))  # noqa: DTZ001 - the naive datetime is the point


def test_a_datetime_is_not_taken_for_a_date() -> None:
    with pytest.raises(CodecError, match="where a date belongs"):
        to_json(datetime.now(UTC), date)


def test_a_value_with_a_secret_is_never_written() -> None:
    with pytest.raises(TypeError, match="carries a secret"):
        to_json(Session("web", "engage", "u1", "the-session-id"))


@dataclass(frozen=True)
class _Strange:
    things: dict[int, str]


@pytest.mark.parametrize("kind", [_Strange, complex, bytes])
def test_a_type_without_a_text_form_is_refused(kind: Any) -> None:
    with pytest.raises(TypeError, match=r"no place in the journal|have a place"):
        to_json(None, kind)
