"""How much faster the own reader is than ldap3: `python -m tests.ldap.measure_reader [ENTRIES]`. It never fails."""

import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from connector.ldap.dialect import VOCABULARIES, Dialect
from connector.ldap.directory import LdapDirectory
from connector.ldap.reader import read_pages
from tests.ldap.builders import openldap_settings, people_ldif, site
from tests.servers.slapd import BASE, running_slapd

_WORDS = VOCABULARIES[Dialect.OPENLDAP]


def timed(what: str, read: Callable[[], Iterable[object]]) -> float:
    """Run it once; print wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    count = sum(1 for _ in read())
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    sys.stdout.write(f"{what:<28} {count:>8,} entries  {wall:6.2f} s wall  {cpu:6.2f} s CPU\n")
    return wall


def main(entries: int) -> None:
    """Fill a slapd and read it three ways."""
    with tempfile.TemporaryDirectory() as folder, running_slapd(Path(folder), people_ldif(BASE, entries)) as server:
        with server.admin() as connection:
            search = connection.extend.standard.paged_search
            theirs = timed(
                "ldap3",
                lambda: search(
                    BASE, _WORDS.person_filter, attributes=list(_WORDS.attributes), paged_size=1000, generator=True
                ),
            )
            ours = timed("own reader", lambda: read_pages(connection, BASE, _WORDS.person_filter, _WORDS.attributes))
        directory = LdapDirectory("ldap", openldap_settings(server, Path(folder)), site(Path(folder)))
        timed("read_all, accounts and all", lambda: directory.read_all().accounts)
        directory.disconnect()
    sys.stdout.write(f"ratio {theirs / ours:.1f}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
