"""Draws the counts of the last nights as a PNG, for mail clients, which show no SVG. Pure: values in, bytes out.

It shows nothing that the table beside it does not say, and no name.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFont

from connector.reconcile.report import RunCounts
from connector.reconcile.report_chart import CHART_HEIGHT, CHART_WIDTH, MOST_RUNS, nice_top

_SHARP = 2
"""Drawn twice as large as it is shown: screens have had more than one dot in a pixel for years."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 34, 40
_STEPS = 4
_PAPER, _INK, _GRID = "#ffffff", "#374151", "#d1d5db"
_CLOSED, _HELD, _OPEN = "#3b76af", "#b45309", "#b91c1c"

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Canvas:
    """A drawing with the places of runs and counts on it; every length is one of the picture as it is shown."""

    draw: ImageDraw.ImageDraw
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont
    runs: int
    top: int

    def x(self, place: int) -> float:
        return _LEFT + (CHART_WIDTH - _LEFT - _RIGHT) / self.runs * (place + 0.5)

    def y(self, count: int) -> float:
        return CHART_HEIGHT - _BOTTOM - (CHART_HEIGHT - _TOP - _BOTTOM) * count / self.top

    def line(self, points: Sequence[Point], colour: str, width: float) -> None:
        self.draw.line([_scaled(p) for p in points], fill=colour, width=round(width * _SHARP), joint="curve")

    def box(self, corner: Point, opposite: Point, colour: str) -> None:
        self.draw.rectangle([_scaled(corner), _scaled(opposite)], fill=colour)

    def dot(self, at: Point, colour: str) -> None:
        x, y = at
        self.draw.ellipse([_scaled((x - 3.5, y - 3.5)), _scaled((x + 3.5, y + 3.5))], fill=colour)

    def text(self, at: Point, words: str, anchor: str) -> None:
        self.draw.text(_scaled(at), words, fill=_INK, font=self.font, anchor=anchor)


def _scaled(point: Point) -> Point:
    return point[0] * _SHARP, point[1] * _SHARP


def trend(history: Sequence[RunCounts]) -> bytes:
    """Draw closed as bars, held as a broken line with squares, open as a line with dots; empty without a history."""
    runs = history[-MOST_RUNS:]
    if not runs:
        return b""
    image = Image.new("RGB", (CHART_WIDTH * _SHARP, CHART_HEIGHT * _SHARP), _PAPER)
    top = nice_top(max(max(c.closed, c.held, c.open) for c in runs))
    canvas = _Canvas(ImageDraw.Draw(image), ImageFont.load_default(12 * _SHARP), len(runs), top)
    _grid(canvas)
    _bars(canvas, [c.closed for c in runs])
    _held(canvas, [c.held for c in runs])
    _open(canvas, [c.open for c in runs])
    _dates(canvas, [f"{c.day}" for c in runs])
    _legend(canvas)
    written = io.BytesIO()
    image.quantize(64).save(written, "PNG", optimize=True)
    return written.getvalue()


def _grid(canvas: _Canvas) -> None:
    for step in range(_STEPS + 1):
        count = canvas.top * step // _STEPS
        y = canvas.y(count)
        canvas.line([(_LEFT, y), (CHART_WIDTH - _RIGHT, y)], _GRID if step else _INK, 1)
        canvas.text((_LEFT - 8, y), f"{count:,}", "rm")


def _bars(canvas: _Canvas, counts: Sequence[int]) -> None:
    half = min(28.0, (CHART_WIDTH - _LEFT - _RIGHT) / canvas.runs * 0.6) / 2
    for place, count in enumerate(counts):
        if count:
            x = canvas.x(place)
            canvas.box((x - half, canvas.y(count)), (x + half, canvas.y(0)), _CLOSED)


def _held(canvas: _Canvas, counts: Sequence[int]) -> None:
    points = [(canvas.x(place), canvas.y(count)) for place, count in enumerate(counts)]
    for begin, end in pairwise(points):
        for dash in _dashes(begin, end):
            canvas.line(dash, _HELD, 2)
    for x, y in points:
        canvas.box((x - 3, y - 3), (x + 3, y + 3), _HELD)


def _open(canvas: _Canvas, counts: Sequence[int]) -> None:
    points = [(canvas.x(place), canvas.y(count)) for place, count in enumerate(counts)]
    if len(points) > 1:
        canvas.line(points, _OPEN, 2)
    for point in points:
        canvas.dot(point, _OPEN)


def _dashes(begin: Point, end: Point) -> Iterator[tuple[Point, Point]]:
    """Cut a line into dashes: it is told from the other one without colours too."""
    (x1, y1), (x2, y2) = begin, end
    length = max(1.0, ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5)
    for start in range(0, int(length), 10):
        stop = min(start + 6, length)
        yield (
            (x1 + (x2 - x1) * start / length, y1 + (y2 - y1) * start / length),
            (x1 + (x2 - x1) * stop / length, y1 + (y2 - y1) * stop / length),
        )


def _dates(canvas: _Canvas, dates: Sequence[str]) -> None:
    last = len(dates) - 1
    anchors = {0: "lm", last // 2: "mm", last: "rm"} if last else {0: "mm"}
    for place, anchor in anchors.items():
        canvas.text((canvas.x(place), CHART_HEIGHT - _BOTTOM + 16), dates[place], anchor)


def _legend(canvas: _Canvas) -> None:
    canvas.box((_LEFT, 8), (_LEFT + 12, 20), _CLOSED)
    canvas.text((_LEFT + 18, 14), "closed", "lm")
    for dash in _dashes((_LEFT + 90, 14), (_LEFT + 114, 14)):
        canvas.line(dash, _HELD, 2)
    canvas.box((_LEFT + 99, 11), (_LEFT + 105, 17), _HELD)
    canvas.text((_LEFT + 120, 14), "held", "lm")
    canvas.line([(_LEFT + 170, 14), (_LEFT + 194, 14)], _OPEN, 2)
    canvas.dot((_LEFT + 182, 14), _OPEN)
    canvas.text((_LEFT + 200, 14), "open", "lm")
