"""Schools by the dozen: from a seed and a size, a school in which the rare things are common.

The same seed gives the same school. Families are ordinary or odd, then a few facts are spoiled, as typing does.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from random import Random

from connector.model import MembershipType, MemberStatus, PersonStatus, Reason, SessionKey
from connector.policy import OnMismatch, Policy, PortalRules, SignIn, Strategy
from connector.reconcile.memory import Block, Keep
from tests.reconcile.build import ALUMNI, ASSOCIATION, FACULTY, STUDENT, TODAY, SchoolBuilder, guid, school

HUB = PortalRules("hub", Strategy.CONTACTS, on_mismatch=OnMismatch.REVOKE, sign_in=SignIn.PASSWORD)
CLUB = PortalRules("club", Strategy.MANUAL, on_mismatch=OnMismatch.REVOKE, sign_in=SignIn.PASSWORD)
VENDOR = PortalRules("vendor", Strategy.CUSTOM, on_mismatch=OnMismatch.REVOKE, sign_in=SignIn.PASSWORD)

Odd = Callable[[SchoolBuilder, Random, str], object]


def random_school(seed: int, size: int) -> SchoolBuilder:
    """Give a school of about `size` families."""
    dice = Random(seed)  # noqa: S311 - a seeded school is no secret
    one = school().portal(FACULTY, ASSOCIATION, ALUMNI, STUDENT)
    one.portal(*dice.sample((HUB, CLUB, VENDOR), dice.randrange(4)))
    if dice.random() < 0.5:
        one.store("mobile", dice.choice(list(SessionKey)))
    for number in range(size):
        ordinary = dice.random() < 0.2
        scene = dice.choice(ORDINARY if ordinary else ODD)
        scene(one, dice, f"{number}")
    for _ in range(dice.randrange(1 + size // 3)):
        dice.choice(SPOILS)(one, dice, "")
    _sign_in_on_mobile(one, dice)
    return _rules(one, dice)


def shuffled(one: SchoolBuilder, seed: int) -> SchoolBuilder:
    """Give the same school with every list in another order."""
    dice = Random(seed)  # noqa: S311 - as above
    other = SchoolBuilder()
    other.__dict__.update(one.__dict__)
    for name in ("relationships", "enrolments", "roles", "members", "accounts", "sessions"):
        rows = list(getattr(one, name))
        dice.shuffle(rows)
        setattr(other, name, rows)
    people = list(one.people.items())
    dice.shuffle(people)
    other.people = dict(people)
    return other


def _rules(one: SchoolBuilder, dice: Random) -> SchoolBuilder:
    one.rules(
        early_access_days=dice.choice((0, 0, 14)),
        confirm_runs=dice.choice((1, 1, 1, 2)),
        notice_days=dice.choice((0, 0, 7)),
        superseded_needs_active_successor=dice.random() < 0.3,
        policies={reason: dice.choice((Policy.APPLY, Policy.APPLY, Policy.APPLY, Policy.HOLD)) for reason in Reason},
        rollover_from=dice.choice((None, None, None, TODAY)),
    )
    keys = dice.sample(sorted(one.people), min(len(one.people), 6))
    return one.remember(
        keeps={key: Keep(key, "Ada", "travelling", dice.choice((None, TODAY))) for key in keys[:1]},
        flips=dict.fromkeys(keys[1:2], 2),
        ready_since=dict.fromkeys(keys[2:4], TODAY - timedelta(days=dice.choice((6, 7, 8)))),
        ready_runs={key: dice.randrange(3) for key in keys},
    )


# --- ordinary families ------------------------------------------------------------------------------------------


def two_parents(one: SchoolBuilder, dice: Random, number: str) -> None:
    one.student(f"s{number}").role(f"s{number}", "Student")
    for parent, kind in (("a", "Mother"), ("b", "Father")):
        one.family(f"{parent}{number}", of=f"s{number}", contact_type=kind)
    if dice.random() < 0.3:
        one.role(f"a{number}", "Parent")


def staff(one: SchoolBuilder, dice: Random, number: str) -> None:
    one.person(f"t{number}").role(f"t{number}").doors(f"t{number}", "faculty")
    if dice.random() < 0.5:
        one.accounts[-1] = replace(one.accounts[-1], managed=False)


# --- odd ones ---------------------------------------------------------------------------------------------------


def _some_day(dice: Random) -> date:
    return TODAY + timedelta(days=dice.choice((-400, -61, -60, -31, -30, -1, 0, 1)))


def left(one: SchoolBuilder, dice: Random, number: str) -> None:
    why = dice.choice(("left", "graduated", "exchange", ""))
    one.student(f"s{number}", left=_some_day(dice), why=why)
    one.family(f"a{number}", of=f"s{number}")
    if dice.random() < 0.3:
        one.student(f"s{number}", entry=TODAY + timedelta(days=dice.choice((0, 1, 40, 300))))


def split(one: SchoolBuilder, dice: Random, number: str) -> None:
    """A second record of the same human, which has the child."""
    one.leaver(f"a{number}", given_name="Sam", family_name=f"Split{number}", email=f"split{number}@mail.example")
    one.student(f"t{number}")
    one.contact(
        f"b{number}",
        of=f"t{number}",
        given_name="sam",
        family_name=f"SPLIT{number}",
        email=dice.choice((f"Split{number}@mail.example", "")),
        previous_codes=dice.choice(((), (f"ca{number}",))),
    )
    if dice.random() < 0.5:
        one.doors(f"b{number}")


def changed_code(one: SchoolBuilder, dice: Random, number: str) -> None:
    one.student(f"s{number}").person(f"a{number}").doors(f"a{number}")
    one.contact(f"b{number}", of=f"s{number}", previous_codes=(f"Ca{number}", f"Cold{number}"))
    if dice.random() < 0.3:
        one.person(f"z{number}", code=f"Ca{number}", status=dice.choice(list(PersonStatus)))


def changed_surname(one: SchoolBuilder, dice: Random, number: str) -> None:
    one.student(f"s{number}")
    one.contact(f"a{number}", of=f"s{number}", ended_on=_some_day(dice), given_name="Ines", mobile="0400 1")
    one.doors(f"a{number}")
    one.family(
        f"b{number}", of=f"s{number}", given_name=dice.choice(("Ines", "Ida")), mobile=dice.choice(("04001", ""))
    )


def wrong_username(one: SchoolBuilder, dice: Random, number: str) -> None:
    """An entitled parent's username stands on a record without a child."""
    one.student(f"s{number}").contact(f"a{number}", of=f"s{number}").account(f"a{number}").session(f"a{number}")
    one.person(f"b{number}").member(f"b{number}", username=f"ua{number}")
    if dice.random() < 0.5:
        one.accounts[-1] = replace(one.accounts[-1], employee_id="")
    if dice.random() < 0.5:
        one.member(f"a{number}", username=dice.choice((f"ua{number}", f"UA{number}", "")))


def shared_mailbox(one: SchoolBuilder, dice: Random, number: str) -> None:
    mail = f"family{number}@mail.example"
    one.family(f"a{number}", email=mail).leaver(f"b{number}", email=mail)
    blank = dice.choice(("", "Cnobody"))
    one.accounts[-1] = replace(
        one.accounts[-1], employee_id=blank, email=mail, username=dice.choice(("odd", f"ub{number}"))
    )


def mail_only(one: SchoolBuilder, dice: Random, number: str) -> None:
    one.student(f"s{number}", left=_some_day(dice)).contact(f"a{number}", of=f"s{number}")
    one.account(f"a{number}", employee_id="", username=f"x{number}", email=f"A{number}@mail.example")
    one.session(user=f"x{number}")


def restricted(one: SchoolBuilder, dice: Random, number: str) -> None:
    one.student(f"s{number}", left=dice.choice((None, None, TODAY - timedelta(days=9))))
    one.family(f"a{number}", of=f"s{number}", contact_type=dice.choice(("Mother", "Uncle")), restricted=True)
    if dice.random() < 0.5:
        one.student(f"r{number}", left=dice.choice((None, None, TODAY - timedelta(days=9))))
        one.contact(f"a{number}", of=f"r{number}", contact_type=dice.choice(("Mother", "Uncle")))
    if dice.random() < 0.5:
        mine = one.people[f"a{number}"]
        one.contact(
            f"b{number}", of=f"s{number}", family_name=mine.family_name, given_name=mine.given_name, email=mine.email
        )
        one.doors(f"b{number}")


def unflagged(one: SchoolBuilder, dice: Random, number: str) -> None:
    kind = dice.choice(("Uncle", "Godparent", "Mother"))
    one.family(f"a{number}", contact_type=kind, access=dice.choice((None, False, True)))
    one.relationships[-1] = replace(one.relationships[-1], contact_type=kind)


def ended(one: SchoolBuilder, dice: Random, number: str) -> None:
    one.student(f"s{number}").contact(f"a{number}", of=f"s{number}", ended_on=_some_day(dice)).doors(f"a{number}")
    if dice.random() < 0.3:
        one.contact(f"a{number}", of=f"s{number}", contact_type=dice.choice(("Mother", "Uncle")))


def unknown_enrolment(one: SchoolBuilder, dice: Random, number: str) -> None:
    one.student(f"s{number}", entry=dice.choice((None, TODAY)), left=TODAY - timedelta(days=1))
    one.family(f"a{number}", of=f"s{number}", contact_type=dice.choice(("Mother", "Uncle")))
    if dice.random() < 0.4:
        one.student(f"r{number}", left=dice.choice((None, TODAY - timedelta(days=9))))
        one.contact(f"a{number}", of=f"r{number}", contact_type=dice.choice(("Mother", "Uncle")))


def gone(one: SchoolBuilder, dice: Random, number: str) -> None:
    """Inactive, denied, blocked, deceased, or in no record at all."""
    one.family(f"a{number}")
    kind = dice.randrange(5)
    if kind == 0:
        one.change(f"a{number}", status=dice.choice((PersonStatus.INACTIVE, PersonStatus.DECEASED)))
    elif kind == 1:
        one.role(f"a{number}", "portal_account_disabled", ends=dice.choice((None, TODAY - timedelta(days=1))))
    elif kind == 2:
        one.remember(blocks={**one.memory.blocks, f"a{number}": Block(f"a{number}", "Ada", "left in anger")})
    elif kind == 3:
        del one.people[f"a{number}"]
        one.relationships.pop()
    else:
        one.remember(requested=one.memory.requested | {f"a{number}"})
        one.remember(blocks={**one.memory.blocks, f"a{number}": Block(f"a{number}", "Ada", "asked for")})


def staff_parent(one: SchoolBuilder, dice: Random, number: str) -> None:
    one.leaver(f"a{number}").member(f"a{number}", "faculty").session(f"a{number}", "faculty")
    one.role(
        f"a{number}", begins=dice.choice((None, TODAY)), ends=dice.choice((None, TODAY, TODAY - timedelta(days=1)))
    )
    if dice.random() < 0.5:
        one.student(f"s-a{number}")


def half_revoked(one: SchoolBuilder, dice: Random, number: str) -> None:
    one.student(f"s{number}", left=dice.choice((None, _some_day(dice)))).contact(f"a{number}", of=f"s{number}")
    if dice.random() < 0.7:
        one.account(f"a{number}", enabled=dice.random() < 0.5)
    one.closed_member(f"a{number}") if dice.random() < 0.6 else one.member(f"a{number}", has_password=False)
    if dice.random() < 0.5:
        one.session(f"a{number}")
    if dice.random() < 0.3:
        one.remember(users={**one.memory.users, ("engage", f"ua{number}"): f"a{number}"})


def orphan(one: SchoolBuilder, dice: Random, number: str) -> None:
    one.account(f"o{number}", employee_id=dice.choice((f"Cgone{number}", "")), enabled=dice.random() < 0.8)
    if dice.random() < 0.3:
        one.session(f"o{number}")


def disputed(one: SchoolBuilder, dice: Random, number: str) -> None:
    one.leaver(f"a{number}") if dice.random() < 0.5 else one.family(f"a{number}")
    if dice.random() < 0.5:
        one.account(f"a{number}", guid=guid(f"second{number}"), username=f"second{number}")
    else:
        one.leaver(f"b{number}", code=f"Ca{number}")


def linked(one: SchoolBuilder, dice: Random, number: str) -> None:
    """A stored link: that holds, that moves, or that another employee id disputes."""
    one.leaver(f"a{number}").family(f"b{number}")
    account = one.accounts[-2]
    whose = dice.choice(("", f"Ca{number}", f"Cb{number}", "Cnobody"))
    one.accounts[-2] = replace(account, employee_id=whose)
    if dice.random() < 0.5:
        one.change(f"b{number}", previous_codes=(f"Ca{number}",))
    one.remember(links={**one.memory.links, (account.directory, account.guid): f"a{number}"})


def second_directory(one: SchoolBuilder, dice: Random, number: str) -> None:
    one.leaver(f"a{number}") if dice.random() < 0.7 else one.family(f"a{number}")
    one.account(f"a{number}", "ldap", enabled=dice.random() < 0.7, managed=dice.random() < 0.8)


def protected(one: SchoolBuilder, _: Random, number: str) -> None:
    one.leaver(f"a{number}")
    one.accounts[-1] = replace(one.accounts[-1], protected="adminCount")


def other_portals(one: SchoolBuilder, dice: Random, number: str) -> None:
    """Members of portals with another strategy, or in a password portal under somebody else's name."""
    one.leaver(f"a{number}") if dice.random() < 0.6 else one.family(f"a{number}")
    for name in dice.sample(sorted(set(one.portals) - {"engage"}), 2):
        one.member(
            f"a{number}",
            name,
            username=dice.choice((f"ua{number}", f"n{number}", "ua1")),
            native_id=str(sum(m.portal == name for m in one.members)),
            status=dice.choice(list(MemberStatus)),
            membership_type=dice.choice(list(MembershipType)),
            strategy_match=dice.choice((None, True, False)) if name == "vendor" else None,
        )
        if dice.random() < 0.5:
            one.session(f"a{number}", name, user=one.members[-1].username)


# --- what typing does -------------------------------------------------------------------------------------------


def _another_username(one: SchoolBuilder, dice: Random, _: str) -> None:
    if one.members:
        at, name = dice.randrange(len(one.members)), dice.choice(one.members).username
        one.members[at] = replace(one.members[at], username=name)


def _another_employee_id(one: SchoolBuilder, dice: Random, _: str) -> None:
    if one.accounts:
        at = dice.randrange(len(one.accounts))
        code = dice.choice(["", "Cnobody", *(p.code for p in one.people.values())])
        one.accounts[at] = replace(one.accounts[at], employee_id=f" {code.upper()}" if dice.random() < 0.3 else code)


def _another_account_name(one: SchoolBuilder, dice: Random, _: str) -> None:
    if one.accounts:
        at = dice.randrange(len(one.accounts))
        one.accounts[at] = replace(one.accounts[at], username=dice.choice(one.accounts).username.upper())


def _another_mail(one: SchoolBuilder, dice: Random, _: str) -> None:
    one.change(dice.choice(sorted(one.people)), email=dice.choice(["", *(p.email for p in one.people.values())]))


def _account_mail(one: SchoolBuilder, dice: Random, _: str) -> None:
    if one.accounts:
        at = dice.randrange(len(one.accounts))
        mail = dice.choice(sorted(one.people))
        one.accounts[at] = replace(one.accounts[at], email=one.people[mail].email)


def _another_previous_code(one: SchoolBuilder, dice: Random, _: str) -> None:
    code = one.people[dice.choice(sorted(one.people))].code
    one.change(dice.choice(sorted(one.people)), previous_codes=(code,))


def _another_court_order(one: SchoolBuilder, dice: Random, _: str) -> None:
    if one.relationships:
        at = dice.randrange(len(one.relationships))
        one.relationships[at] = replace(one.relationships[at], restricted=True)


def _session_elsewhere(one: SchoolBuilder, dice: Random, _: str) -> None:
    if one.members:
        name = dice.choice(one.members).username
        one.session(portal=dice.choice(sorted(one.portals)), user=name or "nobody")


def _unmanaged(one: SchoolBuilder, dice: Random, _: str) -> None:
    if one.accounts:
        at = dice.randrange(len(one.accounts))
        one.accounts[at] = replace(one.accounts[at], managed=False)


def _sign_in_on_mobile(one: SchoolBuilder, dice: Random) -> None:
    """Let some people be signed in under whatever the second store's key is."""
    for person in dice.sample(sorted(one.people), len(one.people) // 4) if "mobile" in one.store_keys else ():
        record = one.people[person]
        users = {
            SessionKey.PERSON_ID: person,
            SessionKey.CODE: record.code,
            SessionKey.EMAIL: record.email,
            SessionKey.GUID: guid(f"ad:{person}"),
            SessionKey.NATIVE_ID: str(dice.randrange(4)),
            SessionKey.USERNAME: f"u{person}",
        }
        user = users[one.store_keys["mobile"]]
        if user:
            one.session(portal=dice.choice(sorted(one.portals)), store="mobile", user=user)


ORDINARY: tuple[Odd, ...] = (two_parents, staff)
ODD: tuple[Odd, ...] = (
    left,
    split,
    changed_code,
    changed_surname,
    wrong_username,
    shared_mailbox,
    mail_only,
    restricted,
    unflagged,
    ended,
    unknown_enrolment,
    gone,
    staff_parent,
    half_revoked,
    orphan,
    disputed,
    linked,
    second_directory,
    protected,
    other_portals,
)
SPOILS: tuple[Odd, ...] = (
    _another_username,
    _another_employee_id,
    _another_account_name,
    _another_mail,
    _account_mail,
    _another_previous_code,
    _another_court_order,
    _session_elsewhere,
    _unmanaged,
)
