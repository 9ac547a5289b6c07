"""Print rows of text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import rich.box
import rich.console
import rich.table
import rich.text

# The smallest width of a column of sentences.
SENTENCES = 20


def show(
    rows: Sequence[Mapping[str, str]],
    *,
    folded: Mapping[str, int] | None = None,
    colors: Mapping[str, str] | None = None,
) -> None:
    """Print rows as a table, or as a list of fields for each row if the terminal is too narrow for it.

    All rows have the same columns; a column without any value is left out. ``folded`` names the columns whose text
    may break over lines, with their smallest widths, and ``colors`` the color of each value that has one.
    """
    console, widths = rich.console.Console(highlight=False), folded or {}
    shown = [name for name in rows[0] if any(row[name] for row in rows)]
    texts = [
        {name: rich.text.Text(row[name] or "-", (colors or {}).get(row[name], "")) for name in shown} for row in rows
    ]
    narrowest = console.measure(_table(texts, widths, narrow=True), options=console.options.update(max_width=1000))
    if narrowest.maximum <= console.width:
        console.print(_table(texts, widths, narrow=False))
        return
    width = max(len(name) for name in shown)
    for number, row in enumerate(texts):
        if number:
            console.print()
        for name, text in row.items():
            console.print(f"{name:<{width}}", text, soft_wrap=True)


def _table(
    rows: Sequence[Mapping[str, rich.text.Text]], folded: Mapping[str, int], *, narrow: bool
) -> rich.table.Table:
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for name in rows[0]:
        if name in folded:
            table.add_column(name, overflow="fold", max_width=folded[name] if narrow else None)
        else:
            table.add_column(name, no_wrap=True)
    for row in rows:
        table.add_row(*row.values())
    return table
