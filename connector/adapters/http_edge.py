"""The one way out over HTTP: one origin named in the config, verified, never redirected, never waited for without end.

A token is sent to its own origin and nowhere else, an address that a server hands out (paging, redirects) is followed
only within that origin, and no error repeats a header, a body or a token. Requests are sent again only where the server
said that it did not take them (429, 503), and only a few times.
"""

import ipaddress
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import requests

from connector.errors import ConfigError, ConnectorError, SourceError, TargetUnreachable
from connector.model import EndSessions, LegState, Outcome
from connector.permission import before_send

_CONNECT_SECONDS, _READ_SECONDS, _WHOLE_SECONDS = 10, 30, 60
_LARGEST_BODY = 32 << 20
_TRIES = 3
_LONGEST_WAIT = 30.0  # seconds, all waits of one request together
_BUSY = frozenset({429, 503})
_PLAIN_URL = re.compile(r"[a-z]+://[^\\@/?#\s]+(?:[/?#][^\x00-\x1f\x7f]*)?", re.IGNORECASE)
_PLAIN_TEXT = re.compile(r"[^\w .,:()-]")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered: a status that the caller knows what to make of, and its JSON (none: no body)."""

    status: int
    body: Any = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port, and the path everything starts with."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, section: str, key: str, url: str) -> "Origin":
        """Read a configured URL. Raises ConfigError: it must be https (http to loopback), and hold nothing secret."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ConfigError(f"{section} {key} is not an address.", "Write https://HOST[/PATH].") from None
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment:
            raise ConfigError(f"{section} {key} is not the address of a server.", "Write https://HOST[/PATH].")
        if parts.username or parts.password:
            raise ConfigError(f"{section} {key} holds a user name or password.", "Take it out and name the secret.")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise ConfigError(f"{section} {key} would send tokens in clear text.", "Write https://.")
        return cls(parts.scheme, parts.hostname, port or _port(parts.scheme), parts.path.rstrip("/"))

    def __str__(self) -> str:
        """Give it as a person reads it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + (f":{self.port}" if self.port != _port(self.scheme) else "")

    def has(self, url: str) -> bool:
        """Say whether an absolute URL is of this origin, however it is read. RFC 6454 5.

        Behind a backslash or an @ the HTTP library may find another host than we do: such a URL is of no origin.
        """
        if not _PLAIN_URL.fullmatch(url):
            return False
        try:
            parts = urlsplit(url)
            return (parts.scheme, parts.hostname, parts.port or _port(parts.scheme)) == (
                self.scheme,
                self.host,
                self.port,
            )
        except ValueError:
            return False


class HttpEdge:
    """Requests to one origin. `name` is said in errors; `sleep` is the clock of waiting for a busy server."""

    def __init__(
        self, name: str, origin: Origin, ca_file: str = "", sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.name = name
        self.origin = origin
        self._ca_file = ca_file
        self._sleep = sleep
        self._session: requests.Session | None = None

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        expect: Sequence[int] = (200, 204, 404),
    ) -> Answer:
        """Send one request to a path (or a URL the server handed out) and give its answer.

        Raises TargetUnreachable: no answer, or busy for too long. SourceError: an answer that is not expected.
        """
        url = self._url(path)
        answer = self._sent(method, url, headers or {}, params, form)
        if answer.status in expect:
            return answer
        raise self._unexpected(answer)

    def disconnect(self) -> None:
        """Let go of connections."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _url(self, path: str) -> str:
        if path.startswith("/"):
            return f"{self.origin}{self.origin.path}{path}"
        try:
            url = urljoin(f"{self.origin}/", path)
        except ValueError:  # a bracket that is none of an address
            url = ""
        if not self.origin.has(url):
            raise SourceError(
                f"{self.name}: {self.origin} names an address of another server as its next page.",
                "Nothing was sent there. Check the url in the configuration, and the server.",
            )
        return url

    def _sent(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None,
        form: Mapping[str, str] | None,
    ) -> Answer:
        patience = _LONGEST_WAIT
        for tries_left in reversed(range(_TRIES)):
            answer, wait = self._once(method, url, headers, params, form)
            if answer.status not in _BUSY:
                return answer
            if not tries_left or wait > patience:
                break
            patience -= wait
            self._sleep(wait)
        raise TargetUnreachable(f"{self.name}: {self.origin} is too busy to answer (429 or 503).", "Try again later.")

    def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None,
        form: Mapping[str, str] | None,
    ) -> tuple[Answer, float]:
        with (
            self._in_our_words(),
            self._opened().request(
                method,
                url,
                headers={"Accept": "application/json", **headers},
                params=params,
                data=form,
                timeout=(_CONNECT_SECONDS, _READ_SECONDS),
                allow_redirects=False,
                stream=True,
            ) as response,
        ):
            return Answer(response.status_code, self._json(response)), _wait(response.headers)

    @contextmanager
    def _in_our_words(self) -> Iterator[None]:
        try:
            yield
        except requests.exceptions.SSLError as error:
            raise TargetUnreachable(
                f"{self.name}: the certificate of {self.origin} cannot be verified.",
                "Check the host name; ca_file names an authority of your own.",
            ) from error
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise TargetUnreachable(
                f"{self.name}: {self.origin} does not answer ({type(error).__name__}).",
                "Check that it runs and that this machine may reach it.",
            ) from error
        except requests.RequestException as error:
            raise SourceError(
                f"{self.name}: what {self.origin} answers is no HTTP ({type(error).__name__}).", "Check the url."
            ) from error
        except ValueError:  # of the library below; from None, for the token may be in it
            raise ConfigError(
                f"{self.name}: {self.origin} cannot be asked: HTTP cannot send its address, or the credential.",
                "Check the url, and the credential for odd characters.",
            ) from None
        except OSError as error:  # the library's word for an authority it cannot open
            raise ConfigError(
                f"{self.name}: ca_file {self._ca_file} cannot be read.", "Check path and owner."
            ) from error

    def _json(self, response: requests.Response) -> Any:
        """Read the body, bounded in size and time; only JSON is anything."""
        until, content = time.monotonic() + _WHOLE_SECONDS, bytearray()
        for part in response.iter_content(1 << 16):
            content += part
            if len(content) > _LARGEST_BODY or time.monotonic() > until:
                raise SourceError(f"{self.name}: {self.origin} answers without end.", "Check the url and the server.")
        try:
            return json.loads(content) if content else None
        except (ValueError, RecursionError):
            return None

    def _unexpected(self, answer: Answer) -> ConnectorError:
        where, said = f"{self.name}: {self.origin}", _said(answer.body)
        match answer.status:
            case 401 | 403:
                return SourceError(
                    f"{where} refused the login or the right ({answer.status}{said}).",
                    "Check the credential in the configuration and what it is granted there.",
                )
            case status if 300 <= status < 400:  # noqa: PLR2004 - RFC 9110 15.4: redirection
                return SourceError(f"{where} redirects, which is not followed.", "Set url to where it really is.")
            case status if status >= 500:  # noqa: PLR2004 - RFC 9110 15.6: server error
                return TargetUnreachable(f"{where} failed ({status}{said}).", "Try again later.")
            case status:
                return SourceError(f"{where} refused the request ({status}{said}).", "Check the configuration.")

    def _opened(self) -> requests.Session:
        if self._session is None:
            self._session = requests.Session()
            # Nothing from the environment: no proxy, no .netrc, no other authority than the config's.
            self._session.trust_env = False
            self._session.verify = self._ca_file or True
        return self._session


def one_by_one(batch: Sequence[EndSessions], end: Callable[[EndSessions], Outcome]) -> tuple[Outcome, ...]:
    """Ask for one person after the other. Once the server does not answer, the rest is unreachable without trying."""
    outcomes: list[Outcome] = []
    gone: TargetUnreachable | None = None
    for item in batch:
        before_send()
        try:
            outcomes.append(Outcome(LegState.UNREACHABLE, str(gone)) if gone else end(item))
        except TargetUnreachable as error:
            gone = error
            outcomes.append(Outcome(LegState.UNREACHABLE, str(error)))
        except ConnectorError as error:
            outcomes.append(Outcome(LegState.REFUSED, str(error)))
    return tuple(outcomes)


def segment(text: str) -> str:
    """Give a text as one segment of a path, whatever is in it. RFC 3986 3.3."""
    # A dot segment would climb out of its place, encoded or not. RFC 3986 6.2.2.3: no name is only dots.
    return quote(text, safe="") if text.strip(".") else "%20"


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _wait(headers: Mapping[str, str]) -> float:
    """Give the seconds a busy server asks for. RFC 9110 10.2.3; Okta says when its window resets instead."""
    asked, reset = headers.get("Retry-After", ""), headers.get("X-Rate-Limit-Reset", "")
    now = datetime.now(UTC)
    try:
        if asked.isascii() and asked.isdigit():
            return float(asked)
        if asked:
            return max(0.0, (parsedate_to_datetime(asked) - now).total_seconds())
        if reset.isascii() and reset.isdigit():
            return max(0.0, float(reset) - now.timestamp()) + 1
    except (ValueError, TypeError, OverflowError):
        pass
    return 1.0


def _said(body: Any) -> str:
    """Give the code of an error, as a few plain words: Graph, Okta and OAuth each have their own place for it."""
    if not isinstance(body, dict):
        return ""
    error = body.get("error")
    code = error.get("code") if isinstance(error, dict) else error or body.get("errorCode")
    return f", {_PLAIN_TEXT.sub('', code)[:60]}" if isinstance(code, str) and code else ""
