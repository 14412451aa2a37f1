"""A line to a real server that a test can hold, cut and mend: a relay of bytes, so TLS stays between the two ends.

It never looks into what it carries and never answers for the server.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_CHUNK = 8192


class Line:
    """Listens on a port of its own and passes everything on. `held` keeps newcomers waiting; `cut` refuses them.

    `to_server` counts the bytes that were sent to the server.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._open = threading.Event()
        self._open.set()
        self.somebody_waits = threading.Event()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._from_server = 0
        self.to_server = 0
        self._at: tuple[int, Callable[[], None]] | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._listen()

    def hold(self) -> None:
        """Keep whoever connects from now on waiting, until `let_go`."""
        self.somebody_waits.clear()
        self._open.clear()

    def let_go(self) -> None:
        """Pass everything on again."""
        self._open.set()

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        self._stop_listening()
        for end in self._sockets:
            _close(end)
        self._open.set()

    def mend(self) -> None:
        """Listen again on the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listen()

    def after(self, count: int, action: Callable[[], None]) -> None:
        """Do something once the server has sent so many more bytes; what it sent after them is lost."""
        self._at = (self._from_server + count, action)

    def close(self) -> None:
        """End everything and wait for it."""
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def _listen(self) -> None:
        self._start(self._accept, self._listener)

    def _stop_listening(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # a close alone does not wake who waits in accept
        self._listener.close()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            self._sockets.append(near)
            self._start(self._connect, near)

    def _connect(self, near: socket.socket) -> None:
        self.somebody_waits.set()
        self._open.wait()
        try:
            far = socket.create_connection(self._server, timeout=10)
        except OSError:
            _close(near)
            return
        far.settimeout(None)
        self._sockets.append(far)
        self._start(self._pass_on, far, near, self._counted)
        self._pass_on(near, far, self._counted_out)

    def _pass_on(self, source: socket.socket, sink: socket.socket, count: Callable[[bytes], int]) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(_CHUNK):
                count(chunk)
                self._open.wait()
                sink.sendall(chunk)
        for end in (source, sink):
            _close(end)

    def _counted_out(self, chunk: bytes) -> int:
        self.to_server += len(chunk)
        return len(chunk)

    def _counted(self, chunk: bytes) -> int:
        self._from_server += len(chunk)
        if self._at is not None and self._from_server >= self._at[0]:
            (_, action), self._at = self._at, None
            action()
        return len(chunk)


@contextmanager
def line_to(host: str, port: int) -> Iterator[Line]:
    """Give a line, and end it."""
    line = Line(host, port)
    try:
        yield line
    finally:
        line.close()


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
