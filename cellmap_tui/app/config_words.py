"""What the form of a configuration says: its columns, what stands under them, and its questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from cellmap_tui.app.config_rows import HERE, OTHER_GROUP
from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.text import counted, printable

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.app.config_reading import Reading
    from cellmap_tui.app.config_rows import FormRow

MOST_TOLD = 12
"""Problems and warnings that are listed at a time."""


def form_columns() -> tuple[Column[FormRow], ...]:
    """Return the columns of the form."""
    return (
        Column("sign", "", 1, _sign, look=lambda row: "bad" if row.problem else "accent"),
        Column("key", "key", 27, lambda row: row.name, look=lambda row: "bad" if row.problem else ""),
        Column("value", "value", 24, lambda row: row.value, max_width=70, look=_value_look),
        Column("origin", "from", 8, lambda row: row.origin, look=_origin_look),
        Column("group", "part", 10, lambda row: row.group, look=lambda row: "dim", priority=1),
    )  # fmt: skip


def row_words(row: FormRow | None, *, is_typed: bool = False) -> Content:
    """Return what there is to know about a key: what is wrong first, then meaning, type, unit and default."""
    if row is None:
        return Content("")
    parts: list[tuple[str, str]] = []
    if row.problem:
        parts.append((f"{sign('error')} {printable(row.problem)}\n", "$text-error"))
    elif is_typed:
        parts.append((f"{sign('ok')} {printable(row.name)} can be kept\n", "$text-success"))
    if row.group == OTHER_GROUP:
        parts.append(("no key of a configuration; correct the file", ""))
        return Content.assemble(*parts)
    parts.append((_sentence(row.help), ""))
    unit = f", in {row.unit}" if row.unit else ""
    parts.append((f"\n{_sentence(row.takes + unit)}", "$text-muted"))
    if row.default:
        parts.append((f" Default: {printable(row.default)}.", "$text-muted"))
    if not row.can_type:
        parts.append(("\nAn object of a Python file; a value typed here takes its place.", "$text-muted"))
    return Content.assemble(*parts)


def trouble_words(reading: Reading) -> Content:
    """Return everything that is wrong, then what may not be meant, then what was changed here."""
    wrong = [(f"{sign('error')} {printable(row.problem)}", "$text-error") for row in reading.wrong]
    notes = [(f"{sign('warning')} {printable(note)}", "$text-warning") for note in reading.warnings]
    lines = [*wrong, *notes]
    shown = lines[:MOST_TOLD]
    if len(lines) > MOST_TOLD:
        shown.append((f"and {len(lines) - MOST_TOLD} more", "$text-muted"))
    if not lines:
        shown.append(
            (f"{sign('ok')} every key is right: n looks at memory, disk and time, then trains", "$text-success")
        )
    changed = [row for row in reading.rows if row.origin == HERE]
    if changed:
        shown.append(("\nchanged here", "bold"))
        shown += [(f"{row.name} = {printable(row.value)}", "") for row in changed[:MOST_TOLD]]
    return Content("\n").join([Content.styled(words, style) for words, style in shown])


def state_words(reading: Reading) -> str:
    """Return how the form stands, in a few words."""
    changed = sum(row.origin == HERE for row in reading.rows)
    wrong = len(reading.wrong)
    words = [counted(changed, "change") if changed else "nothing changed here"]
    words.append(f"{counted(wrong, 'key')} wrong" if wrong else "all right")
    if reading.warnings:
        words.append(counted(len(reading.warnings), "warning"))
    return ", ".join(words)


def save_question(path: Path, *, is_own: bool) -> tuple[str, str]:
    """Return the question before a file is replaced, and what it costs."""
    cost = (
        "It is written anew with the changes made here; its comments are not kept."
        if is_own
        else f"There is such a file in {printable(str(path.parent))}."
    )
    return f"Replace {printable(path.name)}?", cost


def _sign(row: FormRow) -> str:
    return sign("error") if row.problem else sign("partial") if row.origin == HERE else " "


def _value_look(row: FormRow) -> str:
    return "bad" if row.problem else "strong" if row.is_set else "dim"


def _sentence(words: str) -> str:
    words = printable(words)
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def _origin_look(row: FormRow) -> str:
    return "accent" if row.origin == HERE else "dim"
