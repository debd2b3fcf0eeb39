"""A night as a picture: alerts arrived and stored, the lag, the restarts; SVG, pure.

Two panels share the time axis. The picture needs no script and no other file, and follows the
reader's choice of a light or dark page.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape

from fink_k8s.core.night.night_facts import NightFacts
from fink_k8s.core.night.night_lag import LagPoint

STYLE = """\
.night{font:12px system-ui,sans-serif;background:#fff;color:#1f2328}
.night text{fill:currentColor}
.night .frame{fill:none;stroke:#8c959f}
.night .came{fill:none;stroke:#bc4c00;stroke-width:1.5;stroke-dasharray:5 3}
.night .taken{fill:none;stroke:#0969da;stroke-width:1.5}
.night .lag{fill:#0969da;fill-opacity:.25;stroke:#0969da}
.night .restart{stroke:#cf222e;stroke-width:1.5;stroke-dasharray:2 2}
.night .end{stroke:#8c959f;stroke-dasharray:6 3}
@media(prefers-color-scheme:dark){
.night{background:#0d1117;color:#e6edf3}
.night .came{stroke:#ffa657}.night .taken{stroke:#58a6ff}
.night .lag{fill:#58a6ff;stroke:#58a6ff}.night .restart{stroke:#ff7b72}}
"""
_WIDTH, _HEIGHT = 720, 340
_LEFT, _RIGHT = 70, 690
_CAME_TOP, _CAME_BOTTOM = 48, 168
_LAG_TOP, _LAG_BOTTOM = 198, 292
_STEPS = [timedelta(seconds=seconds) for seconds in
          (1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)]  # fmt: skip
_MOST_TICKS = 9


@dataclass(frozen=True)
class _Panel:
    """A panel of the picture: time from left to right, alerts from bottom to top."""

    first: datetime
    last: datetime
    top: int
    bottom: int
    highest: int

    def x(self, moment: datetime) -> float:
        """Return the x coordinate of a moment, within the frame."""
        share = (moment - self.first) / (self.last - self.first)
        return round(_LEFT + (_RIGHT - _LEFT) * min(1.0, max(0.0, share)), 1)

    def y(self, alerts: int) -> float:
        """Return the y coordinate of a number of alerts."""
        return round(self.bottom - (self.bottom - self.top) * alerts / self.highest, 1)

    def points(self, curve: Iterable[LagPoint], value: Callable[[LagPoint], int]) -> str:
        """Return the points of a line."""
        return " ".join(f"{self.x(one.at)},{self.y(value(one))}" for one in curve)

    def frame(self, title: str) -> Iterator[str]:
        """Yield the frame with its axis of alerts."""
        width, height = _RIGHT - _LEFT, self.bottom - self.top
        yield (
            f'<rect class="frame" x="{_LEFT}" y="{self.top}" width="{width}" height="{height}"/>'
        )
        yield f'<text x="{_LEFT}" y="{self.top - 6}">{escape(title)}</text>'
        yield _text(_LEFT - 6, self.top + 10, f"{self.highest:,}", "end")
        yield _text(_LEFT - 6, self.bottom, "0", "end")


def picture_of(facts: NightFacts) -> str:
    """Return the picture, a whole SVG document that can also stand in an HTML page."""
    title = f"{facts.survey} night {facts.night}: alerts that arrived, were stored, and waited"
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" class="night" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'role="img" aria-labelledby="night-title night-description">',
        f'<title id="night-title">{escape(title)}</title>',
        f'<desc id="night-description">{escape(_description(facts))}</desc>',
        f"<style>{STYLE}</style>",
        f'<text x="{_LEFT}" y="16">{escape(title)}</text>',
        *(_curves(facts) if len(facts.curve) > 1 else [_text(_WIDTH / 2, 120, _UNKNOWN)]),
        "</svg>",
    ]) + "\n"  # fmt: skip


_UNKNOWN = "It is unknown when alerts arrived and were stored."


def _curves(facts: NightFacts) -> Iterator[str]:
    curve = facts.curve
    first, last = curve[0].at, max(curve[-1].at, curve[0].at + timedelta(seconds=1))
    most = max(1, *(max(one.arrived, one.taken) for one in curve))
    came = _Panel(first, last, _CAME_TOP, _CAME_BOTTOM, most)
    lag = _Panel(first, last, _LAG_TOP, _LAG_BOTTOM, max(1, *(one.lag for one in curve)))
    yield from came.frame("alerts: arrived (dashed), stored or set aside (solid)")
    yield f'<polyline class="came" points="{came.points(curve, lambda one: one.arrived)}"/>'
    yield f'<polyline class="taken" points="{came.points(curve, lambda one: one.taken)}"/>'
    yield from lag.frame("lag: alerts that waited")
    line = lag.points(curve, lambda one: one.lag)
    yield (f'<polygon class="lag" points="{_LEFT},{_LAG_BOTTOM} {line} {_RIGHT},{_LAG_BOTTOM}"/>')
    yield from _times(facts, lag)
    yield _upright(lag.x(facts.end), "end", f"end of the night, {_clock(facts, facts.end)}")
    for one in facts.restarts:
        cause = " ".join(one.cause.split())
        yield _upright(lag.x(one.at), "restart", f"restart {_clock(facts, one.at)}: {cause}")


def _times(facts: NightFacts, panel: _Panel) -> Iterator[str]:
    """Yield the time axis: full hours, or shorter steps for a short night, in the night's zone."""
    span = panel.last - panel.first
    step = next((step for step in _STEPS if span / step <= _MOST_TICKS), _STEPS[-1])
    form = "%H:%M:%S" if step < timedelta(minutes=1) else "%H:%M"
    tick = facts.local(panel.first)
    midnight = tick.replace(hour=0, minute=0, second=0, microsecond=0)
    tick = midnight + step * -((midnight - tick) // step)
    for _ in range(_MOST_TICKS + 1):
        if tick > panel.last:
            break
        x = panel.x(tick)
        yield f'<path class="frame" d="M{x} {_LAG_BOTTOM}v5"/>'
        yield _text(x, _LAG_BOTTOM + 18, f"{tick:{form}}")
        tick += step
    zone = facts.zone or f"{facts.local(panel.first):%Z}"
    yield _text((_LEFT + _RIGHT) / 2, _LAG_BOTTOM + 38, f"time of day ({zone})")


def _upright(x: float, kind: str, told: str) -> str:
    return (
        f'<line class="{kind}" x1="{x}" x2="{x}" y1="{_CAME_TOP}" y2="{_LAG_BOTTOM}">'
        f"<title>{escape(told)}</title></line>"
    )


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def _description(facts: NightFacts) -> str:
    if not facts.curve:
        return _UNKNOWN
    peak = max(facts.curve, key=lambda one: one.lag)
    return (
        f"{facts.curve[-1].arrived:,} alerts arrived and {facts.curve[-1].taken:,} were stored or "
        f"set aside; at most {peak.lag:,} waited, at {_clock(facts, peak.at)}. "
        f"Restarts marked: {len(facts.restarts)}."
    )


def _clock(facts: NightFacts, moment: datetime) -> str:
    return f"{facts.local(moment):%H:%M:%S}"
