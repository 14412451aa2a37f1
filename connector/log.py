"""Log lines are events: what happened, to whom (GUID or person_id), in which run. Set up once, by a front end.

Nothing happens at import. What looks like a secret is masked here as the last line of defence: the first is that nobody
logs one. A line break or an escape sequence in a value never starts a line of its own.
"""

import logging
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor

MASK = "[masked]"

_SECRET_KEY = re.compile(
    r"pass(?:word|wd|phrase)|pwd|token|secret|session_?(?:id|key)|^sid$|cookie|authori[sz]ation|bearer|api_?key|totp",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(
    r"(?P<head>://[^/?#@\s:]*+:)[^@\s]{1,4096}+(?=@)"  # RFC 3986 3.2.1: user:password@
    r"|(?P<key>\b\w*(?:password|passwd|pwd|token|secret|cookie)['\"]?\s*[=:]\s*)(?:'[^']*'|\"[^\"]*\"|[^\s,;&)}]+)"
    r"|(?P<scheme>\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}",  # RFC 6750 2.1, RFC 7617 2
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_HANDLER = "connector"


def configure(stream: TextIO, json: bool = False, level: int = logging.INFO) -> None:
    """Send every event to `stream`, one line each: JSON, or text for a terminal. Calling it again replaces the first.

    `level` is for our own events; libraries are heard from WARNING on, through the same masking.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_common(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [each for each in root.handlers if each.get_name() == _HANDLER]:
        root.removeHandler(handler)
    root.addHandler(_to(stream, json))
    root.setLevel(logging.WARNING)
    logging.getLogger("connector").setLevel(level)


def during_run(run_id: str) -> AbstractContextManager[None]:
    """Give every event inside the `with` this run id."""
    return structlog.contextvars.bound_contextvars(run_id=run_id)


def mask_secrets(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Mask values whose key names a secret, and passwords inside texts, at any depth. A structlog processor."""
    return {key: _masked(key, value) for key, value in event.items()}


def one_line(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Write control characters out, so that a hostile name cannot forge a line. A traceback keeps its lines, set in."""
    return {key: _set_in(value) if key == "exception" else _written_out(value) for key, value in event.items()}


def _common() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask_secrets,
    ]


def _to(stream: TextIO, json: bool) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.set_name(_HANDLER)
    rendering: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if json:
        rendering += [structlog.processors.JSONRenderer(ensure_ascii=False, default=str), _plain_json]
    else:
        colours = stream.isatty()
        rendering += [one_line, structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=0, pad_level=False)]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_common(), processors=rendering))
    return handler


def _masked(key: str, value: Any) -> Any:
    # A flag says nothing: `has_password=True` is a fact about a credential, not the credential.
    if isinstance(value, bool) or value is None:
        return value
    if _SECRET_KEY.search(key):
        return MASK
    if isinstance(value, Mapping):
        return {inner: _masked(str(inner), each) for inner, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(key, each) for each in value]
    return _SECRET_TEXT.sub(_mask_match, value) if isinstance(value, str) else value


def _mask_match(found: re.Match[str]) -> str:
    return (found["head"] or found["key"] or found["scheme"] or "") + MASK


def _written_out(value: Any) -> Any:
    if isinstance(value, str):
        return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), value)
    return value


def _plain_json(_logger: Any, _method: str, line: Any) -> str:
    """Escape what JSON lets stand and a terminal, or a reader of lines, takes for more than text. RFC 8259 7."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", str(line))


def _set_in(traceback: Any) -> Any:
    """Set every line in: none of them is taken for an event, whatever an error quotes."""
    if isinstance(traceback, str):
        return "\n".join(f"  {_written_out(line)}" for line in traceback.split("\n"))
    return traceback
