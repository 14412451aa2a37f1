"""What every session store must do, whatever it is made of. Run against each adapter in test_session_store.py."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from connector.errors import TargetUnreachable
from connector.interfaces import SessionStore
from connector.model import EndSessions, LegState, Level, SessionKey

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Bench:
    """A store under test.

    `put` signs somebody in and gives the session id, `ids` are those the store still holds, `open_as` gives the same
    store with another user key, `away` one whose server does not answer.
    """

    store: SessionStore
    open_as: Callable[[SessionKey], SessionStore]
    put: Callable[..., str]
    ids: Callable[[], set[str]]
    away: Callable[[], SessionStore]


class SessionStoreContract:
    """One test per sentence of the Protocol. The `bench` fixture comes from the test module."""

    def test_it_is_a_session_store(self, bench: Bench) -> None:
        assert isinstance(bench.store, SessionStore)
        assert bench.open_as(SessionKey.GUID).user_key is SessionKey.GUID

    def test_reading_gives_every_live_session_with_its_portal_user_and_time(self, bench: Bench) -> None:
        bench.put("u1003", portal="engage", created_at=NOON)
        bench.put("u1004", portal="library", created_at=NOON + HOUR)

        reading = bench.store.read_all()

        assert [(s.store, s.portal, s.user, s.created_at) for s in reading.sessions] == [
            ("web", "engage", "u1003", NOON),
            ("web", "library", "u1004", NOON + HOUR),
        ]
        assert (reading.store, reading.user_key) == ("web", SessionKey.USERNAME)

    def test_an_empty_store_reads_as_no_sessions(self, bench: Bench) -> None:
        assert bench.store.read_all().sessions == ()

    def test_the_same_sessions_have_the_same_fingerprint_and_other_sessions_another(self, bench: Bench) -> None:
        bench.put("u1003")
        first, again = bench.store.read_all(), bench.store.read_all()

        bench.put("u1004")

        assert first.provenance.fingerprint == again.provenance.fingerprint
        assert first.provenance.fingerprint != bench.store.read_all().provenance.fingerprint

    def test_a_session_id_is_in_no_repr_and_in_no_provenance(self, bench: Bench) -> None:
        session_id = bench.put("u1003")

        reading = bench.store.read_all()

        assert reading.sessions[0].session_id == session_id
        assert session_id not in repr(reading)

    def test_a_session_nobody_is_signed_in_to_is_left_out_and_left_alone(self, bench: Bench) -> None:
        anonymous = bench.put("")

        outcomes = bench.store.close([EndSessions("")])

        assert bench.store.read_all().sessions == ()
        assert outcomes[0].state is LegState.ALREADY_CLOSED
        assert bench.ids() == {anonymous}

    def test_ending_ends_all_sessions_of_that_user_and_no_other(self, bench: Bench) -> None:
        bench.put("u1003")
        bench.put("u1003", portal="library")
        other = bench.put("u10033")

        outcomes = bench.store.close([EndSessions("u1003")])

        assert [(o.state, o.ended) for o in outcomes] == [(LegState.CLOSED, 2)]
        assert bench.ids() == {other}

    def test_a_user_without_sessions_is_already_closed(self, bench: Bench) -> None:
        other = bench.put("u1003")

        outcomes = bench.store.close([EndSessions("u9999")])

        assert [(o.state, o.ended) for o in outcomes] == [(LegState.ALREADY_CLOSED, 0)]
        assert bench.ids() == {other}

    def test_ending_twice_is_closed_and_then_already_closed(self, bench: Bench) -> None:
        bench.put("u1003")

        outcomes = [bench.store.close([EndSessions("u1003")])[0] for _ in range(2)]

        assert [o.state for o in outcomes] == [LegState.CLOSED, LegState.ALREADY_CLOSED]

    def test_only_the_named_portals_are_swept(self, bench: Bench) -> None:
        bench.put("u1003", portal="engage")
        library = bench.put("u1003", portal="library")

        outcomes = bench.store.close([EndSessions("u1003", portals=("engage",))])

        assert [(o.state, o.ended) for o in outcomes] == [(LegState.CLOSED, 1)]
        assert bench.ids() == {library}

    def test_two_items_for_one_user_in_two_portals_each_end_their_own(self, bench: Bench) -> None:
        bench.put("u1003", portal="engage")
        bench.put("u1003", portal="library")
        staff = bench.put("u1003", portal="staff")

        outcomes = bench.store.close([EndSessions("u1003", ("library",)), EndSessions("u1003", ("engage",))])

        assert [(o.state, o.ended) for o in outcomes] == [(LegState.CLOSED, 1), (LegState.CLOSED, 1)]
        assert bench.ids() == {staff}

    def test_user_names_are_compared_without_case(self, bench: Bench) -> None:
        bench.put("U1003")
        bench.put("Müller")

        outcomes = bench.store.close([EndSessions("u1003"), EndSessions("MÜLLER")])

        assert [o.state for o in outcomes] == [LegState.CLOSED, LegState.CLOSED]
        assert bench.ids() == set()

    @pytest.mark.parametrize("user_key", [SessionKey.PERSON_ID, SessionKey.CODE, SessionKey.GUID, SessionKey.NATIVE_ID])
    def test_everything_but_names_and_mail_is_compared_exactly(self, bench: Bench, user_key: SessionKey) -> None:
        store = bench.open_as(user_key)
        other = bench.put("p-ab")
        bench.put("P-AB")

        outcomes = store.close([EndSessions("P-AB")])
        store.disconnect()

        assert [(o.state, o.ended) for o in outcomes] == [(LegState.CLOSED, 1)]
        assert bench.ids() == {other}

    def test_a_session_not_created_before_older_than_stays(self, bench: Bench) -> None:
        bench.put("u1003", created_at=NOON - HOUR)
        exactly = bench.put("u1003", created_at=NOON)
        later = bench.put("u1003", created_at=NOON + HOUR)

        outcomes = bench.store.close([EndSessions("u1003", older_than=NOON)])

        assert [(o.state, o.ended) for o in outcomes] == [(LegState.CLOSED, 1)]
        assert bench.ids() == {exactly, later}

    def test_a_session_without_a_creation_time_is_ended_whatever_older_than_says(self, bench: Bench) -> None:
        bench.put("u1003", created_at=None)

        outcomes = bench.store.close([EndSessions("u1003", older_than=NOON)])

        assert [(o.state, o.ended) for o in outcomes] == [(LegState.CLOSED, 1)]
        assert bench.ids() == set()

    def test_a_large_batch_is_one_outcome_per_item_in_its_order(self, bench: Bench) -> None:
        for number in range(1200):
            bench.put(f"u{number}", portal="engage")
        batch = [EndSessions(f"u{number}") for number in (5, 4000, *range(100, 900))]

        outcomes = bench.store.close(batch)

        assert [o.state for o in outcomes[:2]] == [LegState.CLOSED, LegState.ALREADY_CLOSED]
        assert [o.ended for o in outcomes[2:]] == [1] * 800
        assert len(bench.ids()) == 1200 - 801

    def test_an_empty_batch_ends_nothing(self, bench: Bench) -> None:
        kept = bench.put("u1003")

        outcomes = bench.store.close([])

        assert outcomes == ()
        assert bench.ids() == {kept}

    def test_hostile_users_are_values_and_never_commands(self, bench: Bench) -> None:
        kept = bench.put("u1003")
        hostile = ["' OR '1'='1", "*", "u1003'--", "%", "u100_", "\\", "u1003\r\nFLUSHALL\r\n"]

        outcomes = bench.store.close([EndSessions(user) for user in hostile])

        assert {o.state for o in outcomes} == {LegState.ALREADY_CLOSED}
        assert bench.ids() == {kept}

    def test_check_is_content_with_a_store_it_can_read(self, bench: Bench) -> None:
        bench.put("u1003")

        findings = bench.store.check()

        assert {f.level for f in findings} == {Level.OK}

    def test_it_can_be_used_again_after_disconnecting(self, bench: Bench) -> None:
        bench.put("u1003")
        bench.store.disconnect()

        reading = bench.store.read_all()

        assert len(reading.sessions) == 1

    def test_a_store_that_is_away_gives_unreachable_for_every_item(self, bench: Bench) -> None:
        outcomes = bench.away().close([EndSessions("u1003"), EndSessions("u1004")])

        assert [o.state for o in outcomes] == [LegState.UNREACHABLE] * 2
        assert all(o.detail for o in outcomes)

    def test_a_store_that_is_away_cannot_be_read_and_check_says_so(self, bench: Bench) -> None:
        away = bench.away()

        findings = away.check()

        assert [f.level for f in findings] == [Level.ERROR]
        assert findings[0].remedy
        with pytest.raises(TargetUnreachable):
            away.read_all()
