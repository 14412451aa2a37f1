"""The connector as `make bench-scim` measures it: a school of its own, filled, and served as `connector serve` does.

It is filled by the verbs of the endpoint, a thousand Users in a transaction: the same rows and audit records as by a
thousand requests, without a thousand waits for the disk. The school has no targets, the client no limits.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copy
from zoneinfo import ZoneInfo

from sqlalchemy import delete, insert, select

from connector.config import load
from connector.journal_key import open_journal
from connector.reconcile.journal import Journal
from connector.reconcile.journal_columns import metadata
from connector.reconcile.journal_store import Store
from connector.scim.clients import Client, Clients
from connector.scim.committing import turn
from connector.scim.gate import Gate
from connector.scim.serving import CONFIG_VARIABLE
from connector.scim.users import Users
from tests.servers import free_port
from tools.bench_scim_load import Endpoint
from tools.bench_scim_peers import Serving, only_child, running
from tools.bench_scim_people import user

_ROOT = Path(__file__).parent.parent
_KEY = "audit.key"
_ROWS = 5000
_TURN = 1000

_CONFIG = """\
[school]
name = "A school with nothing to act on"
timezone = "UTC"

[admin_system]
adapter = "csv"
folder = "admin"

[portals.nobody]
adapter = "sql"
url = "sqlite:///portal.db"
strategy = "contacts"

[journal]
url = {url}
audit_key = {{ file = "{key}" }}

[scim]
"""


@dataclass(frozen=True, slots=True)
class School:
    """A school with `count` Users, a token of the provider they came from, and a file with their ids."""

    folder: Path
    count: int
    token: str

    @property
    def config(self) -> Path:
        """Where its config is."""
        return self.folder / "config.toml"

    @property
    def ids(self) -> Path:
        """Where the ids of its Users are, in the order of the people's numbers."""
        return self.folder / "users.ids"


def school(folder: Path, count: int) -> School:
    """Make a school whose journal is a file, and fill it."""
    _written(folder, "sqlite:///journal.db")
    with open_journal(load(folder / "config.toml")) as journal:
        made = School(folder, count, Clients(journal.store).create(Client("bench"), 1, "bench"))
        made.ids.write_text("\n".join(filled(journal.store, count)) + "\n", encoding="ascii")
    return made


def filled(store: Store, count: int) -> list[str]:
    """Create so many Users as the endpoint does; give their ids."""
    users, client = Users(Gate(ZoneInfo("UTC"), acts=False)), Client("bench")
    ids = []
    for start in range(0, count, _TURN):
        with turn(store) as shared:
            acts = [users.create(client, user(number)) for number in range(start, min(start + _TURN, count))]
            ids += [act(shared).id for act in acts]
    return ids


def copied(made: School, folder: Path, url: str) -> School:
    """Make the same school once more, with its journal at another URL: the same rows, the same key, the same token."""
    _written(folder, url)
    for name in (_KEY, made.ids.name):
        copy(made.folder / name, folder / name)
    key = (folder / _KEY).read_text(encoding="ascii").strip().encode()
    with open_journal(load(made.config)) as source, Journal.open(url, audit_key=key) as target:
        _copy(source.store, target.store)
    return School(folder, made.count, made.token)


def _copy(source: Store, target: Store) -> None:
    with source.reading() as there, target.writing() as writing:
        for table in reversed(metadata.sorted_tables):
            writing.conn.execute(delete(table))
        for table in metadata.sorted_tables:
            for rows in there.execute(select(table)).mappings().partitions(_ROWS):
                writing.conn.execute(insert(table), [dict(row) for row in rows])


def _written(folder: Path, url: str) -> None:
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(_CONFIG.format(url=json.dumps(url), key=_KEY), encoding="utf-8")


@contextmanager
def connector(made: School) -> Iterator[Serving]:
    """Serve a school with one worker."""
    port = free_port()
    endpoint = Endpoint(f"http://127.0.0.1:{port}/scim/v2", made.token, made.ids, made.count)
    command = [sys.executable, "-m", "tools.bench_scim_worker", str(port)]
    # As `connector serve` starts it.
    environment = {CONFIG_VARIABLE: str(made.config), "MALLOC_ARENA_MAX": "2", "PYTHONPATH": str(_ROOT)}
    with running(command, environment, made.folder, endpoint) as started:
        yield Serving(endpoint, only_child(started.worker))
