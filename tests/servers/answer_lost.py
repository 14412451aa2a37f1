"""A wire that breaks at the worst moment: the server has done what was asked, and the client is never told."""

import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self


class AnswerLost:
    """A wire to a PostgreSQL that breaks once: when a write that holds `mark` is committed, before the client hears."""

    def __init__(self, port: int, mark: bytes = b"UPDATE ") -> None:
        self._server_port = port
        self._mark = mark
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._broken = False
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        # Waking accept(): closing a listener does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        self._threads.append(threading.Thread(target=target, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._start(self._carry, client, socket.create_connection(("127.0.0.1", self._server_port)))

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        written = False
        with client, server:
            while True:
                ready, _, _ = select.select([client, server], [], [], 10)
                for end in ready or [client]:
                    data = end.recv(65536) if ready else b""
                    if not data:
                        return
                    (server if end is client else client).sendall(data)
                    written = written or (end is client and self._mark in data)
                    if end is client and written and b"COMMIT" in data and not self._broken:
                        self._broken = bool(server.recv(65536))
                        return
