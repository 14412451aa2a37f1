"""Play simulated years of a school with the real daemon, or one again with its story: `make simulate-year YEARS=20`.

A year is decided by its seed and its size alone, so a failing one is played again by the line that is printed. Python's
hash seed is fixed for that, which takes a fresh interpreter: `main` starts one where it must.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.history import memory_folder
from tests.simulation.year import DAYS, Options, Outcome, play
from tests.simulation.year_broken import YEAR_BROKEN, breaking_the_year


@dataclass(frozen=True)
class Played:
    """One year that was played, and what it took."""

    outcome: Outcome
    seconds: float

    @property
    def sentence(self) -> str:
        """Say in one line what was in it."""
        counts, broken = self.outcome.counts, len(self.outcome.broken)
        named = f"{counts['accidents']} accident{'' if counts['accidents'] == 1 else 's'}"
        return (
            f"year {self.outcome.seed}: {self.outcome.nights} nights, {counts['people closed']} people closed "
            f"({counts['accounts disabled']} accounts, {counts['members closed']} members, "
            f"{counts['sessions ended']:,} sessions), {counts['holds released']} holds released, "
            f"{counts['runs stopped']} runs stopped, {named} {'stopped' if self.outcome.accident_named else 'held'}, "
            f"{counts['killed in a run']} kills, {counts['outages']} outages, {self.seconds:.0f} s: "
            f"{f'{broken} things were wrong' if broken else 'everything as the rules say'}"
        )


def replay_line(seed: int, options: Options, broken: str = "") -> str:
    """Give the command that plays a year again and writes its story."""
    size = "" if options == Options() else f" --days {options.days} --families {options.families}"
    size += "" if options.staff == Options().staff else f" --staff {options.staff}"
    return (
        f"python -m tools.simulate_year --seed {seed}{size}{f' --broken {broken}' if broken else ''} --trace story.txt"
    )


def play_one(seed: int, options: Options, broken: str = "", trace: str = "") -> Played:
    """Play one year; write its story where it is asked for (`-` is here)."""
    gc.disable()  # most of what a night leaves behind goes by its reference count
    began = time.process_time()
    with memory_folder() as folder, breaking_the_year(broken):
        outcome = play(seed, folder, options)
    gc.collect()
    story = "".join(f"{line}\n" for line in outcome.story)
    if trace == "-":
        sys.stdout.write(story)
    elif trace:
        Path(trace).write_text(story, encoding="utf-8")
    return Played(outcome, time.process_time() - began)


def show(played: Played, options: Options) -> None:
    """Print what came of a year, and how to play it again where something was wrong."""
    print(played.sentence, flush=True)
    for what in played.outcome.broken[:10]:
        print(f"  BROKEN: {what}")
    if played.outcome.broken:
        print(f"  replay: {replay_line(played.outcome.seed, options)}")


def main(arguments: list[str]) -> int:
    """Run from the command line."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        again = [sys.executable, "-m", "tools.simulate_year", *arguments]
        return subprocess.call(again, env={**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S603 - this program again
    asked = _asked(arguments)
    options = Options(asked.days, asked.families, asked.staff)
    failed = False
    for seed in range(asked.seed, asked.seed + asked.years):
        played = play_one(seed, options, asked.broken, asked.trace)
        failed |= bool(played.outcome.broken)
        if asked.json:
            outcome = played.outcome
            print(json.dumps({"sentence": played.sentence, "nights": outcome.nights, "broken": outcome.broken,
                              "counts": outcome.counts, "accident_named": outcome.accident_named,
                              "replay": replay_line(seed, options, asked.broken)}))  # fmt: skip
        else:
            show(played, options)
    return int(failed and not asked.json)


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.simulate_year", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first year's seed")
    parser.add_argument("--years", type=int, default=1, help="how many years, each with the next seed")
    parser.add_argument("--days", type=int, default=DAYS, help="how long a year is")
    parser.add_argument("--families", type=int, default=Options().families)
    parser.add_argument("--staff", type=int, default=Options().staff)
    parser.add_argument("--trace", default="", metavar="FILE", help="write the story by date there; - prints it")
    parser.add_argument("--broken", choices=sorted(YEAR_BROKEN), default="", help="break the connector on purpose")
    parser.add_argument("--json", action="store_true", help="print one line of JSON a year; the exit code is 0")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
