"""Whether a batch that goes out by several requests may go on: adapters ask before each of them.

Whoever was frozen in the middle of a batch and overtaken must not send the rest of it on waking up: of all that is on
its way then, at most the one request that was being sent arrives late.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from connector.errors import ConnectorError

Check = Callable[[], None]
"""Raises a ConnectorError where nothing more may be sent."""

_asked: ContextVar[Check | None] = ContextVar("asked", default=None)


class _Withdrawn(BaseException):
    """Goes through every adapter's own handling of errors: it is no trouble of a target."""

    def __init__(self, error: ConnectorError) -> None:
        super().__init__(str(error))
        self.error = error


def before_send() -> None:
    """Ask whether the next request of a batch may still be sent. To be called where nothing is half sent."""
    check = _asked.get()
    if check is None:
        return
    try:
        check()
    except ConnectorError as error:
        raise _Withdrawn(error) from error


@contextmanager
def asked_before_each_send(check: Check) -> Iterator[None]:
    """Let adapters ask `check` inside the `with`, in this thread; what it raises comes out here as it is."""
    token = _asked.set(check)
    try:
        yield
    except _Withdrawn as stop:
        raise stop.error from None
    finally:
        _asked.reset(token)
