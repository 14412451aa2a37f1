"""The configuration is used whole or not at all, and no sentence about it repeats a secret."""

import os
from datetime import date, time
from pathlib import Path

import pytest

from connector.config import Config, Kind, NightlyMode, Weekday, absolute_sqlite, load
from connector.errors import ConfigError
from connector.interfaces import Secret
from connector.model import MemberStatus, Reason
from connector.policy import DEFAULT_POLICIES, Limits, OnMismatch, Policy, Rules, SignIn, Strategy

SCHOOL = '[school]\nname = "Harbour College"\ntimezone = "Australia/Sydney"\n'
ADMIN = '[admin_system]\nadapter = "csv"\nfolder = "admin"\n'
ENGAGE = '[portals.engage]\nadapter = "sql"\nstrategy = "contacts"\non_mismatch = "revoke"\n'
HUNTER = "hunter2-Xy"


def written(folder: Path, *extra: str, school: str = SCHOOL, admin: str = ADMIN, portal: str = ENGAGE) -> Path:
    """Write a config that needs nothing but what `extra` adds to it."""
    path = folder / "config.toml"
    path.write_text("\n".join((school, admin, portal, *extra)), encoding="utf-8")
    path.chmod(0o600)
    return path


def loaded(folder: Path, *extra: str, **sections: str) -> Config:
    return load(written(folder, *extra, **sections))


def refusal(folder: Path, *extra: str, **sections: str) -> str:
    path = written(folder, *extra, **sections)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


class TestWhatIsRead:
    def test_a_config_of_three_sections_has_the_cautious_defaults(self, tmp_path: Path) -> None:
        config = loaded(tmp_path)

        assert config.rules == Rules()
        assert config.limits == Limits()
        assert config.nightly.mode is NightlyMode.REPORT
        assert config.nightly.at == time(2, 30)
        assert config.nightly.apply_days == (Weekday.MON, Weekday.TUE, Weekday.WED, Weekday.THU)
        assert config.journal.audit_key == Secret(file="audit.key")
        assert config.warnings == ()

    def test_an_adapter_section_keeps_what_its_adapter_will_read(self, tmp_path: Path) -> None:
        config = loaded(tmp_path, '[portals.engage.columns]\nusername = "user_name"')

        assert config.admin_system.kind is Kind.ADMIN_SYSTEM
        assert config.admin_system.adapter == "csv"
        assert config.admin_system.settings == {"folder": "admin"}
        assert config.portals[0].name == "engage"
        assert config.portals[0].settings == {"columns": {"username": "user_name"}}
        assert [section.name for section in config.sections] == ["admin_system", "engage"]

    def test_a_portal_section_gives_the_rules_of_the_portal(self, tmp_path: Path) -> None:
        config = loaded(
            tmp_path,
            '[portals.staff]\nadapter = "sql"\nstrategy = "security_roles"\nroles = ["Faculty"]\n'
            'status_default = "disabled"\nsign_in = "directory"\nneeds_directory_account = true',
            '[directories.ad]\nadapter = "ldap"',
        )

        engage, staff = config.portal_rules
        assert engage.strategy is Strategy.CONTACTS
        assert engage.governed
        assert staff.roles == ("Faculty",)
        assert staff.status_default is MemberStatus.DISABLED
        assert staff.on_mismatch is OnMismatch.REPORT
        assert staff.sign_in is SignIn.DIRECTORY
        assert staff.needs_directory_account

    def test_policies_are_laid_over_the_defaults(self, tmp_path: Path) -> None:
        config = loaded(tmp_path, '[policies]\nno-student-at-school = "report"\nportal-flag-off = "apply"')

        expected = {
            **DEFAULT_POLICIES,
            Reason.NO_STUDENT_AT_SCHOOL: Policy.REPORT,
            Reason.PORTAL_FLAG_OFF: Policy.APPLY,
        }
        assert config.rules.policies == expected

    def test_rules_dates_and_days_are_read_as_what_they_are(self, tmp_path: Path) -> None:
        config = loaded(
            tmp_path,
            "[rules]\nconfirm_runs = 1\nrollover_from = 2026-12-01\nrollover_until = 2027-02-15",
            "[rules.grace_days]\ngraduated = 60\nleft = 0",
            '[nightly]\nat = "23:05"\napply_days = ["sat"]',
        )

        assert config.rules.rollover_until == date(2027, 2, 15)
        assert config.rules.grace_days == {"graduated": 60, "left": 0}
        assert config.nightly.at == time(23, 5)
        assert config.nightly.apply_days == (Weekday.SAT,)

    def test_relative_paths_start_at_the_folder_of_the_config(self, tmp_path: Path) -> None:
        config = loaded(tmp_path)

        assert config.site.folder == tmp_path
        assert config.site.state_folder == tmp_path / "state"
        assert config.site.zone.key == "Australia/Sydney"
        assert config.journal_url == f"sqlite:///{tmp_path.as_posix()}/journal.sqlite"

    @pytest.mark.parametrize(
        "url", ["sqlite://", "sqlite:///:memory:", "postgresql+psycopg://connector@db.school.example/journal"]
    )
    def test_a_url_without_a_path_to_a_file_stays_as_it_is(self, url: str) -> None:
        assert absolute_sqlite(url, Path("/srv")) == url

    def test_a_byte_order_mark_of_a_windows_editor_is_no_problem(self, tmp_path: Path) -> None:
        path = written(tmp_path)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())

        assert load(path).school.name == "Harbour College"


class TestUnknownKeys:
    @pytest.mark.parametrize(
        ("extra", "sentence"),
        [
            ("[rules]\nconfrim_runs = 1", "[rules] has no key 'confrim_runs'. Did you mean 'confirm_runs'?"),
            ("[limit]\nmax_share = 0.1", "The file has no section 'limit'. Did you mean 'limits'?"),
            ('[policies]\nsuperceded = "hold"', "[policies] has no key 'superceded'. Did you mean 'superseded'?"),
            ('[journal]\naudit_key = { fiel = "k" }', "[journal.audit_key] has no key 'fiel'. Did you mean 'file'?"),
            ("[nightly]\nquux = 1", "[nightly] has no key 'quux'."),
            ('[rules.policies]\ndenied = "hold"', "write the table [policies]"),
        ],
    )
    def test_an_unknown_key_is_refused_at_every_depth(self, tmp_path: Path, extra: str, sentence: str) -> None:
        assert sentence in refusal(tmp_path, extra)

    def test_a_misspelt_required_key_of_a_portal_is_explained(self, tmp_path: Path) -> None:
        message = refusal(tmp_path, portal='[portals.engage]\nadapter = "sql"\nstratgy = "contacts"\n')

        assert "[portals.engage] has no key 'stratgy'. Did you mean 'strategy'?" in message
        assert "needs the key" not in message

    def test_a_misspelt_required_key_is_reported_once(self, tmp_path: Path) -> None:
        message = refusal(tmp_path, school='[school]\nnmae = "H"\ntimezone = "UTC"\n')

        assert "[school] has no key 'nmae'. Did you mean 'name'?" in message
        assert "needs the key" not in message


class TestWrongValues:
    @pytest.mark.parametrize(
        ("extra", "sentence"),
        [
            ('[rules]\nconfirm_runs = "2"', "[rules] confirm_runs must be a whole number, without quotes."),
            ("[rules]\nconfirm_runs = true", "[rules] confirm_runs must be a whole number"),
            ("[rules]\nconfirm_runs = 0", "[rules] confirm_runs must be between 1 and 1000000."),
            ("[rules]\nnotice_days = -1", "[rules] notice_days must be between 0 and 36600."),
            ("[rules.grace_days]\nleft = -3", "[rules.grace_days] left must be between 0 and 36600."),
            ("[rules]\ngrace_days = {}", "[rules] grace_days must name at least one exit reason"),
            ("[rules]\nrollover_from = 2026-12-01", "[rules] rollover_from and rollover_until belong together"),
            ('[rules]\nrollover_from = "soon"', "[rules] rollover_from must be a date (2026-11-21)."),
            ("[limits]\nmax_share = 5", "[limits] max_share must be a share between 0 and 1 (0.05 is 5 %)."),
            ("[limits]\nmax_share = nan", "[limits] max_share must be a share"),
            ('[limits]\nmax_share = "0.05"', "[limits] max_share must be a number, without quotes."),
            ('[nightly]\nmode = "aply"', "[nightly] mode must be 'report' or 'apply'. Did you mean 'apply'?"),
            ('[nightly]\nat = "half past two"', '[nightly] at must be a time of day ("02:30").'),
            ('[nightly]\nat = "02:30Z"', "[nightly] at must be a local time, without a zone."),
            ('[nightly]\napply_days = ["mon", "tues"]', "[nightly] apply_days, item 2 must be 'mon', 'tue'"),
            ('[nightly]\napply_days = "mon"', "[nightly] apply_days must be a list."),
            ('[policies]\ndenied = "close"', "[policies] denied must be 'apply', 'hold' or 'report'."),
            ("[apply]\nlease_seconds = 1", "[apply] lease_seconds must be between 10 and 1000000."),
            ("[apply]\nresweep_days = -1", "[apply] resweep_days must be between 0 and 36600."),
            ("[journal]\naudit_key = {}", '[journal] audit_key needs exactly one of { env = "..." }, { file = "..." }'),
            ('[journal]\naudit_key = { env = "A", credential = "b" }', "[journal] audit_key needs exactly one of"),
            ('[journal]\naudit_key = { keyring = "s" }', "[journal] audit_key needs keyring and user together"),
            ('[journal]\naudit_key = { env = "A", user = "b" }', "[journal] audit_key needs keyring and user together"),
            (
                '[journal]\naudit_key = { credential = "../b" }',
                "[journal] audit_key must give the name of a credential",
            ),
            ('[session_stores.web]\nurl = "x"', "[session_stores.web] needs the key 'adapter'."),
            ('[directories."Head Office"]\nadapter = "ldap"', "[directories] Head Office must be a name of a-z, 0-9"),
        ],
    )
    def test_a_value_that_cannot_be_meant_is_refused_by_name(self, tmp_path: Path, extra: str, sentence: str) -> None:
        assert sentence in refusal(tmp_path, extra)

    @pytest.mark.parametrize("zone", ["Australia/Sidney", "Europe", "../etc/passwd", "/etc/localtime", ""])
    def test_a_time_zone_outside_the_iana_list_is_refused(self, tmp_path: Path, zone: str) -> None:
        message = refusal(tmp_path, school=f'[school]\nname = "H"\ntimezone = "{zone}"\n')

        assert "[school] timezone is not in the IANA list" in message

    def test_a_misspelt_time_zone_gets_the_one_meant(self, tmp_path: Path) -> None:
        message = refusal(tmp_path, school='[school]\nname = "H"\ntimezone = "Australia/Sidney"\n')

        assert '"Australia/Sydney"' in message

    def test_a_portal_decided_by_roles_needs_one(self, tmp_path: Path) -> None:
        message = refusal(tmp_path, portal='[portals.staff]\nadapter = "sql"\nstrategy = "security_roles"\n')

        assert "[portals.staff] roles must name at least one role" in message

    def test_a_portal_decided_by_contacts_has_no_roles(self, tmp_path: Path) -> None:
        assert "[portals.engage] roles must not be there" in refusal(tmp_path, portal=ENGAGE + 'roles = ["Parent"]\n')

    def test_a_school_without_a_portal_is_refused(self, tmp_path: Path) -> None:
        assert "at least one [portals.NAME] is needed" in refusal(tmp_path, portal="")

    def test_an_empty_file_is_told_every_section_it_needs(self, tmp_path: Path) -> None:
        message = refusal(tmp_path, school="", admin="", portal="")

        assert "needs the section 'school'" in message
        assert "[admin_system] needs the key 'adapter'" in message
        assert "[portals] is missing" in message

    def test_all_problems_of_a_file_are_told_at_once(self, tmp_path: Path) -> None:
        message = refusal(
            tmp_path,
            "[rules]\nconfirm_runs = 'x'\nnotice_days = -1",
            "[limits]\nmax_shar = 1",
            portal=ENGAGE + "roles=1\n",
        )

        assert "[rules] confirm_runs" in message
        assert "[rules] notice_days" in message
        assert "[limits] has no key 'max_shar'" in message
        assert "[portals.engage] roles must be a list" in message


class TestSecrets:
    @pytest.mark.parametrize(
        "extra",
        [
            f'[journal]\npassword = "{HUNTER}"',
            f'[journal]\naudit_key = "{HUNTER}"',
            f'[journal]\nurl = "postgresql://connector:{HUNTER}@db.school.example/journal"',
            f'[journal]\nurl = "postgresql://db.school.example/journal?user=c&password={HUNTER}"',
            f'[session_stores.web]\nadapter = "redis"\nurl = "rediss://:{HUNTER}@redis.school.example/0"',
            f'[directories.ad]\nadapter = "ldap"\nhosts = ["ldaps://cn=x:{HUNTER}@dc1.school.example"]',
            f'[session_stores.web]\nadapter = "sql"\nurl = "mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3D{HUNTER}"',
        ],
    )
    def test_a_literal_password_is_refused_and_never_repeated(self, tmp_path: Path, extra: str) -> None:
        message = refusal(tmp_path, extra)

        assert "literal password in the config; write" in message
        assert '{ env = "..." } or { file = "..." }' in message
        assert HUNTER not in message

    @pytest.mark.parametrize(
        "extra",
        [
            f'[journal]\nretention_days = "{HUNTER}"',
            f'[nightly]\nmode = "{HUNTER}"',
            f'[nightly]\nat = "{HUNTER}"',
            f'[rules]\nrollover_from = "{HUNTER}"',
            f'[school.name]\nx = "{HUNTER}"',
            f'[journal]\npasword = "{HUNTER}"',
            f'[journal]\npassword = {{ env = "A", file = "{HUNTER}" }}',
        ],
    )
    def test_no_refusal_repeats_a_value_of_the_file(self, tmp_path: Path, extra: str) -> None:
        school = "" if "school.name" in extra else SCHOOL

        assert HUNTER not in refusal(tmp_path, extra, school=school)

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql+psycopg://connector@db.school.example:5432/journal?sslmode=verify-full",
            "sqlite:///C:/connector/journal@home.sqlite",
        ],
    )
    def test_a_url_without_a_password_is_taken(self, tmp_path: Path, url: str) -> None:
        config = loaded(tmp_path, f'[journal]\nurl = "{url}"\npassword = {{ env = "JOURNAL_PASSWORD" }}')

        assert config.journal.url == url
        assert config.journal.password == Secret(env="JOURNAL_PASSWORD")

    def test_a_config_printed_by_mistake_shows_no_adapter_settings(self, tmp_path: Path) -> None:
        config = loaded(tmp_path, f'[session_stores.web]\nadapter = "redis"\npasword = "{HUNTER}"')

        assert HUNTER not in repr(config)

    @pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX notion")
    def test_files_that_others_can_read_are_warned_about(self, tmp_path: Path) -> None:
        path = written(tmp_path, '[journal]\npassword = { file = "db.password" }')
        path.chmod(0o664)
        for name in ("db.password", "audit.key"):
            (tmp_path / name).write_text(HUNTER)
            (tmp_path / name).chmod(0o644)

        warnings = load(path).warnings

        assert [text.rsplit("chmod ", 1)[1] for text in warnings] == [
            f"go-w {path}",
            f"o-r {path}",
            f"600 {tmp_path / 'audit.key'}",
            f"600 {tmp_path / 'db.password'}",
        ]

    @pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX notion")
    def test_a_secret_only_its_owner_reads_is_not_warned_about(self, tmp_path: Path) -> None:
        path = written(tmp_path)
        (tmp_path / "audit.key").touch(0o600)

        assert load(path).warnings == ()


class TestFiles:
    def test_a_file_that_is_not_there_is_named_with_the_way_to_write_one(self, tmp_path: Path) -> None:
        with pytest.raises(
            ConfigError, match=r"There is no config file .*config.toml. Write one with `connector init`"
        ):
            load(tmp_path / "config.toml")

    def test_a_syntax_error_is_told_with_its_line(self, tmp_path: Path) -> None:
        path = written(tmp_path, school='[school]\nname = "H"\ntimezone = \n')

        with pytest.raises(ConfigError, match=r"is not valid TOML: .*line 3"):
            load(path)

    def test_a_key_that_landed_in_the_section_before_is_told_how_it_came_there(self, tmp_path: Path) -> None:
        path = written(tmp_path, admin=f'{ADMIN}\n#[portals.engage]\nadapter = "sql"\n')

        with pytest.raises(ConfigError, match=r"(?s)not valid TOML: .*switch the \[section\] line above it on"):
            load(path)

    def test_another_encoding_is_named(self, tmp_path: Path) -> None:
        path = written(tmp_path)
        path.write_bytes(path.read_text(encoding="utf-8").encode("utf-16"))

        with pytest.raises(ConfigError, match="is not UTF-8"):
            load(path)

    def test_a_folder_is_no_config(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read"):
            load(tmp_path)


class TestWarnings:
    def test_nights_that_never_apply_are_warned_about(self, tmp_path: Path) -> None:
        config = loaded(tmp_path, "[nightly]\napply_days = []\n")

        assert any("apply_days names no day" in warning for warning in config.warnings)

    def test_one_exit_reason_with_two_graces_is_refused(self, tmp_path: Path) -> None:
        sentence = refusal(tmp_path, '[rules.grace_days]\nleft = 14\n"LEFT " = 30\n')

        assert "is there twice, in other letters and with other days" in sentence

    def test_a_portal_that_leans_on_a_directory_nobody_configured_is_warned_about(self, tmp_path: Path) -> None:
        config = loaded(tmp_path, portal=ENGAGE + 'sign_in = "directory"\n')

        assert "there is no [directories.NAME]" in config.warnings[0]

    def test_a_school_that_governs_no_portal_is_told(self, tmp_path: Path) -> None:
        config = loaded(tmp_path, portal='[portals.engage]\nadapter = "sql"\nstrategy = "contacts"\n')

        assert "nobody will ever be ready to revoke" in config.warnings[0]
