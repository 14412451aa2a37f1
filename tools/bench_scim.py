"""How fast the SCIM endpoint answers beside others on the same machine, in the same minutes: `make bench-scim`.

Ours is durable, the others keep everything in memory. Every server runs all the time and takes its turn for a few
seconds, again and again, so that whatever else the machine does meets them all; the median of the turns counts. It ends
where anything was refused or failed.
"""

import argparse
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median

from tests.servers import postgres, stop
from tests.servers.postgres import PostgresServer
from tools.bench import machine, write_between_marks
from tools.bench_scim_load import FEWEST, OPERATIONS, READS, Speed, check, run
from tools.bench_scim_ours import School, connector, copied, school
from tools.bench_scim_peers import Serving, install_scim2_server, install_scimmy, scim2_server, scimmy
from tools.bench_scim_targets import closed, lines

BEGIN, END = "<!-- scim: begin -->", "<!-- scim: end -->"
COUNTS, TIMES, SECONDS = (10_000, 100_000), 3, 2
OURS, PEERS = ("connector, SQLite", "connector, PostgreSQL"), ("scim2-server", "SCIMMY")
WANTED_READS, WANTED_WRITES, WANTED_GROWTH = 2.0, 1.0, 1.3

Place = tuple[str, int]
"""A server by its name, and how many Users it is filled with."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What came out: the median of the turns by server, size and operation, and each worker's peak in MB."""

    speeds: Mapping[tuple[str, int, str], Speed]
    peaks: Mapping[Place, float]
    counts: Sequence[int]

    def rate(self, name: str, count: int, operation: str) -> float:
        """Give requests a second."""
        return self.speeds[name, count, operation].rate

    def better(self, count: int, operation: str) -> float:
        """Give what the better of the others reaches."""
        return max(self.rate(peer, count, operation) for peer in PEERS)

    def ratio(self, name: str, count: int, operation: str) -> float:
        """Give how many times the better peer's requests a server of ours answers."""
        return self.rate(name, count, operation) / self.better(count, operation)

    def growth(self, name: str, operation: str) -> float:
        """Give how many times slower the largest size is than the smallest."""
        return self.rate(name, self.counts[0], operation) / self.rate(name, self.counts[-1], operation)


def measured(servers: Mapping[Place, Serving], times: int, seconds: int) -> Figures:
    """Measure every operation on every server, in turns. The first turn of each only warms up."""
    runs: dict[tuple[str, int, str], list[Speed]] = {}
    for operation in OPERATIONS:
        for turn in range(times + 1):
            for (name, count), server in servers.items():
                mine = runs.setdefault((name, count, operation), [])
                if mine and mine[0].rate * seconds < FEWEST:
                    continue  # one turn of what is that slow takes long and says enough
                speed = run(server.endpoint, operation, turn, times + 1, seconds if turn else 1)
                if speed.rate * seconds < FEWEST:
                    server.rest()
                if turn or speed.rate * seconds < FEWEST:
                    mine.append(speed)
        print(operation, {key[:2]: round(_median(runs[key]).rate) for key in runs if key[2] == operation}, flush=True)
    peaks = {place: server.peak_mb() for place, server in servers.items()}
    return Figures({key: _median(speeds) for key, speeds in runs.items()}, peaks, sorted({key[1] for key in runs}))


def _median(runs: Sequence[Speed]) -> Speed:
    return Speed(*(median(getattr(one, name) for one in runs) for name in ("rate", "p50", "p99")))


# --- the servers ----------------------------------------------------------------------------------------------------


@contextmanager
def serving(folder: Path, counts: Sequence[int]) -> Iterator[dict[Place, Serving]]:
    """Run all of them, filled and tried, each with every size."""
    python, packages = install_scim2_server(folder), install_scimmy(folder / "scimmy")
    with ExitStack() as stack, ProcessPoolExecutor(1, get_context("spawn")) as pool:
        made = {count: pool.submit(school, folder / "file" / str(count), count) for count in counts}
        server = stack.enter_context(durable_postgres())
        found: dict[Place, Serving] = {}
        for count in counts:
            found[PEERS[0], count] = stack.enter_context(scim2_server(python, folder, count))
            found[PEERS[1], count] = stack.enter_context(scimmy(packages, folder, count))
            ours = made[count].result()
            again = _in_postgres(ours, folder / "postgresql" / str(count), server)
            for name, one in zip(OURS, (ours, again), strict=True):
                found[name, count] = stack.enter_context(connector(one))
        for serving_ in found.values():
            check(serving_.endpoint)
        yield {(name, count): found[name, count] for count in counts for name in (*OURS, *PEERS)}


def _in_postgres(made: School, folder: Path, server: PostgresServer) -> School:
    """Give the same school with its journal in PostgreSQL, settled: what it would do in the middle is done before."""
    url = server.create_database().replace("+psycopg", "")
    again = copied(made, folder, url)
    with server.connect(url.rpartition("/")[2]) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    return again


@contextmanager
def durable_postgres() -> Iterator[PostgresServer]:
    """Run a PostgreSQL of its own that commits to disk."""
    folder = Path(tempfile.mkdtemp(prefix="connector-bench-postgres-"))
    try:
        server = postgres.start(folder, durable=True)
        try:
            yield server
        finally:
            server.process.send_signal(signal.SIGINT)
            stop(server.process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# --- saying ---------------------------------------------------------------------------------------------------------


def table(figures: Figures, command: str, times: int, seconds: int) -> str:
    """Write the figures as the page's table, with the command that made them."""
    lines = [f"Made by `{command}`: the median of {times} turns of {seconds} s each, {machine()}."]
    for count in figures.counts:
        lines += ["", *_speeds(figures, count)]
    return "\n".join([*lines, "", *_growth(figures), "", *_memory(figures)])


def _speeds(figures: Figures, count: int) -> list[str]:
    heads = " | ".join((*OURS, *PEERS))
    lines = [
        f"| {count:,} Users: requests/s (p50, p99 in ms) | {heads} | ours to the better |",
        f"|---|{'---:|' * (len(OURS) + len(PEERS) + 1)}",
    ]
    for operation, title in OPERATIONS.items():
        cells = [_cell(figures.speeds[name, count, operation]) for name in (*OURS, *PEERS)]
        ratios = ", ".join(f"{figures.ratio(name, count, operation):.1f}" for name in OURS)
        lines.append(f"| {title} | {' | '.join(cells)} | **{ratios}** |")
    return lines


def _cell(speed: Speed) -> str:
    return f"{speed.rate:,.0f} ({speed.p50:.1f}, {speed.p99:.0f})"


def _growth(figures: Figures) -> list[str]:
    few, many = figures.counts[0], figures.counts[-1]
    names = (*OURS, *PEERS)
    lines = [
        f"| how many times slower with {many:,} than with {few:,} | {' | '.join(names)} |",
        f"|---|{'---:|' * len(names)}",
    ]
    for operation, title in OPERATIONS.items():
        lines.append(f"| {title} | {' | '.join(f'{figures.growth(name, operation):.2f}' for name in names)} |")
    return lines


def _memory(figures: Figures) -> list[str]:
    names = (*OURS, *PEERS)
    lines = [f"| peak of the worker, MB | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    peaks = {count: " | ".join(f"{figures.peaks[name, count]:,.0f}" for name in names) for count in figures.counts}
    return [*lines, *(f"| {count:,} Users | {cells} |" for count, cells in peaks.items())]


def missed(figures: Figures) -> list[str]:
    """Name what was promised and not reached."""
    return [
        sentence
        for name in OURS
        for sentence in (*_slow(figures, name), *_grown(figures, name), *_large(figures, name))
    ]


def _slow(figures: Figures, name: str) -> Iterator[str]:
    for operation, title in OPERATIONS.items():
        wanted = WANTED_READS if operation in READS else WANTED_WRITES
        for count in figures.counts:
            if (ratio := figures.ratio(name, count, operation)) < wanted:
                yield f"{name}, {count:,}: {title} is {ratio:.2f} of the better peer, {wanted} wanted."


def _grown(figures: Figures, name: str) -> Iterator[str]:
    for operation, title in OPERATIONS.items():
        if (growth := figures.growth(name, operation)) > WANTED_GROWTH:
            yield f"{name}: {title} is {growth:.2f} times slower with more Users, {WANTED_GROWTH} wanted."


def _large(figures: Figures, name: str) -> Iterator[str]:
    most = figures.counts[-1]
    if figures.peaks[name, most] >= min(figures.peaks[peer, most] for peer in PEERS):
        yield f"{name}: a worker's peak is not below the others'."


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all servers side by side."""
    parser = argparse.ArgumentParser(prog="tools.bench_scim", description=main.__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=list(COUNTS), help="how many Users")
    parser.add_argument("--times", type=int, default=TIMES, help="turns of each operation on each server")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="how long one turn takes")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the tables between the marks of this page")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="connector-bench-scim-") as name:
        with serving(Path(name), asked.counts) as servers:
            figures = measured(servers, asked.times, asked.seconds)
        with durable_postgres() as server:
            everywhere = closed(Path(name) / "targets", server)
    text = table(figures, "make bench-scim", asked.times, asked.seconds) + "\n\n" + "\n".join(lines(everywhere))
    print(f"{text}\n\n{chr(10).join(missed(figures)) or 'Everything that was wanted is reached.'}")
    if asked.write:
        write_between_marks(asked.write, text, BEGIN, END)


if __name__ == "__main__":
    main()
