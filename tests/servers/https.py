"""A throw-away web server over TLS on loopback: it answers with the status a test wants, and keeps what it was sent."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers.certificates import make_authority, make_leaf


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class WebServer:
    """A running web server. `status` is what it answers, `location` where it sends on; `ca_file` verifies it."""

    url: str
    ca_file: Path
    status: int = 204
    location: str = ""
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def serving(folder: Path) -> Iterator[WebServer]:
    """Serve in a thread until the end of the `with`."""
    authority = make_authority(folder)
    leaf = make_leaf(authority, "web")

    class Answering(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            made.asked.append(Asked(self.command, self.path, dict(self.headers), body))
            self.send_response(made.status)
            if made.location:
                self.send_header("Location", made.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = answer  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf.certificate, leaf.key)
    listening.socket = context.wrap_socket(listening.socket, server_side=True, do_handshake_on_connect=False)
    made = WebServer(f"https://127.0.0.1:{listening.server_port}", authority.certificate)
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
