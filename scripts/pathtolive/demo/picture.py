"""Draw the releases of the demonstration: who had the traffic, and how often each version failed, by minute."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathtolive import wilson
from pathtolive.demo.live import Minute

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAPER, INK, MUTED, GRID, SPAN = "#ffffff", "#1f2933", "#5f6f7c", "#d9dfe4", "#f1f4f7"
BAD = "#c8421b"
# Colors of versions that people with color blindness can distinguish, after Okabe and Ito: cold ones for those that
# stayed, warm ones for those that were rolled back. https://jfly.uni-koeln.de/color/
STAYED, ROLLED_BACK = ("#b3bec8", "#5cb3e6", "#2bb08f", "#8b9df0"), ("#e4682b", "#eda13c")
ON_COLOR = "#10171e"
# The colors for readers who prefer a dark page.
DARK = {
    PAPER: "#0d1117",
    INK: "#e6edf3",
    MUTED: "#9aa4af",
    GRID: "#30363d",
    SPAN: "#171c24",
    BAD: "#ff8a66",
    STAYED[0]: "#7d8994",
}
TITLE = "Five releases of live under load"
# As in analysis.jsonata.
DEVIATIONS = 2
# The default of max_error_rate.
LIMIT = 0.01
# The bounds of fewer invocations would fill the picture.
MIN_INVOCATIONS = 20
# In percent. Bounds are cut off, and above them is text.
HIGHEST_BOUND, HIGHEST = 32, 43
# The lowest weight whose label fits into its area.
MIN_LABELLED = 0.2
WIDTH, HEIGHT = 9.6, 6.3
LEFT, RIGHT = 0.062, 0.985
SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    # Text as paths looks the same everywhere. The salt keeps the names in the SVG the same in each run.
    "svg.fonttype": "path",
    "svg.hashsalt": "path-to-live",
    "text.color": INK,
    "axes.facecolor": PAPER,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}


@dataclass(frozen=True)
class Held:
    """A weight of a new version, from 0 to 1, and when it was held."""

    started: float
    ended: float
    weight: float


@dataclass(frozen=True)
class Release:
    """A release: its version, when it ran, its labels, and the weights of the version. ``failures`` are lines."""

    version: str
    started: float
    ended: float
    labels: Sequence[str]
    weights: Sequence[Held]
    rolled_back: bool = False
    failures: str = ""


@dataclass(frozen=True)
class Mark:
    """A moment and its label."""

    at: float
    label: str


@dataclass(frozen=True)
class Story:
    """What the picture shows. All times are minutes of AWS since the start of the first minute of the metrics."""

    minutes: Sequence[Minute]
    releases: Sequence[Release]
    refusals: Sequence[Mark]
    alarms: Sequence[tuple[float, float]]
    speed: float

    @property
    def versions(self) -> list[str]:
        """The versions, oldest first."""
        return sorted({minute.version for minute in self.minutes}, key=int)

    @property
    def end(self) -> int:
        """The end of the last minute."""
        return max(minute.start for minute in self.minutes) + 1

    def colors(self) -> dict[str, str]:
        """Return the color of each version."""
        bad = {release.version for release in self.releases if release.rolled_back}
        stayed, rolled_back = iter(STAYED), iter(ROLLED_BACK)
        return {version: next(rolled_back if version in bad else stayed) for version in self.versions}


def draw(path: Path, story: Story) -> None:
    """Draw the share of the invocations of each version, and their error rates with bounds, as an SVG file."""
    # Only make demo installs it, and other code imports this module for its classes.
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH, HEIGHT), facecolor=PAPER)
        shares, errors, events = (
            figure.add_axes((LEFT, bottom, RIGHT - LEFT, height), xlim=(0, story.end))
            for bottom, height in ((0.505, 0.235), (0.165, 0.275), (0.085, 0.07))
        )
        _draw_titles(figure, story)
        _draw_releases((shares, errors, events), story)
        _draw_shares(shares, story)
        _draw_errors(errors, story)
        _draw_events(events, story)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None, "Title": TITLE})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(drawn.getvalue().replace("</style>", f"{_dark_mode()}</style>", 1))


def _dark_mode() -> str:
    """Return the rules that replace the colors of the picture on a dark page."""
    rules = [
        f'[style*="{kind}: {light}"]{{{kind}:{dark}!important}}'
        for light, dark in DARK.items()
        for kind in ("fill", "stroke")
    ]
    return f"@media (prefers-color-scheme: dark){{{''.join(rules)}}}"


def _draw_titles(figure: Figure, story: Story) -> None:
    figure.text(0.012, 0.962, TITLE, fontsize=13, fontweight="bold", va="center")
    figure.text(
        0.012,
        0.921,
        f"Measured on local AWS, which ran {story.speed:g} times as fast as AWS. "
        "Each column is a minute of the metrics.",
        color=MUTED,
        va="center",
    )
    for bottom, text in (
        (0.763, "Share of the invocations by version, and weight of the new version"),
        (0.463, "Error rate by version, with 95 % bounds (Wilson)"),
    ):
        figure.text(0.012, bottom, text, va="center")


def _draw_releases(all_axes: Sequence[Axes], story: Story) -> None:
    """Shade the releases in all parts of the picture, with their labels above, below a line in the version's color."""
    top, colors = all_axes[0], story.colors()
    above = top.get_xaxis_transform()
    for release in story.releases:
        for axes in all_axes:
            axes.axvspan(release.started, release.ended, color=SPAN, zorder=0, linewidth=0)
        top.plot(
            [release.started, release.ended],
            [1.615, 1.615],
            color=colors[release.version],
            linewidth=4,
            solid_capstyle="butt",
            transform=above,
            clip_on=False,
        )
        ink = BAD if release.rolled_back else INK
        for place, text in enumerate((f"Version {release.version}", *release.labels)):
            weight = "normal" if place else "bold"
            y = 1.51 - 0.115 * place
            top.text(release.started, y, text, color=ink, fontweight=weight, va="center", transform=above)


def _draw_shares(axes: Axes, story: Story) -> None:
    """Stack the versions, the newest at the bottom, where the axis shows its share."""
    colors = story.colors()
    total: dict[int, int] = {}
    for minute in story.minutes:
        total[minute.start] = total.get(minute.start, 0) + minute.invocations
    bottom = dict.fromkeys(total, 0.0)
    for version in reversed(story.versions):
        found = [minute for minute in story.minutes if minute.version == version and minute.invocations]
        heights = [100 * minute.invocations / total[minute.start] for minute in found]
        axes.bar(
            [minute.start for minute in found],
            heights,
            bottom=[bottom[minute.start] for minute in found],
            width=1,
            align="edge",
            color=colors[version],
            edgecolor=PAPER,
            linewidth=0.5,
        )
        for minute, height in zip(found, heights, strict=True):
            bottom[minute.start] += height
    axes.text(0.3, 60, "Version 1", color=ON_COLOR, va="center", fontweight="bold")
    for release in story.releases:
        for held in release.weights:
            inside = held.weight >= MIN_LABELLED
            axes.text(
                (held.started + held.ended) / 2,
                50 * held.weight if inside else 100 * held.weight + 3,
                f"{100 * held.weight:g} %",
                color=ON_COLOR,
                fontweight="bold",
                ha="center",
                va="center" if inside else "bottom",
            )
    axes.set_ylim(0, 100)
    axes.set_yticks([0, 50, 100], ["0 %", "50 %", "100 %"])
    axes.set_xticks([])
    _plain(axes)


def _draw_errors(axes: Axes, story: Story) -> None:
    colors = story.colors()
    shown = [minute for minute in story.minutes if minute.invocations >= MIN_INVOCATIONS]
    # Two versions of a minute stand side by side.
    together: Mapping[int, list[str]] = {
        start: sorted((minute.version for minute in shown if minute.start == start), key=int)
        for start in {minute.start for minute in shown}
    }
    for minute in shown:
        beside = together[minute.start]
        x = minute.start + (beside.index(minute.version) + 0.5) / len(beside)
        low, high = wilson.bounds(minute.failed, minute.invocations, DEVIATIONS)
        color = colors[minute.version]
        cut = min(HIGHEST_BOUND, 100 * high)
        axes.plot([x, x], [100 * low, cut], color=color, alpha=0.45, linewidth=4.5, solid_capstyle="butt")
        axes.plot([x], [100 * minute.failed / minute.invocations], "o", color=color, markersize=4.2, clip_on=False)
    axes.axhline(100 * LIMIT, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    axes.text(story.end, 100 * LIMIT + 0.5, f"limit {100 * LIMIT:g} %", color=MUTED, ha="right", fontsize=7.5)
    axes.set_ylim(0, HIGHEST)
    axes.set_yticks([0, 10, 20, 30])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xticks([])
    for release in story.releases:
        axes.text(
            release.started + 0.1,
            HIGHEST - 1,
            release.failures,
            color=BAD if release.rolled_back else INK,
            fontsize=7.8,
            va="top",
            linespacing=1.25,
        )
    _plain(axes)


def _draw_events(axes: Axes, story: Story) -> None:
    for started, ended in story.alarms:
        axes.plot([started, ended], [0.75, 0.75], color=BAD, linewidth=5, solid_capstyle="butt")
    marks = [(mark, 0.25) for mark in story.refusals]
    axes.plot([mark.at for mark, _ in marks], [y for _, y in marks], "X", color=BAD, markersize=6.5, markeredgewidth=0)
    if story.alarms:
        marks.append((Mark(story.alarms[0][0], "alarm of live"), 0.75))
    for mark, y in marks:
        axes.annotate(
            mark.label,
            (mark.at, y),
            xytext=(-7, 0),
            textcoords="offset points",
            color=BAD,
            ha="right",
            va="center",
        )
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.set_xlabel("minutes at the pace of AWS")
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.tick_params(length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
