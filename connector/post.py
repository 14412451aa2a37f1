"""What is sent by e-mail: over verified TLS or not at all, one connection for all of it.

A message carries an id made of its reference, so that one sent twice after a crash is seen to be the same.
"""

import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from email import policy
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from types import TracebackType
from typing import Any, Literal

from connector.errors import ConfigError, SourceError, TargetUnreachable
from connector.interfaces import Secret, Site

_SECONDS = 30
_ALL_SECONDS = 300.0
"""How long a connection lives, however it goes: a server that stutters (a tarpit) would else keep the night waiting."""
_PORTS = {"starttls": 587, "tls": 465}


@dataclass(frozen=True, slots=True)
class Mail:
    """Where mail goes out, from whom and to whom. `port` 0 is the usual one: 587, with `tls` 465."""

    host: str
    sender: str
    to: tuple[str, ...]
    port: int = 0
    tls: Literal["starttls", "tls"] = "starttls"
    username: str = ""
    password: Secret | None = None
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message of its own. `name` makes its id. It goes to `to`, or where that is empty to the configured recipients.

    `html` says the same as `text`; `picture` is a PNG that it shows as `cid:PICTURE`. `answers` is the name of the
    letter it goes on with.
    """

    name: str
    subject: str
    text: str
    html: str = ""
    picture: bytes = b""
    to: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    answers: str = ""


@dataclass(frozen=True, slots=True)
class NotTaken:
    """A recipient whom the server refused while it took the message for others; `for_now`: later it may."""

    address: str
    for_now: bool


AUTOMATIC = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}
"""Nobody's holiday notice answers what carries these (RFC 3834 5; the second is what Exchange reads)."""

PICTURE = "picture"
"""Under which name HTML shows the picture of its letter; its domain is the sender's (RFC 2392)."""


class _Bounded(smtplib.SMTP):
    """Hangs up after a time, whatever the server is doing."""

    def connect(self, host: str = "localhost", port: int = 0, source_address: Any = None) -> tuple[int, bytes]:
        """Connect, and let the time begin."""
        self._bell = threading.Timer(_ALL_SECONDS, self._hang_up)
        self._bell.daemon = True
        self._bell.start()
        try:
            return super().connect(host, port, source_address)
        except BaseException:
            self._bell.cancel()
            raise

    def close(self) -> None:
        """Close; nobody has to hang up any more."""
        self._bell.cancel()
        super().close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say goodbye and close. Whatever is answered to that, what was taken before is sent: never send it again."""
        with suppress(smtplib.SMTPException, OSError):  # RFC 5321 3.8: a server that shuts down answers 421 to anything
            super().__exit__(kind, error, trace)

    def _hang_up(self) -> None:
        if self.sock is not None:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)  # a close alone does not wake who reads


class _BoundedTls(_Bounded, smtplib.SMTP_SSL):
    """The same over TLS from the start."""


class Post:
    """Sends through one mail server. `where` is the section it is configured in, `who` sends.

    `instead` says what stands although nothing was sent.
    """

    def __init__(self, where: str, who: str, mail: Mail, site: Site, instead: str) -> None:
        self._name = who
        self._instead = instead
        self._mail = mail
        self._site = site
        self._server = f"{mail.host}:{mail.port or _PORTS[mail.tls]}"
        for address in (mail.sender, *mail.to):
            _refuse_no_address(where, address)
        if not mail.to or bool(mail.username) != (mail.password is not None):
            raise ConfigError(f"{where} is not complete.", "It needs to, and username and password together.")

    @contextmanager
    def open(self) -> Iterator[smtplib.SMTP]:
        """Give a connection that is verified and signed in. Raises TargetUnreachable, or SourceError where refused."""
        try:
            with self._connected() as smtp:
                yield smtp
        except ssl.SSLCertVerificationError as error:
            raise TargetUnreachable(
                f"{self._name}: the certificate of {self._server} cannot be verified ({error.verify_message}).",
                "Check mail.host; mail.ca_file names an authority of your own.",
            ) from error
        except (smtplib.SMTPServerDisconnected, smtplib.SMTPConnectError) as error:
            raise self._away(error) from error
        except smtplib.SMTPResponseException as error:
            if error.smtp_code < 500:  # noqa: PLR2004 - RFC 5321 4.2.1: 4yz is for now, 5yz for good
                raise self._away(error) from error
            raise self._refused(error) from error
        except smtplib.SMTPException as error:
            raise self._refused(error) from error
        except OSError as error:
            raise self._away(error) from error

    def send(self, smtp: smtplib.SMTP, name: str, subject: str, text: str) -> tuple[NotTaken, ...]:
        """Send one message; give whom the server refused. `name` makes its id: sent twice, it is seen to be one."""
        message = EmailMessage()
        message["From"], message["To"] = self._mail.sender, ", ".join(self._mail.to)
        message["Subject"], message["Date"] = subject, self._date()
        message["Message-ID"] = f"<{name}@{self._mail.sender.rpartition('@')[2]}>"  # RFC 5322 3.6.4
        message.set_content(text)
        return _not_taken(smtp.send_message(message))

    def post(self, smtp: smtplib.SMTP, letter: Letter) -> tuple[NotTaken, ...]:
        """Send a letter; give the recipients the server refused while it took it for others."""
        to = letter.to or self._mail.to
        for address in to:
            _refuse_no_address(f"{self._name}: the recipient", address)
        return _not_taken(smtp.send_message(_written(letter, self._mail.sender, to, self._date())))

    def _date(self) -> str:
        return format_datetime(datetime.now(self._site.zone))

    def _connected(self) -> smtplib.SMTP:
        mail = self._mail
        trust = ssl.create_default_context(cafile=str(self._site.path(mail.ca_file)) if mail.ca_file else None)
        port = mail.port or _PORTS[mail.tls]
        if mail.tls == "tls":
            smtp: smtplib.SMTP = _BoundedTls(mail.host, port, timeout=_SECONDS, context=trust)
        else:
            smtp = _Bounded(mail.host, port, timeout=_SECONDS)
        try:
            if mail.tls == "starttls":
                smtp.starttls(context=trust)  # RFC 3207 4: raises where the server does not offer it
            if mail.password is not None:
                smtp.login(mail.username, mail.password.reveal(self._site))
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _away(self, error: Exception) -> TargetUnreachable:
        return TargetUnreachable(
            f"{self._name}: the mail server {self._server} does not answer ({type(error).__name__}).",
            f"Check mail.host and mail.port. {self._instead}",
        )

    def _refused(self, error: Exception) -> SourceError:
        return SourceError(
            f"{self._name}: the mail server {self._server} refused ({type(error).__name__}).",
            f"Check sender, recipients, user and password, and that it offers TLS. {self._instead}",
        )


def _not_taken(refused: Mapping[str, tuple[int, bytes]]) -> tuple[NotTaken, ...]:
    # RFC 5321 4.2.1: 4yz is for now (greylisting, a full mailbox), 5yz for good.
    return tuple(NotTaken(address, code < 500) for address, (code, _) in refused.items())  # noqa: PLR2004 - as above


def _written(letter: Letter, sender: str, to: tuple[str, ...], date: str) -> EmailMessage:
    """Write a letter down. Every line is short ASCII: a server between us and the reader changes nothing in it."""
    domain = sender.rpartition("@")[2]
    message = EmailMessage(policy.SMTP.clone(cte_type="7bit"))
    message["From"], message["To"] = sender, ", ".join(to)
    message["Subject"], message["Date"] = letter.subject, date
    message["Message-ID"] = f"<{letter.name}@{domain}>"  # RFC 5322 3.6.4
    if letter.answers:  # mail programs show both together
        message["In-Reply-To"] = message["References"] = f"<{letter.answers}@{domain}>"
    message["List-Id"] = f"<connector.{domain}>"  # RFC 2919 3: what a reader's own rules sort by
    for name, value in letter.headers.items():
        message[name] = value
    message.set_content(letter.text)
    if letter.html:
        cid = f"{PICTURE}.{letter.name}@{domain}"  # RFC 2392 2: of this message alone
        html = letter.html.replace(f'"cid:{PICTURE}"', f'"cid:{cid}"')
        message.add_alternative(html, subtype="html")
        if letter.picture:
            _with_picture(message, letter.picture, cid)
    return message


def _with_picture(message: EmailMessage, picture: bytes, cid: str) -> None:
    """Lay a picture beside the HTML that shows it. RFC 2387."""
    shown = list(message.iter_parts())[-1]
    shown.add_related(picture, "image", "png", cid=f"<{cid}>", disposition="inline", filename="trend.png")


def is_address(text: str) -> bool:
    """Say whether a text is one e-mail address, and nothing around it."""
    try:
        return bool(Address(addr_spec=text).domain)
    except (ValueError, IndexError, AttributeError, MessageError):
        return False


def _refuse_no_address(section: str, text: str) -> None:
    if not is_address(text):
        raise ConfigError(f"{section} {text!r} is no e-mail address.", "Write name@host, and nothing around it.")
