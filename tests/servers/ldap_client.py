"""How tests speak LDAP to the servers they started: verified, plain ldap3, none of our own code."""

import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ldap3
from ldap3.core.exceptions import LDAPException


@contextmanager
def signed_in(host: str, port: int, ca_file: Path, user: str, password: str) -> Iterator[Any]:
    """Give a bound connection. Raises PermissionError with the server's words where the bind is refused."""
    tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=str(ca_file), valid_names=["localhost", "dc1.lab.test"])
    server = ldap3.Server(host, port=port, use_ssl=True, tls=tls, get_info=ldap3.NONE, connect_timeout=5)
    connection = ldap3.Connection(server, user, password, receive_timeout=20, check_names=False, auto_referrals=False)
    try:
        connection.open()
        # Else the bind waits 40 ms for the acknowledgement of the handshake's last packet (RFC 1122 4.2.3.4).
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not connection.bind():
            raise PermissionError(connection.result["message"])
        yield connection
    finally:
        connection.strategy._close_socket()


def until_it_answers(
    host: str,
    port: int,
    ca_file: Path,
    admin: tuple[str, str],
    *,
    process: subprocess.Popen[bytes],
    log: Callable[[], str],
    seconds: float = 20,
) -> None:
    """Wait until the administrator can sign in; say what the server said where it ends instead."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with signed_in(host, port, ca_file, *admin):
                return
        except (LDAPException, OSError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not come up: {error}\n{log()}") from error
            time.sleep(0.05)
