"""What every admin system must do, whatever it is made of. Run against each adapter in test_admin_system.py."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

import pytest

from connector.errors import ConnectorError, SourceError
from connector.interfaces import AdminSystem
from connector.model import (
    ContactType,
    Enrolment,
    Level,
    PeopleReading,
    Person,
    PersonStatus,
    Relationship,
    RoleGrant,
)

Tables = Mapping[str, tuple[tuple[str, ...], ...]]
"""Per dimension a header and rows, all text."""

PEOPLE = ("person_id", "code", "given_name", "family_name", "email", "mobile", "status", "previous_codes")
RELATIONSHIPS = ("contact_id", "student_id", "contact_type", "portal_access", "restricted", "ended_on")
ENROLMENTS = ("person_id", "year_level", "entry_date", "exit_date", "exit_reason")
ROLES = ("person_id", "role", "begins_on", "ends_on")
TYPES = ("contact_type", "portal_access")


def person(person_id: str, **changes: str) -> tuple[str, ...]:
    """Give one row of people; named cells differ from an ordinary active person's."""
    cells = dict.fromkeys(PEOPLE, "") | {"person_id": person_id, "code": f"C{person_id}", "status": "active"}
    return tuple((cells | changes).values())


def relationship(contact_id: str, student_id: str, **changes: str) -> tuple[str, ...]:
    """Give one row of relationships; named cells differ from an ordinary mother's."""
    cells = dict.fromkeys(RELATIONSHIPS, "") | {"contact_id": contact_id, "student_id": student_id}
    return tuple((cells | {"contact_type": "Mother", "restricted": "no"} | changes).values())


def school(**changes: tuple[tuple[str, ...], ...] | None) -> Tables:
    """Give a small school; a named dimension is replaced, or left out where it is None."""
    tables: dict[str, tuple[tuple[str, ...], ...] | None] = {
        "people": (PEOPLE, person("1"), person("2")),
        "relationships": (RELATIONSHIPS, relationship("1", "2")),
        "enrolments": (ENROLMENTS, ("2", "8", "2024-01-30", "", "")),
        "security_roles": (ROLES, ("2", "Student", "2024-01-30", "")),
        "contact_types": (TYPES, ("Mother", "yes")),
    }
    return {name: rows for name, rows in (tables | changes).items() if rows is not None}


@dataclass(frozen=True, slots=True)
class Bench:
    """Makes the adapter over tables; `away` is one whose source is not there at all."""

    over: Callable[..., AdminSystem]
    away: Callable[[], AdminSystem]

    def read(self, tables: Tables, may_be_empty: tuple[str, ...] = ()) -> PeopleReading:
        return self.over(tables, may_be_empty).read_all()

    def refusal(self, tables: Tables) -> str:
        with pytest.raises(SourceError) as caught:
            self.read(tables)
        return str(caught.value)


class AdminSystemContract:
    """One test per sentence of the Protocol. The `bench` fixture comes from the test module."""

    def test_it_is_an_admin_system(self, bench: Bench) -> None:
        assert isinstance(bench.over(school()), AdminSystem)

    def test_reading_gives_every_dimension_with_every_value(self, bench: Bench) -> None:
        anna = person(
            "1",
            code="XU1",
            given_name="Łukasz",
            family_name="d'Arcy",
            email="a@mail.example",
            mobile="0400",
            status="deceased",
            previous_codes="OLD1; OLD2",
        )
        mother = relationship("1", "2", portal_access="no", restricted="yes", ended_on="2026-09-01")

        reading = bench.read(
            school(
                people=(PEOPLE, anna, person("2")),
                relationships=(RELATIONSHIPS, mother),
                enrolments=(ENROLMENTS, ("2", "8", "2024-01-30", "2026-11-21", "left")),
                security_roles=(ROLES, ("1", "Parent", "2024-01-30", "2026-06-30")),
            )
        )

        assert reading.people[0] == Person(
            "1", "XU1", "Łukasz", "d'Arcy", "a@mail.example", "0400", PersonStatus.DECEASED, ("OLD1", "OLD2")
        )
        assert reading.relationships == (
            Relationship("1", "2", "Mother", portal_access=False, restricted=True, ended_on=date(2026, 9, 1)),
        )
        assert reading.enrolments == (Enrolment("2", date(2024, 1, 30), date(2026, 11, 21), "left"),)
        assert reading.security_roles == (RoleGrant("1", "Parent", date(2024, 1, 30), date(2026, 6, 30)),)
        assert reading.contact_types == (ContactType("Mother", portal_access=True),)
        assert reading.missing == frozenset()

    def test_cells_are_trimmed_and_columns_stand_in_any_order_and_any_case(self, bench: Bench) -> None:
        header = tuple(name.upper() for name in reversed(PEOPLE))
        rows = tuple(tuple(f"  {cell} " for cell in reversed(person(each, code="XU1"))) for each in ("1", "2"))

        reading = bench.read(school(people=(header, *rows)))

        assert reading.people == (Person("1", "XU1"), Person("2", "XU1"))

    def test_a_formula_is_text_like_any_other(self, bench: Bench) -> None:
        formula = '=HYPERLINK("http://x.example","y")'

        reading = bench.read(school(people=(PEOPLE, person("1", family_name=formula), person("2"))))

        assert reading.people[0].family_name == formula

    def test_yes_and_no_may_be_written_in_several_ways(self, bench: Bench) -> None:
        rows = (("A", "TRUE"), ("B", "0"), ("C", "Yes"), ("D", "false"), ("E", "1"))

        reading = bench.read(school(contact_types=(TYPES, *rows)))

        assert [each.portal_access for each in reading.contact_types] == [True, False, True, False, True]

    def test_an_enrolment_without_an_entry_date_is_read_as_it_is(self, bench: Bench) -> None:
        reading = bench.read(school(enrolments=(ENROLMENTS, ("2", "", "", "", ""))))

        assert reading.enrolments == (Enrolment("2", None),)

    @pytest.mark.parametrize("dimension", ["relationships", "enrolments", "security_roles", "contact_types"])
    def test_a_dimension_the_source_does_not_carry_is_missing_and_not_empty(self, bench: Bench, dimension: str) -> None:
        reading = bench.read(school(**{dimension: None}))

        assert reading.missing == {dimension}

    def test_restrictions_the_source_does_not_carry_are_missing_and_not_no(self, bench: Bench) -> None:
        header = tuple(name for name in RELATIONSHIPS if name != "restricted")

        reading = bench.read(school(relationships=(header, ("1", "2", "Mother", "", ""))))

        assert reading.missing == {"relationships.restricted"}
        assert reading.relationships == (Relationship("1", "2", "Mother"),)

    @pytest.mark.parametrize("dimension", ["people", "relationships", "enrolments", "security_roles", "contact_types"])
    def test_a_dimension_with_no_rows_is_refused(self, bench: Bench, dimension: str) -> None:
        words = bench.refusal(school(**{dimension: (school()[dimension][0],)}))

        assert f"{dimension}" in words
        assert "no rows" in words

    def test_a_dimension_the_school_says_may_be_empty_is_reported_as_empty(self, bench: Bench) -> None:
        reading = bench.read(school(security_roles=(ROLES,)), may_be_empty=("security_roles",))

        assert reading.missing == {"security_roles:empty"}

    def test_people_may_never_be_empty(self, bench: Bench) -> None:
        with pytest.raises(SourceError, match="no rows"):
            bench.read(school(people=(PEOPLE,)), may_be_empty=("people",))

    def test_a_missing_column_is_named_with_the_nearest_there_is(self, bench: Bench) -> None:
        header = tuple("famly_name" if name == "family_name" else name for name in PEOPLE)

        words = bench.refusal(school(people=(header, person("1"))))

        assert "people" in words
        assert "no column family_name" in words
        assert "The nearest is 'famly_name'" in words

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"people": (PEOPLE, person("1"), person("1"))}, "column person_id: '1' is already on"),
            ({"people": (PEOPLE, person("", code="X"))}, "column person_id: blank"),
            ({"people": (PEOPLE, person("1", code=" "))}, "column code: blank"),
            ({"people": (PEOPLE, person("1", status="activ"))}, "'activ' is none of active, inactive, deceased"),
            ({"people": (PEOPLE, person("1", status=""))}, "column status: '' is none of"),
            ({"people": (PEOPLE, person("1", family_name="Xu\n2,Y"))}, "column family_name: 'Xu\\n2,Y' holds a line"),
            ({"relationships": (RELATIONSHIPS, relationship("9", "2"))}, "column contact_id: no person has the id '9'"),
            ({"relationships": (RELATIONSHIPS, relationship("1", ""))}, "column student_id: blank"),
            ({"relationships": (RELATIONSHIPS, relationship("1", "2", ended_on="2026-13-01"))}, "'2026-13-01' is no"),
            ({"relationships": (RELATIONSHIPS, relationship("1", "2", ended_on="20261201"))}, "write YYYY-MM-DD"),
            ({"relationships": (RELATIONSHIPS, relationship("1", "2", restricted=""))}, "column restricted: blank"),
            ({"relationships": (RELATIONSHIPS, relationship("1", "2", portal_access="ja"))}, "'ja' is neither yes nor"),
            ({"enrolments": (ENROLMENTS, ("9", "", "", "", ""))}, "column person_id: no person has the id '9'"),
            ({"enrolments": (ENROLMENTS, ("2", "", "30/01/2024", "", ""))}, "column entry_date: '30/01/2024' is no"),
            ({"security_roles": (ROLES, ("9", "Parent", "", ""))}, "column person_id: no person has the id '9'"),
            ({"security_roles": (ROLES, ("1", "", "", ""))}, "column role: blank"),
            ({"contact_types": (TYPES, ("Mother", ""))}, "column portal_access: blank"),
            ({"contact_types": (TYPES, ("Mother", "yes"), ("Mother", "no"))}, "'Mother' is already on"),
        ],
    )
    def test_a_row_that_cannot_be_believed_is_refused_by_table_row_and_column(
        self, bench: Bench, changes: Mapping[str, tuple[tuple[str, ...], ...]], sentence: str
    ) -> None:
        words = bench.refusal(school(**changes))

        assert next(iter(changes)) in words
        assert sentence in words

    def test_ten_errors_are_worded_and_the_rest_are_counted(self, bench: Bench) -> None:
        rows = tuple(person(str(number), status="gone") for number in range(25))

        words = bench.refusal(school(people=(PEOPLE, *rows)))

        assert "25 errors" in words
        assert words.count("is none of") == 10
        assert "and 15 more" in words

    def test_the_same_content_has_the_same_fingerprint_and_other_content_another(self, bench: Bench) -> None:
        system = bench.over(school())

        first, again = system.read_all().provenance.fingerprint, system.read_all().provenance.fingerprint
        other = bench.read(school(people=(PEOPLE, person("1"), person("2", code="NEW")))).provenance.fingerprint

        assert first == again
        assert first != other

    def test_check_counts_what_was_read_and_names_what_is_missing(self, bench: Bench) -> None:
        findings = bench.over(school(contact_types=None)).check()

        assert [finding.level for finding in findings] == [Level.OK, Level.WARNING]
        assert "2 people, 1 relationships" in findings[0].message
        assert "contact_types" in findings[1].message

    def test_check_reports_what_is_wrong_and_never_raises(self, bench: Bench) -> None:
        (broken,) = bench.over(school(people=(PEOPLE, person("1", status="gone")))).check()
        (away,) = bench.away().check()

        assert broken.level is away.level is Level.ERROR
        assert broken.remedy
        assert away.remedy

    def test_a_source_that_is_not_there_is_an_error_of_ours(self, bench: Bench) -> None:
        with pytest.raises(ConnectorError):
            bench.away().read_all()

    def test_it_can_be_read_again_after_letting_go(self, bench: Bench) -> None:
        system = bench.over(school())
        system.read_all()

        system.disconnect()

        assert len(system.read_all().people) == 2
