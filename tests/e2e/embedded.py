"""The sample school as `connector demo` builds it, its first run approved: one `run` away from closing people.

Whatever a test breaks in its copy, nothing may be written; `standing` gives all that could have been.
"""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.command import Command

SAMPLE = Path(__file__).parents[2] / "sample" / "harbour-college"


@dataclass(frozen=True, slots=True)
class EmbeddedSchool:
    """A folder with everything in it, and the plan that was approved."""

    folder: Path
    plan_id: str

    @property
    def connector(self) -> Command:
        """The command line over this folder."""
        return Command(self.folder / "config.toml")

    def admin(self, table: str) -> Path:
        """Say where a file of the admin system is."""
        return self.folder / "admin" / f"{table}.csv"

    def change_config(self, old: str, new: str) -> None:
        """Put something else into the config, where `old` stands first."""
        path = self.folder / "config.toml"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def standing(self) -> tuple[object, ...]:
        """Give every row and byte that closing somebody would change."""
        ldif = sorted((path.name, path.read_bytes()) for path in self.folder.rglob("*.ldif"))
        members = rows(self.folder / "portal.sqlite", "SELECT * FROM members ORDER BY portal, person_id, username")
        return ldif, members, rows(self.folder / "sessions.sqlite", "SELECT * FROM sessions ORDER BY session_id")


def build(folder: Path) -> EmbeddedSchool:
    """Build the sample school, make the first plan and approve it."""
    connector = Command(folder / "config.toml")
    built = connector("demo", "--school", str(SAMPLE), "--out", str(folder))
    assert built.code == 0, built
    return EmbeddedSchool(folder, connector.approve_first_run())


def copy(school: EmbeddedSchool, folder: Path) -> EmbeddedSchool:
    """Give a copy to break; paths in the config are relative."""
    shutil.copytree(school.folder, folder)
    return EmbeddedSchool(folder, school.plan_id)


def rows(database: Path, query: str) -> list[tuple[object, ...]]:
    """Read an SQLite file beside the connector."""
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


def write(database: Path, statement: str, *values: object) -> None:
    """Change an SQLite file beside the connector."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement, values)
