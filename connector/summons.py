"""Tells an authority role by e-mail, at once: urgent terminations, protected accounts that stay open, what is overdue.

It says whom and what to type, never why: mail is read by others too. A message that cannot be sent stops nothing; it is
said instead, so that somebody takes the telephone.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from connector.config import Authority
from connector.errors import ConnectorError
from connector.interfaces import Site
from connector.post import AUTOMATIC, Letter, Post
from connector.reconcile.authority import StoredTermination, due_sentence, signing
from connector.reconcile.journal import Journal
from connector.reconcile.plan_values import Revocation
from connector.reconcile.running import RunResult
from connector.reconcile.wording import clean

_INSTEAD = "Tell the authority by telephone; what is to be signed stands in: connector status"
_TOLD = "told-authority "


@dataclass(frozen=True, slots=True)
class Summons:
    """Sends on behalf of one operator. Every verb gives sentences about what could not be sent; none: all is told."""

    authority: Authority
    school: str
    site: Site
    journal: Journal
    operator: str

    def of_order(self, stored: StoredTermination) -> tuple[str, ...]:
        """Tell that somebody was closed at once, and that a countersignature is due."""
        text = due_sentence(stored.local(self.site.zone), stored.commanded_at)
        return self._once(_order(stored), f"countersign urgent termination {stored.number}", text, stored)

    def of_run(self, result: RunResult) -> tuple[str, ...]:
        """Tell of urgent accounts a run left open because they are protected, and of what is overdue by now."""
        due = self.journal.authority_due().local(self.site.zone)
        unsent = [text for t in due.overdue for text in self._overdue(t, due_sentence(t, due.now))]
        held = [row for row in result.judgement.plan.revocations if row.urgent and _stays_open(row)]
        return (*unsent, *(text for row in held for text in self._protected(row)))

    def _overdue(self, stored: StoredTermination, text: str) -> tuple[str, ...]:
        subject = f"OVERDUE: countersign urgent termination {stored.number}"
        return self._once(f"overdue {stored.number}", subject, text, stored, escalates=True)

    def _protected(self, row: Revocation) -> tuple[str, ...]:
        accounts = ", ".join(clean(leg.subject) for leg in row.legs if leg.withheld)
        whom = clean(row.name or row.code or row.key)
        text = (
            f"The access of {whom} ({clean(row.code)}) has ended. Credential and sessions are closed; the account "
            f"{accounts} is protected and stays open until somebody disables it in the directory."
        )
        return self._once(f"protected {row.key} {accounts}", f"a protected account stays open: {whom}", text)

    def _once(
        self, what: str, subject: str, text: str, stored: StoredTermination | None = None, *, escalates: bool = False
    ) -> tuple[str, ...]:
        """Send a message unless it was sent before; that it was is written down, and audited."""
        mail = self.authority.mail
        if mail is None or self.journal.setting(_TOLD + what):
            return ()
        more: Sequence[str] = self.authority.escalate_to if escalates else ()
        lines = [text, "", *([signing(stored)] if stored else []), "", f"{self.school}, connector"]
        try:
            address = replace(mail, to=(*mail.to, *more))
            post = Post("[authority.mail]", "The authority", address, self.site, _INSTEAD)
            with post.open() as smtp:
                refused = post.post(smtp, self._letter(what, subject, lines, stored))
        except ConnectorError as error:
            return (f"The authority could not be told by e-mail: {error}",)
        self.journal.set_setting(_TOLD + what, self.journal.now().isoformat(), self.operator)
        return tuple(f"The mail server would not take {clean(one.address)}. {_INSTEAD}" for one in refused)

    def _letter(self, what: str, subject: str, lines: Sequence[str], stored: StoredTermination | None) -> Letter:
        """Write a message; what comes later about an order goes on with the first."""
        order = _order(stored) if stored else what
        first = message_name(self.school, order, stored) if order != what else ""
        subject, text = f"[{clean(self.school)}] {subject}", "\n".join(lines)
        return Letter(message_name(self.school, what, stored), subject, text, headers=AUTOMATIC, answers=first)


def message_name(school: str, what: str, stored: StoredTermination | None) -> str:
    """Name a message: no other school's, no other journal's, and of harmless characters whatever it is about."""
    since = stored.commanded_at.isoformat() if stored else ""
    return f"authority-{hashlib.sha256(json.dumps([school, what, since]).encode()).hexdigest()[:32]}"


def _order(stored: StoredTermination) -> str:
    return f"order {stored.number}"


def _stays_open(row: Revocation) -> bool:
    return any(leg.withheld for leg in row.legs)
