"""Objects of a Python configuration, as they are told to a process that does not run its code.

The process that runs the file describes what is no plain value: a network, an optimiser, a transform.
The description says what it is; the object itself exists only where the file is run again, for training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui.learning.config_kinds import Kind, UnfitError, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

TOOLBOX = "cellmap_segmentation_challenge"
"""Import name of the official toolbox."""


@dataclass(frozen=True, slots=True)
class PythonObject:
    """Something that only running the configuration file gives."""

    variable: str
    """Name of the key that holds it."""
    kind: str
    """``instance``, ``class``, ``function`` or ``call`` (of a package that is not installed)."""
    type: str
    """Full name of its class, or of the class or function itself."""
    text: str
    """How it shows itself, cut."""
    arguments: tuple[object, ...] = ()
    """Positional arguments, of a call; items, of a chain of transforms."""
    options: tuple[tuple[str, object], ...] = ()
    """Named arguments, of a call; settings, of an optimiser; ``parameters``, of a network."""

    @property
    def name(self) -> str:
        """Last part of the full name."""
        return self.type.rpartition(".")[2]

    @property
    def package(self) -> str:
        """First part of the full name."""
        return self.type.partition(".")[0]


def object_of(variable: str, value: Mapping[str, Any]) -> PythonObject:
    """Return the object of a description; descriptions inside it are turned as well."""
    told = value["$object"]
    return PythonObject(
        variable=variable,
        kind=str(told.get("kind", "instance")),
        type=str(told.get("type", "")),
        text=str(told.get("text", "")),
        arguments=tuple(_part(variable, part) for part in told.get("arguments", ())),
        options=tuple((str(name), _part(variable, part)) for name, part in told.get("options", {}).items()),
    )


def object_kind(words: str) -> Kind:
    """Return the kind of objects that only a Python configuration can give; nothing stands for none."""

    def read(value: object) -> PythonObject | None:
        if value is None:
            return None
        if isinstance(value, dict) and "$object" in value:
            return object_of("", value)
        raise UnfitError(f"{shown(value)}, not {words}; only a Python configuration can hold one")

    return Kind(words, read)


def _part(variable: str, part: Any) -> Any:
    if isinstance(part, dict) and "$object" in part:
        return object_of(variable, part)
    if isinstance(part, list):
        return tuple(_part(variable, item) for item in part)
    return part
