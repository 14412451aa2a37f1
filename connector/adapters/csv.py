"""An admin system that exports a folder of CSV files, one per dimension.

Reads only, and only what is whole: a file that is missing is a dimension nobody knows, a file that is broken is an
error. Text is data, whatever a spreadsheet would make of it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from connector.adapters.admin_findings import findings_of
from connector.adapters.csv_file import CsvFile, csv_table, read_csv_file
from connector.adapters.mapped_columns import refuse_unknown_columns
from connector.adapters.rows import DIMENSION_NAMES, PEOPLE, parse_dimensions
from connector.adapters.table import Table, did_you_mean
from connector.errors import ConfigError, SourceError
from connector.interfaces import Site
from connector.model import Finding, PeopleReading, Provenance


@dataclass(frozen=True, slots=True)
class CsvSettings:
    """Where the files are. `files` maps a dimension to a file name other than `DIMENSION.csv`.

    `columns` maps, per dimension, our column name to the file's where they differ. `may_be_empty` names the dimensions
    whose file may consist of a header alone.
    """

    folder: str
    files: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    may_be_empty: tuple[str, ...] = ()


class CsvAdminSystem:
    """The system of record for people, as a folder of CSV files in UTF-8."""

    Settings = CsvSettings

    def __init__(self, name: str, settings: CsvSettings, site: Site) -> None:
        refuse_unknown_dimensions(name, (*settings.files, *settings.columns, *settings.may_be_empty))
        refuse_unknown_columns(name, settings.columns)
        self.name = name
        self._settings = settings
        self._folder = site.path(settings.folder)

    def read_all(self) -> PeopleReading:
        """Read every file once. Raises SourceError naming file, line and what is wrong."""
        files = self._read_files()
        contents = parse_dimensions(
            lambda dimension: _table(files.get(dimension)), self._settings.columns, self._settings.may_be_empty
        )
        return PeopleReading(
            provenance=_provenance(self._folder, files),
            people=contents.people,
            relationships=contents.relationships,
            enrolments=contents.enrolments,
            security_roles=contents.security_roles,
            contact_types=contents.contact_types,
            missing=contents.missing,
        )

    def check(self) -> tuple[Finding, ...]:
        """Read everything and say what was found, or what is wrong."""
        return findings_of(self.name, self.read_all)

    def disconnect(self) -> None:
        """Nothing is held open."""

    def _read_files(self) -> dict[str, CsvFile]:
        if self._folder.is_file():
            raise SourceError(f"{self._folder} is a file, and no folder.", "Unpack an archive; see `folder`.")
        if not self._folder.is_dir():
            raise SourceError(f"The folder {self._folder} is not there.", "Check `folder` and that the export has run.")
        paths = {dimension: self._path(dimension) for dimension in DIMENSION_NAMES}
        # People are read even where their file is not there: the error then names it.
        return {name: read_csv_file(path) for name, path in paths.items() if name == PEOPLE.name or path.exists()}

    def _path(self, dimension: str) -> Path:
        return self._folder / self._settings.files.get(dimension, f"{dimension}.csv")


def _table(file: CsvFile | None) -> Table | None:
    return None if file is None else csv_table(file)


def refuse_unknown_dimensions(name: str, words: tuple[str, ...]) -> None:
    """Raise ConfigError where a setting speaks of a dimension that does not exist."""
    for word in words:
        if word not in DIMENSION_NAMES:
            raise ConfigError(
                f"{name} speaks of the dimension {word!r}, which does not exist. {did_you_mean(word, DIMENSION_NAMES)}",
                f"Dimensions are {', '.join(DIMENSION_NAMES)}.",
            )


def _provenance(folder: Path, files: Mapping[str, CsvFile]) -> Provenance:
    digest = hashlib.sha256()
    for name, file in files.items():
        # The length keeps bytes that move from one file to the next from giving the same digest.
        digest.update(f"{name} {len(file.content)}\n".encode())
        digest.update(file.content)
    return Provenance(
        source=str(folder),
        fingerprint=digest.hexdigest(),
        read_at=datetime.now(UTC),
        produced_at=min(file.written_at for file in files.values()),
    )
