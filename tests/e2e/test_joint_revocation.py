"""The main job on real servers: found, approved, closed everywhere together, proven, and nothing else touched."""

from typing import Any

from connector.model import Account, LegState, Member
from tests.e2e.conftest import AdScene, SqlScene
from tests.e2e.families import CLOSED, CLOSED_BUT_FOR_THE_ACCOUNT, STANDING
from tests.e2e.scenes import Evening

_CLOSED_MEMBER = (None, None, "disabled")
_ALL_CLOSED = (*CLOSED, *CLOSED_BUT_FOR_THE_ACCOUNT)


def members_changed(evening: Evening[Any]) -> set[tuple[str, str]]:
    """Give the members that are not what they were."""
    now = evening.scene.portal.members()
    return {key for key, member in evening.members_before.items() if now[key] != member}


def test_a_first_plan_is_stopped_then_approved_then_applied_then_there_is_nothing_to_do(
    ad_evening: Evening[AdScene],
) -> None:
    assert ad_evening.codes == (3, 2, 0, 0)


def test_passwords_of_closed_accounts_are_answered_with_data_533_and_all_others_still_work(
    ad_evening: Evening[AdScene],
) -> None:
    scene = ad_evening.scene
    gone = scene.school.usernames(CLOSED)

    assert {scene.directory.signs_in(name) for name in gone} == {"533"}
    assert scene.open_accounts() == ad_evening.open_before - gone
    assert scene.school.usernames((*STANDING, "ivan", "mona")) <= ad_evening.open_before - gone


def test_credentials_of_those_who_left_are_gone_from_postgresql_and_no_other_member_is_changed(
    ad_evening: Evening[AdScene],
) -> None:
    scene = ad_evening.scene

    assert {scene.member(who) for who in _ALL_CLOSED} == {_CLOSED_MEMBER}
    assert members_changed(ad_evening) == {("engage", scene.school.ids.get(who, f"gone-{who}")) for who in _ALL_CLOSED}


def test_sessions_of_those_who_left_are_gone_from_redis_and_every_other_key_stands(
    ad_evening: Evening[AdScene],
) -> None:
    scene = ad_evening.scene
    kept = ad_evening.sessions_before - {f"engage-{who}" for who in _ALL_CLOSED}

    assert scene.sessions.session_ids() == kept
    assert kept == {*(f"engage-{who}" for who in STANDING), "faculty-mona", "engage-visitor"}
    assert scene.sessions.keys() == len(kept) + 1  # and the key that is no session


def test_staff_whose_child_has_left_keep_account_faculty_membership_and_faculty_session(
    ad_evening: Evening[AdScene],
) -> None:
    scene = ad_evening.scene

    assert scene.member("mona") == _CLOSED_MEMBER
    assert scene.member("mona", "faculty") == ad_evening.members_before["faculty", scene.school.ids["mona"]]
    assert scene.directory.signs_in(scene.school.username("mona")) == ""
    assert {s for s in scene.sessions.session_ids() if s.endswith("mona")} == {"faculty-mona"}


def test_the_journal_holds_every_effect_with_before_and_after(ad_evening: Evening[AdScene]) -> None:
    legs = ad_evening.scene.legs("bert")

    directory, credential, sessions = (legs[kind] for kind in ("directory", "credential", "sessions"))
    assert {leg.state for leg in legs.values()} == {LegState.CLOSED}
    assert isinstance(directory.before, Account)
    assert isinstance(directory.after, Account)
    assert (directory.before.state, directory.after.state) == ("512", "514")
    assert isinstance(credential.before, Member)
    assert isinstance(credential.after, Member)
    assert (credential.before.credential_lives, credential.after.credential_lives) == (True, False)
    assert sessions.ended == 1


def test_the_account_outside_the_managed_ous_is_shown_as_still_open(ad_evening: Evening[AdScene]) -> None:
    identities = ad_evening.scene.connector("status", "--format", "json").document["identities"]

    (ivan,) = [row for row in identities if row["code"] == ad_evening.scene.school.code("ivan")]
    assert ivan["open_outside_scope"] == [ad_evening.scene.directory.dn(ad_evening.scene.school.account("ivan"))]


def test_a_second_run_sends_nothing_to_anybody(ad_evening: Evening[AdScene]) -> None:
    scene = ad_evening.scene
    before, versions = scene.everything(), versions_of(scene)

    again = scene.connector("run")

    assert again.code == 0
    assert scene.everything() == before
    assert versions_of(scene) == versions
    with scene.journal() as journal:
        assert {revocation.state for revocation in journal.revocations()} == {"done"}
        assert journal.verify_audit().ok


def versions_of(scene: AdScene) -> list[object]:
    """Give what Active Directory counts up with every write to an account."""
    return [scene.directory.server.read(scene.directory.dn(a), "uSNChanged") for a in scene.school.accounts]


def test_the_same_is_closed_in_openldap_and_sql_with_the_journal_in_postgresql(
    sql_evening: Evening[SqlScene],
) -> None:
    scene = sql_evening.scene

    assert sql_evening.codes == (3, 2, 0, 0)
    assert scene.open_accounts() == sql_evening.open_before - scene.school.usernames(CLOSED)
    assert {scene.member(who) for who in _ALL_CLOSED} == {_CLOSED_MEMBER}
    assert members_changed(sql_evening) == {("engage", scene.school.ids.get(who, f"gone-{who}")) for who in _ALL_CLOSED}
    assert scene.sessions.session_ids() == sql_evening.sessions_before - {f"engage-{who}" for who in _ALL_CLOSED}
    with scene.journal() as journal:
        assert {revocation.state for revocation in journal.revocations()} == {"done"}
        assert journal.verify_audit().ok


def test_a_journal_in_postgresql_is_not_given_a_new_key_for_the_one_it_lost(sql_evening: Evening[SqlScene]) -> None:
    key = sql_evening.scene.connector.config.parent / "audit.key"
    hidden = key.rename(key.with_suffix(".hidden"))

    ran = sql_evening.scene.connector("run")
    made_anew = key.exists()
    hidden.replace(key)

    assert ran.code == 1, ran
    assert not made_anew


def test_a_second_run_over_sql_alone_changes_nothing(sql_evening: Evening[SqlScene]) -> None:
    before = sql_evening.scene.everything()

    again = sql_evening.scene.connector("run")

    assert again.code == 0
    assert sql_evening.scene.everything() == before
