"""The files and folders that a request names, and what tells whether they are still as they were.

Size and time of every file below a place are its signature: content is not read, so that a data root
of hundreds of thousands of chunks is looked through in seconds.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PLACE_NAMES = frozenset(
    {
        "manifest",
        "train_manifest",
        "test_manifest",
        "predictions",
        "raw",
        "input",
        "inputs",
        "output",
        "search_path",
        "labels",
    }
)
"""Options that are text because they may also be an address or hold ``{crop}``, and that name a file or folder."""
PLACES_OR_NAMES = frozenset({"checkpoints", "em"})
"""Options that name a run or dataset, or else a file or folder, with a ``/`` in it, as in ``./training``."""
_NOT_CONTENT = frozenset({"state_dir", "store", "user_data_root", "cache_dir"})
"""Places that hold what the tool remembers, not what a step works on."""


def resolved(options: Mapping[str, Any], model: type[Any], folder: Path) -> dict[str, Any]:
    """Return options with relative paths made absolute, seen from the plan's folder."""
    places = _path_fields(model) | PLACE_NAMES | PLACES_OR_NAMES
    absolute = {
        key: _absolute(value, folder, needs_slash=key in PLACES_OR_NAMES) if key in places else value
        for key, value in options.items()
    }
    address = absolute.get("endpoint_url")
    if isinstance(address, str) and address and "://" not in address:
        absolute["endpoint_url"] = Path(_absolute(address, folder)).as_uri()  # a copy of the bucket on disk
    return absolute


def places_of(request: object) -> dict[str, Path]:
    """Return the files and folders that a request names, by option; of a template, the folder above its fields."""
    found: dict[str, Path] = {}
    paths = _path_fields(type(request))
    for field in fields(request):  # type: ignore[arg-type]
        value = getattr(request, field.name)
        if field.name in _NOT_CONTENT or not value:
            continue
        if isinstance(value, Path):
            found[field.name] = _above_template(value)
        elif field.name in PLACE_NAMES and isinstance(value, str) and "://" not in value:
            found[field.name] = _above_template(Path(value))
        elif isinstance(value, tuple | dict) and field.name in paths | PLACE_NAMES | PLACES_OR_NAMES:
            several = value if isinstance(value, dict) else dict(enumerate(value))
            texts = {key: entry for key, entry in several.items() if isinstance(entry, str | Path)}
            found.update({f"{field.name}[{key}]": _above_template(Path(entry)) for key, entry in texts.items()})
    return found


def signature(name: str, place: Path) -> str:
    """Return a short text that changes when a file below a place does; ``missing`` where there is nothing.

    Of a data root only the datasets count, each a folder with a store of its name: predictions and what else
    a later step writes there do not make an earlier step undone.
    """
    digest = hashlib.blake2b(digest_size=16)
    roots = _datasets(place) if name == "data_root" else [place]
    if not place.exists():
        return "missing"
    for root in roots:
        for path, status in sorted(_files(root), key=lambda entry: entry[0]):
            digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def overlap(first: Path, second: Path) -> bool:
    """Return whether one place lies in the other."""
    return first.is_relative_to(second) or second.is_relative_to(first)


def _path_fields(model: type[Any]) -> frozenset[str]:
    hints = get_type_hints(model)
    return frozenset(name for name, hint in hints.items() if _mentions_path(hint))


def _mentions_path(hint: Any) -> bool:
    return hint is Path or any(_mentions_path(part) for part in getattr(hint, "__args__", ()))


def _absolute(value: Any, folder: Path, *, needs_slash: bool = False) -> Any:
    if isinstance(value, list):
        return [_absolute(entry, folder, needs_slash=needs_slash) for entry in value]
    if isinstance(value, dict):
        return {key: _absolute(entry, folder, needs_slash=needs_slash) for key, entry in value.items()}
    if not isinstance(value, str) or not value or "://" in value or value.startswith("${"):
        return value
    if needs_slash and "/" not in value:
        return value
    return str(Path(os.path.normpath(folder / Path(value).expanduser())))


def _above_template(path: Path) -> Path:
    parts = path.parts
    fixed = next((i for i, part in enumerate(parts) if "{" in part or "*" in part), len(parts))
    return Path(*parts[:fixed]) if fixed else Path()


def _datasets(root: Path) -> list[Path]:
    try:
        with os.scandir(root) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except OSError:
        return []
    stores = (root / name / f"{name}.zarr" for name in names)
    return [store for store in stores if store.is_dir()]


def _files(place: Path) -> Iterator[tuple[str, os.stat_result]]:
    if place.is_file():
        yield str(place), place.stat()
        return
    folders = [str(place)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        yield entry.path, entry.stat(follow_symlinks=False)
        except OSError:
            continue
