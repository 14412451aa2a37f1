"""The process that listens and starts the workers. It loads nothing else, so that what workers share stays small.

It never sees a request and opens nothing of the school's: each worker does that for itself.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels

from connector.scim.orphaned import end_with_parent

THREADS = 16
"""Of one worker: as many requests wait for the disk or for the targets at once."""


def listen(
    host: str,
    port: int,
    workers: int,
    certificate: Path | None = None,
    key: Path | None = None,
    factory: str = "connector.scim.serving:worker",
) -> None:
    """Serve until told to stop; a worker that ends by itself is started again. `factory` makes its application.

    With a certificate and its key (PEM files) it speaks TLS.
    """
    Granian(
        factory,
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=THREADS,
        http=HTTPModes.http1,
        websockets=False,
        factory=True,
        respawn_failed_workers=True,
        log_level=LogLevels.error,
        ssl_cert=certificate,
        ssl_key=key,
    ).serve()


def main(words: Sequence[str]) -> None:
    """Serve: `python -m connector.scim.listening HOST PORT WORKERS [CERTIFICATE KEY]`."""
    host, port, workers, *tls = words
    certificate, key = map(Path, tls) if tls else (None, None)
    end_with_parent()
    listen(host, int(port), int(workers), certificate, key)


if __name__ == "__main__":
    main(sys.argv[1:])
