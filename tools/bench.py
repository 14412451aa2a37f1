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
from connector.reconcile.baseline import counts_of
from connector.reconcile.correlate import correlate
from connector.reconcile.decide import decide
from connector.reconcile.doors import Scene
from connector.reconcile.guard import Night, guard
from connector.reconcile.membership import additions, memberships
from connector.reconcile.plan import build_plan
from connector.reconcile.school import School
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
    """One run in one process. `data_mb` is the peak before the first stage: the snapshot and yesterday's people."""

    sizes: Sizes
    outcome: Outcome
    stages: dict[str, float]
    data_mb: float
    peak_mb: float

    @property
    def seconds(self) -> float:
        """From the snapshot to the guarded plan."""
        return sum(self.stages.values())


class _Stopwatch:
    """Seconds per stage, in the order they were passed."""

    def __init__(self) -> None:
        self.stages: dict[str, float] = {}
        self._since = time.perf_counter()

    def passed(self, stage: str) -> None:
        now = time.perf_counter()
        self.stages[stage], self._since = now - self._since, now


def night(made: BenchSchool) -> tuple[Outcome, dict[str, float]]:
    """Run one night on a school: correlate, decide, memberships and plan, guard."""
    watch = _Stopwatch()
    school = School(made.snapshot.people, RULES, AS_OF)
    correlation = correlate(made.snapshot, school, PORTALS, made.memory)
    watch.passed("correlate")
    decisions = decide(correlation, Scene(school, correlation.claims, PORTALS, made.snapshot.store_keys), made.memory)
    watch.passed("decide")
    wanted = additions(memberships(decisions), school, PORTALS)
    plan = build_plan(decisions, made.memory, wanted)
    watch.passed("plan")
    judged = Night(Limits(), NOW, made.memory, made.baseline, {}, counts_of(made.snapshot))
    plan = guard(plan, decisions, judged)
    watch.passed("guard")
    statuses = [d.status for d in decisions.rows]
    outcome = Outcome(
        statuses.count(Status.ACTIVE),
        statuses.count(Status.READY_TO_REVOKE),
        statuses.count(Status.READY_TO_PROVISION),
        statuses.count(Status.REVOKED),
        len(plan.additions),
        len(plan.objections),
        plan.digest,
    )
    return outcome, watch.stages


def measure(scale: float) -> Figures:
    """Run one night in this process, which should be a fresh one."""
    made = bench_school(scale)
    data_mb = _peak_mb()
    outcome, stages = night(made)
    return Figures(sizes_of(made), outcome, stages, data_mb, _peak_mb())


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
    sizes, stages = asdict(runs[0].sizes), runs[0].stages
    outcomes = [name for name in asdict(runs[0].outcome) if name != "digest"]
    lines = [
        heads,
        "|---|" + "---:|" * len(runs),
        *(_line(name, [f"{getattr(r.sizes, name):,}" for r in runs]) for name in sizes),
        *(_line(f"→ {n.replace('_', ' ')}", [f"{getattr(r.outcome, n):,}" for r in runs]) for n in outcomes),
        *(_line(f"{stage}, s", [f"{r.stages[stage]:.2f}" for r in runs]) for stage in stages),
        _line("**all, s**", [f"**{r.seconds:.2f}**" for r in runs]),
        _line("the data alone, MB", [f"{r.data_mb:,.0f}" for r in runs]),
        _line("**peak of the process, MB**", [f"**{r.peak_mb:,.0f}**" for r in runs]),
    ]
    facts = f"Made by `{command}`: the quickest of {times}, {_machine()}."
    ratio = f"Twice the data took {runs[-1].seconds / runs[0].seconds:.2f} times the time."
    return "\n".join([facts, ratio, "", *lines])


def _line(name: str, values: Sequence[str]) -> str:
    return f"| {name} | {' | '.join(values)} |"


def _machine() -> str:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} cores ({_processor()}), {platform.system()}, {python}"


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def write_between_marks(page: Path, text: str) -> None:
    """Put the table between the page's marks and leave everything else as it is."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page} has no line {BEGIN} followed by {END}: put them where the figures belong.")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


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
