"""Patches in words: where one comes from, what they hold, and what of the split is not used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.content import Content

from cellmap_tui.app.signs import ascii_only, sign
from cellmap_tui.text import count, printable, size, voxel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.app.widgets.patch_view import PatchLook
    from cellmap_tui.services.patch_looks import PatchLooks
    from cellmap_tui.services.patches_model import PatchesResult

AXES = "zyx"
NOTHING = "n builds the bank of a split, as a job, and draws patches from it."
HINT = "right: tinted where the class is, plain where it is not, hatched where nobody knows"


def title_words(looks: PatchLooks, number: int) -> str:
    """Return which patch it is and where it comes from."""
    note = looks.notes[number]
    drawn = f"drawn for {note.drawn_for}" if note.draw == "foreground" else f"drawn {_how(note.draw)}"
    return printable(f"patch {number + 1} of {len(looks.notes)}  {note.crop}, {drawn}")


def _how(draw: str) -> str:
    return "as empty" if draw == "empty" else draw


def place_words(looks: PatchLooks, look: PatchLook) -> str:
    """Return the plane, the class and how the patch is shown."""
    shown = "all classes" if look.column is None else looks.columns[look.column]
    varied = "augmented" if look.is_varied and looks.varied is not None else "as it is"
    plane = f"{AXES[look.axis]} {'…' if look.plane is None else look.plane + 1}/{looks.shape[look.axis]}"
    return printable(f"{plane}  {voxel(looks.voxel_size_nm)} nm  {shown}  {varied}")


def statistics(result: PatchesResult, looks: PatchLooks, column: int | None) -> Content:
    """Return what the counted patches hold, a class a line in its colour, and what the bank is."""
    width = max(5, *(len(one.name) for one in result.columns))
    head = f"   {'class':{width}}  {'patches with':>12}  {'present':>8}  {'unknown':>8}"
    lines = [Content.styled(head, "$text-muted")]
    for at, one in enumerate(result.columns):
        mark = sign("cursor") if column == at else " "
        swatch = "#" if ascii_only() else "■"
        share = f"{count(one.patches_with)} of {count(result.patches)}"
        words = f"{printable(one.name):{width}}  {share:>12}  {_percent(one.present):>8}  {_percent(one.unknown):>8}"
        lines.append(Content.assemble(mark, (swatch, _colour(looks.colours, at)), f" {words}"))
    return Content("\n").join([*lines, Content(""), *(Content(printable(line)) for line in _below(result))])


def _below(result: PatchesResult) -> list[str]:
    crops = "1 crop" if result.crops == 1 else f"{count(result.crops)} crops"
    drawn = ", ".join(f"{count(number)} {_how(name)}" for name, number in result.draws.items() if number)
    lines = [
        f"{count(result.patches)} patches: {drawn}",
        f"grey {result.raw_mean:.2f} ± {result.raw_deviation:.2f}, {_percent(result.raw_invalid)} beyond the EM",
        f"bank of {crops}, {size(result.bank_bytes)}, in {result.bank_s:.1f} s; {result.patches_per_s:.3g} patches/s",
    ]
    option = ("enlarge them with --coarse-labels upsample", "enlarge them (n, coarse labels)")
    lines += [f"left out {out.ref}: {out.reason.replace(*option)}" for out in result.left_out]
    lines += [
        f"{ref}: {count(voxels)} voxels whose annotations exclude each other"
        for ref, voxels in result.contradictions.items()
    ]
    return lines


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _colour(colours: Sequence[Any], at: int) -> str:
    red, green, blue = colours[at]
    return f"rgb({red},{green},{blue})"
