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

_MUTED = "$foreground-muted"
LONG_VALUE = 40
"""Characters beyond which a value is told in full beside the table."""
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


def row_words(row: FormRow | None, reading: Reading | None = None, *, is_typed: bool = False) -> Content:
    """Return what there is to know about a key: what is wrong first, then meaning, type, unit and default.

    Parameters
    ----------
    row
        The key under the cursor.
    reading
        What the draft comes to; names what else is wrong while the key is typed.
    is_typed
        Whether the line of the key is open.
    """
    if row is None:
        return Content("")
    lines: list[tuple[str, str]] = []
    if row.problem:
        lines.append((f"{sign('error')} {printable(row.problem)}", "$text-error"))
    elif is_typed:
        lines.append(_verdict(row, reading))
    if row.group == OTHER_GROUP:
        lines.append(("No key of a configuration: it has no effect. Correct the file.", ""))
        return _joined(lines)
    lines.append((_sentence(row.help), ""))
    if len(row.value) > LONG_VALUE and not is_typed:
        lines.append((f"Now: {printable(row.value)}", ""))
    unit = f", in {row.unit}" if row.unit else ""
    default = f" Default: {printable(row.default)}." if row.default and row.default != row.value else ""
    lines.append((_sentence(row.takes + unit) + default, _MUTED))
    if not row.can_type:
        lines.append(("An object of a Python file; a value typed here takes its place.", _MUTED))
    return _joined(lines)


def _verdict(row: FormRow, reading: Reading | None) -> tuple[str, str]:
    others = () if reading is None else reading.wrong
    if others:
        return (f"{sign('error')} then {printable(others[0].name)}: {printable(others[0].problem)}", "$text-error")
    return (f"{sign('ok')} {printable(row.name)} can be kept; an empty line takes it back", "$text-success")


def _joined(lines: list[tuple[str, str]]) -> Content:
    return Content("\n").join([Content.styled(words, style) for words, style in lines])


def trouble_words(reading: Reading) -> Content:
    """Return everything that is wrong, then what may not be meant, then what was changed here."""
    wrong = [(f"{sign('error')} {printable(row.problem)}", "$text-error") for row in reading.wrong]
    notes = [(f"{sign('warning')} {printable(note)}", "$text-warning") for note in reading.warnings]
    lines = [*wrong, *notes]
    shown = lines[:MOST_TOLD]
    if len(lines) > MOST_TOLD:
        shown.append((f"and {len(lines) - MOST_TOLD} more", _MUTED))
    if not lines:
        shown.append(
            (f"{sign('ok')} every key is right: n looks at memory, disk and time, then trains", "$text-success")
        )
    changed = [row for row in reading.rows if row.origin == HERE]
    if changed:
        shown.append(("\nchanged here", "bold"))
        shown += [(f"{row.name} = {printable(row.value)}", "") for row in changed[:MOST_TOLD]]
    return _joined(shown)


def state_words(reading: Reading) -> str:
    """Return how the form stands, in a few words."""
    changed = sum(row.origin == HERE for row in reading.rows)
    wrong = len(reading.wrong)
    words = [counted(changed, "change")] if changed else []
    words.append(f"{sign('error')} {wrong} wrong" if wrong else f"{sign('ok')} right")
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
