"""Draw the share of the traffic of each version, and the share of the requests that failed, over time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathtolive.demo import traffic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colors, which people with color blindness can distinguish: https://jfly.uni-koeln.de/color/
COLORS = ("#b9c3cc", "#56b4e9", "#d55e00", "#009e73")
PAPER, INK, MUTED, GRID = "#ffffff", "#22303c", "#5f6f7c", "#d9dfe4"
BAD, SPAN = "#b3261e", "#eef2f5"
# The colors for readers who prefer a dark page.
DARK = {
    PAPER: "#0d1117",
    INK: "#e6edf3",
    MUTED: "#9198a1",
    GRID: "#30363d",
    BAD: "#ff7b72",
    SPAN: "#21262d",
    COLORS[0]: "#59636e",
}
TITLE = "Releases of live under load: traffic by version, and failed requests"
# Fewer requests in a bin would show the chance with which an alias chooses a version.
BINS_PER_MINUTE = 4
SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
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
class Span:
    """A release: its start and end in seconds, its label, and whether it failed."""

    started: float
    ended: float
    label: str
    failed: bool = False


@dataclass(frozen=True)
class Mark:
    """A moment, in seconds, and its label."""

    at: float
    label: str


@dataclass(frozen=True)
class Story:
    """The marks in the picture: the releases, the first failure, and the end of the rollback."""

    spans: Sequence[Span]
    failure: Mark
    rollback: Mark


def draw(path: Path, requests: Sequence[traffic.Request], story: Story, speed: float) -> None:
    """Draw the share of each version and the error rate over time, as an SVG file.

    The error rate is that of each minute of the metrics, which local AWS makes shorter by its speed.
    """
    # Only make demo installs it, and other code imports this module for its classes.
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(9.6, 5.7), facecolor=PAPER, layout="constrained")
        figure.suptitle(TITLE, fontsize=12)
        shares, errors = figure.subplots(2, 1, sharex=True, height_ratios=[2.4, 1])
        minute = 60 / speed
        _draw_shares(shares, requests, minute / BINS_PER_MINUTE)
        _draw_errors(errors, requests, minute)
        _draw_story(shares, errors, story)
        errors.set_xlim(requests[0].at, requests[-1].at)
        errors.set_xlabel(f"seconds since the start; waits, metrics, and alarms are {speed:g} times as fast as on AWS")
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


def _draw_shares(axes: Axes, requests: Sequence[traffic.Request], width: float) -> None:
    """Stack the versions, the newest at the bottom, where the axis shows its share."""
    bins = traffic.bins(requests, width)
    versions = sorted({version for each in bins for version in each.succeeded if version}, key=int)
    edges = [edge for each in bins for edge in (each.start, each.start + width)]
    layers = [[100 * each.share(version) for each in bins for _ in range(2)] for version in reversed(versions)]
    labels = [f"version {version}" for version in reversed(versions)]
    axes.stackplot(edges, layers, labels=labels, colors=COLORS[: len(versions)][::-1], linewidth=0)
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.0, 1.0), reverse=True, frameon=False, handlelength=1, handleheight=1
    )
    axes.set_ylim(0, 100)
    axes.set_yticks([0, 20, 50, 100], ["0 %", "20 %", "50 %", "100 %"])
    for share in (20, 50):
        axes.axhline(share, color=PAPER, linewidth=0.8, alpha=0.7)
    axes.set_ylabel("share of successful requests")
    _plain(axes)


def _draw_errors(axes: Axes, requests: Sequence[traffic.Request], minute: float) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    bins = traffic.bins(requests, minute)
    rates = [100 * each.error_rate for each in bins]
    axes.bar([each.start for each in bins], rates, width=minute, align="edge", color=BAD, linewidth=0)
    axes.set_ylim(0, max(5.0, 1.5 * max(rates)))
    axes.set_ylabel("failed, by minute")
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    _plain(axes)


def _draw_story(shares: Axes, errors: Axes, story: Story) -> None:
    for span in story.spans:
        color = BAD if span.failed else INK
        errors.axvspan(span.started, span.ended, color=SPAN, zorder=0, linewidth=0)
        shares.plot(
            [span.started, span.ended], [104, 104], color=color, linewidth=3, clip_on=False, solid_capstyle="butt"
        )
        shares.text((span.started + span.ended) / 2, 107, span.label, ha="center", va="bottom", color=color)
        for edge in (span.started, span.ended):
            shares.axvline(edge, color=PAPER, linewidth=0.8)
    for axes in (shares, errors):
        axes.axvline(story.rollback.at, color=BAD, linewidth=1.4, linestyle=(0, (4, 2)))
    for mark, side in ((story.failure, "right"), (story.rollback, "left")):
        errors.annotate(
            mark.label,
            (mark.at, 0.86),
            xycoords=("data", "axes fraction"),
            xytext=(6 if side == "left" else -6, 0),
            textcoords="offset points",
            color=BAD,
            ha=side,
            va="center",
        )


def _plain(axes: Axes) -> None:
    axes.tick_params(length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
