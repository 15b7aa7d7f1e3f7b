"""Where the volumes of a submission lie, and what of the layout the official scorer would not find."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.services.validate_model import Finding
from cellmap_tui.text import count, nearest, printable, size

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cellmap_tui.services.submission_tree import SubmissionTree

_CROP = re.compile(r"crop(\d+)")
_LIKE_A_CROP = re.compile(r"(?i)crop[ _-]*0*(\d+)(?:\.zarr)?|0*(\d+)")
PACK = "pack it again: cellmap-tui pack-results"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the volumes lie."""

    base: str
    """Folder of the crops inside the submission; empty: the top."""
    volumes: dict[tuple[str, str], str]
    """Crop (``crop234``) and class to the path of what lies there."""
    hidden: frozenset[tuple[str, str]]
    """Of those, what the official scorer would not find, by where it lies or what it is called."""


def find_layout(tree: SubmissionTree, crops: Collection[str]) -> tuple[Layout, list[Finding]]:
    """Find the volumes of the test crops, and tell what is odd about where they lie.

    Parameters
    ----------
    crops
        Names of the test crops, ``crop557`` and so on.
    """
    folders = _folders(tree.sizes)
    base = _base(folders, crops)
    findings = list(_about_the_place(tree, base, is_empty=not _crop_names(folders, base, crops)))
    volumes: dict[tuple[str, str], str] = {}
    hidden: set[tuple[str, str]] = set()
    names = _crop_names(folders, base, crops)
    any_exact = any(name == crop for name, crop in names.items())
    for name, crop in sorted(names.items()):
        is_seen = name == crop or (name.isdecimal() and not any_exact and f"crop{name}" == crop)
        if name != crop:
            findings.append(_odd_name(name, crop, is_seen=is_seen))
        folder = f"{base}/{name}" if base else name
        for label in sorted(folders.get(folder, ())):
            volumes[crop, label] = f"{folder}/{label}"
            if not is_seen or _is_out_of_reach(base):
                hidden.add((crop, label))
    findings += _unknown_crops(folders, base, crops)
    return Layout(base, volumes, frozenset(hidden)), findings


def _folders(names: Collection[str]) -> dict[str, set[str]]:
    """Return the sub-folders of each folder; the top is the empty text."""
    folders: dict[str, set[str]] = defaultdict(set)
    seen: set[str] = set()
    for name in names:
        folder = name.rpartition("/")[0]
        while folder and folder not in seen:
            seen.add(folder)
            above, _, last = folder.rpartition("/")
            folders[above].add(last)
            folder = above
    return folders


def _base(folders: dict[str, set[str]], crops: Collection[str]) -> str:
    """Return the folder that holds most crops; the shallowest of equals."""
    scores = {folder: len(_crop_names(folders, folder, crops)) for folder in folders}
    best = max(scores.values(), default=0)
    if best == 0:
        return ""
    return min((f for f, n in scores.items() if n == best), key=lambda f: (f.count("/") + bool(f), f))


def _crop_names(folders: dict[str, set[str]], base: str, crops: Collection[str]) -> dict[str, str]:
    """Return the folders that mean a test crop: name as it is, to the crop's name."""
    found = {}
    for name in folders.get(base, ()):
        match = _LIKE_A_CROP.fullmatch(name)
        crop = f"crop{int(match[1] or match[2])}" if match else ""
        if crop in crops:
            found[name] = crop
    return found


def _about_the_place(tree: SubmissionTree, base: str, *, is_empty: bool) -> Iterator[Finding]:
    if tree.unsafe:
        shown = ", ".join(tree.unsafe[:3])
        yield Finding(
            "error", "unsafe", shown, f"{count(len(tree.unsafe))} names are links or lead out of the submission", PACK
        )
    if is_empty:
        yield Finding(
            "error",
            "nested",
            printable(tree.path.name),
            "no folder is called after a test crop, so the official scorer gives no result at all",
            "put crop<N>/<class> at the top of the zip",
        )
    elif base:
        yield _nested(base)
    if tree.path.is_file() and tree.path.with_suffix("").is_dir():
        beside = tree.path.with_suffix("").name
        yield Finding(
            "warning",
            "nested",
            printable(tree.path.name),
            f"the folder {printable(beside)} lies beside the zip: the official scorer would score that, not the zip",
            f"remove the folder {printable(beside)}, or score the zip from another place",
        )


def _nested(base: str) -> Finding:
    if _is_out_of_reach(base):
        problem = f"the crops lie in {printable(base)}/, where the official scorer does not look"
        return Finding("error", "nested", printable(base), problem, "put crop<N>/<class> at the top of the zip")
    problem = f"the crops lie in {printable(base)}/; the official scorer finds them there"
    return Finding("note", "nested", printable(base), problem, "crop<N>/<class> at the top of the zip is simpler")


def _is_out_of_reach(base: str) -> bool:
    """Return whether the official scorer would not unwrap a folder: it follows one that ends with .zarr."""
    return bool(base) and not base.endswith(".zarr")


def _odd_name(name: str, crop: str, *, is_seen: bool) -> Finding:
    shown = printable(name)
    if is_seen:
        return Finding("note", "name", shown, f"is taken for {crop}", f"call the folder {crop}")
    return Finding("error", "name", shown, f"is not found: the crop is called {crop}", f"call the folder {crop}")


def _unknown_crops(folders: dict[str, set[str]], base: str, crops: Collection[str]) -> Iterator[Finding]:
    known = _crop_names(folders, base, crops)
    for name in sorted(folders.get(base, set()) - set(known)):
        if _CROP.fullmatch(name):
            near = nearest(name, crops)
            hint = f"did you mean {near}?" if near else "it is left out of the score"
            yield Finding("note", "name", printable(name), "is no test crop and is not scored", hint)


def size_finding(size_bytes: int, limit_bytes: int) -> list[Finding]:
    """Return what there is to say about the unpacked size."""
    if size_bytes <= limit_bytes:
        return []
    return [
        Finding(
            "error",
            "size",
            "submission",
            f"{size(size_bytes)} unpacked; the challenge takes {size(limit_bytes)}",
            "save semantic classes as uint8 and instances in the smallest type that holds their ids, compressed",
        )
    ]
