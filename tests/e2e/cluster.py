"""A PostgreSQL of one test's own that can be restarted on the same port, as an administrator restarts it."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import postgres as throw_away
from tests.servers import require, stop
from tests.servers.postgres import PostgresServer


@dataclass(slots=True)
class Cluster:
    """A running cluster and the folder it is in."""

    folder: Path
    server: PostgresServer

    def restart(self) -> None:
        """Stop it, with everybody's connections, and start it again."""
        self.stop()
        options = [part for option in throw_away._OPTIONS for part in ("-c", option)]
        log = self.folder / "postgres.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [require("postgres", "postgresql"), "-D", str(self.folder / "cluster"), "-p", str(self.server.port),
                 "-k", str(self.folder), *options],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.folder,
                user=throw_away._server_user(self.folder),
            )  # fmt: skip
        self.server = PostgresServer(self.server.port, process)
        throw_away._wait(self.server, log)

    def stop(self) -> None:
        """Stop it at once: the default waits for clients to leave."""
        if self.server.process.poll() is None:
            self.server.process.send_signal(signal.SIGINT)
        stop(self.server.process)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Run a cluster, and remove it."""
    # Not below pytest's own folder: that one is closed to every other user, and the server is another user.
    folder = Path(tempfile.mkdtemp(prefix="connector-postgres-"))
    try:
        cluster = Cluster(folder, throw_away.start(folder))
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
