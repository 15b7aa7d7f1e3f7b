"""What a label volume says about its annotation: which value means "not annotated", and what ids are.

Two attributes are understood: ``cellmap.annotation``, which the challenge's own label arrays carry,
with an ``encoding`` of the values that are not objects; and ``cellmap_tui``, which `import` writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.volumes.metadata import is_there, read_json

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.volumes.ngff import Multiscale

_IS_INSTANCE = {
    "instance_segmentation": True,
    "semantic_segmentation": False,
    "instance": True,
    "binary": False,
    "semantic": False,
}


@dataclass(frozen=True, slots=True)
class Annotation:
    """What is known about the values of a label volume beyond the values themselves."""

    unknown_value: int | None = None
    """Value of voxels that were not annotated; None where every voxel is known."""
    is_instance: bool | None = None
    """Whether the values are object ids; None: not said."""


def read_annotation(volume: Multiscale) -> Annotation:
    """Return what the attributes of a label group or of its finest array say.

    Foreign attributes that say nothing usable count as silence: labels are shown without them.
    """
    for folder in (volume.path, volume.finest.path):
        found = _annotation(folder / ".zattrs")
        if found is not None:
            return found
    return Annotation()


def _annotation(file: Path) -> Annotation | None:
    if not is_there(file):
        return None
    attributes = read_json(file).value
    own = _within(attributes, "cellmap_tui")
    if own is not None:
        return Annotation(_id(own, "unknown_value"), _is_instance(own.get("kind")))
    theirs = _within(attributes, "cellmap", "annotation", "annotation_type")
    if theirs is None:
        return None
    encoding = _within(theirs, "encoding") or {}
    return Annotation(_id(encoding, "unknown"), _is_instance(theirs.get("type")))


def _within(value: object, *names: str) -> dict[str, object] | None:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else None


def _id(values: dict[str, object], name: str) -> int | None:
    value = values.get(name)
    # Some encodings give unknown and absent the same value, 0; then it tells nothing apart.
    is_usable = isinstance(value, int) and not isinstance(value, bool) and value != 0
    return value if is_usable and isinstance(value, int) else None


def _is_instance(kind: object) -> bool | None:
    return _IS_INSTANCE.get(kind) if isinstance(kind, str) else None
