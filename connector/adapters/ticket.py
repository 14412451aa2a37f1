"""A hosted portal whose sessions only its vendor can end: the complete request is written down, and tracked.

Asking is not doing: a request is open until somebody puts its confirmation where the config says. Nothing is asked
twice for one intent, and a confirmation counts for the one request whose name it bears.
"""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from connector.adapters.session_reading import unlisted_reading
from connector.adapters.ticket_text import Wording, ticket_name, ticket_prefix, ticket_subject, ticket_text
from connector.adapters.worklist_file import replace_durably
from connector.errors import ConnectorError, SourceError, TargetUnreachable
from connector.interfaces import Site
from connector.model import EndSessions, Finding, LegState, Level, Outcome, SessionKey, SessionsReading
from connector.permission import before_send
from connector.post import Mail, Post

_WRITTEN = "The ticket itself is written."

DEFAULT_WHAT_TO_DO = (
    "End every live session of this person in the portal now, by revoking it from the database, "
    "and answer when it is done."
)


@dataclass(frozen=True, slots=True)
class TicketSettings:
    """Where requests are written, where confirmations are put, and what every request says.

    `authoriser_role` is whose word the vendor wants. With `mail` each request also goes out as an e-mail, once.
    """

    folder: str
    confirmed_folder: str
    portal: str
    user_key: SessionKey = SessionKey.USERNAME
    authoriser_role: str = "SEC or STC"
    what_to_do: str = DEFAULT_WHAT_TO_DO
    mail: Mail | None = None


class TicketSessionStore:
    """A session store that is somebody else's, and asked for in writing."""

    Settings = TicketSettings
    needs_authoriser = True  # the vendor acts on an authority's word only: an urgent request waits for it

    def __init__(self, name: str, settings: TicketSettings, site: Site) -> None:
        self._name = name
        self._settings = settings
        self._folder = site.path(settings.folder)
        self._confirmed = site.path(settings.confirmed_folder)
        self._zone = site.zone
        self._post = (
            Post(f"[session_stores.{name}.mail]", f"Session store {name}", settings.mail, site, _WRITTEN)
            if settings.mail
            else None
        )
        self._wording = Wording(
            settings.portal, settings.authoriser_role, settings.what_to_do, settings.confirmed_folder
        )

    @property
    def user_key(self) -> SessionKey:
        """What the user value of a request is."""
        return self._settings.user_key

    def read_all(self) -> SessionsReading:
        """Give an empty reading that says why it is empty: only the vendor sees sessions."""
        return unlisted_reading(self._name, f"{self._settings.portal}, hosted", self._settings.user_key)

    def close(self, batch: Sequence[EndSessions]) -> tuple[Outcome, ...]:
        """Ask for each, once. `intended` until its confirmation is there, then `closed`."""
        outcomes = [self._filed(item) for item in batch]
        waiting = [index for index, outcome in enumerate(outcomes) if outcome.state is LegState.INTENDED]
        unsent = [index for index in waiting if self._post and not self._sent_mark(batch[index]).exists()]
        if self._post and unsent:
            self._send(self._post, unsent, batch, outcomes)
        return tuple(outcomes)

    def check(self) -> tuple[Finding, ...]:
        """Look at the folders and count what waits; sign in at the mail server without sending anything."""
        findings = [self._folder_finding(folder) for folder in (self._folder, self._confirmed)]
        wrong = [finding for finding in findings if finding]
        if wrong:
            return tuple(wrong)
        return (self._waiting_finding(), *self._mail_findings())

    def disconnect(self) -> None:
        """Nothing is held open."""

    # --- asking -------------------------------------------------------------------------------------------------

    def _filed(self, item: EndSessions) -> Outcome:
        if not item.user or (item.portals and self._settings.portal not in item.portals):
            return Outcome(LegState.ALREADY_CLOSED, f"signing in here counts as {self._settings.portal} only")
        try:
            return self._tracked(item)
        except OSError as error:
            wrong = SourceError(
                f"The ticket for {item.code or item.user} cannot be written or tracked: {error.strerror}.",
                f"Check the folders {self._settings.folder} and {self._settings.confirmed_folder}.",
            )
            return Outcome(LegState.REFUSED, str(wrong))

    def _tracked(self, item: EndSessions) -> Outcome:
        name, ticket = self._stem(item), self._ticket(item)
        closed = self._confirmed / f"closed-{name}.txt"
        if closed.exists():
            return Outcome(LegState.ALREADY_CLOSED, f"confirmed {self._when(closed)}")
        if (confirmation := self._confirmed / f"{name}.txt").exists():
            # The new name says that it was counted; it outlives the ticket, so that nothing is asked again.
            confirmation.replace(closed)
            self._sent_mark(item).unlink(missing_ok=True)
            ticket.unlink(missing_ok=True)
            return Outcome(LegState.CLOSED, f"confirmed {self._when(closed)}", ended=1)
        if not ticket.exists():
            text = ticket_text(item, name, self._wording, datetime.now(self._zone))
            replace_durably(ticket, text.encode("utf-8", "replace"))
        return Outcome(LegState.INTENDED, f"ticket {ticket.name} since {self._when(ticket)}, until it is confirmed")

    def _send(self, post: Post, unsent: Sequence[int], batch: Sequence[EndSessions], outcomes: list[Outcome]) -> None:
        """Send what was not sent. What cannot be sent now is tried again by the next run: its ticket is written."""
        left = list(unsent)
        try:
            with post.open() as smtp:
                for index in unsent:
                    item = batch[index]
                    before_send()
                    subject = ticket_subject(item, self._stem(item), self._settings.portal)
                    post.send(smtp, self._stem(item), subject, self._text(item))
                    self._mark_sent(item)
                    left.remove(index)
        except ConnectorError as error:
            state = LegState.UNREACHABLE if isinstance(error, TargetUnreachable) else LegState.REFUSED
            for index in left:
                outcomes[index] = Outcome(state, f"{outcomes[index].detail}; not e-mailed: {error}")

    def _text(self, item: EndSessions) -> str:
        """Give the ticket as it was written, so that file and e-mail say the same."""
        try:
            return _read_itself(self._ticket(item))
        except (OSError, ValueError) as error:
            raise SourceError(f"{self._ticket(item)} cannot be read.", "Take it away; it is written again.") from error

    def _mark_sent(self, item: EndSessions) -> None:
        try:
            replace_durably(self._sent_mark(item), datetime.now(UTC).isoformat().encode())
        except OSError as error:
            raise SourceError(
                f"It went out, but {self._sent_mark(item)} cannot be written: it would go out again.",
                "Check the folder.",
            ) from error

    def _stem(self, item: EndSessions) -> str:
        return ticket_name(item, self._settings.portal)

    def _ticket(self, item: EndSessions) -> Path:
        return self._folder / f"{self._stem(item)}.txt"

    def _sent_mark(self, item: EndSessions) -> Path:
        return self._folder / f"{self._stem(item)}.sent"

    def _when(self, file: Path) -> str:
        written_at = datetime.fromtimestamp(file.stat().st_mtime, self._zone)
        return written_at.isoformat(sep=" ", timespec="minutes")

    # --- saying -------------------------------------------------------------------------------------------------

    def _folder_finding(self, folder: Path) -> Finding | None:
        if not folder.is_dir():
            return Finding(
                Level.ERROR, self._name, f"The folder {folder} is not there.", "Make it, or correct the path."
            )
        if not os.access(folder, os.W_OK | os.X_OK):
            return Finding(Level.ERROR, self._name, f"The folder {folder} cannot be written.", "Grant it.")
        return None

    def _waiting_finding(self) -> Finding:
        waiting = sum(1 for _ in self._folder.glob(f"{ticket_prefix(self._settings.portal)}*.txt"))
        remedy = f"Have each authorised and handed in; put its confirmation into {self._confirmed}." if waiting else ""
        level = Level.WARNING if waiting else Level.OK
        return Finding(level, self._name, f"Tickets that wait for the vendor: {waiting:,}.", remedy)

    def _mail_findings(self) -> tuple[Finding, ...]:
        if not self._post or not self._settings.mail:
            return ()
        try:
            with self._post.open() as smtp:
                smtp.noop()
        except ConnectorError as error:
            return (Finding(Level.ERROR, self._name, error.message, error.remedy),)
        return (Finding(Level.OK, self._name, f"{self._settings.mail.host} takes mail over verified TLS."),)


def _read_itself(file: Path) -> str:
    """Read a file that is no link and no pipe: who may write into the folder must not have others of ours mailed."""
    if file.is_symlink():
        raise OSError("it is a link")
    handle = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, encoding="utf-8") as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise OSError("it is no file")
        return opened.read()
