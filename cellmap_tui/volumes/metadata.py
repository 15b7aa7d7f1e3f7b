"""JSON metadata of other people: every value is checked, every complaint names file and key.

Metadata are parsed with the standard library, because a listing opens thousands of them and asking
zarr costs some hundred times as much. What the keys mean is `ngff`'s business.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.errors import DataError
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.challenge.grid import Shape3, Vec3

LIMIT_BYTES = 16 * 2**20
"""A metadata file is a few kilobytes; anything above this is something else under that name."""


@dataclass(frozen=True, slots=True)
class Node:
    """One JSON value, and where it came from."""

    value: object
    """The value as `json` gave it."""
    file: Path
    """The file it was read from."""
    key: str = ""
    """Where in the file, such as ``multiscales[0].axes[2].unit``."""

    def wrong(self, what: str) -> DataError:
        """Return the error that says what is wrong with this value, naming file and key."""
        return DataError(printable(f"{self.file}: {self.key or 'content'}: {what}"))

    def get(self, name: str) -> Node:
        """Return the value under `name`; DataError if this is not an object or lacks it."""
        found = self.find(name)
        if found is None:
            raise self.wrong(f"key {name!r} is missing")
        return found

    def find(self, name: str) -> Node | None:
        """Return the value under `name`, None if there is none; DataError if this is not an object."""
        if not isinstance(self.value, dict):
            raise self.wrong(f"must be an object, not {self._shown()}")
        if name not in self.value:
            return None
        return Node(self.value[name], self.file, f"{self.key}.{name}" if self.key else name)

    def items(self) -> list[Node]:
        """Return the values of a list; DataError if this is not one."""
        if not isinstance(self.value, list):
            raise self.wrong(f"must be a list, not {self._shown()}")
        return [Node(v, self.file, f"{self.key}[{i}]") for i, v in enumerate(self.value)]

    def text(self) -> str:
        """Return the value as text; DataError if it is not."""
        if not isinstance(self.value, str):
            raise self.wrong(f"must be text, not {self._shown()}")
        return self.value

    def number(self) -> float:
        """Return the value as a finite number; DataError if it is not."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(f"must be a number, not {self._shown()}")
        if abs(value) > 1e300 or not math.isfinite(value):
            raise self.wrong(f"must be a finite number, not {self._shown()}")
        return float(value)

    def integer(self) -> int:
        """Return the value as a whole number; DataError if it is not."""
        value = self.number()
        if not value.is_integer():
            raise self.wrong(f"must be a whole number, not {self._shown()}")
        return int(value)

    def vec3(self) -> Vec3:
        """Return the value as three finite numbers; DataError if it is not."""
        z, y, x = (item.number() for item in self._three())
        return (z, y, x)

    def positive3(self) -> Vec3:
        """Return the value as three numbers above 0; DataError if it is not."""
        values = self.vec3()
        if min(values) <= 0:
            raise self.wrong(f"must be three numbers above 0, not {self._shown()}")
        return values

    def shape3(self) -> Shape3:
        """Return the value as three whole numbers of at least 1; DataError if it is not."""
        z, y, x = (item.integer() for item in self._three())
        if min(z, y, x) < 1:
            raise self.wrong(f"must be three whole numbers of at least 1, not {self._shown()}")
        return (z, y, x)

    def _three(self) -> list[Node]:
        items = self.items()
        if len(items) != 3:
            raise self.wrong(f"must have 3 values (z, y, x), not {len(items)}: {self._shown()}")
        return items

    def _shown(self) -> str:
        text = json.dumps(self.value, default=str)
        return text if len(text) <= 60 else f"{text[:57]}..."


def is_there(path: Path) -> bool:
    """Return whether something is at `path`; True where permissions hide it: reading tells what is wrong."""
    try:
        return path.exists()
    except PermissionError:
        return True


def read_json(file: Path) -> Node:
    """Read a metadata file.

    Raises
    ------
    DataError
        If it is missing, cannot be read, is not JSON or is not an object.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(LIMIT_BYTES + 1)
    except FileNotFoundError:
        raise DataError(printable(f"{file} is missing")) from None
    except OSError as error:
        raise DataError(printable(f"{file}: {error.strerror}")) from None
    return parse_json(content, file)


def parse_json(content: bytes, file: Path) -> Node:
    """Read the content of a metadata file, or of the object of a bucket with the key `file`.

    Raises
    ------
    DataError
        If it is too large, not JSON or not an object.
    """
    if len(content) > LIMIT_BYTES:
        raise DataError(printable(f"{file}: larger than any metadata file ({LIMIT_BYTES // 2**20} MiB)"))
    try:
        value = json.loads(content)
    except RecursionError:
        raise DataError(printable(f"{file}: nested too deeply")) from None
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are both
        raise DataError(printable(f"{file}: not JSON: {error}")) from None
    node = Node(value, file)
    if not isinstance(value, dict):
        raise node.wrong("must be a JSON object")
    return node
