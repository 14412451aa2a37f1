"""The main job on real servers: found, approved, closed everywhere together, proven, and nothing else touched."""


from connector.model import Account, LegState, Member
from tests.e2e.conftest import AdScene, SqlScene
from tests.e2e.families import CLOSED, CLOSED_BUT_FOR_THE_ACCOUNT, STANDING


_CLOSED_MEMBER = (None, None, "disabled")


def approve_and_run(scene: AdScene | SqlScene) -> None:
    scene.connector.approve_first_run()
    ran = scene.connector("run")
    assert ran.code == 0, ran


def test_a_first_plan_is_stopped_then_approved_then_applied_then_there_is_nothing_to_do(ad_school: AdScene) -> None:
    connector = ad_school.connector
    codes = [connector("plan", "--check").code]
    connector.approve_first_run()

    codes += [connector(*words).code for words in (("plan", "--check"), ("run",), ("plan", "--check"), ("run",))]

    assert codes == [3, 2, 0, 0, 0]


def test_accounts_credentials_and_sessions_of_those_who_left_are_gone_in_active_directory_and_redis(
    ad_school: AdScene,
) -> None:
    school, before = ad_school.school, ad_school.open_accounts()
    keys_before = ad_school.sessions.keys()

    approve_and_run(ad_school)

    gone = school.usernames(CLOSED)
    assert {ad_school.directory.signs_in(name) for name in gone} == {"533"}
    assert ad_school.open_accounts() == before - gone
    assert {ad_school.member(who) for who in (*CLOSED, *CLOSED_BUT_FOR_THE_ACCOUNT)} == {_CLOSED_MEMBER}
    ended = {f"engage-{who}" for who in (*CLOSED, *CLOSED_BUT_FOR_THE_ACCOUNT)}
    assert ad_school.sessions.session_ids() == {s.session_id for s in school.sessions} - ended
    assert ad_school.sessions.keys() == keys_before - len(ended)


def test_who_is_entitled_or_waits_for_a_person_keeps_everything(ad_school: AdScene) -> None:
    before = {who: ad_school.member(who) for who in STANDING}

    approve_and_run(ad_school)

    assert {who: ad_school.member(who) for who in STANDING} == before
    assert ad_school.open_accounts() >= ad_school.school.usernames(STANDING)
    assert ad_school.sessions.session_ids() >= {f"engage-{who}" for who in STANDING}


def test_staff_whose_child_has_left_keep_account_faculty_membership_and_faculty_session(ad_school: AdScene) -> None:
    faculty_before = ad_school.member("mona", "faculty")

    approve_and_run(ad_school)

    assert ad_school.member("mona", "faculty") == faculty_before
    assert ad_school.member("mona") == _CLOSED_MEMBER
    assert ad_school.directory.signs_in(ad_school.school.username("mona")) == ""
    assert {s for s in ad_school.sessions.session_ids() if s.endswith("mona")} == {"faculty-mona"}


def test_the_journal_holds_every_effect_with_before_and_after(ad_school: AdScene) -> None:
    approve_and_run(ad_school)

    directory, credential, sessions = (ad_school.legs("bert")[kind] for kind in ("directory", "credential", "sessions"))
    assert {leg.state for leg in (directory, credential, sessions)} == {LegState.CLOSED}
    assert isinstance(directory.before, Account)
    assert isinstance(directory.after, Account)
    assert (directory.before.state, directory.after.state) == ("512", "514")
    assert isinstance(credential.before, Member)
    assert isinstance(credential.after, Member)
    assert credential.before.credential_lives
    assert not credential.after.credential_lives
    assert sessions.ended == 1


def test_a_second_run_sends_nothing_to_anybody(ad_school: AdScene) -> None:
    approve_and_run(ad_school)
    before, version = ad_school.everything(), changes_of(ad_school)

    again = ad_school.connector("run")

    assert again.code == 0
    assert ad_school.everything() == before
    assert changes_of(ad_school) == version
    with ad_school.journal() as journal:
        assert {revocation.state for revocation in journal.revocations()} == {"done"}
        assert journal.verify_audit().ok


def changes_of(scene: AdScene) -> list[object]:
    """Give what Active Directory counts up with every write to an account."""
    return [scene.directory.server.read(scene.directory.dn(a), "uSNChanged") for a in scene.school.accounts]


def test_the_same_is_closed_in_openldap_and_sql_with_the_journal_in_postgresql(sql_school: SqlScene) -> None:
    school, connector, before = sql_school.school, sql_school.connector, sql_school.open_accounts()
    codes = [connector("plan", "--check").code]
    connector.approve_first_run()

    codes += [connector(*words).code for words in (("plan", "--check"), ("run",), ("plan", "--check"), ("run",))]

    assert codes == [3, 2, 0, 0, 0]
    assert sql_school.open_accounts() == before - school.usernames(CLOSED)
    assert {sql_school.member(who) for who in (*CLOSED, *CLOSED_BUT_FOR_THE_ACCOUNT)} == {_CLOSED_MEMBER}
    ended = {f"engage-{who}" for who in (*CLOSED, *CLOSED_BUT_FOR_THE_ACCOUNT)}
    assert sql_school.sessions.session_ids() == {s.session_id for s in school.sessions} - ended
    with sql_school.journal() as journal:
        assert {revocation.state for revocation in journal.revocations()} == {"done"}
        assert journal.verify_audit().ok
