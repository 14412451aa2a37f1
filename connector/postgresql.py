"""How long a PostgreSQL may be silent. Every engine of ours is bounded here: a frozen server is never waited for.

A server that is stopped keeps its sockets open, and its kernel goes on acknowledging what is sent: neither keepalives
nor `statement_timeout` end the wait. So the client counts the seconds without a word, and closes the connection itself.
Whether the statement took effect is unknown then: whoever asked has to read again.
"""

from collections.abc import Callable, Generator
from functools import cache
from time import monotonic
from typing import Any, TypeVar

from sqlalchemy import Engine, event

T = TypeVar("T")

SILENCE_SECONDS = 60
"""Longer than any lock of ours is waited for."""

_CONNECT_SECONDS = 10


def connect_arguments(seconds: int) -> dict[str, Any]:
    """Give what libpq itself bounds: connecting, and a server whose machine is gone."""
    return {
        "connect_timeout": min(_CONNECT_SECONDS, seconds),
        "keepalives_idle": 30,
        "tcp_user_timeout": 1000 * seconds,
    }


def end_silence(engine: Engine, seconds: int) -> Engine:
    """Let every connection of this engine end, with an OperationalError, after so many seconds without a word."""

    def connect(_dialect: object, _record: object, arguments: Any, named: dict[str, Any]) -> Any:
        return _impatient()(seconds).connect(*arguments, **named)

    event.listen(engine, "do_connect", connect)
    return engine


@cache
def _impatient() -> Callable[[int], Any]:
    """Give what makes the driver's connection class for so many seconds. The driver is there only with PostgreSQL."""
    import psycopg  # noqa: PLC0415 - an extra: schools without PostgreSQL have no such driver

    class Impatient(psycopg.Connection[Any]):
        """A connection that is closed when the server has been silent for `seconds`."""

        seconds = SILENCE_SECONDS

        def wait(self, gen: Generator[Any, Any, T], *arguments: Any, **named: Any) -> T:
            """Wait as the driver does: every statement, commit and rollback passes here."""
            return super().wait(self._unless_silent(gen), *arguments, **named)

        def _unless_silent(self, steps: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
            # The driver resumes its steps about every 0.1 s, with 0 where the socket had nothing to say.
            last_word, ready = monotonic(), None
            while True:
                try:
                    wanted = steps.send(ready)
                except StopIteration as done:
                    result: T = done.value
                    return result
                ready = yield wanted
                if ready:
                    last_word = monotonic()
                elif monotonic() - last_word > self.seconds:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"the server was silent for {self.seconds} s")

    @cache
    def impatient(seconds: int) -> type[Impatient]:
        return type("Impatient", (Impatient,), {"seconds": seconds})

    return impatient
