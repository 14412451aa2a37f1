"""What happens to a school in a year: people come, leave, split, return, are renamed, doubled, kept out and kept in.

Each event is something a real school's admin system shows; whom it meets is decided by the world's dice alone. What
somebody asks of the connector goes through its own verbs, and is written into the world's own record.
"""

from dataclasses import replace
from datetime import date, time, timedelta

from connector.app import Connector
from connector.model import Enrolment, PersonStatus, RoleGrant
from tests.simulation.year_oracle import Oracle
from tests.simulation.year_school import Builder
from tests.simulation.year_watch import Watch
from tests.simulation.year_world import World, names

EXIT_REASONS = ("left", "left", "left", "transferred", "")
FOREVER = date.max


class Families:
    """What happens to families and staff, as the admin system shows it."""

    def __init__(self, world: World, builder: Builder, oracle: Oracle) -> None:
        self.world, self.builder, self.oracle = world, builder, oracle
        self.last_day = FOREVER  # when the year's last event may have its last effect
        self.seen: set[str] = set()  # whom something happened to: one story for each

    def say(self, what: str) -> None:
        self.world.say("school", what)

    def _parents(self) -> list[str]:
        """Give parents who are in, with one child at the school, and to whom nothing has happened yet."""
        world = self.world
        found = [p for p in sorted(world.people) if p.startswith("c") and self.oracle.entitled(p, "engage")]
        return [p for p in found if p not in self.seen and self._is_plain(p)]

    def _is_plain(self, person: str) -> bool:
        account = self.world.account_of(person)
        alone = len(self.world.children_of(person)) == 1 and self.oracle.human(person) == frozenset((person,))
        return alone and account is not None and account.enabled

    def parent(self) -> str:
        """Choose a parent for a story."""
        chosen = self.world.dice.choice(self._parents())
        self.seen.add(chosen)
        return chosen

    # --- coming and going -------------------------------------------------------------------------------------------

    def join(self) -> None:
        """A family is entered, some days before its first."""
        entry = self.world.today + timedelta(days=self.world.dice.randint(2, 40))
        students = self.builder.family(entry, self.world.dice.choice((1, 1, 2)))
        self.say(f"a family joins on {entry}: {names(self.world, students)}")

    def leave(self) -> None:
        """A family's children leave: the exit date is entered before, on or after the day."""
        students = self.world.dice.choice([f for f in self.world.families() if not self._is_busy(f)])
        why = self.world.dice.choice(EXIT_REASONS)
        self.exit(students, self.world.today + timedelta(days=self.world.dice.randint(-3, 20)), why)

    def _is_busy(self, students: tuple[str, ...]) -> bool:
        return any(c in self.seen for s in students for c in self.world.contacts_of(s))

    def exit(self, students: tuple[str, ...], day: date, why: str) -> None:
        """Enter an exit date for some students; none whose grace would end in the quiet days of the end."""
        grace = self.world.rules.grace_days.get(why, self.world.rules.longest_grace)
        if self.world.last_change <= day + timedelta(days=grace) <= self.world.last_change + timedelta(days=20):
            day = self.world.last_change - timedelta(days=grace + 1)
        self.world.change_enrolments(
            lambda e: e.student_id in students and e.exit_date is None, exit_date=day, exit_reason=why
        )
        self.say(f"{names(self.world, students)} leave(s) on {day} ({why or 'no reason given'})")

    def many_leave(self) -> None:
        """The boarding house closes: many families leave on one day, rightly."""
        families = [f for f in self.world.families() if not self._is_busy(f)]
        going = self.world.dice.sample(families, 1 + len(families) // 12)
        self.say("the boarding house closes")
        for students in going:
            self.exit(students, self.world.today - timedelta(days=1), "left")

    def return_to_school(self) -> None:
        """A student who has left is enrolled again."""
        gone = [e for e in self.world.enrolments if e.exit_date and e.exit_date < self.world.today - timedelta(days=20)]
        latest = {e.student_id: e for e in self.world.enrolments}
        gone = [e for e in gone if latest[e.student_id] is e]
        if gone:
            student = self.world.dice.choice(gone).student_id
            self.world.enrolments.append(Enrolment(student, self.world.today))
            self.world.touched()
            self.say(f"{names(self.world, [student])} is back at the school")

    # --- families change --------------------------------------------------------------------------------------------

    def split(self) -> None:
        """A relationship ends; mostly it is entered again within weeks."""
        parent = self.parent()
        tomorrow = self.world.today + timedelta(days=1)
        mine = next(r for r in self.world.relationships if r.contact_id == parent)
        self.world.change_relationships(lambda r: r == mine, ended_on=tomorrow)
        self.say(f"{names(self.world, [parent])} is no longer related to {mine.student_id}")
        if self.world.dice.random() < 0.6:
            self.world.in_days(6, 35, lambda: self._reenter(parent, mine.student_id, mine.contact_type))

    def _reenter(self, parent: str, student: str, contact_type: str) -> None:
        if parent in self.world.people:
            self.world.relate(parent, student, contact_type)
            self.say(f"{names(self.world, [parent])} is related to {student} again")

    def change_code(self) -> None:
        """A contact code changes; the record names the earlier one."""
        parent = self.parent()
        before = self.world.people[parent]
        code = f"K{self.world.number():05}"
        self.world.change(parent, code=code, previous_codes=(*before.previous_codes, before.code))
        self.say(f"the contact code of {names(self.world, [parent])} changes from {before.code} to {code}")

    def second_record(self) -> None:
        """A human is entered a second time, and the child moves to the new record."""
        parent = self.parent()
        before, proof = self.world.people[parent], self.world.dice.random()
        second = f"c{self.world.number():04}"
        fields = {"email": before.email} if proof < 0.5 else {"previous_codes": (before.code,)}
        self.world.add_person(second, before.given_name, before.family_name, **fields)
        self.seen.add(second)
        self._hand_over(parent, second)
        self.say(f"{names(self.world, [parent])} is entered again as {second}")

    def change_surname(self) -> None:
        """A human is entered a second time under a new surname: nothing proves it, only the mobile is the same."""
        parent = self.parent()
        before = self.world.people[parent]
        second = f"c{self.world.number():04}"
        self.world.add_person(second, before.given_name, "Novak", mobile=before.mobile)
        self.seen.add(second)
        self._hand_over(parent, second)
        self.say(f"{names(self.world, [parent])} is entered again under a new surname as {second}")
        if self.world.dice.random() < 0.5:
            self.world.in_days(2, 6, lambda: self._prove(second, before.code))

    def _prove(self, second: str, code: str) -> None:
        self.world.change(second, previous_codes=(code,))
        self.say(f"{second} is found to be {code}: entered as its previous code")

    def _hand_over(self, old: str, new: str) -> None:
        """Relate the child to the new record, and end the old one's relationship, or take it away."""
        mine = [r for r in self.world.relationships if r.contact_id == old]
        for relationship in mine:
            self.world.relate(new, relationship.student_id, relationship.contact_type)
        if self.world.dice.random() < 0.5:
            self.world.change_relationships(lambda r: r.contact_id == old, ended_on=self.world.today)
        else:
            self.world.relationships = [r for r in self.world.relationships if r.contact_id != old]
            self.world.touched()

    def inactive(self) -> None:
        """A record is set inactive, or somebody has died."""
        parent = self.parent()
        status = self.world.dice.choice((PersonStatus.INACTIVE, PersonStatus.DECEASED))
        self.world.change(parent, status=status)
        self.say(f"{names(self.world, [parent])} is {status}")

    def delete(self) -> None:
        """A record is deleted, relationships and all."""
        parent = self.parent()
        self.say(f"the record of {names(self.world, [parent])} is deleted")
        del self.world.people[parent]
        self.world.relationships = [r for r in self.world.relationships if r.contact_id != parent]
        self.world.touched()

    def flag_decided(self) -> None:
        """The school decides that stepfathers have no portal any more: a rule that really changes."""
        self.world.types["Stepfather"] = False
        self.world.touched()
        self.say("the school takes the portal flag from the contact type Stepfather, and means it")

    # --- staff and roles --------------------------------------------------------------------------------------------

    def staff_join(self) -> None:
        """A staff member begins."""
        person = f"t{self.world.number():04}"
        self.world.add_person(person, self.world.dice.choice(("Olga", "Pete", "Ruth")), "Stone")
        self.world.roles.append(RoleGrant(person, "Faculty", self.world.today))
        self.say(f"{names(self.world, [person])} joins the staff")

    def staff_leave(self) -> None:
        """A staff member's role ends."""
        here = [g for g in self.world.roles if g.role == "Faculty" and g.ends_on is None]
        grant = self.world.dice.choice(here)
        ends = self.world.today + timedelta(days=self.world.dice.randint(0, 6))
        self.world.roles[self.world.roles.index(grant)] = replace(grant, ends_on=ends)
        self.world.touched()
        self.say(f"{names(self.world, [grant.person_id])} leaves the staff on {ends}")

    def role(self) -> None:
        """A parent joins the friends of the school, or leaves them."""
        mine = [g for g in self.world.roles if g.role == "Parent" and g.ends_on is None]
        if mine and self.world.dice.random() < 0.4:
            grant = self.world.dice.choice(mine)
            self.world.roles[self.world.roles.index(grant)] = replace(grant, ends_on=self.world.today)
        else:
            people = [p for p in sorted(self.world.people) if self.oracle.entitled(p, "engage")]
            self.world.roles.append(RoleGrant(self.world.dice.choice(people), "Parent", self.world.today))
        self.world.touched()

    # --- the turn of the year ---------------------------------------------------------------------------------------

    def graduate(self, top_year: int) -> None:
        """The top year leaves, and some families at the end of the year."""
        leaving = [s for s, year in self.builder.years.items() if year == top_year]
        here = {e.student_id for e in self.world.enrolments if e.exit_date is None}
        self.exit(tuple(s for s in leaving if s in here), self.world.today, "graduated")
        for _ in range(6):
            self.leave()

    def new_enrolments(self, first_day: date) -> None:
        """The admin system writes one enrolment a year: everybody's ends today, and the next begins in summer."""
        going_on = [
            e for e in self.world.enrolments if e.exit_date is None and e.entry_date and e.entry_date < first_day
        ]
        for enrolment in going_on:
            place = self.world.enrolments.index(enrolment)
            self.world.enrolments[place] = replace(enrolment, exit_date=self.world.today, exit_reason="year ended")
            self.world.enrolments.append(Enrolment(enrolment.student_id, first_day))
        self.world.touched()
        self.say(f"{len(going_on)} enrolments end today, and begin anew on {first_day}")


class Orders:
    """What somebody asks for by name: keeps, blocks, court orders, urgent terminations."""

    def __init__(self, world: World, families: Families, watch: Watch, connector: Connector) -> None:
        self.world, self.families, self.watch, self.connector = world, families, watch, connector

    def say(self, what: str) -> None:
        self.world.say("administrator", what)

    def _tonight(self, whom: str) -> None:
        """Note by which night somebody is out; a target that is away until then puts it off."""
        self.watch.must_be_closed[whom] = self.world.today + timedelta(days=1)

    def _within(self, least: int, most: int) -> date:
        """Give a day some time from now, before the quiet days of the end."""
        return min(self.world.today + timedelta(days=self.world.dice.randint(least, most)), self.world.last_change)

    def court_order(self, *, lifted_after: int = 0) -> None:
        """A court keeps a parent from the child; it may be lifted."""
        parent = self.families.parent()
        self.world.change_relationships(lambda r: r.contact_id == parent, restricted=True)
        self.world.say("school", f"a court order is entered for {names(self.world, [parent])}")
        self.watch.counts["court orders"] += 1
        self._tonight(parent)
        if lifted_after:
            self.world.in_days(lifted_after, lifted_after + 5, lambda: self._lift(parent))

    def _lift(self, parent: str) -> None:
        self.world.change_relationships(lambda r: r.contact_id == parent, restricted=False)
        self.world.say("school", f"the court order for {names(self.world, [parent])} is lifted")

    def terminate(self) -> None:
        """A custody order at nine in the morning: by the urgent verb, countersigned the next day."""
        parent = self.families.parent()
        self.world.blocks[parent] = None
        order = self.connector.urgent.order(self.world.today, parent, "a custody order")
        stored, _ = self.connector.urgent.terminate(order)
        self.say(f"terminates {names(self.world, [parent])} at once (number {stored.number})")
        self.watch.counts["urgent terminations"] += 1
        self._tonight(parent)
        signed = "secretary", "SEC"
        how = "by word of mouth"
        countersign = self.connector.journal.countersign
        self.world.in_days(1, 1, lambda: countersign(stored.number, *signed, how, "secretary@desk"))
        self.world.in_days(60, 90, lambda: self._unblock(parent))

    def _unblock(self, parent: str) -> None:
        self.connector.journal.unblock(parent, "alice@desk", "deputy@desk")
        del self.world.blocks[parent]
        self.say(f"unblocks {names(self.world, [parent])}, with a second")

    def block(self) -> None:
        """Somebody is kept out for some weeks."""
        parent = self.families.parent()
        until = self._within(10, 30)
        self.connector.block(parent, "house ban", until)
        self.world.blocks[parent] = until
        self.say(f"blocks {names(self.world, [parent])} until {until}")
        self._tonight(parent)

    def keep(self) -> None:
        """A family leaves, and one of its parents is kept in for some weeks."""
        parent = self.families.parent()
        until = self._within(30, 50)
        self.connector.keep(parent, "sits on the council until then", until)
        self.world.keeps[parent] = until
        self.say(f"keeps {names(self.world, [parent])} until {until}")
        students = tuple(self.world.children_of(parent))
        self.families.exit(students, self.world.today - timedelta(days=1), "left")
        self.world.plan(until + timedelta(days=1), time(0, 1), lambda: self.world.keeps.pop(parent))

    # --- by hand, past the connector --------------------------------------------------------------------------------

    def disable_by_hand(self) -> None:
        """Somebody disables an entitled parent's account in the directory, and enables it again weeks later."""
        parent = self.families.parent()
        account = self.world.account_of(parent)
        assert account is not None
        self.world.put(replace(account, enabled=False, state="514"))
        self.world.by_hand.add(account.guid)
        self.say(f"disables the account of {names(self.world, [parent])} by hand")
        self.world.in_days(15, 30, lambda: self.world.by_hand.discard(account.guid))

    def enable_by_mistake(self) -> None:
        """Somebody enables an account that was rightly closed."""
        closed = [a for a in self.world.accounts if not a.enabled and a.managed]
        closed = [a for a in closed if not self.families.oracle.claimants(a)]
        if closed:
            account = self.world.dice.choice(closed)
            self.world.put(replace(account, enabled=True, state="512"))
            self.say(f"enables the account {account.username} by mistake")
