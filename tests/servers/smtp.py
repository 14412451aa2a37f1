"""A throw-away mail server: STARTTLS on one port, TLS from the start on another, every message kept in a folder."""

import mailbox
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

import pytest

from tests.servers import free_port, stop, tail
from tests.servers.certificates import make_authority, make_leaf

_SECONDS = 10


@dataclass(frozen=True, slots=True)
class MailServer:
    """A running mail server. `ca_file` verifies it."""

    port: int
    tls: str
    ca_file: Path
    folder: Path
    process: subprocess.Popen[bytes]

    def messages(self) -> list[Message]:
        """Give what has arrived, oldest first."""
        kept = mailbox.Maildir(self.folder / "mail", create=False)
        return sorted(kept, key=lambda message: str(message["Message-ID"]))


def start(folder: Path, tls: str, port: int = 0, handler: str = "aiosmtpd.handlers.Mailbox") -> MailServer:
    """Start a mail server in `folder`, on a free port or this one, and wait until it answers."""
    authority = make_authority(folder)
    leaf, port = make_leaf(authority, "mail"), port or free_port()
    encrypted = "smtps" if tls == "tls" else "tls"
    options = [f"--{encrypted}cert", str(leaf.certificate), f"--{encrypted}key", str(leaf.key)]
    arguments = ["--nosetuid", "--listen", f"127.0.0.1:{port}", *options]
    keeping = ["--class", handler, str(folder / "mail")]
    with (folder / "mail.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "aiosmtpd", *arguments, *keeping], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    server = MailServer(port, tls, authority.certificate, folder, process)
    _wait(server)
    return server


def _wait(server: MailServer) -> None:
    until = time.monotonic() + _SECONDS
    while server.process.poll() is None and time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", server.port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    stop(server.process)
    pytest.fail(f"the mail server did not start:\n{tail(server.folder / 'mail.log')}", pytrace=False)
