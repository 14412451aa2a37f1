"""Play many histories of a simulated school, or one again with its trace: `make simulate N=20000`.

A history is decided by its seed alone, so a failing one is played again by the line that is printed. Python's hash seed
is fixed for that, which takes a fresh interpreter: `main` starts one where it must.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path

from connector.reconcile.boundaries import Boundary
from tests.simulation.broken import BROKEN, breaking
from tests.simulation.history import TOPICS, Stage, memory_folder, play, seeds_about

PART = 25
"""How many histories a process plays before it says what came of them."""


@dataclass(frozen=True)
class Dose:
    """How much to play: so many histories at least, and more of them while these seconds last."""

    histories: int
    first: int = 0
    seconds: float = 0.0
    topic: str | None = None

    def wants(self, asked: int, seconds: float) -> bool:
        """Say whether more is to be asked for."""
        return asked < self.histories or seconds < self.seconds


@dataclass
class Tally:
    """What came of many histories. `failed` maps a seed to what was broken."""

    histories: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    failed: dict[int, list[str]] = field(default_factory=dict)

    def add(self, other: "Tally") -> None:
        """Count another tally in."""
        self.histories += other.histories
        self.counts.update(other.counts)
        self.failed.update(other.failed)

    @property
    def never_crashed_at(self) -> list[str]:
        """The boundaries at which no history crashed."""
        return [boundary.value for boundary in Boundary if not self.counts[f"boundary:{boundary}"]]


def replay_line(seed: int, broken: str = "") -> str:
    """Give the command that plays a seed again with its trace."""
    return f"python -m tools.simulate --seed {seed}{f' --broken {broken}' if broken else ''}"


@cache
def _stage(folder: str) -> Stage:
    """Give this process its stage: the first part that it plays makes it."""
    gc.disable()  # a history leaves little behind, and most of that goes by its reference count
    return Stage(Path(folder))


def _play_part(folder: str, seeds: Sequence[int], broken: str) -> Tally:
    """Play some seeds in this process."""
    tally, stage = Tally(), _stage(folder)
    with breaking(broken):
        for seed in seeds:
            outcome = play(seed, stage)
            tally.histories += 1
            tally.counts.update(outcome.counts)
            if outcome.broken:
                tally.failed[seed] = list(outcome.broken)
    gc.collect()
    return tally


def play_many(dose: Dose, processes: int, broken: str = "") -> Tally:
    """Play seeds one after the other over several processes: so many at least, and as many as fit in the time."""
    began, whole = time.perf_counter(), Tally()
    seeds = seeds_about(dose.topic, dose.first)
    with memory_folder() as folder, ProcessPoolExecutor(processes) as pool:
        waiting: set[Future[Tally]] = set()
        asked = 0
        while waiting or asked < dose.histories:
            while len(waiting) <= processes and dose.wants(asked, time.perf_counter() - began):
                part = list(islice(seeds, min(PART, max(dose.histories - asked, 1) if not dose.seconds else PART)))
                asked += len(part)
                waiting.add(pool.submit(_play_part, str(folder), part, broken))
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for some in done:
                whole.add(some.result())
    whole.seconds = time.perf_counter() - began
    return whole


def show_one(seed: int, broken: str) -> int:
    """Play one seed and print what happened, line by line."""
    with memory_folder() as folder, breaking(broken):
        stage = Stage(folder)
        outcome = play(seed, stage)
        stage.close()
    print("\n".join(outcome.trace.lines))
    print("\n".join(f"BROKEN: {what}" for what in outcome.broken) or f"Seed {seed}: every promise held.")
    return bool(outcome.broken)


def show_many(tally: Tally) -> int:
    """Print the figures, and how to play again what failed."""
    for seed, broken in sorted(tally.failed.items()):
        print(f"seed {seed}: {broken[0]}" + (f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""))
        print(f"  replay: {replay_line(seed)}")
    for group in ("topic", "fault", "boundary", "others", "act", "effect", "words"):
        print(f"{group}:")
        found = {key.partition(":")[2]: n for key, n in tally.counts.items() if key.startswith(f"{group}:")}
        for name, number in sorted(found.items(), key=lambda item: (-item[1], item[0])):
            print(f"  {number:>8,} {name}")
    print(sentence(tally))
    return bool(tally.failed or tally.never_crashed_at)


def sentence(tally: Tally) -> str:
    """Say in one line what was done."""
    speed = tally.histories / tally.seconds if tally.seconds else 0
    crashes = tally.counts["fault:crash"]
    where = len(Boundary) - len(tally.never_crashed_at)
    text = (
        f"{tally.histories:,} histories in {tally.seconds:.0f} s ({speed:.0f} a second), {crashes:,} crashes, "
        f"{where} of {len(Boundary)} boundaries crashed at, {len(tally.failed)} histories broke a promise."
    )
    return text + (f" Never crashed at: {', '.join(tally.never_crashed_at)}." if tally.never_crashed_at else "")


def main(arguments: list[str]) -> int:
    """Run from the command line."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        again = [sys.executable, "-m", "tools.simulate", *arguments]
        return subprocess.call(again, env={**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S603 - this program again
    asked = _asked(arguments)
    if asked.seed is not None:
        return show_one(asked.seed, asked.broken)
    tally = play_many(Dose(asked.histories, asked.first, asked.seconds, asked.topic), asked.processes, asked.broken)
    if asked.json:
        print(json.dumps({"sentence": sentence(tally), "counts": tally.counts, "failed": tally.failed,
                          "histories": tally.histories, "never_crashed_at": tally.never_crashed_at}))  # fmt: skip
        return 0
    return show_many(tally)


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.simulate", description=__doc__)
    parser.add_argument("--histories", type=int, default=1000, help="how many to play at least")
    parser.add_argument("--seconds", type=float, default=0.0, help="play more while this time lasts")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, help="play this one and print its trace")
    parser.add_argument("--topic", choices=[topic for topic in TOPICS if topic], help="only histories about this")
    parser.add_argument("--broken", choices=sorted(BROKEN), default="", help="break the connector on purpose")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON; the exit code is 0")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
