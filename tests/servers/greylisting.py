"""What the throw-away mail server may do with recipients: put some off at first (greylisting), refuse some for good."""

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
