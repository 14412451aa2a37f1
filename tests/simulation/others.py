"""Everybody else: who corrects the admin system, edits accounts and members, and signs in, whenever it suits them.

Each deed is a function of the world and its dice; it says what it did, or nothing where it could not be done just now.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from connector.model import Account, Member, MemberStatus, SessionKey
from tests.reconcile.build import YESTERDAY, guid
from tests.simulation.promises import Promises
from tests.simulation.school import CLUB, DIRECTORY_PORTALS, HEIR, LEAVERS, PAPER, STAFF, sign_in
from tests.simulation.world import World

Deed = Callable[["Others"], str]


class Others:
    """Acts on the world in everybody else's name."""

    def __init__(self, world: World, promises: Promises, rng: Random) -> None:
        self.world, self.promises, self.rng = world, promises, rng

    def act(self, deed: Deed) -> None:
        """Do one deed, if it can be done now."""
        done = deed(self)
        if done:
            self.world.trace.count(f"others:{deed.__name__.replace('_', ' ')}")
            self.world.say("others", done)
            self.world.observe()

    def somebody(self) -> str:
        return self.rng.choice([*LEAVERS, *LEAVERS, STAFF, "ok0", HEIR])

    def edit(self, old: Any, **changes: Any) -> None:
        """Replace an account or a member where it stands."""
        school = self.world.school
        rows: list[Any] = school.accounts if isinstance(old, Account) else school.members
        new = replace(old, **changes)
        if _lives(new) and not _lives(old):
            self.let_in(old)
        rows[rows.index(old)] = new

    def let_in(self, row: Account | Member) -> None:
        """Note that somebody else opened a door."""
        owners = {person.code: person_id for person_id, person in self.world.school.people.items()}
        person = row.person_id if isinstance(row, Member) else owners.get(row.employee_id, "")
        self.world.reopened.setdefault(person, []).append(self.world.now)


def _lives(row: Account | Member) -> bool:
    return row.enabled if isinstance(row, Account) else row.enabled or row.credential_lives


# --- the admin system -----------------------------------------------------------------------------------------------


def leave(o: Others) -> str:
    """A child leaves."""
    person = o.rng.choice([*LEAVERS, *LEAVERS, STAFF])
    o.world.school.leave(person)
    return f"the child of {person} leaves"


def come_back(o: Others) -> str:
    """The source is corrected: the child never left. Once for each, or the next closing waits as oscillating."""
    return _let_back(o, o.rng.choice([*LEAVERS, STAFF]))


def let_back(person: str) -> Deed:
    """Correct the source for one person."""

    def come_back(o: Others) -> str:
        return _let_back(o, person)

    return come_back


def _let_back(o: Others, person: str) -> str:
    gone = {e.student_id for e in o.world.school.enrolments if e.exit_date}
    if f"s-{person}" not in gone or person in o.world.returned:
        return ""
    o.world.returned.add(person)
    o.world.school.leave(person, left=None, why="")  # type: ignore[arg-type] # no date is a child still here
    return f"the child of {person} is at the school after all"


def court_order(o: Others) -> str:
    """A relationship is restricted."""
    person, school = o.rng.choice([*LEAVERS]), o.world.school
    school.relationships[:] = [
        replace(r, restricted=r.restricted or r.contact_id == person) for r in school.relationships
    ]
    return f"{person} is restricted"


def lose_role(o: Others) -> str:
    """A role ends."""
    person, role = o.rng.choice([(STAFF, "Faculty"), ("g0", "Parent")])
    roles = o.world.school.roles
    roles[:] = [replace(g, ends_on=YESTERDAY) if (g.person_id, g.role) == (person, role) else g for g in roles]
    return f"{person} loses the role {role}"


def gain_role(o: Others) -> str:
    """A role is given: the nightly run adds a member."""
    person = o.rng.choice(["g1", "g2", STAFF])
    if person not in o.world.school.people or "club" not in o.world.school.portals:
        return ""
    if any((g.person_id, g.role) == (person, "Parent") for g in o.world.school.roles):
        return ""
    o.world.school.role(person, "Parent")
    return f"{person} gains the role Parent"


# --- accounts and members -------------------------------------------------------------------------------------------


def enable_account(o: Others) -> str:
    """A disabled account is enabled again by somebody else."""
    account = o.world.account(o.somebody())
    if account is None or account.enabled:
        return ""
    o.edit(account, enabled=True, state=str(int(account.state) & ~2))
    return f"enables account {account.username}"


def set_flag(o: Others) -> str:
    """A bit of userAccountControl changes beside ours."""
    account = o.world.account(o.somebody())
    if account is None:
        return ""
    o.edit(account, state=str(int(account.state) ^ 65536))
    return f"changes the state of account {account.username}"


def rename_account(o: Others) -> str:
    """An account is renamed."""
    account = o.world.account(o.somebody())
    if account is None:
        return ""
    o.edit(account, username=f"x{o.world.next_number()}-{account.username[-8:]}")
    return f"renames account {account.username}"


def move_account(o: Others) -> str:
    """An account leaves the managed OUs, or comes back."""
    account = o.world.account(o.somebody())
    if account is None:
        return ""
    o.edit(account, managed=not account.managed, dn=f"CN={account.username},OU=Elsewhere{o.world.next_number()}")
    return f"moves account {account.username} {'out of' if account.managed else 'into'} scope"


def recreate_account(o: Others) -> str:
    """An account is deleted and made anew: another GUID, enabled."""
    account = o.world.account(o.somebody())
    if account is None:
        return ""
    o.let_in(account)
    accounts = o.world.school.accounts
    new = replace(account, guid=guid(f"again-{o.world.next_number()}"), enabled=True, state="512")
    accounts[accounts.index(account)] = new
    return f"deletes account {account.username} and makes it anew"


def edit_member(o: Others) -> str:
    """A member is given another username, is enabled or disabled."""
    member = o.world.member(o.somebody(), o.rng.choice(["engage", "engage", "club", "faculty", "paper"]))
    if member is None:
        return ""
    match o.rng.randrange(3):
        case 0:
            o.edit(member, username=f"n{o.world.next_number()}-{member.person_id}", has_password=True)
        case 1:
            o.edit(member, status=MemberStatus.ENABLED)
        case _:
            o.edit(member, status=MemberStatus.DISABLED)
    return f"edits member {member.person_id} of {member.portal}"


def disable_member(o: Others) -> str:
    """A member who is entitled is disabled."""
    member = o.world.member(o.rng.choice(["ok0", "g0"]), CLUB.name)
    if member is None or not member.enabled:
        return ""
    o.edit(member, status=MemberStatus.DISABLED)
    return f"disables member {member.person_id} of {member.portal}"


def delete_member(o: Others) -> str:
    """A member is removed."""
    member = o.world.member(o.rng.choice(LEAVERS), o.rng.choice(["engage", "club"]))
    if member is None:
        return ""
    o.world.school.members.remove(member)
    return f"removes member {member.person_id} of {member.portal}"


def give_username_to_heir(o: Others) -> str:
    """A username that was cleared is given to somebody who is entitled, with the account's name."""
    person, world = o.rng.choice(LEAVERS), o.world
    member, heir, account = world.member(person), world.member(HEIR), world.account(HEIR)
    name = f"u{person}"
    if member is None or member.username or heir is None or heir.username or account is None:
        return ""
    old = next((a for a in world.school.accounts if a.username == name), None)
    if old is not None:
        o.edit(old, username=f"old-{name}")
    account = world.account(HEIR)
    if account is None or any(name == m.username for m in world.school.members):
        return ""
    o.edit(account, username=name)
    o.edit(heir, username=name, has_password=True)
    sign_in(world.school, "web", HEIR, "engage", name, world.now)
    return f"gives the username {name} to {HEIR}, who signs in"


def name_on_wrong_record(o: Others) -> str:
    """The username of somebody entitled is typed on a leaver's record."""
    member = o.world.member(o.rng.choice(LEAVERS))
    if member is None:
        return ""
    o.edit(member, username="uok0")
    return f"types uok0 on the record of {member.person_id}"


def protect_account(o: Others) -> str:
    """An account gets into a protected group."""
    account = o.world.account(o.rng.choice(LEAVERS))
    if account is None or account.protected:
        return ""
    o.edit(account, protected="adminCount=1")
    return f"protects account {account.username}"


def unprotect_accounts(o: Others) -> str:
    """No account is protected any more."""
    guarded = [a for a in o.world.school.accounts if a.protected]
    for account in guarded:
        o.edit(account, protected="")
    return f"unprotects {' '.join(a.username for a in guarded)}" if guarded else ""


def dispute_account(o: Others) -> str:
    """An account that is linked to one person gets the employee id of another."""
    person, other = o.rng.sample([*LEAVERS, "ok0"], 2)
    account = o.world.account(person)
    if account is None or o.world.first_owner.get(account.guid) != person:
        return ""
    o.edit(account, employee_id=o.world.school.people[other].code)
    return f"gives account {account.username} of {person} the employee id of {other}"


def settle_disputes(o: Others) -> str:
    """Every account gets the employee id of the person it is linked to."""
    people, first = o.world.school.people, o.world.first_owner
    wrong = [
        (account, people[first[account.guid]].code)
        for account in o.world.school.accounts
        if account.guid in first and account.employee_id != people[first[account.guid]].code
    ]
    for account, code in wrong:
        o.edit(account, employee_id=code)
    return f"sets the employee id of {' '.join(a.username for a, _ in wrong)} right" if wrong else ""


def do_the_worklist(o: Others) -> str:
    """Somebody does by hand what lies on the worklist and is still asked for."""
    asked = o.promises.words.asked_on(PAPER.name)
    done = [person for person in o.world.worklist if person in asked]
    for person in done:
        member = o.world.member(person, PAPER.name)
        o.world.worklist.pop(person)()
        after = o.world.member(person, PAPER.name)
        if member and after and _lives(after) and not _lives(member):
            o.let_in(member)
    return f"does on the worklist what is asked of {' '.join(done)}" if done else ""


# --- sessions ---------------------------------------------------------------------------------------------------------


def log_in(o: Others) -> str:
    """Somebody signs in, if a door is open."""
    world, person = o.world, o.rng.choice([*LEAVERS, *LEAVERS, STAFF, HEIR, "ok0"])
    open_to = [m for m in world.school.members if m.person_id == person and _can_sign_in(world, m)]
    if not open_to:
        return ""
    member = o.rng.choice(open_to)
    app = "app" if "app" in world.school.store_keys else "web"
    store = app if member.portal in (CLUB.name, PAPER.name) else o.rng.choice(["web", "web", app])
    by_name = world.school.store_keys[store] is SessionKey.USERNAME
    session = sign_in(world.school, store, person, member.portal, member.username if by_name else person, world.now)
    return f"{person} signs in to {member.portal}: {session.session_id} in {store}"


def _can_sign_in(world: World, member: Member) -> bool:
    if not member.enabled or not member.username:
        return False
    if member.portal not in DIRECTORY_PORTALS:
        return member.has_password
    mine = world.school.people[member.person_id].code
    return any(a.enabled and a.username == member.username and a.employee_id == mine for a in world.school.accounts)


SOURCE: tuple[Deed, ...] = (leave, leave, leave, come_back, court_order, lose_role, gain_role)
TARGETS: tuple[Deed, ...] = (
    enable_account,
    set_flag,
    rename_account,
    move_account,
    recreate_account,
    edit_member,
    delete_member,
    give_username_to_heir,
    give_username_to_heir,
    name_on_wrong_record,
)
