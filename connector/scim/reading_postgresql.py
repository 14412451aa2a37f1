"""Single reads on PostgreSQL, each one question and one answer: prepared at the server, nothing around them.

The driver's cursors take several times what such a read takes the server. Whatever is not the plain case, an answer
that is late or comes in parts, is left to the driver's own waiting, which is what gives a silent server up: nothing
here waits for longer than a moment by itself.
"""

import select
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import psycopg
from psycopg import generators
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

_MOMENT = 0.1
"""Seconds after which the driver does the waiting: as often as it looks whether it is to stop."""


class PostgresqlLine:
    """A connection on which statements are prepared when they are first asked."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        connection.autocommit = True  # neither BEGIN nor ROLLBACK is a round trip
        self._connection = connection
        self._wire = connection.pgconn
        self._turned = Transformer(connection)
        self._names: dict[str, bytes] = {}
        self._soon = _soon(self._wire.socket)

    def ask(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Give all rows. `sql` has its parameters numbered. Raises what the driver raises."""
        name = self._names.get(sql) or self._prepare(sql)
        values = self._turned.dump_sequence(parameters, (PyFormat.TEXT,) * len(parameters))
        self._wire.send_query_prepared(name, values)
        result = self._answer()
        if result.status != ExecStatus.TUPLES_OK:
            raise psycopg.errors.error_from_result(result)
        self._turned.set_pgresult(result)
        found = self._turned.load_rows(0, result.ntuples, tuple)
        self._turned.set_pgresult(None)  # a page that was answered is not kept
        return found

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _prepare(self, sql: str) -> bytes:
        name = b"read_%d" % len(self._names)
        self._wire.send_prepare(name, sql.encode())
        result = self._patiently()
        if result.status != ExecStatus.COMMAND_OK:
            raise psycopg.errors.error_from_result(result)
        self._names[sql] = name
        return name

    def _answer(self) -> PGresult:
        """Give the one answer to what was sent, here where it comes at once and whole."""
        wire = self._wire
        if wire.flush() or not self._soon():
            return self._patiently()
        wire.consume_input()
        if wire.is_busy() or (result := wire.get_result()) is None:
            return self._patiently()
        if wire.is_busy() or wire.get_result() is not None:  # the server has not said yet that it is done
            self._connection.wait(generators.execute(wire))
        return result

    def _patiently(self) -> PGresult:
        """Give the answer as the driver waits for it."""
        results: list[PGresult] = self._connection.wait(generators.execute(self._wire))
        if not results:
            raise psycopg.OperationalError("the server said nothing")
        return results[0]


def _soon(socket: int) -> Callable[[], object]:
    """Give what says whether anything came on a connection within a moment."""
    if sys.platform == "win32":  # it has no poll, and its sockets fit into select
        return lambda: select.select([socket], [], [], _MOMENT)[0]
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return partial(poll.poll, _MOMENT * 1000)
