"""Who must never be written."""

from connector.ldap.names import dn_key
from connector.ldap.protection import Group, Protection, roots, to_group, with_nested

ADMINS = Group("CN=Domain Admins,DC=x", dn_key("CN=Domain Admins,DC=x"), rid=512)
TEAM = Group("CN=Team,DC=x", dn_key("CN=Team,DC=x"), member_of=frozenset({ADMINS.key}))
NORA = dn_key("CN=Nora,OU=P,DC=x")


def protection(*groups: Group, members: dict[str, list[str]] | None = None) -> Protection:
    listed = {name: frozenset(map(dn_key, dns)) for name, dns in (members or {}).items()}
    found, all_members = with_nested([groups[0]], groups, lambda group: listed.get(group.dn, frozenset()))
    return Protection(
        groups={key: group.dn for key, group in found.items()},
        members=all_members,
        rids={group.rid: group.dn for group in found.values() if group.rid},
    )


def test_admin_count_protects_and_zero_does_not() -> None:
    assert Protection().why(NORA, {"admincount": [b"1"]}) == "adminCount is set"
    assert Protection().why(NORA, {"admincount": [b"0"]}) == ""


def test_a_member_known_from_her_own_side_only_is_protected_through_a_nested_group() -> None:
    why = protection(ADMINS, TEAM).why(NORA, {"memberof": [b"cn=team, dc=X"]})

    assert why == "member of CN=Team,DC=x"


def test_a_member_known_from_the_groups_side_only_is_protected_through_a_nested_group() -> None:
    plain = Group(TEAM.dn, TEAM.key)
    members = {ADMINS.dn: [TEAM.dn], TEAM.dn: ["CN=Nora,OU=P,DC=x"]}

    assert protection(ADMINS, plain, members=members).why(NORA, {}) == "member of CN=Team,DC=x"


def test_a_primary_group_protects_though_no_membership_names_it() -> None:
    assert "primary group" in protection(ADMINS).why(NORA, {"primarygroupid": [b"512"]})
    assert protection(ADMINS).why(NORA, {"primarygroupid": [b"513"]}) == ""


def test_groups_that_contain_each_other_end() -> None:
    first = Group("CN=A,DC=x", dn_key("CN=A,DC=x"), member_of=frozenset({dn_key("CN=B,DC=x")}))
    second = Group("CN=B,DC=x", dn_key("CN=B,DC=x"), member_of=frozenset({first.key}))

    assert set(protection(first, second).groups) == {first.key, second.key}


def test_domain_admins_are_found_by_rid_under_another_name() -> None:
    sid = bytes.fromhex("0105000000000005150000001111111122222222333333330002 0000".replace(" ", ""))
    renamed = to_group("CN=Domänen-Admins,DC=x", {"objectsid": [sid]})

    start, missing = roots([renamed, TEAM], (), dn_key("CN=Domain Admins,CN=Users,DC=x"))

    assert start == [renamed]
    assert missing == []


def test_a_named_group_that_is_not_there_is_missing() -> None:
    start, missing = roots([TEAM], ("cn=team,dc=x", "CN=Gone,DC=x"), None)

    assert start == [TEAM]
    assert missing == ["CN=Gone,DC=x"]


def test_a_mark_and_a_protected_ou_protect_whatever_their_case() -> None:
    marked = Protection(mark=("employeeType", "VIP"), ous=((dn_key("OU=p,DC=x"), "OU=p,DC=x"),))

    assert marked.why(NORA, {"employeetype": [b"vip "]}) == "in protected OU OU=p,DC=x; marked employeeType=VIP"
