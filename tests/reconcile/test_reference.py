"""The reference school comes out exactly as its `expected` files say, row by row."""

import pytest

from connector.model import Status
from connector.reconcile.membership import Nightly, StrategyMatch
from tests.reconcile.reference import Row, as_expected, by_person, expected, judged

JUDGED = judged()
DECIDED = by_person(JUDGED)
EXPECTED = expected()


@pytest.mark.parametrize("row", EXPECTED.accounts, ids=lambda row: f"{row['scenario']}-{row['person_id']}")
def test_every_person_is_decided_as_expected(row: Row) -> None:
    got = as_expected(DECIDED.get(row["person_id"]))

    assert got == {key: row[key] for key in got}


@pytest.mark.parametrize("row", EXPECTED.memberships, ids=lambda row: f"{row['scenario']}-{row['person_id']}")
def test_every_membership_is_as_expected(row: Row) -> None:
    found = {(m.portal, m.person_id): (m.strategy_match, m.nightly) for m in JUDGED.memberships}

    got = found.get((row["portal"], row["person_id"]), (StrategyMatch.NO, Nightly.NONE))

    assert got == (row["strategy_match"], row["nightly"])


def test_nobody_else_is_ready_to_revoke() -> None:
    listed = {row["person_id"] for row in EXPECTED.accounts}

    ready = {key for key, decision in DECIDED.items() if decision.status is Status.READY_TO_REVOKE}

    assert ready <= listed


def test_a_teacher_outside_the_managed_unit_is_shown_as_open_outside_scope() -> None:
    assert any("1680" in dn or "OU=Staff" in dn for dn in DECIDED["1680"].open_outside_scope)


def test_a_username_on_the_wrong_record_names_the_right_person() -> None:
    texts = [e.text for e in DECIDED["1554"].evidence if e.about == "claimed"]

    assert any("SIN1548" in text for text in texts)


def test_a_parent_restricted_for_one_child_of_two_is_listed_to_be_checked() -> None:
    assert any("check that the portal hides" in e.text for e in DECIDED["1168"].evidence)
