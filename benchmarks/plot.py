"""A plot with two logarithmic axes, as SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 70, 150, 20, 50
COLOURS = ("#0b6bcb", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#be123c")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a plot; its points have positive coordinates."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Powers of ten, from one to another, along so many pixels."""

    first: int
    last: int
    begin: float
    end: float

    def at(self, value: float) -> float:
        part = (math.log10(value) - self.first) / (self.last - self.first)
        return self.begin + part * (self.end - self.begin)

    def powers(self) -> range:
        return range(self.first, self.last + 1)


def _axis(values: list[float], begin: float, end: float) -> Axis:
    first = math.floor(math.log10(min(values)))
    last = max(math.ceil(math.log10(max(values))), first + 1)
    return Axis(first=first, last=last, begin=begin, end=end)


def plot(lines: list[Line], *, x: str, y: str) -> str:
    """Return the document; one of no lines is empty."""
    points = [point for line in lines for point in line.points]
    box = f"0 0 {WIDTH} {HEIGHT}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    if points:
        across = _axis([point[0] for point in points], LEFT, WIDTH - RIGHT)
        up = _axis([point[1] for point in points], HEIGHT - BOTTOM, TOP)
        parts += _grid(across, up, x=x, y=y)
        for n, line in enumerate(lines):
            parts += _line(line, across, up, colour=COLOURS[n % len(COLOURS)])
            parts += _legend(line.name, n, colour=COLOURS[n % len(COLOURS)])
    return "\n".join([*parts, "</svg>", ""])


def _grid(across: Axis, up: Axis, *, x: str, y: str) -> list[str]:
    parts = []
    for power in across.powers():
        at = across.at(10**power)
        parts += [
            f'<path d="M{at:.1f} {up.begin}V{up.end}" stroke="#ddd"/>',
            _text(at, up.begin + 18, f"{10**power:,g}", anchor="middle"),
        ]
    for power in up.powers():
        at = up.at(10**power)
        parts += [
            f'<path d="M{across.begin} {at:.1f}H{across.end}" stroke="#ddd"/>',
            _text(across.begin - 8, at + 4, f"{10**power:,g}", anchor="end"),
        ]
    turned = f"translate(16 {(up.begin + up.end) / 2:.0f}) rotate(-90)"
    return [
        *parts,
        _text((across.begin + across.end) / 2, HEIGHT - 10, x, anchor="middle"),
        f'<g transform="{turned}">{_text(0, 0, y, anchor="middle")}</g>',
    ]


def _line(line: Line, across: Axis, up: Axis, *, colour: str) -> list[str]:
    at = [(across.at(a), up.at(b)) for a, b in line.points]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in at)
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        *(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{colour}"/>' for a, b in at),
    ]


def _legend(name: str, n: int, *, colour: str) -> list[str]:
    left, top = WIDTH - RIGHT + 20, TOP + 20 + 22 * n
    return [
        f'<rect x="{left}" y="{top - 9}" width="12" height="10" fill="{colour}"/>',
        _text(left + 18, top, name, anchor="start"),
    ]


def _text(x: float, y: float, text: str, *, anchor: str) -> str:
    at = f'x="{x:.1f}" y="{y:.1f}" font-size="12" text-anchor="{anchor}"'
    return f"<text {at}>{escape(text)}</text>"
