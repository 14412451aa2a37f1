"""A config that cannot be meant, and a plan or key that is not what it was: one clear error, nothing written."""

import pytest

from tests.e2e.embedded import EmbeddedSchool
from tests.e2e.test_bad_files import refused

_PASSWORD = "correct-horse-battery"

BROKEN = {
    "a key misspelt": ("max_revocations =", "max_revocation =", ("'max_revocation'", "mean 'max_revocations'?")),
    "a section misspelt": ("[limits]", "[limit]", ("'limit'", "Did you mean 'limits'?")),
    "a key of the portal misspelt": ('table = "members"', 'tabel = "members"', ("[portals.", "Did you mean 'table'?")),
    "a column word misspelt": ('username = "username"', 'user_name = "username"', ("username",)),
    "an adapter nobody has": ('adapter = "csv"', 'adapter = "cvs"', ("[admin_system] adapter", "Did you mean 'csv'?")),
    "a number in quotes": ("early_access_days = 0", 'early_access_days = "0"', ("[rules] early_access_days",)),
    "a portal column that does not exist": ('password = "password"', 'password = "pasword"', ("pasword", "members")),
    "a portal table that does not exist": ('table = "members"', 'table = "member"', ("member",)),
    "a managed OU elsewhere": ('base = "DC=harbour', 'base = "DC=elsewhere', ("managed OU", "not below the base")),
    "half a TOML file": ("[nightly]", "[nightly", ("config.toml", "line")),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_config_with_a_fault_is_refused_by_name_and_nothing_is_written(what: str, embedded: EmbeddedSchool) -> None:
    old, new, named = BROKEN[what]
    embedded.change_config(old, new)
    before = embedded.standing()

    ran = embedded.connector("run")

    assert refused(ran), ran
    assert [word for word in named if word not in ran.said] == [], ran.err
    assert embedded.standing() == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('table = "members"', f'table = "members"\npassword = "{_PASSWORD}"'),
        ("sqlite:///portal.sqlite", f"postgresql://portal:{_PASSWORD}@127.0.0.1/portal"),
        ("sqlite:///sessions.sqlite", f"postgresql://127.0.0.1/sessions?password={_PASSWORD}"),
        ('audit_key = { file = "audit.key" }', f'audit_key = "{_PASSWORD}"'),
    ],
    ids=["as a key", "in a url", "as a parameter", "as the audit key"],
)
@pytest.mark.parametrize("verb", ["run", "check"])
def test_a_password_written_into_the_config_is_refused_and_never_repeated(
    old: str, new: str, verb: str, embedded: EmbeddedSchool
) -> None:
    embedded.change_config(old, new)
    before = embedded.standing()

    ran = embedded.connector(verb)

    assert refused(ran), ran
    assert "literal password" in ran.said
    assert _PASSWORD not in ran.said
    assert embedded.standing() == before


def test_a_run_that_could_not_read_a_portal_says_so_and_claims_no_proof(embedded: EmbeddedSchool) -> None:
    assert embedded.connector("run").code == 0
    embedded.change_config("sqlite:///portal.sqlite", "sqlite:///portals.sqlite")

    ran = embedded.connector("run")

    assert "portals.sqlite" in ran.said
    assert "The proof" not in ran.said
    assert not (embedded.folder / "portals.sqlite").exists()


def test_without_its_audit_key_a_journal_is_not_trusted_anew(embedded: EmbeddedSchool) -> None:
    (embedded.folder / "audit.key").unlink()
    before = embedded.standing()

    ran = embedded.connector("run")

    assert refused(ran), ran
    assert "audit.key" in ran.said
    assert not (embedded.folder / "audit.key").exists()
    assert embedded.standing() == before


def test_another_audit_key_is_not_the_journals(embedded: EmbeddedSchool) -> None:
    (embedded.folder / "audit.key").write_text("0" * 64, encoding="utf-8")
    before = embedded.standing()

    ran = embedded.connector("run")

    assert refused(ran), ran
    assert "audit key" in ran.said
    assert embedded.standing() == before
