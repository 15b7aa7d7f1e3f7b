"""What the values of a foreign label stack mean, and how they are stored: masks, object ids, unknown.

A stack is looked through once, slab by slab, before anything is written, so that fractions, negative
values and values that nobody declared are refused in time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from cellmap_tui.errors import DataError, RequestError
from cellmap_tui.text import count

if TYPE_CHECKING:
    from cellmap_tui.volumes.arrays import Voxels

LabelKind = Literal["binary", "instance"]
"""A mask of 0 and 1, or an id for each object."""

MANY = 256
"""Different values are listed up to this number; beyond it only the range is known."""

_PIECE = 4_000_000  # values looked at together; counting them takes eight bytes each
_TOO_LARGE = 2.0**63

PROBABILITY_LIKE = 200
"""An 8-bit stack with more different values than this is more likely a probability map than objects."""


@dataclass(slots=True)
class LabelFacts:
    """The values found in a label stack."""

    what: str
    """What the user named, for messages."""
    unknown: int | None = None
    """The value that the user declares as unknown; counted apart from the others."""
    has_unknown: bool = False
    """Whether it occurs."""
    minimum: int | None = None
    """Smallest value; None before any was seen."""
    maximum: int = 0
    """Largest value."""
    values: set[int] = field(default_factory=set)
    """The different values, as long as there are at most `MANY`."""
    has_many: bool = False
    """Whether there are more."""

    def add(self, block: Voxels) -> None:
        """Take a slab into account.

        Raises
        ------
        DataError
            If it has fractions, infinities or NaN, or a value that no type of labels holds.
        """
        flat = block.reshape(-1)
        for start in range(0, flat.size, _PIECE):
            piece: Voxels = flat[start : start + _PIECE]
            if block.dtype.kind == "f":
                self._check_whole(piece)
            if self.unknown is not None:
                is_known = piece != self.unknown
                self.has_unknown |= not bool(is_known.all())
                piece = piece[is_known]
            if piece.size:
                self._add_known(piece)

    def _add_known(self, piece: Voxels) -> None:
        low, high = int(piece.min()), int(piece.max())
        self.minimum = low if self.minimum is None else min(low, self.minimum)
        self.maximum = max(high, self.maximum)
        if self.has_many:
            return
        self.values.update(_different(piece, low, high))
        if len(self.values) > MANY:
            self.has_many = True
            self.values.clear()

    def _check_whole(self, piece: Voxels) -> None:
        if not (np.isfinite(piece).all() and (np.floor(piece) == piece).all()):
            raise DataError(
                f"{self.what} holds fractions or NaN: labels are whole numbers",
                "if it is a probability map, threshold it first",
            )
        if np.abs(piece).max(initial=0) >= _TOO_LARGE:
            raise DataError(f"{self.what} holds values that are too large for labels")

    @property
    def is_empty(self) -> bool:
        """Whether every known voxel is 0."""
        return not self.has_many and self.values <= {0}

    def listed(self) -> str:
        """Return the values in words."""
        if self.has_many:
            return f"more than {MANY} values from {self.minimum} to {count(self.maximum)}"
        if len(self.values) > 8:
            return f"{len(self.values)} values from {self.minimum} to {self.maximum}"
        return "only 0" if self.values == {0} else f"the values {', '.join(str(v) for v in sorted(self.values))}"


@dataclass(frozen=True, slots=True)
class LabelCoding:
    """How the values of a label stack are stored."""

    kind: LabelKind
    """A mask, or object ids."""
    dtype: str
    """Type of the stored values: ``uint8`` for masks, the smallest unsigned one for ids."""
    foreground: int | None = None
    """The one value that becomes 1; None: every value but 0 is foreground."""
    unknown: int | None = None
    """The value of the stack that means "not annotated here"."""
    is_empty: bool = False
    """Whether nothing is foreground: annotated, and absent."""

    @property
    def stored_unknown(self) -> int | None:
        """The stored value of unknown voxels, the largest of the type; None where every voxel is known."""
        return None if self.unknown is None else int(np.iinfo(self.dtype).max)

    def applied(self, block: Voxels) -> Voxels:
        """Return a block as it is stored, same shape, of `dtype`."""
        if self.kind == "binary":
            is_foreground = block != 0 if self.foreground is None else block == self.foreground
            stored: Voxels = is_foreground.astype(self.dtype)
        else:
            stored = block.astype(self.dtype)
        if self.unknown is not None:
            stored[block == self.unknown] = self.stored_unknown
        return stored


def choose_coding(
    facts: LabelFacts,
    class_name: str,
    *,
    has_instances: bool,
    declared: LabelKind | None = None,
    foreground: int | None = None,
) -> tuple[LabelCoding, str]:
    """Decide what the values of a label stack mean.

    Parameters
    ----------
    facts
        The values found.
    class_name
        For messages, and for the flags that they name.
    has_instances
        Whether the challenge scores objects of this class.
    declared
        What the user says it is.
    foreground
        The one value that is foreground, where the user says so.

    Returns
    -------
    coding
        How it is stored.
    note
        What a person should know; may be empty.

    Raises
    ------
    DataError
        If there are negative values beside the unknown one.
    RequestError
        If the values can mean several things, or a declared value does not occur.
    """
    if facts.minimum is not None and facts.minimum < 0:
        raise DataError(
            f"{facts.what} ({class_name}) has negative values down to {facts.minimum}",
            f"declare the value that means unknown: --unknown {class_name}={facts.minimum}",
        )
    is_many = facts.has_many or len(facts.values) > 2
    if foreground is not None:
        return _one_value(facts, class_name, foreground)
    if declared == "instance" or (declared is None and is_many and has_instances):
        return _instances(facts, class_name)
    if declared == "binary":
        return LabelCoding("binary", "uint8", None, facts.unknown, facts.is_empty), ""
    if is_many:
        raise _ambiguous(facts, class_name, "objects of this class are not scored, so a mask of 0 and 1 is expected")
    return _mask(facts, class_name)


def _one_value(facts: LabelFacts, class_name: str, foreground: int) -> tuple[LabelCoding, str]:
    if not facts.has_many and foreground not in facts.values:
        raise RequestError(
            f"{facts.what} has no value {foreground}, which was declared the foreground of {class_name}",
            f"it has {facts.listed()}",
        )
    coding = LabelCoding("binary", "uint8", foreground, facts.unknown)
    return coding, f"{class_name}: value {foreground} became 1, the rest 0"


def _mask(facts: LabelFacts, class_name: str) -> tuple[LabelCoding, str]:
    if len(facts.values) == 2 and 0 not in facts.values:
        raise _ambiguous(facts, class_name, "neither value is 0, so either could be the background")
    coding = LabelCoding("binary", "uint8", None, facts.unknown, facts.is_empty)
    if facts.is_empty:
        return coding, f"{class_name}: no foreground, stored as annotated and absent"
    value = max(facts.values)
    return coding, "" if value == 1 else f"{class_name}: value {value} became 1"


def _instances(facts: LabelFacts, class_name: str) -> tuple[LabelCoding, str]:
    # One value above the ids stays free for unknown voxels.
    dtype = np.min_scalar_type(facts.maximum + (facts.unknown is not None))
    note = ""
    if facts.maximum <= 255 and len(facts.values) > PROBABILITY_LIKE:
        found = f"{len(facts.values)} values up to {facts.maximum}"
        note = f"{class_name}: {found} look like a probability map; they are kept as object ids"
    return LabelCoding("instance", dtype.name, None, facts.unknown, facts.is_empty), note


def _ambiguous(facts: LabelFacts, class_name: str, why: str) -> RequestError:
    return RequestError(
        f"{facts.what} ({class_name}) has {facts.listed()}: {why}",
        f"say which: --foreground {class_name}=VALUE, --as {class_name}=binary (all but 0), "
        f"--as {class_name}=instance (keep the ids), or --unknown {class_name}=VALUE",
    )


def _different(piece: Voxels, low: int, high: int) -> list[int]:
    """Return different values of a piece, up to one more than `MANY`."""
    if high - low >= 65536:
        found = np.unique(piece)[: MANY + 1]
    elif piece.dtype == np.uint64:
        found = np.flatnonzero(np.bincount((piece - np.uint64(low)).astype(np.intp)))[: MANY + 1]
        return [int(v) + low for v in found]
    else:
        found = np.flatnonzero(np.bincount(piece.astype(np.int64) - low))[: MANY + 1] + low
    return [int(v) for v in found]
