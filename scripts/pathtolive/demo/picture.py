"""Draw how traffic went from version to version, and how many of its calls failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathtolive import traffic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, told apart by all: https://jfly.uni-koeln.de/color/
COLOURS = ("#b9c3cc", "#56b4e9", "#d55e00", "#009e73")
INK, MUTED, GRID = "#22303c", "#5f6f7c", "#d9dfe4"
BAD, SPAN = "#b3261e", "#eef2f5"
SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    # Paths, so that it looks the same wherever it is shown, and names that stay the same.
    "svg.fonttype": "path",
    "svg.hashsalt": "path-to-live",
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}


@dataclass(frozen=True)
class Span:
    """A release: from when to when, in seconds, what it is called, and whether it went badly."""

    began: float
    ended: float
    label: str
    bad: bool = False


@dataclass(frozen=True)
class Mark:
    """A moment, in seconds, and what happened then."""

    at: float
    label: str


@dataclass(frozen=True)
class Story:
    """What is marked: the releases, from when on calls failed, and when all traffic was back."""

    spans: Sequence[Span]
    failing: Mark
    back: Mark


def draw(path: Path, calls: Sequence[traffic.Call], story: Story, speed: float) -> None:
    """Draw shares of traffic by version and error rate over time, as SVG."""
    # Installed by make demo alone: whoever imports this module for its classes need not have it.
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(9.6, 5.4), facecolor="white", layout="constrained")
        shares, errors = figure.subplots(2, 1, sharex=True, height_ratios=[2.4, 1])
        bins = traffic.bins(calls)
        _draw_shares(shares, bins)
        _draw_errors(errors, bins)
        _draw_story(shares, errors, story)
        errors.set_xlim(bins[0].start, bins[-1].start + 1)
        errors.set_xlabel(
            f"seconds since the beginning; waits, metrics and alarms pass {speed:g} times faster than on AWS"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _draw_shares(axes: Axes, bins: Sequence[traffic.Bin]) -> None:
    """Stack the versions, the newest at the bottom: what it gets can be read there."""
    versions = sorted({version for each in bins for version in each.answered if version}, key=int)
    edges = [edge for each in bins for edge in (each.start, each.start + 1)]
    layers = [[100 * each.share(version) for each in bins for _ in range(2)] for version in reversed(versions)]
    labels = [f"version {version}" for version in reversed(versions)]
    axes.stackplot(edges, layers, labels=labels, colors=COLOURS[: len(versions)][::-1], linewidth=0)
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.0, 1.0), reverse=True, frameon=False, handlelength=1, handleheight=1
    )
    axes.set_ylim(0, 100)
    axes.set_yticks([0, 20, 50, 100], ["0 %", "20 %", "50 %", "100 %"])
    for share in (20, 50):
        axes.axhline(share, color="white", linewidth=0.8, alpha=0.7)
    axes.set_ylabel("share of answered calls")
    _plain(axes)


def _draw_errors(axes: Axes, bins: Sequence[traffic.Bin]) -> None:
    from matplotlib.ticker import MultipleLocator  # noqa: PLC0415

    rates = [100 * each.error_rate for each in bins]
    axes.bar([each.start for each in bins], rates, width=1, align="edge", color=BAD, linewidth=0)
    axes.set_ylim(0, max(10.0, 1.35 * max(rates)))
    axes.set_ylabel("calls that failed")
    axes.yaxis.set_major_locator(MultipleLocator(5))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    _plain(axes)


def _draw_story(shares: Axes, errors: Axes, story: Story) -> None:
    for span in story.spans:
        colour = BAD if span.bad else INK
        errors.axvspan(span.began, span.ended, color=SPAN, zorder=0, linewidth=0)
        shares.plot(
            [span.began, span.ended], [104, 104], color=colour, linewidth=3, clip_on=False, solid_capstyle="butt"
        )
        shares.text((span.began + span.ended) / 2, 107, span.label, ha="center", va="bottom", color=colour)
        for edge in (span.began, span.ended):
            shares.axvline(edge, color="white", linewidth=0.8)
    for axes in (shares, errors):
        axes.axvline(story.back.at, color=BAD, linewidth=1.4, linestyle=(0, (4, 2)))
    for mark, side in ((story.failing, "right"), (story.back, "left")):
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
