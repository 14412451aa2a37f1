"""The files a new config is to be read with: the sample school's exports to try it on, or empty ones with their header.

A first report needs no server and no export of anybody's. Nothing that is there is ever overwritten.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from connector.adapters.rows import DIMENSIONS
from connector.errors import ConfigError, SourceError

_NAME = "harbour-college"
_PORTAL = "engage"
_SAMPLE = {
    "admin_system": "csv",
    "portal": "worklist",
    "directory": "ldif",
    "sessions": "none",
    "admin_system_folder": "admin",
    "portal_export": "portal/accounts.csv",
    "directory_file": "directory.ldif",
    "directory_base": "DC=harbour,DC=example",
    "directory_managed": "OU=Parents,OU=People,DC=harbour,DC=example",
}
"""The answers of `init` that the sample's exports fit."""


def sample_school() -> Path:
    """Give the sample school: of the installed package, or of the folder the project is worked on in."""
    package = Path(__file__).parent
    for place in (package, package.parent):
        if (school := place / "sample" / _NAME).joinpath("admin", "people.csv").exists():
            return school
    raise SourceError("This installation carries no sample school.", "Name a folder of your own: --school DIR")


def sample_answers(answers: Mapping[str, str]) -> dict[str, str]:
    """Give the answers with which the sample's exports can be read. Raises ConfigError where one says otherwise."""
    for key, value in _SAMPLE.items():
        if answers.get(key, value) != value:
            raise ConfigError(f"The sample school has {key} = {value!r}.", "Leave that option out, or --with-sample.")
    return {**answers, **_SAMPLE}


def lay_out_sample(folder: Path) -> tuple[Path, ...]:
    """Put the sample's exports where `sample_answers` says they are; give what was written."""
    school = sample_school()
    wanted = {f"admin/{each.name}.csv": (school / "admin" / f"{each.name}.csv").read_bytes() for each in DIMENSIONS}
    wanted["directory.ldif"] = (school / "directory.ldif").read_bytes()
    wanted[_SAMPLE["portal_export"]] = "".join(_members(school / "portal" / "members.csv")).encode()
    return tuple(_written(folder, wanted))


def lay_out_headers(folder: Path, admin: str) -> tuple[Path, ...]:
    """Put CSV files that hold their header alone into the admin system's folder; give what was written."""
    wanted = {
        f"{admin}/{each.name}.csv": (",".join(column.name for column in each.columns) + "\n").encode()
        for each in DIMENSIONS
    }
    return () if (folder / admin).exists() else tuple(_written(folder, wanted))


def _members(path: Path) -> Iterator[str]:
    """Give the lines of one portal's export: the sample's file holds the members of all."""
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if next(csv.reader([line]))[0] in ("portal", _PORTAL):
            yield line


def _written(folder: Path, wanted: Mapping[str, bytes]) -> Iterator[Path]:
    for name, content in wanted.items():
        path = folder / name
        try:
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(content)
        except FileExistsError:
            continue
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be written: {error.strerror}.", "Check the folder and its owner."
            ) from None
        yield path
