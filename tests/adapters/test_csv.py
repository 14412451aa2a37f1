"""CSV folders: files as they arrive in the night, broken in every way files are broken."""

import csv
import os
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from connector.adapters.csv import CsvAdminSystem, CsvSettings
from connector.errors import ConfigError, SourceError
from connector.interfaces import Site

SAMPLE = Path(__file__).parents[2] / "sample" / "harbour-college" / "admin"
PEOPLE = "person_id,code,given_name,family_name,email,mobile,status,previous_codes\n"
ANNA = "1,C1,Anna,Müller,a@mail.example,,active,\n"


class Folder:
    """An export folder, and the adapter over it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = CsvSettings(".")

    def put(self, content: str | bytes, name: str = "people.csv") -> None:
        (self.path / name).write_bytes(content.encode() if isinstance(content, str) else content)

    def system(self, **settings: object) -> CsvAdminSystem:
        site = Site(self.path, self.path, ZoneInfo("Australia/Adelaide"))
        return CsvAdminSystem("admin", CsvSettings(".", **settings), site)  # type: ignore[arg-type] # as the config would

    def refusal(self) -> str:
        with pytest.raises(SourceError) as caught:
            self.system().read_all()
        return str(caught.value)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_the_sample_school_is_read_whole() -> None:
    site = Site(SAMPLE, SAMPLE, ZoneInfo("Australia/Adelaide"))

    reading = CsvAdminSystem("admin", CsvSettings("."), site).read_all()

    assert (len(reading.people), len(reading.relationships), len(reading.enrolments)) == (257, 144, 111)
    assert reading.missing == frozenset()


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf_8_is_read_with_and_without_a_mark_and_with_any_line_ends(
    folder: Folder, encoding: str, newline: str
) -> None:
    folder.put((PEOPLE + ANNA).replace("\n", newline).encode(encoding))

    (anna,) = folder.system().read_all().people

    assert anna.name == "Anna Müller"


@pytest.mark.parametrize(
    ("content", "sentences"),
    [
        ((PEOPLE + ANNA).encode("utf-16"), ("line 1", "UTF-16")),
        ((PEOPLE + ANNA).encode("utf-16-le"), ("line 1", "UTF-16")),
        ((PEOPLE + ANNA).encode("utf-16-be"), ("line 1", "UTF-16")),
        ((PEOPLE + ANNA).encode("utf-32"), ("line 1", "UTF-16")),
        ((PEOPLE + ANNA).encode("cp1252"), ("line 2", "0xfc", "Windows-1252")),
        ((PEOPLE + ANNA).encode("latin-1") + b"\x81", ("line 2", "its encoding is unknown")),
    ],
)
def test_any_other_encoding_is_refused_with_the_line_the_suspect_and_the_way_out(
    folder: Folder, content: bytes, sentences: tuple[str, ...]
) -> None:
    folder.put(content)

    words = folder.refusal()

    assert all(sentence in words for sentence in ("people.csv", "is not UTF-8", *sentences))
    assert "Export it again as UTF-8" in words


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "people.csv is empty"),
        ("\n\n", "people.csv is empty"),
        (PEOPLE, "a header and no rows"),
        (PEOPLE + ANNA + "2,C2,Ben", "was cut off: line 3, its last, ends after 3 of 8 fields"),
        (PEOPLE + "2,C2,Ben\n" + ANNA, "line 2: 3 fields where the header has 8"),
        (PEOPLE + ANNA.replace("active,", "active,,"), "line 2: 9 fields where the header has 8"),
        (PEOPLE + ANNA + '2,C2,"Ben,B,b@mail.example,,active,\n3,C3,C,C,,,active,\n', "record that begins on line 3"),
        (PEOPLE + ANNA + '2,C2,"Ben"x,B,,,active,\n', "record that begins on line 3"),
        (PEOPLE + ANNA + "2,C2,B\0en,B,,,active,\n", "line 3 holds a NUL byte"),
        (PEOPLE + ANNA + "account:ad:2,C2,Ben,B,,,active,\n", "begins like an account's key"),
        (PEOPLE + '1,"' + "x" * 200_000 + '",A,B,,,active,\n', "field larger than field limit"),
        ((PEOPLE + ANNA).replace(",", ";"), "its columns are not separated by commas"),
        (PEOPLE.replace("mobile", "Email") + ANNA, "has the column Email twice"),
    ],
)
def test_a_broken_file_is_refused_by_what_is_broken(folder: Folder, content: str, sentence: str) -> None:
    folder.put(content)

    words = folder.refusal()

    assert "people.csv" in words
    assert sentence in words


def test_a_row_after_a_cell_with_line_breaks_is_named_by_its_own_line(folder: Folder) -> None:
    folder.put(PEOPLE + '1,C1,"Anna\n",X,,,active,\n2,C2,B,B,,,gone,\n')

    words = folder.refusal()

    assert "line 4, column status" in words


def test_a_last_line_without_an_end_is_read_when_it_is_whole(folder: Folder) -> None:
    folder.put(PEOPLE + ANNA.rstrip("\n"))

    assert len(folder.system().read_all().people) == 1


def test_a_blank_line_is_no_row(folder: Folder) -> None:
    folder.put(PEOPLE + ANNA + "\n\n")

    assert len(folder.system().read_all().people) == 1


def test_columns_nobody_asks_for_are_left_alone(folder: Folder) -> None:
    folder.put(PEOPLE.replace("\n", ",shoe_size,\n") + ANNA.replace("\n", ",44,\n"))

    assert len(folder.system().read_all().people) == 1


def test_people_that_are_not_there_are_an_error_that_names_the_file(folder: Folder) -> None:
    assert "people.csv is not there" in folder.refusal()


def test_a_folder_where_a_file_should_be_is_refused(folder: Folder) -> None:
    (folder.path / "people.csv").mkdir()

    assert "is no file" in folder.refusal()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(folder: Folder) -> None:
    folder.put(PEOPLE + ANNA)
    (folder.path / "people.csv").chmod(0)

    assert "cannot be read: Permission denied" in folder.refusal()


def test_files_may_have_other_names(folder: Folder) -> None:
    folder.put(PEOPLE + ANNA, "Leute.csv")

    reading = folder.system(files={"people": "Leute.csv"}).read_all()

    assert len(reading.people) == 1


def test_the_oldest_file_says_when_the_reading_was_produced(folder: Folder) -> None:
    folder.put(PEOPLE + ANNA)
    folder.put("contact_type,portal_access\nMother,yes\n", "contact_types.csv")
    os.utime(folder.path / "contact_types.csv", (1_700_000_000, 1_700_000_000))

    provenance = folder.system().read_all().provenance

    assert provenance.produced_at == datetime.fromtimestamp(1_700_000_000, UTC)


def test_a_dimension_that_does_not_exist_is_refused_with_a_suggestion(folder: Folder) -> None:
    with pytest.raises(ConfigError, match=r"security_role.*nearest is 'security_roles'"):
        folder.system(may_be_empty=("security_role",))


def test_the_library_s_field_limit_is_left_as_it_was(folder: Folder) -> None:
    before = csv.field_size_limit()
    folder.put(PEOPLE + ANNA)

    folder.system().read_all()

    assert csv.field_size_limit() == before


def test_columns_under_other_names_are_read_where_the_config_maps_them(folder: Folder) -> None:
    folder.put((PEOPLE + ANNA).replace("person_id,code", "Identifiant,Code contact"))

    (anna,) = folder.system(columns={"people": {"person_id": "Identifiant", "code": "code contact"}}).read_all().people

    assert (anna.person_id, anna.code) == ("1", "C1")


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"people": {"persn_id": "Id"}}, "maps the column 'persn_id' of people, which nobody reads. The nearest is"),
        ({"peple": {"person_id": "Id"}}, "'peple', which does not exist. The nearest is 'people'"),
    ],
)
def test_a_mapping_of_what_nobody_reads_is_refused(
    folder: Folder, columns: dict[str, dict[str, str]], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        folder.system(columns=columns)


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"PK\x03\x04....", "a ZIP archive or a workbook"), (b"\x1f\x8b\x08..", "a gzip archive")],
)
def test_an_archive_or_a_workbook_is_called_by_its_name(folder: Folder, content: bytes, what: str) -> None:
    folder.put(content)

    refusal = folder.refusal()

    assert f"people.csv is {what}" in refusal
    assert "Unpack it, or export it as CSV" in refusal


@pytest.mark.parametrize("twin", ["mother", " Mother", "Mother\u200f"])
def test_contact_types_that_read_alike_and_say_otherwise_are_refused(folder: Folder, twin: str) -> None:
    folder.put(PEOPLE + ANNA)
    folder.put(f"contact_type,portal_access\nMother,yes\n{twin},no\n", "contact_types.csv")

    refusal = folder.refusal()

    assert "contact_types.csv cannot be believed" in refusal


def test_contact_types_that_read_alike_and_say_the_same_are_read(folder: Folder) -> None:
    folder.put(PEOPLE + ANNA)
    folder.put("contact_type,portal_access\nMother,yes\nMOTHER,yes\n", "contact_types.csv")

    assert len(folder.system().read_all().contact_types) == 2
