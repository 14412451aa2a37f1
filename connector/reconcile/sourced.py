"""The admin system with the people beside it whom only an identity provider knows.

It stands before the real admin system and hands on everything else. The admin system's word comes first: a person it
knows is never taken from the provider. It never decides who is entitled.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace

from connector.interfaces import AdminSystem
from connector.model import Finding, PeopleReading
from connector.reconcile.journal_sourced import SourcedPeople


class WithSourced:
    """An admin system whose reading also holds SCIM-sourced people."""

    def __init__(self, admin_system: AdminSystem, sourced: Callable[[], SourcedPeople]) -> None:
        self._admin_system = admin_system
        self._sourced = sourced

    def read_all(self) -> PeopleReading:
        """Read the admin system, and put the identity provider's people beside its own."""
        return beside(self._admin_system.read_all(), self._sourced())

    def check(self) -> tuple[Finding, ...]:
        """Check the admin system."""
        return self._admin_system.check()

    def disconnect(self) -> None:
        """Let go of the admin system's connections."""
        self._admin_system.disconnect()


def beside(reading: PeopleReading, sourced: SourcedPeople) -> PeopleReading:
    """Give a reading with these people instead of those who were beside it. An admin record of the same id wins."""
    known = {p.person_id for p in reading.people} - reading.granted.keys()
    new = tuple(p for p in sourced.people if p.person_id not in known)
    if not new and not reading.granted:
        return reading
    granted = {p.person_id: sourced.granted.get(p.person_id, frozenset()) for p in new}
    people = tuple(p for p in reading.people if p.person_id in known)
    roles = tuple(r for r in reading.security_roles if r.person_id not in reading.granted)
    more = tuple(r for r in sourced.roles if r.person_id in granted)
    said = repr((reading.provenance.fingerprint.partition("+")[0], new, sorted(granted.items()), more))
    mark = f"{reading.provenance.fingerprint.partition('+')[0]}+{hashlib.sha256(said.encode()).hexdigest()[:16]}"
    return replace(
        reading,
        people=(*people, *new),
        security_roles=(*roles, *more),
        granted=granted,
        provenance=replace(reading.provenance, fingerprint=mark),
    )
