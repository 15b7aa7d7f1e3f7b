"""The result of a check in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cellmap_tui.text import count

if TYPE_CHECKING:
    from cellmap_tui.services.verify_model import CropCheck, VerifyResult

_MOST_NAMED = 20


def verify_lines(result: VerifyResult) -> list[str]:
    """Return a result for people: a line a crop, then what is wrong and the command that mends it."""
    lines = [crop_sentence(crop) for crop in result.crops]
    lines += [f"  {problem.kind:8} {problem.key}: {problem.message}" for problem in result.problems[:_MOST_NAMED]]
    if len(result.problems) > _MOST_NAMED:
        lines.append(f"  … and {count(result.missing + result.corrupt - _MOST_NAMED)} more (all with --json)")
    against = "the bucket" if result.against == "bucket" else "what was recorded when they were fetched"
    found = f"{count(result.missing)} missing, {count(result.corrupt)} corrupt"
    lines.append(
        f"{count(len(result.crops))} crops against {against}: {count(result.present)} objects right, {found}"
    )
    if result.repaired:
        lines.append(f"{count(result.repaired)} repaired")
    if result.repair_command:
        lines.append(f"to repair: {result.repair_command}")
    return lines


def crop_sentence(crop: CropCheck) -> str:
    """Return one crop in a line: what is right, what is wrong, what was never asked for."""
    words = [f"{count(crop.total('present'))} present"]
    whats: tuple[Literal["missing", "corrupt"], ...] = ("missing", "corrupt")
    for what in whats:
        if number := crop.total(what):
            where = ", ".join(part.name for part in crop.parts if getattr(part, what))
            words.append(f"{count(number)} {what} ({where})")
    if left_out := [part.name for part in crop.parts if part.state == "not requested"]:
        words.append(f"not requested: {', '.join(left_out)}")
    return f"{crop.ref}: {crop.state}; {'; '.join(words)}"
