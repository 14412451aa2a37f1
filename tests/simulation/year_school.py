"""The school at the beginning of the year: some two hundred families, staff, and everybody's doors, as they should be.

Nothing is to be closed on the first day: whoever has a door is entitled to it.
"""

from datetime import date, timedelta
from random import Random

from connector.model import Enrolment, RoleGrant
from tests.simulation.year_world import FRIENDS, HUB, World

TYPES = {
    "Mother": True, "Father": True, "Stepmother": True, "Stepfather": True, "Guardian": True,
    "Grandmother": False, "Uncle": False, "Caseworker": False,
}  # fmt: skip
GIVEN = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gail", "Hugh", "Ines", "Jack", "Kira", "Liam", "Mona", "Nils")
FAMILY = ("Archer", "Bell", "Chan", "Dunne", "Eliot", "Ferris", "Grant", "Hale", "Ito", "Jain", "Kerr", "Lowe", "Mann")
TOP_YEAR = 12


class Builder:
    """Fills a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.years: dict[str, int] = {}  # in which year of school each student is

    @property
    def dice(self) -> Random:
        return self.world.dice

    def fill(self, families: int, staff: int) -> None:
        """Make the school of the first day."""
        world = self.world
        world.types = dict(TYPES)
        for _ in range(families):
            entry = world.first_day - timedelta(days=self.dice.randint(30, 2000))
            self.family(entry, self.dice.choice((1, 1, 1, 1, 2)))
        for number in range(staff):
            self.staff(f"t{number:03}", managed=number % 3 > 0)
        for person in sorted(world.people):
            self.provide(person)
        self._shared_mailboxes()

    def family(self, entry: date, students: int) -> list[str]:
        """Make a family: students, and contacts of the school's many types. Nobody has a door yet."""
        world, name = self.world, self.dice.choice(FAMILY)
        made = []
        for _ in range(students):
            student = f"s{world.number():04}"
            world.add_person(student, self.dice.choice(GIVEN), name, email="")
            world.enrolments.append(Enrolment(student, entry))
            self.years[student] = self.dice.randint(1, TOP_YEAR)
            made.append(student)
        for contact_type, own in self._contacts():
            contact = self.contact(name)
            for student in made:
                world.relate(contact, student, contact_type, portal_access=own)
        return made

    def contact(self, name: str) -> str:
        """Make a contact without a relationship yet."""
        contact = f"c{self.world.number():04}"
        self.world.add_person(contact, self.dice.choice(GIVEN), name, mobile=f"04{self.world.number():08}")
        if self.dice.random() < 0.15:
            self.world.roles.append(RoleGrant(contact, "Parent", self.world.today - timedelta(days=20)))
        return contact

    def _contacts(self) -> list[tuple[str, bool | None]]:
        found: list[tuple[str, bool | None]] = [(self.dice.choice(("Mother", "Mother", "Guardian")), None)]
        if self.dice.random() < 0.75:
            found.append((self.dice.choice(("Father", "Father", "Father", "Stepfather")), None))
        if self.dice.random() < 0.22:
            found.append(("Stepmother", None))
        if self.dice.random() < 0.16:
            found.append(self.dice.choice((("Grandmother", True), ("Uncle", None), ("Caseworker", True))))
        return found

    def staff(self, person: str, *, managed: bool) -> None:
        """Make a staff member; every fifth has a child at the school."""
        world = self.world
        world.add_person(person, self.dice.choice(GIVEN), self.dice.choice(FAMILY))
        world.roles.append(RoleGrant(person, "Faculty", world.today - timedelta(days=300)))
        if self.dice.random() < 0.2:
            student = self.dice.choice(sorted(self.years))
            world.relate(person, student, self.dice.choice(("Mother", "Father")))
        guarded = "a member of Domain Admins" if self.dice.random() < 0.04 else ""
        world.make_account(person, managed=managed, protected=guarded)

    def provide(self, person: str) -> None:
        """Give somebody every door they are entitled to on the first day."""
        world = self.world
        roles = {g.role for g in world.roles if g.person_id == person}
        is_parent = any(
            r.contact_id == person and (world.types[r.contact_type] if r.portal_access is None else r.portal_access)
            for r in world.relationships
        )
        account = world.account_of(person)
        if is_parent and account is None:
            account = world.make_account(person)
        if account and is_parent:
            world.make_member(person, "engage", account.username)
        if account and "Faculty" in roles:
            world.make_member(person, "faculty", account.username)
        if is_parent and self.dice.random() < 0.6:
            world.make_member(person, HUB.name, f"hub-{person}")
        if "Parent" in roles and self.dice.random() < 0.9:
            world.make_member(person, FRIENDS.name, f"friend-{person}")

    def _shared_mailboxes(self) -> None:
        """Let some couples share a mailbox: it proves nothing."""
        world = self.world
        for student in sorted(self.years)[::23]:
            contacts = world.contacts_of(student)
            if len(contacts) > 1:
                world.change(contacts[1], email=world.people[contacts[0]].email)
