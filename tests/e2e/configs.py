"""The config files of these tests, section by section, as an administrator would write them."""

from pathlib import Path

from tests.e2e.systems import ActiveDirectory, Cache, Database, OpenLdap

BASICS = """\
[school]
name = "Moss College"
timezone = "UTC"

[rules]
confirm_runs = 1
grace_days = { graduated = 60, left = 14 }

[policies]
contact-missing = "apply"
no-relationship = "apply"

[limits]   # a school of fifteen: any share of it is a large one
max_revocations = 1000
max_revocations_7_days = 1000
max_share = 1.0
share_floor = 1000
max_share_7_days = 1.0
max_share_per_contact_type = 1.0
max_share_per_portal = 1.0
max_portal_closed = 1.0

[nightly]
mode = "apply"

"""

APPLY = """\
[apply]
settle_seconds = {settle}
lease_seconds = {lease}
batch_size = {batch}

"""

JOURNAL = """\
[journal]
url = "{url}"
audit_key = {{ file = "audit.key" }}

"""

CSV = """\
[admin_system]
adapter = "csv"
folder = "admin"
may_be_empty = ["security_roles"]

"""

SQL_PEOPLE = """\
[admin_system]
adapter = "sql"
url = "{url}"

[admin_system.queries]
people = "SELECT * FROM people WHERE person_id LIKE '1%'"
relationships = "SELECT * FROM relationships"
enrolments = "SELECT person_id, entry_date, exit_date, exit_reason FROM enrolments"
security_roles = "SELECT * FROM security_roles"
contact_types = "SELECT contact_type, portal_access FROM contact_types"

"""

PORTAL = """\
[portals.{name}]
adapter = "sql"
strategy = "{strategy}"
{roles}on_mismatch = "revoke"
sign_in = "directory"
needs_directory_account = true
url = "{url}"
table = "members"
portal_column = "portal"
portal_value = "{name}"

[portals.{name}.columns]
person_id = "person_id"
username = "username"
password = "password_hash"
status = "status"
membership_type = "membership_type"
native_id = "id"

"""

REDIS = """\
[session_stores.web]
adapter = "redis"
url = "{url}"
key_pattern = "sess:*"
format = "json"
user_path = "user.name"
portal_path = "portal"
created_path = "at"

"""

SQL_SESSIONS = """\
[session_stores.web]
adapter = "sql"
url = "{url}"
table = "sessions"

[session_stores.web.columns]
session_id = "session_id"
user = "username"
portal = "portal"
created_at = "created_at"

"""

DIRECTORY = """\
[directories.main]
adapter = "ldap"
dialect = "{dialect}"
host = "{host}"
port = {port}
ca_file = "{ca_file}"
bind_dn = "{bind_dn}"
bind_password = {{ env = "DIRECTORY_PASSWORD" }}
base = "{base}"
managed = ["{managed}"]
{more}

"""


DAEMON = """\
[daemon]
listen = ""
watch = ["admin"]
rest_seconds = {rest}
trigger_minutes = 1
retry_minutes = 1
lease_seconds = 10

"""


def apply_section(*, settle: float = 0, lease: int = 60, batch: int = 500) -> str:
    """Say how a plan is applied."""
    return APPLY.format(settle=settle, lease=lease, batch=batch)


def journal_section(database: Database | None = None) -> str:
    """Put the journal into a file beside the config, or into a database."""
    return JOURNAL.format(url=database.url if database else "sqlite:///journal.sqlite")


def portal_sections(database: Database, port: int = 0) -> str:
    """Name the two portals that share one table, perhaps behind a line of the test."""
    url = database.url_at(port)
    contacts = PORTAL.format(name="engage", strategy="contacts", roles="", url=url)
    return contacts + PORTAL.format(name="faculty", strategy="security_roles", roles='roles = ["Faculty"]\n', url=url)


def redis_section(cache: Cache, port: int = 0) -> str:
    """Name the Redis sessions, perhaps behind a line of the test."""
    url = f"redis://127.0.0.1:{port}/{cache.database.number}" if port else cache.database.url
    return REDIS.format(url=url)


def active_directory_section(directory: ActiveDirectory) -> str:
    """Name the domain controller."""
    server = directory.server
    return DIRECTORY.format(
        dialect="ad", host=server.host, port=server.port, ca_file=server.ca_file,
        bind_dn=server.admin_dn, base=directory.base, managed=directory.managed, more="",
    )  # fmt: skip


def openldap_section(directory: OpenLdap, port: int = 0, more: str = "receive_timeout = 5") -> str:
    """Name the OpenLDAP, perhaps behind a line of the test."""
    server = directory.server
    protected = f'protected_groups = ["{directory.keepers}"]\n' if directory.keepers else ""
    return DIRECTORY.format(
        dialect="openldap", host=server.host, port=port or server.port, ca_file=server.ca_file,
        bind_dn=server.admin_dn, base=directory.base, managed=directory.managed, more=protected + more,
    )  # fmt: skip


def daemon_section(rest_seconds: int) -> str:
    """Let a daemon look at the export, listen nowhere, and wait as little as may be."""
    return DAEMON.format(rest=rest_seconds)


def every_day(config: Path) -> Path:
    """Let runs apply on every day of the week; give the config."""
    days = ", ".join(f'"{day}"' for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun"))
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace('mode = "apply"', f'mode = "apply"\napply_days = [{days}]'), encoding="utf-8")
    return config


def write_config(folder: Path, *sections: str) -> Path:
    """Write a config of these sections after the basics; give its path."""
    path = folder / "config.toml"
    path.write_text(BASICS + "".join(sections), encoding="utf-8")
    path.chmod(0o600)
    return path
