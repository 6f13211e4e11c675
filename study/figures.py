"""Small SVG charts, the same bytes each time; readable on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape

STYLE = """\
<style>
text { font: 12px system-ui, sans-serif; fill: #222 }
.title { font-weight: 600 } .small { font-size: 11px; fill: #555 }
.axis { stroke: #888; stroke-width: 1 } .grid { stroke: #ddd; stroke-width: 1 }
.c0 { stroke: #0b62a4; fill: #0b62a4 } .c1 { stroke: #c2410c; fill: #c2410c }
.c2 { stroke: #15803d; fill: #15803d } .c3 { stroke: #7e22ce; fill: #7e22ce }
.c4 { stroke: #6b7280; fill: #6b7280 }
.line { fill: none; stroke-width: 2 } .bar { stroke-width: 2 }
@media (prefers-color-scheme: dark) {
 text { fill: #eee } .small { fill: #bbb } .grid { stroke: #444 } .axis { stroke: #999 }
 .c0 { stroke: #6cb6ff; fill: #6cb6ff } .c1 { stroke: #ff9a5c; fill: #ff9a5c }
 .c2 { stroke: #5fd38d; fill: #5fd38d } .c3 { stroke: #cf9bff; fill: #cf9bff }
 .c4 { stroke: #b6bcc6; fill: #b6bcc6 }
}
</style>
"""


@dataclass
class Chart:
    """A drawing of a size, to which marks are added.

    Attributes:
        width: in pixels.
        height: in pixels.
        title: for screen readers, and at the top.
    """

    width: int
    height: int
    title: str
    marks: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> None:
        """Words at a place."""
        self.marks.append(
            f'<text x="{_n(x)}" y="{_n(y)}" class="{kind}" text-anchor="{anchor}">'
            f"{escape(words)}</text>"
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """A straight line."""
        self.marks.append(
            f'<line x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}" class="{kind}"/>'
        )

    def path(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """Lines from point to point."""
        steps = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self.marks.append(f'<polyline points="{steps}" class="line {kind}"/>')

    def dot(self, x: float, y: float, kind: str, shape: int = 0) -> None:
        """A mark; its shape differs too, for those who do not tell the colours apart."""
        if shape % 3 == 0:
            self.marks.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="4" class="{kind}"/>')
        elif shape % 3 == 1:
            self.marks.append(
                f'<rect x="{_n(x - 3.5)}" y="{_n(y - 3.5)}" width="7" height="7" class="{kind}"/>'
            )
        else:
            d = f"M{_n(x)} {_n(y - 5)}L{_n(x + 5)} {_n(y + 4)}L{_n(x - 5)} {_n(y + 4)}Z"
            self.marks.append(f'<path d="{d}" class="{kind}"/>')

    def svg(self) -> str:
        """The whole as text."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" role="img">\n'
            f"<title>{escape(self.title)}</title>\n{STYLE}" + "\n".join(self.marks) + "\n</svg>\n"
        )


@dataclass(frozen=True)
class Row:
    """A row of a forest plot: an effect with its interval, or words alone."""

    label: str
    value: float | None = None
    low: float = 0.0
    high: float = 0.0
    kind: int = 0


def forest(title: str, axis: str, rows: Sequence[Row], reach: float) -> str:
    """Effects with intervals beneath each other, about a line at 0.

    Args:
        title: of the chart.
        axis: what the numbers are.
        rows: from the top.
        reach: the axis goes from −reach to reach; an interval beyond it ends in an arrow.
    """
    left, right, top, step = 250, 690, 44, 19
    chart = Chart(720, top + step * len(rows) + 44, title)
    chart.text(12, 20, title, "title")

    def place(value: float) -> float:
        return left + (value + reach) / (2 * reach) * (right - left)

    bottom = top + step * len(rows)
    for tick in _ticks(-reach, reach):
        chart.line(place(tick), top - 8, place(tick), bottom, "axis" if tick == 0 else "grid")
        chart.text(place(tick), bottom + 16, f"{tick:g}", "small", "middle")
    chart.text((left + right) / 2, bottom + 34, axis, "small", "middle")
    for i, row in enumerate(rows):
        y = top + step * i + 6
        chart.text(12, y + 4, row.label, "" if row.value is not None else "title")
        if row.value is None:
            continue
        ends = [min(max(v, -reach), reach) for v in (row.low, row.high)]
        chart.line(place(ends[0]), y, place(ends[1]), y, f"bar c{row.kind}")
        for end, true, sign in ((ends[0], row.low, "◂"), (ends[1], row.high, "▸")):
            if end != true:
                chart.text(place(end), y + 4, sign, f"c{row.kind}", "middle")
        if abs(row.value) <= reach:
            chart.dot(place(row.value), y, f"c{row.kind}", row.kind)
    return chart.svg()


@dataclass(frozen=True)
class Series:
    """A line of a chart: (x, mean, low, high) and its name."""

    name: str
    points: Sequence[tuple[float, float, float, float]]


def lines(
    title: str, x_axis: str, y_axis: str, series: Sequence[Series], y_range: tuple[float, float]
) -> str:
    """Lines with intervals over a logarithmic axis."""
    left, right, top, bottom = 60, 520, 44, 300
    chart = Chart(720, 350, title)
    chart.text(12, 20, title, "title")
    xs = sorted({p[0] for s in series for p in s.points})
    low_x, high_x = math.log(xs[0]), math.log(xs[-1])

    def at_x(x: float) -> float:
        return left + 20 + (math.log(x) - low_x) / ((high_x - low_x) or 1) * (right - left - 40)

    def at_y(y: float) -> float:
        low, high = y_range
        return bottom - (min(max(y, low), high) - low) / (high - low) * (bottom - top)

    for tick in _ticks(*y_range):
        chart.line(left, at_y(tick), right, at_y(tick), "grid")
        chart.text(left - 6, at_y(tick) + 4, f"{tick:g}", "small", "end")
    for x in xs:
        chart.text(at_x(x), bottom + 18, f"{x:g}", "small", "middle")
    chart.line(left, bottom, right, bottom, "axis")
    chart.text((left + right) / 2, bottom + 38, x_axis, "small", "middle")
    chart.text(left, top - 10, y_axis, "small")
    for i, one in enumerate(series):
        kind = f"c{i % 5}"
        chart.path([(at_x(x), at_y(y)) for x, y, _, _ in one.points], kind)
        for x, y, low, high in one.points:
            chart.line(at_x(x), at_y(low), at_x(x), at_y(high), f"bar {kind}")
            chart.dot(at_x(x), at_y(y), kind, i)
        chart.dot(right + 18, top + 12 + 22 * i, kind, i)
        chart.text(right + 30, top + 16 + 22 * i, one.name)
    return chart.svg()


def _ticks(low: float, high: float) -> Iterator[float]:
    """Four to nine round numbers."""
    raw = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    first = math.ceil(low / step - 1e-9)
    for i in range(first, math.floor(high / step + 1e-9) + 1):
        yield round(i * step, 10)


def _n(value: float) -> str:
    """A number of a drawing: a tenth of a pixel is enough."""
    return f"{value:.1f}".rstrip("0").rstrip(".")
