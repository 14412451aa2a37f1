"""Sends what lies in the outbox, by its channel, and tries again what could not be sent: at least once, never silently.

What cannot be sent for days is given up, and the next mail says so. Must never write an address that is a secret, or a
secret, into a log or a problem: errors of the HTTP library carry both, so only their kind is told.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import requests
import structlog

from connector.config import Config
from connector.daemon.errand import Ran, Scene
from connector.daemon.hanging_up import HangingUp
from connector.daemon.letters import content_of, letter_of, with_note
from connector.daemon.telling import MAIL, PING, WEBHOOK, known, remember
from connector.daemon.webhook import signed
from connector.errors import ConfigError, ConnectorError, SourceError, TargetUnreachable
from connector.post import AUTOMATIC, Letter, Post
from connector.reconcile.journal_duties import Message
from connector.reconcile.wording import clean, counted, moment

GIVEN_UP = "given-up"
"""Under this name stands what was never sent, until a mail has said so."""

AGAIN = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60))
"""How long is waited after each try that failed; after the last of them always as long."""

TOO_OLD: Mapping[str, timedelta] = {MAIL: timedelta(days=3), WEBHOOK: timedelta(days=3), PING: timedelta(hours=12)}
"""After which time a message is given up. A sign of life that comes half a day late is none."""

SECONDS = 10.0
_SAID_AT_MOST = 10
_log = structlog.stdlib.get_logger("connector.daemon")


class Sending:
    """Drains the outbox after every run and once a minute."""

    def after(self, scene: Scene, ran: Ran) -> None:
        """Send what the run has put there."""
        del ran  # the outbox knows
        self.every_minute(scene)

    def every_minute(self, scene: Scene) -> None:
        """Send what is due."""
        duties = scene.connector.journal.duties
        due = duties.due()
        if not due:
            return
        now, waiting = scene.connector.journal.now(), frozenset(m.name for m in duties.unsent())
        for message in due:
            if _is_over(message, now):
                _give_up(scene, message)
        fresh = [m for m in due if not _is_over(m, now)]
        ready = [m for m in fresh if not waiting.intersection(_waits_for(m))]
        for channel, send in _CHANNELS.items():
            _drain(scene, [m for m in ready if m.channel == channel], send)


Send = Callable[[Scene, Message], None]


def _drain(scene: Scene, messages: Sequence[Message], send: Send) -> None:
    """Send messages of one channel. Where its server does not answer, it is not asked for each of them."""
    duties, away = scene.connector.journal.duties, ""
    for message in messages:
        problem = away
        if not problem:
            try:
                send(scene, message)
            except TargetUnreachable as error:
                problem = away = str(error)
            except ConnectorError as error:
                problem = str(error)
        if not problem:
            duties.sent(scene.claim, message)
            _log.info("message-sent", message=message.name, channel=message.channel)
            continue
        again = AGAIN[min(message.tries, len(AGAIN) - 1)]
        duties.failed(scene.claim, message, problem, again.total_seconds())
        _log.warning("message-not-sent", message=message.name, channel=message.channel, problem=problem)


def _is_over(message: Message, now: datetime) -> bool:
    """Say whether a message is given up. One that was never tried is tried once: the machine may have been off."""
    was_tried = message.tries > 0 or message.channel == PING
    return was_tried and now - message.put_at > TOO_OLD.get(message.channel, timedelta(0))


def _waits_for(message: Message) -> Sequence[str]:
    """Give the messages that have to leave first: a sign of life waits for the report."""
    return json.loads(message.content)["waits_for"] if message.channel == PING else ()


def _give_up(scene: Scene, message: Message) -> None:
    put_at = message.put_at.astimezone(scene.connector.config.site.zone)
    days = f"{moment(put_at)}, after {counted(message.tries, 'try', 'tries')}"
    sentence = f"A message could never be sent ({message.name}, of {days}): {clean(message.problem)}"
    _log.error("message-given-up", message=message.name, channel=message.channel, problem=message.problem)
    if message.channel != PING:
        _say_with_the_next(scene, sentence)
    scene.connector.journal.duties.given_up(scene.claim, message, f"given up: {message.problem}")


def _say_with_the_next(scene: Scene, sentence: str) -> None:
    sentences = known(scene, GIVEN_UP).get("sentences", [])
    if sentence not in sentences:
        remember(scene, GIVEN_UP, {"sentences": [*sentences, sentence]})


# --- by mail ---------------------------------------------------------------------------------------------------------


def _mail(scene: Scene, message: Message) -> None:
    """Send a letter. Raises TargetUnreachable, SourceError, ConfigError."""
    config = scene.connector.config
    if config.reports.mail is None:
        raise ConfigError("[reports.mail] is gone from the config, and this was to be sent.", "Put it back.")
    letter = letter_of(message.name, message.content)
    # Said to all who read reports: a letter to somebody of their own takes it from nobody.
    sentences = [] if letter.to else known(scene, GIVEN_UP).get("sentences", [])
    letter = with_note(letter, _shortened(sentences))
    post = Post("[reports.mail]", "The report", config.reports.mail, config.site, "It is tried again.")
    try:
        with post.open() as smtp:
            refused = post.post(smtp, replace(letter, headers=AUTOMATIC))
    except ValueError as error:  # one letter that no mail can be made of keeps no other one waiting
        what = f"No mail could be made of {message.name} ({type(error).__name__})."
        raise SourceError(what, "Please report it, with the daemon's log.") from error
    if sentences:
        scene.connector.journal.duties.forget(scene.claim, [GIVEN_UP])
    for one in refused:
        _log.warning("recipient-refused", message=message.name, recipient=one.address, for_now=one.for_now)
        if one.for_now:
            _once_more(scene, message.name, replace(letter, to=(one.address,)))
        else:
            what = f"The mail server refused {clean(one.address)} for {message.name}: check the address."
            _say_with_the_next(scene, what)


def _once_more(scene: Scene, name: str, letter: Letter) -> None:
    """Put a letter anew, for the one recipient whom the server would not take just now: the others have theirs."""
    mine = hashlib.sha256(letter.to[0].encode()).hexdigest()[:8]
    scene.connector.journal.duties.put(scene.claim, MAIL, [(f"{name}-{mine}", content_of(letter))])


def _shortened(sentences: Sequence[str]) -> Sequence[str]:
    more = len(sentences) - _SAID_AT_MOST
    return [*sentences[:_SAID_AT_MOST], *([f"And {more:,} more: the log has all."] if more > 0 else [])]


# --- over HTTP -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Request:
    """One request: what it is called in an error, where it goes, and what it carries."""

    name: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    ca_file: str = ""


def _webhook(scene: Scene, message: Message) -> None:
    """Post a signed event. Raises TargetUnreachable, SourceError, ConfigError."""
    config = scene.connector.config
    webhook = config.reports.webhook
    if webhook is None:
        raise ConfigError("[reports.webhook] is gone from the config, and this was to be posted.", "Put it back.")
    body = message.content.encode()
    headers = signed(webhook.secret.reveal(config.site), message.name, scene.now, body)
    headers["content-type"] = "application/json"
    _ask(config, _Request("The webhook", "POST", webhook.url, headers, body, webhook.ca_file))


def _ping(scene: Scene, message: Message) -> None:
    """Give a sign of life. Raises TargetUnreachable, SourceError, ConfigError."""
    del message  # it says nothing but that we live
    config = scene.connector.config
    if config.daemon.ping_url is not None:
        url = config.daemon.ping_url.reveal(config.site).strip()
        _ask(config, _Request("The dead-man switch", "GET", url, {}))


def _ask(config: Config, request: _Request) -> None:
    """Send one request over verified TLS, once, to where it goes and nowhere else. A status of 2xx is success."""
    _refuse_clear(request)
    verified: bool | str = str(config.site.path(request.ca_file)) if request.ca_file else True
    try:
        with requests.Session() as session:
            session.trust_env = False  # no proxy, no .netrc: connections go to hosts the config names
            for scheme in ("https://", "http://"):
                session.mount(scheme, HangingUp())
            with session.request(
                request.method, request.url, data=request.body or None, headers=dict(request.headers),
                timeout=SECONDS, allow_redirects=False, verify=verified, stream=True,
            ) as answer:  # fmt: skip
                status = answer.status_code
    except requests.exceptions.SSLError:
        what = f"{request.name}: the certificate of its server cannot be verified."
        raise TargetUnreachable(what, "Check its address; ca_file names an authority of your own.") from None
    except ValueError:  # of requests, and of the library below it
        raise ConfigError(f"{request.name} has no address.", "Write https://HOST/PATH.") from None
    except (requests.exceptions.RequestException, OSError) as error:
        what = f"{request.name}: its server does not answer ({type(error).__name__})."
        raise TargetUnreachable(what, "It is tried again.") from None  # the library's error holds the address
    if not 200 <= status < 300:  # noqa: PLR2004 - RFC 9110 15.3
        more = "; redirects are not followed" if 300 <= status < 400 else ""  # noqa: PLR2004 - RFC 9110 15.4
        raise SourceError(f"{request.name} was answered {status}{more}.", "Check its address and its secret.")


def _refuse_clear(request: _Request) -> None:
    try:
        # Behind a backslash the library finds another host than we do.
        parts = urlsplit("" if "\\" in request.url else request.url)
        is_safe = parts.scheme == "https" and bool(parts.hostname)
        is_safe = is_safe or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost"))
    except ValueError:
        is_safe = False
    if not is_safe:
        raise ConfigError(f"{request.name} has no address with https.", "Nothing is sent in clear text.")


_CHANNELS: Mapping[str, Send] = {MAIL: _mail, WEBHOOK: _webhook, PING: _ping}
