"""What `check` says of any admin system: one reading, told in lines. Never raises for ordinary trouble."""

from collections.abc import Callable

from connector.errors import ConnectorError
from connector.model import Finding, Level, PeopleReading


def findings_of(name: str, read_all: Callable[[], PeopleReading]) -> tuple[Finding, ...]:
    """Read everything, and say what was found, what the source lacks, or what is wrong."""
    try:
        reading = read_all()
    except ConnectorError as error:
        return (Finding(Level.ERROR, name, error.message, error.remedy),)
    return (Finding(Level.OK, name, _counts(reading)), *(_lack(name, what) for what in sorted(reading.missing)))


def _counts(reading: PeopleReading) -> str:
    return (
        f"{len(reading.people):,} people, {len(reading.relationships):,} relationships, "
        f"{len(reading.enrolments):,} enrolments, {len(reading.security_roles):,} security roles, "
        f"{len(reading.contact_types):,} contact types."
    )


def _lack(name: str, what: str) -> Finding:
    if what.endswith(":empty"):
        dimension = what.removesuffix(":empty")
        return Finding(Level.WARNING, name, f"There are no {dimension}, as `may_be_empty` allows.")
    return Finding(
        Level.WARNING,
        name,
        f"The source does not carry {what}. That is unknown, never none: decisions that rest on it are not made.",
        f"Have {what} exported too, if the school keeps it.",
    )
