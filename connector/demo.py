"""Build a ready-to-run school from a folder laid out like the sample: config, databases, an LDIF copy.

Embedded parts only: people can try the connector on an export before they let it near a server. It writes into an
empty or new folder and never overwrites a school that is there.
"""

import csv
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from connector.errors import ConfigError, SourceError
from connector.ldap.ldif_file import LdifError, parse

_ADMIN = ("people", "relationships", "enrolments", "security_roles", "contact_types")

_COMMA = re.compile(r"(?<!\\),")
"""Between two parts of a DN: a comma that is not escaped (RFC 4514)."""

_CONFIG = """\
# A school to try the connector on. Everything is in this folder; nothing leaves it.
# The parameters are those the sample's expected outcomes were decided with; a real school starts from `connector init`.

[school]
name = {name}
timezone = "UTC"

[rules]
early_access_days = 0
grace_days = {{ graduated = 60, left = 0 }}   # days of access after the last day at school, per exit reason
bridge_days = 90
ended_link_days = 30
confirm_runs = 1
superseded_needs_active_successor = false

[policies]   # every reason applies, so that the whole plan can be seen; the defaults are more cautious
{policies}

[limits]   # wide enough for this plan; the defaults are far narrower
max_revocations = 10000
max_revocations_7_days = 10000
max_share = 1.0
max_share_7_days = 1.0
max_share_per_contact_type = 1.0
max_share_per_portal = 1.0
max_portal_closed = 1.0
max_additions = 10000
max_enables = 10000
max_age_hours = 876000   # the sample does not age

[nightly]
mode = "apply"

[apply]
settle_seconds = 0   # nobody is signed in to this school; a real one waits for requests under way

[journal]
url = "sqlite:///journal.sqlite"
audit_key = {{ file = "audit.key" }}

[admin_system]
adapter = "csv"
folder = "admin"
{may_be_empty}
[directories.ad]
adapter = "ldif"
file = "directory.ldif"
base = {base}
managed = [{managed}]
protected_groups = [{protected}]

{portals}
[session_stores.web]
adapter = "sql"
url = "sqlite:///sessions.sqlite"
table = "sessions"
user_key = "username"

[session_stores.web.columns]
session_id = "session_id"
user = "username"
portal = "portal"
created_at = "created_at"
last_seen_at = "last_seen_at"
"""

_PORTAL = """\
[portals.{portal}]
adapter = "sql"
strategy = "{strategy}"
{roles}status_default = "{status_default}"
on_mismatch = "{on_mismatch}"
needs_directory_account = {needs}
sign_in = "{sign_in}"
url = "sqlite:///portal.sqlite"
table = "members"
portal_column = "portal"
portal_value = "{portal}"

[portals.{portal}.columns]
person_id = "person_id"
username = "username"
password = "password"
status = "status"
membership_type = "membership_type"
added_on = "added_on"
last_login = "last_login"
strategy_match = "strategy_match"
"""

_MARK = "(set)"
"""What stands in the password column of somebody who has one: never a password."""

_REASONS = (
    "half-revoked", "contact-missing", "contact-inactive", "denied", "blocked", "requested", "superseded",
    "no-relationship", "restricted", "portal-flag-off", "no-student-at-school", "role-ended",
)  # fmt: skip


def build(school: Path, out: Path) -> Path:
    """Build the folder and give the path of its config. Raises ConfigError where `out` already holds a school."""
    if (out / "config.toml").exists():
        raise ConfigError(f"{out} already holds a school.", "Give another --out, or remove that folder yourself.")
    if not (school / "admin" / "people.csv").exists():
        raise SourceError(f"{school} is not laid out like the sample school: admin/people.csv is missing.")
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)  # it may be built from a real export
    except OSError as error:
        raise ConfigError(f"{out} cannot be made: {error.strerror}.", "Give another --out.") from error
    shutil.copytree(school / "admin", out / "admin", dirs_exist_ok=True, copy_function=shutil.copyfile)
    shutil.copyfile(school / "directory.ldif", out / "directory.ldif")
    portals = _rows(school / "portal" / "portals.csv")
    _portal_database(out / "portal.sqlite", _rows(school / "portal" / "members.csv"))
    _session_database(out / "sessions.sqlite", _rows(school / "sessions.csv"))
    config = out / "config.toml"
    config.write_text(_config(school, portals), encoding="utf-8")
    return config


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [{k: v or "" for k, v in row.items() if k} for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read: {error}.") from error


def _portal_database(path: Path, members: list[dict[str, str]]) -> None:
    """Write the members of all portals into one table. The password column holds a mark, never a password."""
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TABLE members (portal TEXT NOT NULL, person_id TEXT NOT NULL, username TEXT, password TEXT, "
            "status TEXT NOT NULL, membership_type TEXT NOT NULL, added_on TEXT, last_login TEXT, strategy_match TEXT)"
        )
        db.executemany(
            "INSERT INTO members VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [_member_row(m) for m in members],
        )
    db.close()


def _member_row(row: Mapping[str, str]) -> tuple[str | None, ...]:
    secret = _MARK if row["has_password"] == "yes" else None  # noqa: S105 - whether there is one, never what it is
    texts = (row["status"], row["membership_type"], row["added_on"], row["last_login"], row.get("strategy_match"))
    return (row["portal"], row["person_id"], row["username"] or None, secret, *(text or None for text in texts))


def _session_database(path: Path, sessions: list[dict[str, str]]) -> None:
    columns = ("session_id", "portal", "username", "created_at", "last_seen_at", "ip")
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TABLE sessions (session_id TEXT PRIMARY KEY, portal TEXT NOT NULL, username TEXT NOT NULL, "
            "created_at TEXT, last_seen_at TEXT, ip TEXT)"
        )
        db.executemany(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)", [tuple(s[c] for c in columns) for s in sessions]
        )
    db.close()


def _config(school: Path, portals: list[dict[str, str]]) -> str:
    base, managed, protected = _directory_layout(school / "directory.ldif")
    roles_needed = any(p["strategy"] == "security_roles" for p in portals)
    contacts_needed = any(p["strategy"] == "contacts" for p in portals)
    needed = {"security_roles": roles_needed, "relationships": contacts_needed, "enrolments": contacts_needed}
    empty = [n for n in _ADMIN[1:] if not needed.get(n, contacts_needed) and _is_empty(school / "admin" / f"{n}.csv")]
    return _CONFIG.format(
        name=_toml(school.resolve().name.replace("-", " ").title()),
        policies="\n".join(f'{reason} = "apply"' for reason in _REASONS),
        may_be_empty=f"may_be_empty = [{', '.join(map(_toml, empty))}]\n" if empty else "",
        base=_toml(base),
        managed=", ".join(map(_toml, managed)),
        protected=", ".join(map(_toml, protected)),
        portals="\n".join(_portal(p) for p in portals),
    )


def _is_empty(path: Path) -> bool:
    return path.exists() and not _rows(path)


def _portal(row: Mapping[str, str]) -> str:
    roles = [r.strip() for r in row["roles"].split(";") if r.strip()]
    return _PORTAL.format(
        portal=row["portal"],
        strategy=row["strategy"],
        roles=f"roles = [{', '.join(map(_toml, roles))}]\n" if roles else "",
        status_default=row["status_default"],
        on_mismatch=row["on_mismatch"],
        needs="true" if row["needs_directory_account"] == "yes" else "false",
        sign_in=row["sign_in"],
    )


def _toml(text: str) -> str:
    """Quote a text as a TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _directory_layout(ldif: Path) -> tuple[str, list[str], list[str]]:
    """Give base, managed OU and protected group of an export: top, OU named Parents, Domain Admins."""
    try:
        names = [entry.dn for entry in parse(ldif.read_bytes())]
    except (OSError, LdifError) as error:
        raise SourceError(f"{ldif} cannot be read: {error}.") from error
    if not names:
        raise SourceError(f"{ldif} holds no entry.")
    base = min(names, key=len)
    managed = [n for n in names if n.casefold().startswith("ou=parents,")]
    if not managed:
        above = Counter(_COMMA.split(n, maxsplit=1)[-1] for n in names if n.casefold().startswith(("cn=", "uid=")))
        managed = [above.most_common(1)[0][0]] if above else [base]
    protected = [n for n in names if n.casefold().startswith("cn=domain admins,")]
    return base, managed[:1], protected[:1]
