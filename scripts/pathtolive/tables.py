"""Print rows of text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import rich.box
import rich.console
import rich.table
import rich.text

NARROWEST_FOLD = 20


def show(rows: Sequence[Mapping[str, str]], *, folded: str = "", colors: Mapping[str, str] | None = None) -> None:
    """Print rows as a table, or as a list of fields for each row if the terminal is too narrow for it.

    All rows have the same columns; a column without any value is left out. ``folded`` names the column whose text may
    break over lines, ``colors`` the color of each value that has one.
    """
    console = rich.console.Console(highlight=False)
    shown = [name for name in rows[0] if any(row[name] for row in rows)]
    texts = [
        {name: rich.text.Text(row[name] or "-", (colors or {}).get(row[name], "")) for name in shown} for row in rows
    ]
    narrowest = console.measure(_table(texts, folded, NARROWEST_FOLD), options=console.options.update(max_width=1000))
    if narrowest.maximum <= console.width:
        console.print(_table(texts, folded, None))
        return
    width = max(len(name) for name in shown)
    for number, row in enumerate(texts):
        if number:
            console.print()
        for name, text in row.items():
            console.print(f"{name:<{width}}", text, soft_wrap=True)


def _table(rows: Sequence[Mapping[str, rich.text.Text]], folded: str, fold_width: int | None) -> rich.table.Table:
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for name in rows[0]:
        if name == folded:
            table.add_column(name, overflow="fold", max_width=fold_width)
        else:
            table.add_column(name, no_wrap=True)
    for row in rows:
        table.add_row(*row.values())
    return table
