"""Who must never be written: adminCount, protected groups however deep, protected OUs, a mark. Pure.

Must never leave somebody out because a directory tells membership from one side only: member, memberOf and the primary
group (which is in neither) all count.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from connector.ldap.names import DnKey, dn_key, is_at_or_below

DOMAIN_ADMINS_RID = 512  # MS-DTYP 2.4.2.4

RawAttributes = Mapping[str, Sequence[bytes]]
"""An entry's attributes as the wire gives them; names in lower case."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group, as far as protection needs it. `rid` is the last part of its SID, where it has one."""

    dn: str
    key: DnKey
    member_of: frozenset[DnKey] = frozenset()
    rid: int | None = None


@dataclass(frozen=True, slots=True)
class Protection:
    """Everything an account is held against. Maps lead to the name of the group, for people to read."""

    groups: Mapping[DnKey, str] = field(default_factory=dict)
    members: Mapping[DnKey, str] = field(default_factory=dict)
    rids: Mapping[int, str] = field(default_factory=dict)
    ous: tuple[tuple[DnKey, str], ...] = ()
    mark: tuple[str, str] | None = None

    def why(self, key: DnKey, raw: RawAttributes) -> str:
        """Say why this entry must not be written; empty: it may be."""
        reasons = []
        if any(value.strip() not in (b"", b"0") for value in raw.get("admincount", ())):
            reasons.append("adminCount is set")
        if group := self._group_of(key, raw):
            reasons.append(f"member of {group}")
        reasons += [f"in protected OU {ou}" for ou_key, ou in self.ous if is_at_or_below(key, ou_key)]
        if self.mark and _has(raw, *self.mark):
            reasons.append(f"marked {self.mark[0]}={self.mark[1]}")
        return "; ".join(reasons)

    def _group_of(self, key: DnKey, raw: RawAttributes) -> str:
        if group := self.members.get(key):
            return group
        for value in raw.get("memberof", ()):
            if group := self.groups.get(_key(value)):
                return group
        for value in raw.get("primarygroupid", ()):
            if value.isdigit() and (group := self.rids.get(int(value))):
                return f"{group} (primary group)"
        return ""


def to_group(dn: str, raw: RawAttributes) -> Group:
    """Read a group's entry."""
    sid = next(iter(raw.get("objectsid", ())), b"")
    return Group(
        dn=dn,
        key=dn_key(dn),
        member_of=frozenset(_key(value) for value in raw.get("memberof", ())),
        # MS-DTYP 2.4.2.2: the relative identifier is the last sub-authority, little-endian.
        rid=int.from_bytes(sid[-4:], "little") if len(sid) > 8 else None,  # noqa: PLR2004 - the header's length
    )


def member_keys(values: Iterable[bytes]) -> frozenset[DnKey]:
    """Give the keys of a group's member values; what is no name is nobody."""
    return frozenset(filter(None, map(_key, values)))


def roots(
    groups: Collection[Group], named: Sequence[str], domain_admins: DnKey | None
) -> tuple[list[Group], list[str]]:
    """Give the groups protection starts from, and the named ones that are not there.

    With none named, `domain_admins` (the usual name; the group may be renamed, its RID not) is what is looked for.
    """
    by_key = {group.key: group for group in groups}
    if named:
        found = [by_key[key] for key in map(dn_key, named) if key in by_key]
        return found, [name for name in named if dn_key(name) not in by_key]
    if domain_admins is None:
        return [], []
    return [group for group in groups if group.rid == DOMAIN_ADMINS_RID or group.key == domain_admins], []


def with_nested(
    start: Iterable[Group], groups: Collection[Group], members_of: Callable[[Group], frozenset[DnKey]]
) -> tuple[dict[DnKey, Group], dict[DnKey, str]]:
    """Give protected groups and all inside them, however deep, and every member one of them lists, with its group."""
    by_key = {group.key: group for group in groups}
    inside: dict[DnKey, list[Group]] = {}
    for group in groups:
        for parent in group.member_of:
            inside.setdefault(parent, []).append(group)
    found: dict[DnKey, Group] = {}
    members: dict[DnKey, str] = {}
    waiting = list(start)
    while waiting:
        group = waiting.pop()
        if group.key in found:  # groups may contain each other
            continue
        found[group.key] = group
        listed = members_of(group)
        members.update((key, members.get(key, group.dn)) for key in listed)
        waiting += [*inside.get(group.key, ()), *(by_key[key] for key in listed if key in by_key)]
    return found, members


def _key(value: bytes) -> DnKey:
    try:
        return dn_key(value.decode("utf-8"))
    except ValueError:
        return ()


def _has(raw: RawAttributes, attribute: str, value: str) -> bool:
    wanted = value.strip().casefold()
    return any(
        found.decode("utf-8", "replace").strip().casefold() == wanted for found in raw.get(attribute.lower(), ())
    )
