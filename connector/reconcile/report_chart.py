"""The counts of the last runs as a small inline SVG. Pure; no script, no link, no outside resource.

Colours come from the page's style, so that dark mode and print follow; shapes differ too, for readers without colours.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from connector.reconcile.report import RunCounts

MOST_RUNS = 30
CHART_WIDTH, CHART_HEIGHT = 640, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 34, 52
_STEPS = 4

CHART_STYLE = """
.axis{stroke:#6b7280;stroke-width:1}.grid{stroke:#d1d5db;stroke-width:1}
svg text{fill:#374151;font:12px system-ui,sans-serif}
.closed{fill:#3b76af}.held,.open{fill:none;stroke-width:2}
.held{stroke:#b45309;stroke-dasharray:6 4}.open{stroke:#b91c1c}
.held-dot{fill:#b45309}.open-dot{fill:#b91c1c}
"""
CHART_DARK = """
.axis{stroke:#9ca3af}.grid{stroke:#374151}svg text{fill:#d1d5db}
.closed{fill:#7fb2e5}.held{stroke:#f5a742}.open{stroke:#ff8080}.held-dot{fill:#f5a742}.open-dot{fill:#ff8080}
"""


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where a run and a count stand on the canvas."""

    runs: int
    top: int

    def x(self, place: int) -> float:
        step = (CHART_WIDTH - _LEFT - _RIGHT) / max(self.runs, 1)
        return round(_LEFT + step * (place + 0.5), 1)

    def y(self, count: int) -> float:
        return round(CHART_HEIGHT - _BOTTOM - (CHART_HEIGHT - _TOP - _BOTTOM) * count / self.top, 1)

    @property
    def bar(self) -> float:
        return round(min(28.0, (CHART_WIDTH - _LEFT - _RIGHT) / max(self.runs, 1) * 0.6), 1)


def chart(history: Sequence[RunCounts]) -> str:
    """Draw closed as bars, held and open as lines; empty where there is no history."""
    runs = history[-MOST_RUNS:]
    if not runs:
        return ""
    scale = _Scale(len(runs), nice_top(max(max(c.closed, c.held, c.open) for c in runs)))
    parts = [*_axes(scale), *_bars(runs, scale), *_line("held", [c.held for c in runs], scale)]
    parts += [*_line("open", [c.open for c in runs], scale), *_dates(runs, scale), *_legend()]
    head = (
        f'<svg viewBox="0 0 {CHART_WIDTH} {CHART_HEIGHT}" width="{CHART_WIDTH}" height="{CHART_HEIGHT}" role="img" '
        'aria-labelledby="chart-title chart-desc" xmlns="http://www.w3.org/2000/svg">'
    )
    title = f'<title id="chart-title">People closed, held and open in the last {len(runs)} runs</title>'
    return "\n".join([head, title, f'<desc id="chart-desc">{escape(described(runs))}</desc>', *parts, "</svg>"])


def nice_top(most: int) -> int:
    """Give a round number at or above the highest count that the grid's steps divide."""
    size = _STEPS
    while size < most:
        for factor in (1, 2, 5):
            if size * factor >= most:
                return size * factor
        size *= 10
    return size


def described(history: Sequence[RunCounts]) -> str:
    """Say in words what the picture shows; empty where there is no history."""
    runs = history[-MOST_RUNS:]
    if not runs:
        return ""
    last = runs[-1]
    most = max(runs, key=lambda c: c.closed)
    return (
        f"From {runs[0].day} to {last.day}. The last run closed {last.closed}, left {last.open} open "
        f"and held {last.held}. Most were closed on {most.day}: {most.closed}."
    )


def _axes(scale: _Scale) -> Iterable[str]:
    for step in range(_STEPS + 1):
        count = scale.top * step // _STEPS
        y = scale.y(count)
        kind = "grid" if step else "axis"
        yield f'<line class="{kind}" x1="{_LEFT}" y1="{y}" x2="{CHART_WIDTH - _RIGHT}" y2="{y}"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{count:,}</text>'
    middle = (_TOP + CHART_HEIGHT - _BOTTOM) / 2
    yield f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">People</text>'
    centre = (_LEFT + CHART_WIDTH - _RIGHT) / 2
    yield f'<text x="{centre}" y="{CHART_HEIGHT - 8}" text-anchor="middle">Run, by date</text>'


def _bars(runs: Sequence[RunCounts], scale: _Scale) -> Iterable[str]:
    floor = scale.y(0)
    for place, counts in enumerate(runs):
        y = scale.y(counts.closed)
        yield (
            f'<rect class="closed" x="{round(scale.x(place) - scale.bar / 2, 1)}" y="{y}" width="{scale.bar}" '
            f'height="{round(floor - y, 1)}"><title>{counts.day}: {counts.closed:,} closed</title></rect>'
        )


def _line(name: str, values: Sequence[int], scale: _Scale) -> Iterable[str]:
    points = [(scale.x(place), scale.y(value)) for place, value in enumerate(values)]
    yield f'<polyline class="{name}" points="{" ".join(f"{x},{y}" for x, y in points)}"/>'
    for x, y in points:
        yield _dot(name, x, y)


def _dot(name: str, x: float, y: float) -> str:
    """Squares for held, circles for open: told apart without colours."""
    if name == "held":
        return f'<rect class="held-dot" x="{round(x - 3, 1)}" y="{round(y - 3, 1)}" width="6" height="6"/>'
    return f'<circle class="open-dot" cx="{x}" cy="{y}" r="3.5"/>'


def _dates(runs: Sequence[RunCounts], scale: _Scale) -> Iterable[str]:
    last = len(runs) - 1
    anchors = {0: "start", last // 2: "middle", last: "end"} if last else {0: "middle"}
    for place, anchor in anchors.items():
        text = f"{runs[place].day}"
        yield f'<text x="{scale.x(place)}" y="{CHART_HEIGHT - _BOTTOM + 18}" text-anchor="{anchor}">{text}</text>'


def _legend() -> Iterable[str]:
    yield f'<rect class="closed" x="{_LEFT}" y="8" width="12" height="12"/><text x="{_LEFT + 18}" y="18">closed</text>'
    for place, name in ((90, "held"), (170, "open")):
        x = _LEFT + place
        yield f'<polyline class="{name}" points="{x},14 {x + 24},14"/>{_dot(name, x + 12, 14)}'
        yield f'<text x="{x + 30}" y="18">{name}</text>'
