"""Asks over HTTP and hangs up after a time, whatever the server is doing: the library's time is one of each read only.

A server that sends its headers byte by byte (a tarpit) would else keep the daemon's thread, and with it the night. An
answer that was cut off must never be taken for one.
"""

import socket
import threading
from contextlib import suppress
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

_ALL_SECONDS = 30.0
"""How long a server may take from being connected until the headers of its answer are here."""


class HangingUp(HTTPAdapter):
    """How a session asks; one that was hung up on raises the library's ConnectionError."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Connect by what hangs up."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


class _Bounded(HTTPConnection):
    _bell: threading.Timer | None = None
    _is_over = False

    def connect(self) -> None:
        """Connect, which is bounded by itself, and let the time begin."""
        super().connect()
        self._bell = threading.Timer(_ALL_SECONDS, self._hang_up)
        self._bell.daemon = True
        self._bell.start()

    def getresponse(self) -> HTTPResponse:  # type: ignore[override] # as the library overrides it
        """Give the answer once its headers are here."""
        answer = super().getresponse()
        self._stop_bell()
        if self._is_over:  # RFC 9112 8: headers that end in the middle are no answer, the library would take them
            answer.close()
            raise TimeoutError
        return answer

    def close(self) -> None:
        """Close; nobody has to hang up any more."""
        self._stop_bell()
        super().close()

    def _stop_bell(self) -> None:
        if self._bell is not None:
            self._bell.cancel()

    def _hang_up(self) -> None:
        self._is_over, at = True, self.sock
        if at is not None:
            with suppress(OSError):
                at.shutdown(socket.SHUT_RDWR)  # a close alone does not wake who reads


class _BoundedTls(_Bounded, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Bounded


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _BoundedTls
