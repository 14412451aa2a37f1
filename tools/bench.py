"""How long the pure core takes for a whole school, and how much memory: `make bench`. It never touches a system.

Every size runs in fresh processes, so that one run's memory and caches are not another's. What is timed is one night
from a snapshot in memory to a guarded plan; reading the systems and writing the journal are not in it.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from connector.model import Status
from connector.policy import Limits
from connector.reconcile.judge import Judgement, Past, judge
from tools.bench_school import AS_OF, NOW, PORTALS, RULES, BenchSchool, bench_school

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the school is, in rows."""

    contacts: int
    students: int
    relationships: int
    accounts: int
    members: int
    sessions: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out of the night: the same for the same scale, on every machine."""

    active: int
    ready_to_revoke: int
    ready_to_provision: int
    revoked: int
    additions: int
    objections: int
    digest: str


@dataclass(frozen=True, slots=True)
class Figures:
    """One run in one process.

    `seconds` are a processor's; `waited` is what the clock had more, because others wanted the processor too. `data_mb`
    is the peak before the first stage: the snapshot and yesterday's people.
    """

    sizes: Sizes
    outcome: Outcome
    seconds: float
    waited: float
    data_mb: float
    peak_mb: float


def night(made: BenchSchool) -> Judgement:
    """Decide one night as the product does: correlate, decide, plan and guard."""
    return judge(made.snapshot, RULES, PORTALS, Limits(), Past(made.memory, made.baseline), AS_OF, NOW)


def outcome_of(judged: Judgement) -> Outcome:
    """Count what came out."""
    statuses = [row.status for row in judged.decisions.rows]
    return Outcome(
        statuses.count(Status.ACTIVE),
        statuses.count(Status.READY_TO_REVOKE),
        statuses.count(Status.READY_TO_PROVISION),
        statuses.count(Status.REVOKED),
        len(judged.plan.additions),
        len(judged.plan.objections),
        judged.plan.digest,
    )


def measure(scale: float) -> Figures:
    """Run one night in this process, which should be a fresh one."""
    made = bench_school(scale)
    data_mb = _peak_mb()
    clock, processor = time.perf_counter(), time.process_time()
    judged = night(made)
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    return Figures(sizes_of(made), outcome_of(judged), processor, clock - processor, data_mb, _peak_mb())


def sizes_of(made: BenchSchool) -> Sizes:
    """Count the rows of a school."""
    snapshot, people = made.snapshot, made.snapshot.people
    contacts = len({r.contact_id for r in people.relationships})
    return Sizes(
        contacts,
        len(people.people) - contacts,
        len(people.relationships),
        sum(len(d.accounts) for d in snapshot.directories),
        sum(len(p.members) for p in snapshot.portals),
        sum(len(s.sessions) for s in snapshot.session_stores),
    )


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # getrusage(2): bytes on macOS, kilobytes elsewhere


def in_fresh_process(scale: float) -> Figures:
    """Measure in a new interpreter."""
    command = [sys.executable, "-m", "tools.bench", "--once", str(scale)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own interpreter
    raw = json.loads(done.stdout)
    return Figures(Sizes(**raw.pop("sizes")), Outcome(**raw.pop("outcome")), **raw)


def best_of(times: int, scale: float) -> Figures:
    """Give the quickest of several runs: what else the machine does only ever adds."""
    return min((in_fresh_process(scale) for _ in range(times)), key=lambda f: f.seconds)


def table(runs: Sequence[Figures], command: str, times: int) -> str:
    """Write the figures as the page's table, with the command that made them."""
    heads = "| | " + " | ".join(f"{r.sizes.contacts:,} contacts" for r in runs) + " |"
    sizes = asdict(runs[0].sizes)
    outcomes = [name for name in asdict(runs[0].outcome) if name != "digest"]
    lines = [
        heads,
        "|---|" + "---:|" * len(runs),
        *(_line(name, [f"{getattr(r.sizes, name):,}" for r in runs]) for name in sizes),
        *(_line(f"→ {n.replace('_', ' ')}", [f"{getattr(r.outcome, n):,}" for r in runs]) for n in outcomes),
        _line("**seconds**", [f"**{r.seconds:.2f}**" for r in runs]),
        _line("and waited for a processor", [f"{r.waited:.2f}" for r in runs]),
        _line("the data alone, MB", [f"{r.data_mb:,.0f}" for r in runs]),
        _line("**peak of the process, MB**", [f"**{r.peak_mb:,.0f}**" for r in runs]),
    ]
    facts = f"Made by `{command}`: the quickest of {times}, {machine()}."
    ratio = f"Twice the data took {runs[-1].seconds / runs[0].seconds:.2f} times the time."
    return "\n".join([facts, ratio, "", *lines])


def _line(name: str, values: Sequence[str]) -> str:
    return f"| {name} | {' | '.join(values)} |"


def machine() -> str:
    """Say what the figures were made on."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} cores ({_processor()}), {platform.system()}, {python}"


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def write_between_marks(page: Path, text: str, start: str = BEGIN, stop: str = END) -> None:
    """Put the table between the page's marks and leave everything else as it is."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(start)
    _, end, after = rest.partition(stop)
    if not begin or not end:
        raise SystemExit(f"{page} has no line {start} followed by {stop}: put them where the figures belong.")
    page.write_text(f"{before}{start}\n{text}\n{stop}{after}", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure a school and one of twice its size."""
    parser = argparse.ArgumentParser(prog="tools.bench", description=main.__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="1 is 100,000 contacts")
    parser.add_argument("--times", type=int, default=3, help="how often each size is measured; the quickest counts")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table between the marks of this page")
    parser.add_argument("--once", type=float, metavar="SCALE", help="measure one size in this process; print JSON")
    asked = parser.parse_args(arguments)
    if asked.once:
        sys.stdout.write(json.dumps(asdict(measure(asked.once))))
        return
    runs = [best_of(asked.times, asked.scale * times) for times in (1, 2)]
    text = table(runs, "make bench", asked.times)
    sys.stdout.write(f"{text}\n")
    if asked.write:
        write_between_marks(asked.write, text)


if __name__ == "__main__":
    main()
