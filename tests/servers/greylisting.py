"""What the throw-away mail server may do: put recipients off (greylisting), refuse some, leave without goodbye."""

from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP, Envelope, Session

LATER, NEVER = "later@school.example", "never@school.example"


class Greylisting(Mailbox):
    """Keeps every message. It takes LATER with the second try, NEVER not at all."""

    _seen = False

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Answer for one recipient. RFC 5321 4.2.2."""
        if address == NEVER:
            return "550 5.1.1 no such user"
        if address == LATER and not self._seen:
            self._seen = True
            return "450 4.2.0 greylisted, try again"
        envelope.rcpt_tos.append(address)
        return "250 OK"


class Leaving(Mailbox):
    """Keeps every message, and has no time for a goodbye any more."""

    async def handle_QUIT(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802 - as above
        """Answer as a server does that is being shut down. RFC 5321 3.8."""
        return "421 4.3.2 shutting down"
