"""Writes a judgement into the endpoint's tables: who everybody is, a User for each, and who is in which portal.

Only what changed is written, some hundred rows a transaction, so that requests are answered meanwhile. What a provider
wrote about a User it adopted stays; of such a User only `active` and our extension are ours.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Row, bindparam, delete, insert, select, update

from connector.model import Status
from connector.reconcile.journal_bulk import among, execute_many
from connector.reconcile.journal_scim_tables import (
    scim_closings,
    scim_groups,
    scim_members,
    scim_people,
    scim_usernames,
    scim_users,
)
from connector.reconcile.journal_sourced import SOURCED
from connector.reconcile.journal_store import Store, upsert
from connector.reconcile.judge import Judgement
from connector.scim import group_store, memberships, user_store
from connector.scim.committing import Turn, turn
from connector.scim.gate import ADMIN
from connector.scim.ids import new_id
from connector.scim.mirrored import MirroredUser, person_rows, portal_members, users
from connector.scim.models import CONNECTOR_SCHEMA, GROUP_SCHEMA
from connector.scim.seam import Ruling
from connector.scim.search_document import index_key
from connector.scim.truth import LET_IN, Truth, with_truth

T = TypeVar("T")

AT_ONCE = 200
"""How many rows one transaction writes: others wait no longer for it than for a request."""

OPERATOR = "scim:mirror"

_KEPT = ("groups", CONNECTOR_SCHEMA)
_UNNAME = delete(scim_usernames).where(among(scim_usernames.c.person_id, "ids"))
_PERSONS = select(scim_people.c.person_id, scim_people.c.digest)
_USERS = select(
    scim_users.c.id,
    scim_users.c.person_id,
    scim_users.c.source,
    scim_users.c.user_name_key,
    scim_users.c.code_key,
    scim_users.c.mirror_digest,
)
_ROWS = select(*user_store.COLUMNS).where(among(scim_users.c.id, "ids"))
_DIGEST = (
    update(scim_users).where(scim_users.c.id == bindparam("of")).values(mirror_digest=bindparam("new_mirror_digest"))
)
_GROUPS = select(scim_groups.c.id, scim_groups.c.portal).where(scim_groups.c.portal != "")
_MEMBERS = (
    select(scim_members.c.user_id, scim_users.c.person_id)
    .join(scim_users, scim_users.c.id == scim_members.c.user_id)
    .where(scim_members.c.group_id == bindparam("group_id"), scim_users.c.source == ADMIN, scim_users.c.pending == "")
)
_LEAVE = delete(scim_members).where(
    scim_members.c.group_id == bindparam("group_id"), scim_members.c.user_id == bindparam("user_id")
)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a User without its document."""

    user_id: str
    person_id: str
    source: str
    name: str
    code_key: str
    digest: str


@dataclass(slots=True)
class Mirror:
    """Writes judgements into one database. `names` are the keys of the user names that are taken, and by whom."""

    store: Store
    portals: Sequence[str]
    names: dict[str, str] = field(default_factory=dict)

    def write(self, judgement: Judgement) -> int:
        """Write what changed; give how many Users that were."""
        self._write_people(judgement)
        known = self._known()
        self.names = {one.name: one.person_id for one in known.values()}
        made = list(users(judgement))
        known = self._take_over(made, known)
        changed = [one for one in made if (there := known.get(one.person_id)) is None or there.digest != one.digest]
        changed = [one for one in changed if one.person_id in known or not one.blocked]
        for part in _parts(changed):
            with turn(self.store) as now:
                self._write_users(now, part, known)
        self._let_go(known, {one.person_id for one in made}, judgement)
        self._write_groups(judgement)
        return len(changed)

    # --- people -----------------------------------------------------------------------------------------------------

    def _write_people(self, judgement: Judgement) -> None:
        with self.store.reading() as conn:
            known = {row.person_id: row.digest for row in conn.execute(_PERSONS)}
        rows = {row["person_id"]: row for row in person_rows(judgement)}
        changed = [row for key, row in rows.items() if known.get(key) != row["digest"]]
        for part in _parts(changed):
            with self.store.writing() as writing:
                upsert(writing.conn, scim_people, [{**row, "judged_at": writing.now} for row in part])
                writing.conn.execute(_UNNAME, {"ids": [row["person_id"] for row in part]})
                execute_many(writing.conn, insert(scim_usernames), _names_of(part))
        for part in _parts([key for key in known if key not in rows]):
            with self.store.writing() as writing:
                writing.conn.execute(delete(scim_people).where(scim_people.c.person_id.in_(part)))
                writing.conn.execute(_UNNAME, {"ids": part})

    # --- Users ------------------------------------------------------------------------------------------------------

    def _known(self) -> dict[str, _Known]:
        with self.store.reading() as conn:
            rows = conn.execute(_USERS).all()
        found = (_Known(r.id, r.person_id, r.source, r.user_name_key, r.code_key, r.mirror_digest) for r in rows)
        return {one.person_id: one for one in found}

    def _write_users(self, now: Turn, made: Sequence[MirroredUser], known: Mapping[str, _Known]) -> None:
        ids = [known[one.person_id].user_id for one in made if one.person_id in known]
        rows = {row.person_id: row for row in now.writing.conn.execute(_ROWS, {"ids": ids})}
        digests = []
        for one in made:
            row = rows.get(one.person_id)
            if row is None and one.person_id in known:
                continue  # a provider deleted it just now
            user_id = self._change(now, row, one) if row is not None else self._add(now, one)
            if user_id:
                digests.append({"of": user_id, "new_mirror_digest": one.digest})
        execute_many(now.writing.conn, _DIGEST, digests)

    def _add(self, now: Turn, one: MirroredUser) -> str:
        """Make a User of somebody nobody sees yet. Who is blocked needs none: perhaps a provider deleted it."""
        name = self._free_name(one)
        if not name or one.blocked:
            return ""
        user_id, active = new_id(), one.status in LET_IN
        self.names[index_key(name)] = one.person_id
        document = with_truth({**one.document, "userName": name}, Truth(one.status, ADMIN, why=one.why), active=active)
        ruling = Ruling(one.person_id, ADMIN, active=active, wanted=True)
        user_store.add(now, user_id, document, user_store.Owner("", ruling))
        return user_id

    def _change(self, now: Turn, row: Row[Any], one: MirroredUser) -> str:
        if row.pending:
            return ""  # what is being done right now is told by whoever does it
        before = json.loads(row.document)
        active = one.status in LET_IN and row.wanted
        document = before if row.client else self._renewed(before, one)
        truth = Truth(one.status, ADMIN, why=one.why)
        ruling = Ruling(one.person_id, ADMIN, active=active, wanted=row.wanted)
        document = with_truth(document, truth, active=active)
        user_store.change(now, row, before, document, user_store.Owner(row.client, ruling))
        return str(row.id)

    def _renewed(self, before: Mapping[str, Any], one: MirroredUser) -> dict[str, Any]:
        """Give the newest facts. A name that somebody else has by now stays as it was."""
        name = self._free_name(one)
        self.names[index_key(name or before["userName"])] = one.person_id
        kept = {key: before[key] for key in (*_KEPT, "externalId") if key in before}
        return {**one.document, **kept, "userName": name or before["userName"]}

    def _free_name(self, one: MirroredUser) -> str:
        return next((n for n in one.names if self.names.get(index_key(n), one.person_id) == one.person_id), "")

    def _take_over(self, made: Iterable[MirroredUser], known: dict[str, _Known]) -> dict[str, _Known]:
        """Whoever came by a provider and is in the admin system by now, by contact code, is its person from now on."""
        by_code = {one.code_key: one for one in known.values() if one.source == SOURCED and one.code_key}
        for one in made if by_code else ():
            if (sourced := by_code.get(one.code_key)) is None:
                continue
            with turn(self.store) as now:
                if (double := known.pop(one.person_id, None)) is not None:
                    user_store.remove(now, double.user_id)
                _hand_over(now, sourced, one)
            known.pop(sourced.person_id, None)
            known[one.person_id] = _Known(sourced.user_id, one.person_id, ADMIN, sourced.name, one.code_key, "")
        return known

    def _let_go(self, known: Mapping[str, _Known], made: set[str], judgement: Judgement) -> None:
        """Whom the admin system no longer has is no longer let in; a User nobody adopted goes."""
        decided = judgement.decisions.by_key()
        gone = [one for one in known.values() if one.source == ADMIN and one.person_id not in made]
        for part in _parts(gone):
            with turn(self.store) as now:
                for row in now.writing.conn.execute(_ROWS, {"ids": [one.user_id for one in part]}).all():
                    decision = decided.get(row.person_id)
                    if not row.client and decision is None:
                        user_store.remove(now, row.id)
                    elif row.active and not row.pending:
                        status = decision.status if decision else Status.NONE
                        _shut(now, row, Truth(status, ADMIN, why="in no admin record"))

    # --- Groups -----------------------------------------------------------------------------------------------------

    def _write_groups(self, judgement: Judgement) -> None:
        with turn(self.store) as now:
            there = {row.portal: row.id for row in now.writing.conn.execute(_GROUPS)}
            for portal in self.portals:
                if portal not in there:
                    there[portal] = new_id()
                    document = {"schemas": [GROUP_SCHEMA], "displayName": portal}
                    group_store.add(now, there[portal], document, client="", portal=portal)
        by_person = {one.person_id: one.user_id for one in self._known().values() if one.source == ADMIN}
        for portal, people in portal_members(judgement).items():
            if portal in there:
                self._write_members(there[portal], {by_person[p]: p for p in people if p in by_person})

    def _write_members(self, group_id: str, wanted: Mapping[str, str]) -> None:
        with self.store.reading() as conn:
            there = {row.user_id for row in conn.execute(_MEMBERS, {"group_id": group_id})}
        changed = sorted(there.symmetric_difference(wanted))
        for part in _parts(changed):
            with turn(self.store) as now:
                still = {row.id for row in now.writing.conn.execute(_ROWS, {"ids": part}) if not row.pending}
                came = [u for u in part if u in wanted and u in still]
                rows = [{"group_id": group_id, "user_id": u, "added_at": now.writing.now} for u in came]
                old = [{"group_id": group_id, "user_id": user_id} for user_id in part if user_id in still]
                if old:
                    now.writing.conn.execute(_LEAVE, old)
                execute_many(now.writing.conn, insert(scim_members), rows)
                memberships.refresh(now, sorted(still))


def _names_of(people: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Give the rows of their names."""
    return [{"person_id": one["person_id"], "name_key": key} for one in people for key in json.loads(one["usernames"])]


def _hand_over(now: Turn, sourced: _Known, one: MirroredUser) -> None:
    """What stood under the provider's id is closed; the User is the admin system's person from now on."""
    row = user_store.find(now, sourced.user_id)
    now.writing.conn.execute(
        insert(scim_closings),
        {
            "id": now.writing.next_id(scim_closings),
            "client": row.client,
            "person_id": sourced.person_id,
            "user_id": "",
            "code": "",
            "name": row.user_name,
            "portal": "",
            "sourced": True,
            "at": now.writing.now,
            "done_at": None,
        },
    )
    values = {"person_id": one.person_id, "source": ADMIN, "mirror_digest": "", "pending": ""}
    now.writing.conn.execute(update(scim_users).where(scim_users.c.id == row.id).values(**values))
    said = f"{row.user_name} is {one.person_id} of the admin system from now on: the contact code is the same."
    now.writing.note("scim-handed-over", one.person_id, OPERATOR, said, person_id=one.person_id)


def _shut(now: Turn, row: Row[Any], truth: Truth) -> None:
    before = json.loads(row.document)
    ruling = Ruling(row.person_id, row.source, active=False, wanted=row.wanted)
    document = with_truth(before, truth, active=False)
    user_store.change(now, row, before, document, user_store.Owner(row.client, ruling))


def _parts(values: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(values)
    while part := list(islice(rest, AT_ONCE)):
        yield part
