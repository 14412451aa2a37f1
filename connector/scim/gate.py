"""What a provider's request may mean for somebody's access. Asked inside the write transaction; it never acts itself.

The admin system decides entitlement: for people it knows, a provider may only take away, and what it takes away stays
away until two people lift the block. For people only the provider knows, its word decides, unless somebody here has
blocked them. Deny by default. Source: DESIGN 5.
"""

import hashlib
import json
from base64 import b32encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import Row, bindparam, func, insert, select, update

from connector.reconcile.journal_people import write_block
from connector.reconcile.journal_scim_tables import scim_closings, scim_groups, scim_members, scim_users
from connector.reconcile.journal_sourced import SOURCED
from connector.reconcile.journal_store import Writing
from connector.reconcile.memory import Block
from connector.reconcile.refusals import TOO_MANY
from connector.scim.clients import Client
from connector.scim.errors import ScimError, conflict, forbidden
from connector.scim.people import (
    ENTERPRISE,
    Known,
    are_like_somebody,
    code_key,
    correlate,
    in_the_way,
    is_blocked,
    is_heard_of,
    known,
    mails,
    resembling,
)
from connector.scim.seam import Adopted, Document, Ruling
from connector.scim.search_document import index_key, same_name

ADMIN = "admin"
"""What `source` says of people the admin system knows."""

CLOSE, OPEN, UPDATE = "close", "open", "update"

NEW, FREE = "new", "free"
"""What is foreseen of a person: nothing was ever heard of them; nothing keeps them out, and nobody is closing them."""

_HOUR = timedelta(hours=1)
_SOURCED, _DIGESTED = 11, 10
"""How much of a digest: with its prefix it is an employee id, of which Active Directory takes 16 characters. So many of
its characters are in so many of its bytes."""

_ENDED = "access-ended"
"""All a provider is told of a block or a court order."""

_USER_OF = select(scim_users).where(scim_users.c.person_id == bindparam("person_id"))
_NAMED = select(scim_users).where(scim_users.c.user_name_key == bindparam("key"))
_LATELY = select(func.count()).where(
    scim_closings.c.client == bindparam("client"), scim_closings.c.at > bindparam("at")
)
_CALLED_OFF = (
    update(scim_closings)
    .where(scim_closings.c.person_id == bindparam("of"), scim_closings.c.done_at.is_(None))
    .values(done_at=bindparam("ended"))
)
_PORTALS_OF = (
    select(scim_groups.c.id)
    .join(scim_members, scim_members.c.group_id == scim_groups.c.id)
    .where(scim_members.c.user_id == bindparam("user_id"), scim_groups.c.portal != "")
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Gate:
    """Rules for one school. `acts` is whether there is any target to act on, `writes` whether accounts are written."""

    zone: ZoneInfo
    acts: bool
    writes: bool = False

    # --- Users ------------------------------------------------------------------------------------------------------

    def create(self, writing: Writing, client: Client, document: Document) -> Ruling | Adopted:
        """Rule on a new User: the admin system's person, or somebody only the provider knows."""
        person_id = sourced_id(str(document.get("userName") or ""))
        foreseen = writing.foreseen.pop((NEW, person_id), False)
        if foreseen or not is_heard_of(writing.conn, {person_id: document}):
            return self._new(document, person_id)
        person = correlate(writing.conn, document) or self._by_user_name(writing, document)
        if person is None:
            self._refuse_resembling(writing, document)
            return self._create_sourced(writing, document, person_id)
        there = writing.conn.execute(_USER_OF, {"person_id": person.person_id}).first()
        if there is not None and there.client:
            raise conflict(f"This person has the User {there.id} already.")
        ruling = self._ruled(writing, client, person, document)
        return Adopted(there.id, ruling) if there is not None else ruling

    def foresee(self, writing: Writing, new: Sequence[Document], changed: Sequence[Row[Any]]) -> bool:
        """Ask once for a whole batch what nearly never is: that anything stands in anybody's way.

        Only for acts that concern one User each: what one of them writes about a person is no other's business. Where
        a new one was heard of, other Users are read too, and whatever was written must be seen.
        """
        by_id = {sourced_id(str(document.get("userName") or "")): document for document in new}
        if by_id and is_heard_of(writing.conn, by_id):
            return False
        writing.foreseen |= {(NEW, person_id): True for person_id in by_id}
        people = [row.person_id for row in changed if row.source == SOURCED and not row.active]
        if people and not any(in_the_way(writing.conn, people, self._today(writing))):
            closed = [row for row in changed if row.person_id in set(people)]
            if not are_like_somebody(writing.conn, closed):
                writing.foreseen |= {(FREE, person_id): True for person_id in people}
        return True

    def update(self, writing: Writing, client: Client, row: Row[Any], after: Document) -> Ruling:
        """Rule on a changed User. `active` that only repeats what is so changes nothing."""
        self._refuse_other_person(writing, row, after)
        wanted = bool(after.get("active", True))
        if row.source == SOURCED and wanted == row.active:
            self._refuse_likening(writing, row, after)
        if wanted == row.active:
            pending = row.pending or (UPDATE if self.writes and row.active else "")
            return Ruling(row.person_id, row.source, row.active, row.wanted, pending)
        if not wanted:
            return self._closed(writing, client, row, "active: false")
        if row.source == SOURCED:
            free = writing.foreseen.pop((FREE, row.person_id), False)
            kept_out, leaving = (
                (False, False) if free else in_the_way(writing.conn, [row.person_id], self._today(writing))
            )
            if kept_out:
                raise _kept_out()
            if free:
                self._refuse_likening(writing, row, after)
            else:
                self._refuse_resembling(writing, after)
            if leaving:
                # What the provider took away and takes back before it was done is not done any more.
                writing.conn.execute(_CALLED_OFF, {"of": row.person_id, "ended": writing.now})
            return Ruling(row.person_id, SOURCED, active=True, wanted=True, pending=self._pending(OPEN))
        person = known(writing.conn, row.person_id)
        self._refuse_unentitled(writing, row.person_id, person)
        return Ruling(row.person_id, ADMIN, active=True, wanted=True, pending=self._pending(OPEN))

    def delete(self, writing: Writing, client: Client, row: Row[Any]) -> None:
        """Rule on a User that goes: everything of theirs is closed."""
        if row.active or row.pending:
            self._closed(writing, client, row, "deleted")

    # --- Groups -----------------------------------------------------------------------------------------------------

    def joined(self, writing: Writing, _client: Client, group: Row[Any], users: Sequence[Row[Any]]) -> None:
        """Rule on Users that are in a Group now. A portal takes only who is entitled to it."""
        for user in users:
            if group.portal:
                self._refuse_outsider(writing, group.portal, user)
                self._mark(writing, user, self._pending(OPEN), active=bool(user.wanted))
            else:
                self._regrouped(writing, user)

    def left(self, writing: Writing, client: Client, group: Row[Any], users: Sequence[Row[Any]]) -> None:
        """Rule on Users that are in a Group no longer. Leaving the last portal closes everything."""
        for user in users:
            if not group.portal:
                self._regrouped(writing, user)
                continue
            last = writing.conn.execute(_PORTALS_OF, {"user_id": user.id}).first() is None
            if last:
                ruling = self._closed(writing, client, user, f"left the last portal, {group.portal}")
                # The provider's word on a person of its own is `active`; only the portals are gone.
                wanted = bool(user.wanted) if user.source == SOURCED else False
                self._mark(writing, user, ruling.pending, active=False, wanted=wanted)
            else:
                self._close(writing, client, user, portal=group.portal)
                self._mark(writing, user, self._pending(CLOSE), active=bool(user.active))

    def _regrouped(self, writing: Writing, user: Row[Any]) -> None:
        """A Group that is no portal lets nobody in or out: what it may stand for follows, beside what is under way."""
        pending = user.pending or (self._pending(UPDATE) if self.writes and user.wanted else "")
        self._mark(writing, user, pending, active=bool(user.active))

    def _mark(
        self, writing: Writing, user: Row[Any], pending: str, *, active: bool, wanted: bool | None = None
    ) -> None:
        values: dict[str, Any] = {"active": active}
        if wanted is not None:
            values["wanted"] = wanted
        if pending:
            values |= {"pending": pending, "pending_since": writing.now}
        if pending or active != user.active or (wanted is not None and wanted != user.wanted):
            writing.conn.execute(update(scim_users).where(scim_users.c.id == user.id).values(**values))

    def _by_user_name(self, writing: Writing, document: Document) -> Known | None:
        """Give the person whose User the connector made has that name: it is the name of their account."""
        name = str(document.get("userName") or "")
        there = writing.conn.execute(_NAMED, {"key": index_key(name)}).first()
        if there is None or there.source != ADMIN or not same_name(there.user_name, name):
            return None  # where only the key is the same the name is taken, and that is all
        return known(writing.conn, there.person_id)

    # --- who is let in ----------------------------------------------------------------------------------------------

    def _create_sourced(self, writing: Writing, document: Document, person_id: str) -> Ruling:
        """Take somebody whom the admin system does not have. The same user name is the same person again."""
        if writing.conn.execute(_USER_OF, {"person_id": person_id}).first() is not None:
            person_id = sourced_id(uuid4().hex)  # its first holder has another name by now
        if bool(document.get("active", True)):
            self._refuse_blocked(writing, (person_id,))
        return self._new(document, person_id)

    def _refuse_resembling(self, writing: Writing, document: Document) -> None:
        """Nobody is let in beside their own record: whoever has its e-mail says by contact code who they are."""
        alike = resembling(writing.conn, document)
        if not alike:
            return
        self._refuse_blocked(writing, [record for one in alike for record in (one.person_id, *one.humans)])
        if any(one.why == _ENDED for one in alike):
            raise _kept_out()
        if not code_key(document):
            raise conflict(
                "Somebody in the school's admin system has this e-mail address or user name. Nothing was changed. Send "
                "employeeNumber, the contact code, to say who this is."
            )

    def _refuse_likening(self, writing: Writing, row: Row[Any], after: Document) -> None:
        """As above, for what is new about a User: nobody becomes by a change what they could not be created as."""
        before = json.loads(row.document)
        new = mails({**after, "userName": ""}) - mails({**before, "userName": ""})
        name = str(after.get("userName") or "")
        if new or index_key(name) != row.user_name_key:
            changed = "" if index_key(name) == row.user_name_key else name
            added = [{"value": mail} for mail in sorted(new)]
            self._refuse_resembling(writing, {**after, "userName": changed, "emails": added})

    def _new(self, document: Document, person_id: str) -> Ruling:
        """Rule on somebody of whom nothing else is known: the provider's word counts."""
        wanted = bool(document.get("active", True))
        return Ruling(person_id, SOURCED, active=wanted, wanted=wanted, pending=self._pending(OPEN) if wanted else "")

    def _ruled(self, writing: Writing, client: Client, person: Known, document: Document) -> Ruling:
        person_id = person.person_id
        if bool(document.get("active", True)):
            self._refuse_unentitled(writing, person_id, person)
            return Ruling(person_id, ADMIN, active=True, wanted=True, pending=self._pending(OPEN))
        code = str((document.get(ENTERPRISE) or {}).get("employeeNumber") or "")
        self._take_away(writing, client, Leaver(person_id, "", code, person.name, ADMIN), "created with active: false")
        return Ruling(person_id, ADMIN, active=False, wanted=False, pending=self._pending(CLOSE))

    def _refuse_outsider(self, writing: Writing, portal: str, user: Row[Any]) -> None:
        if user.source == SOURCED:
            self._refuse_blocked(writing, (user.person_id,))
            if not user.wanted:
                raise forbidden(f"{user.user_name} is not active. Send active: true first; nothing was changed.")
            return
        person = known(writing.conn, user.person_id)
        self._refuse_unentitled(writing, user.person_id, person)
        if person is None or portal not in person.entitled:
            raise forbidden(
                f"{user.user_name} is not entitled to {portal}: the school's admin system decides that. Nothing was "
                "changed. Correct it there; the next reading lets this through."
            )

    def _refuse_unentitled(self, writing: Writing, person_id: str, person: Known | None) -> None:
        self._refuse_blocked(writing, (person_id, *(person.humans if person else ())))
        if person is None or not person.entitled:
            why = person.why if person and person.why else "not entitled to any portal"
            raise forbidden(
                f"The school's admin system decides who is let in, and says: {why}. Nothing was changed. "
                "Correct it there."
            )

    def _refuse_blocked(self, writing: Writing, people: Sequence[str]) -> None:
        if is_blocked(writing.conn, people, self._today(writing)):
            raise _kept_out()

    def _refuse_other_person(self, writing: Writing, row: Row[Any], after: Document) -> None:
        """A User is never made somebody else: whom it is about was decided when it was created."""
        code = code_key(after)
        if not code or code == row.code_key:
            return
        other = correlate(writing.conn, {ENTERPRISE: {"employeeNumber": code}})
        if other is not None and other.person_id != row.person_id:
            raise conflict("That employeeNumber is another person's. Nothing was changed.")

    # --- who is taken out -------------------------------------------------------------------------------------------

    def _closed(self, writing: Writing, client: Client, row: Row[Any], why: str) -> Ruling:
        if row.active or row.wanted:
            leaver = Leaver(row.person_id, row.id, row.code_key, row.user_name, row.source)
            self._take_away(writing, client, leaver, why)
        pending = self._pending(CLOSE) if row.active or row.wanted else row.pending
        return Ruling(row.person_id, row.source, active=False, wanted=False, pending=pending)

    def _close(self, writing: Writing, client: Client, user: Row[Any], portal: str) -> None:
        leaver = Leaver(user.person_id, user.id, user.code_key, user.user_name, user.source, portal)
        self._count(writing, client)
        self._queue(writing, client, leaver)

    def _take_away(self, writing: Writing, client: Client, leaver: "Leaver", why: str) -> None:
        """Intend to close everything of one person. A block goes with it, so that nothing nightly brings them back."""
        self._count(writing, client)
        self._queue(writing, client, leaver)
        if leaver.source == ADMIN and not is_blocked(writing.conn, (leaver.person_id,), self._today(writing)):
            write_block(writing, Block(leaver.person_id, client.operator, f"{why}, by the identity provider"))

    def _count(self, writing: Writing, client: Client) -> None:
        """Refuse a mass deactivation. Raises TooManyClosed, which the endpoint audits on its own."""
        if not client.per_hour:
            return
        lately = writing.conn.scalar(_LATELY, {"client": client.name, "at": writing.now - _HOUR}) or 0
        if lately >= client.per_hour:
            raise TooManyClosed(client, lately)

    def _queue(self, writing: Writing, client: Client, leaver: "Leaver") -> None:
        if not (self.acts or client.per_hour):
            return  # nothing to act on, nothing to count
        row = {
            "id": writing.next_id(scim_closings),
            "client": client.name,
            "person_id": leaver.person_id,
            "user_id": leaver.user_id,
            "code": leaver.code,
            "name": leaver.name,
            "portal": leaver.portal,
            "sourced": leaver.source == SOURCED,
            "at": writing.now,
            "done_at": None if self.acts else writing.now,
        }
        writing.conn.execute(insert(scim_closings), row)

    def _pending(self, what: str) -> str:
        return what if self.acts else ""

    def _today(self, writing: Writing) -> date:
        return writing.now.astimezone(self.zone).date()


@dataclass(frozen=True, slots=True)
class Leaver:
    """Whom a provider takes away. `portal` is empty where everything goes."""

    person_id: str
    user_id: str
    code: str
    name: str
    source: str
    portal: str = ""


class TooManyClosed(ScimError):  # noqa: N818 - named after what happened, as our errors are
    """More deactivations in an hour than this client is allowed: perhaps a mistake of many people's size."""

    audited_as = TOO_MANY

    def __init__(self, client: Client, lately: int) -> None:
        detail = (
            f"{client.name} has deactivated {lately} people within an hour, and {client.per_hour} is its limit. "
            "This one was not deactivated. If it is meant, raise the limit and send it again: "
            f"connector token limit {client.name} --per-hour NUMBER"
        )
        super().__init__(403, "", detail)
        self.client = client
        self.lately = lately


def _kept_out() -> ScimError:
    return forbidden(f"The school keeps this person out ({_ENDED}). Nothing was changed. Only the school can lift it.")


def sourced_id(user_name: str) -> str:
    """Give the person_id of somebody whom only a provider knows: the same user name is the same person."""
    digest = hashlib.sha256(index_key(user_name).encode()).digest()
    return f"scim:{b32encode(digest[:_DIGESTED]).decode().lower()[:_SOURCED]}"
