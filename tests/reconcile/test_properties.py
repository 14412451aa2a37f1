"""What must hold in every school, however odd: held against the rules said a second time (`oracle.py`)."""

from collections.abc import Iterable
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.model import Hold, LegKind, Session, SessionKey, Status
from connector.reconcile.plan_values import PlannedLeg, Revocation
from tests.reconcile.build import TODAY, TOMORROW, Judged, SchoolBuilder
from tests.reconcile.oracle import Oracle, Row
from tests.schools import random_school, shuffled

SCHOOLS = settings(derandomize=True, deadline=None, max_examples=250, database=None)
seeds, sizes = st.integers(0, 2**32), st.integers(1, 14)


@cache
def _seen(seed: int, size: int) -> tuple[SchoolBuilder, Judged, Oracle]:
    one = random_school(seed, size)
    oracle = Oracle(one.snapshot(), one.rules_of_portals(), one.the_rules, TODAY, one.memory)
    return one, one.judge(), oracle


def _rows(oracle: Oracle) -> Iterable[tuple[str, Row]]:
    """Give what the rules say, but for disputes: there only the hold is certain."""
    return ((key, row) for key, row in oracle.rows().items() if not row.disputed)


def _applied(judged: Judged) -> Iterable[tuple[Revocation, PlannedLeg]]:
    return ((row, leg) for row in judged.plan.revocations if row.applies for leg in row.legs if not leg.withheld)


def _would_end(leg: PlannedLeg, session: Session) -> bool:
    there = leg.kind is LegKind.SESSIONS and leg.target == session.store
    named = leg.subject.casefold() == session.user.casefold()
    return there and named and (not leg.portals or session.portal in leg.portals)


@SCHOOLS
@given(seeds, sizes)
def test_nobody_loses_a_portal_they_are_entitled_to(seed: int, size: int) -> None:
    _, judged, oracle = _seen(seed, size)

    for row in judged.plan.revocations:
        kept = oracle.entitled_to(row.person_id) if row.person_id else set()
        for leg in row.legs:
            assert not (leg.kind is LegKind.CREDENTIAL and leg.target in kept), (row, leg)
            assert not (leg.kind is LegKind.SESSIONS and kept.intersection(leg.portals)), (row, leg)
            assert not (leg.kind is LegKind.SESSIONS and kept and not leg.portals), (row, leg)
            assert not (leg.kind is LegKind.DIRECTORY and oracle.needed(row.person_id or "")), (row, leg)


@SCHOOLS
@given(seeds, sizes)
def test_nobody_entitled_to_every_portal_they_have_is_in_the_plan(seed: int, size: int) -> None:
    _, judged, oracle = _seen(seed, size)

    for person in oracle.somebody:
        if not any(oracle.lives(person, portal) for portal in oracle.lost(person)) and not oracle.closable(person):
            assert person not in judged.keys


@SCHOOLS
@given(seeds, sizes)
def test_no_leg_touches_what_somebody_else_who_is_entitled_claims(seed: int, size: int) -> None:
    _, judged, oracle = _seen(seed, size)
    accounts = {a.guid: a for a in oracle.accounts}

    for row in judged.plan.revocations:
        for leg in row.legs:
            if leg.kind is LegKind.DIRECTORY:
                assert not oracle.claimants(accounts[leg.subject]) - {row.person_id}, (row, leg)
            for key, session in oracle.sessions:
                if _would_end(leg, session):
                    assert not oracle.session_claimants(key, session) - {row.person_id}, (row, leg, session)


@SCHOOLS
@given(seeds, sizes)
def test_everybody_has_the_status_and_the_reasons_that_the_rules_give(seed: int, size: int) -> None:
    _, judged, oracle = _seen(seed, size)

    for key, row in _rows(oracle):
        assert judged.status(key) is row.status, key
        if row.status is Status.READY_TO_REVOKE:
            assert judged.decision(key).reasons == row.reasons, key
            assert set(judged.decision(key).holds) == row.holds, key


@SCHOOLS
@given(seeds, sizes)
def test_everything_that_lives_is_closed_and_nothing_else(seed: int, size: int) -> None:
    _, judged, oracle = _seen(seed, size)

    for key, row in _rows(oracle):
        legs = judged.legs(key)
        assert {leg.subject for leg in legs if leg.kind is LegKind.DIRECTORY} == row.accounts
        assert {leg.target for leg in legs if leg.clear_credential} == row.credentials
        assert {leg.target for leg in legs if leg.disable_member} == row.members
        ended = {s.session_id for _, s in oracle.sessions for leg in legs if _would_end(leg, s)}
        assert row.sessions <= ended, key


@SCHOOLS
@given(seeds, sizes)
def test_nobody_ready_to_revoke_is_missing_from_the_plan(seed: int, size: int) -> None:
    _, judged, oracle = _seen(seed, size)

    wanted = {key for key, row in _rows(oracle) if row.status is Status.READY_TO_REVOKE}
    wanted |= {f"account:{a.directory}:{a.guid}" for a in oracle.orphans()}
    unsure = {key for key, row in oracle.rows().items() if row.disputed}
    assert wanted == set(judged.keys) - unsure


@SCHOOLS
@given(seeds, sizes)
def test_what_is_disputed_is_held_and_its_account_is_never_written(seed: int, size: int) -> None:
    _, judged, oracle = _seen(seed, size)

    for row in judged.plan.revocations:
        if row.person_id and oracle.disputed(row.person_id):
            assert Hold.DISPUTED in row.holds
            assert row.urgent or not row.applies
    for row, leg in _applied(judged):
        assert not (leg.kind is LegKind.DIRECTORY and oracle.disputed(row.person_id or "")), row


@SCHOOLS
@given(seeds, sizes)
def test_held_rows_are_never_applied_but_for_what_is_urgent(seed: int, size: int) -> None:
    _, judged, oracle = _seen(seed, size)
    protected = {a.guid for a in oracle.accounts if a.protected}

    for row, leg in _applied(judged):
        if row.holds:
            assert row.urgent, row
            assert set(row.holds) <= {Hold.PROTECTED, Hold.DISPUTED}, row
            assert leg.kind is not LegKind.DIRECTORY, row
        assert leg.subject not in protected
    for row in judged.plan.revocations:
        assert not (row.holds and row.applies and not row.urgent)


@SCHOOLS
@given(seeds, sizes, st.integers(0, 1000))
def test_the_order_of_what_is_read_decides_nothing(seed: int, size: int, shuffle: int) -> None:
    one, judged, _ = _seen(seed, size)

    again = shuffled(one, shuffle).judge()

    assert again.plan == judged.plan


@SCHOOLS
@given(seeds, sizes)
def test_the_same_facts_give_the_same_plan_again(seed: int, size: int) -> None:
    one, judged, _ = _seen(seed, size)

    again = random_school(seed, size).judge()

    assert again.plan == judged.plan
    assert one.judge().plan == judged.plan


@SCHOOLS
@given(seeds, sizes)
def test_a_night_with_nothing_new_gives_the_same_rows_the_same_basis(seed: int, size: int) -> None:
    one, judged, _ = _seen(seed, size)
    before = {row.key: row for row in judged.plan.revocations}

    later = one.judge(TOMORROW)

    for row in later.plan.revocations:
        was = before.get(row.key)
        if was and (was.reasons, was.holds, was.evidence) == (row.reasons, row.holds, row.evidence):
            assert was.basis == row.basis


@SCHOOLS
@given(seeds, sizes)
def test_a_session_is_never_ended_in_a_store_under_another_kind_of_key(seed: int, size: int) -> None:
    one, judged, oracle = _seen(seed, size)
    usernames = {m.username.casefold() for m in one.members} | {a.username.casefold() for a in one.accounts}
    usernames |= {s.user.casefold() for key, s in oracle.sessions if key is SessionKey.USERNAME}

    for row in judged.plan.revocations:
        for leg in (leg for leg in row.legs if leg.kind is LegKind.SESSIONS):
            if one.store_keys[leg.target] is SessionKey.USERNAME:
                assert leg.subject.casefold() in usernames, row
            if one.store_keys[leg.target] is SessionKey.PERSON_ID:
                assert leg.subject == row.person_id, row
