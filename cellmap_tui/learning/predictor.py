"""From a network to the probabilities of a volume, tile by tile, in bounded memory.

Tiles go through the network in batches, ordered along z; what no later tile can change is handed out and
forgotten, so no more than a slab of probabilities exists at a time. Validation and prediction share
this, so that what is measured in training is what is predicted.
"""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations, islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cellmap_tui.errors import DataError, RefusedError, RequestError
from cellmap_tui.learning.augment_values import GreyAugmentation
from cellmap_tui.learning.config_arrays import ValueTransform
from cellmap_tui.learning.decode import to_unit
from cellmap_tui.learning.em_reader import EmReader, array_reader, normal_of
from cellmap_tui.learning.tiling import OVERLAP, Blending, TilePlan, plan_tiles
from cellmap_tui.text import printable
from cellmap_tui.volumes.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.learning.model_card import ModelCard

_AXES = "zyx"
_ROWS = 8
"""Rows along z that are handed out together, at least."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile of one slicing direction."""

    view: int
    """Number of the direction."""
    numbers: Shape3
    """Its numbers along each axis of the plan."""
    box: Box
    """Its voxels on the output grid; may reach beyond it."""


class Predictor:
    """A network that predicts volumes.

    Parameters
    ----------
    model
        Answers logits ``[n, columns, (z,) y, x]`` in evaluation; on `device` already.
    card
        What it takes.
    device
        Where the network is.
    batch_size
        Tiles that go through it together; halved for good where the device's memory does not suffice.
    overlap
        Share of a tile that it has in common with the next one.
    flips
        Sets of the network's own axes (0 is the first) that a tile is mirrored along; the probabilities of
        all sets are averaged. See `all_flips`.
    axes
        Axes that slices are cut across by a 2D network, of ``zyx``; their probabilities are averaged. None: as
        in training, all three where voxels are cubes, else the patch's own.
    grey
        How grey values are changed before the network; None: as the card says.
    precision
        ``fp32``, ``bf16`` or ``fp16``, or the context of training; probabilities are summed in float32 in any case.
    blending
        How tiles that overlap are joined.
    margin
        How far tiles reach beyond the volume, where there is EM.
    patch
        Voxels of a tile; None: those of training.

    Raises
    ------
    RequestError
        If an axis or a flip does not fit the network, or a change of grey values is only known to a Python file.
    """

    def __init__(
        self,
        model: nn.Module,
        card: ModelCard,
        device: torch.device | str = "cpu",
        batch_size: int = 4,
        *,
        overlap: float = OVERLAP,
        flips: Sequence[Sequence[int]] = ((),),
        axes: str | None = None,
        grey: GreyAugmentation | None = None,
        precision: str | torch.autocast = "fp32",
        blending: Blending = "gaussian",
        margin: Shape3 = (0, 0, 0),
        patch: Shape3 | None = None,
    ) -> None:
        self.card = card
        self.device = torch.device(device)
        self.batch_size = max(1, batch_size)
        self._model = model
        self._overlap, self._blending, self._margin = overlap, blending, margin
        self._flips = _checked_flips(flips, card.dimensions)
        self._axes = slicing_axes(card, axes)
        self._grey = grey_of(card) if grey is None else grey
        # A copy, so that it may be entered where the caller is inside its own.
        self._autocast = autocast_of(precision, self.device) if isinstance(precision, str) else copy.copy(precision)
        self._patch = patch or card.shape

    # -- plans --------------------------------------------------------------------------------

    def plans(self, shape: Shape3, *, overlap: float | None = None) -> tuple[TilePlan, ...]:
        """Return the tiles of a volume, for each slicing direction; with another overlap where one is given."""
        share = self._overlap if overlap is None else overlap
        return tuple(
            plan_tiles(shape, self._laid(axis), share, blending=self._blending, margin=self._margin)
            for axis in self._axes
        )

    def tiles(self, shape: Shape3, box: Box | None = None) -> int:
        """Return how many tiles a volume, or a box of it, takes."""
        return sum(plan.count(box) for plan in self.plans(shape))

    def buffer_bytes(self, shape: Shape3, box: Box | None = None) -> int:
        """Return how much memory of the device the probabilities of a volume take while it is predicted."""
        z, y, x = (box or Box((0, 0, 0), shape)).shape
        return len(self.card.columns) * 4 * min(z, self._window()) * y * x

    # -- predicting ---------------------------------------------------------------------------

    def predict_array(self, em: NDArray[np.uint8], context: Shape3 = (0, 0, 0)) -> NDArray[np.float32]:
        """Return the probabilities of a volume in memory.

        Parameters
        ----------
        em
            Grey values uint8 ``[z, y, x]`` of the network's voxel size: the volume with its context.
        context
            Voxels of `em` beyond the volume on both sides of each axis.

        Returns
        -------
        NDArray
            float32 ``[columns, z, y, x]`` of the volume.
        """
        return self.predict(array_reader(em, self.card, context))

    def predict(self, reader: EmReader) -> NDArray[np.float32]:
        """Return the probabilities of a whole volume, float32 ``[columns, z, y, x]``."""
        out = np.zeros((len(self.card.columns), *reader.shape), np.float32)
        for box, probabilities in self.stream(reader):
            out[(slice(None), *box.slices)] = probabilities.cpu().numpy()
        return out

    def stream(
        self,
        reader: EmReader,
        box: Box | None = None,
        *,
        told: Callable[[int], None] | None = None,
        first_row: int | None = None,
    ) -> Iterator[tuple[Box, Tensor]]:
        """Yield the probabilities of a volume slab by slab; each voxel once.

        Parameters
        ----------
        reader
            Where grey values come from.
        box
            Part of the volume that is wanted; its probabilities are those of the whole. None: all of it.
        told
            Called with the number of tiles after each batch; may raise to give up.
        first_row
            Row of the output grid before which nothing is wanted any more. Tiles go through the network in the
            same batches as without it, so what follows is the same bit by bit.

        Yields
        ------
        Box, Tensor
            The voxels, and their probabilities float32 ``[columns, z, y, x]`` on the device, 0 to 1. The tensor is
            the caller's.
        """
        wanted = Box((0, 0, 0), reader.shape) if box is None else box
        plans = self.plans(reader.shape)
        row = wanted.start[0] if first_row is None else min(max(first_row, wanted.start[0]), wanted.stop[0])
        rest = Box((row, *wanted.start[1:]), wanted.stop)
        slabs = _Slabs(rest, len(self.card.columns), self._window(), self._step(), self.device)
        weights = [[torch.from_numpy(part).to(self.device) for part in plan.weights] for plan in plans]
        was_training = self._model.training
        self._model.eval()
        try:
            for tiles, batch in self._read_ahead(reader, _ordered(plans, wanted), row):
                found = self._probabilities([part for part in batch if part is not None])
                for tile, part in zip(tiles, batch, strict=True):
                    yield from slabs.finished(tile.box.start[0])
                    if part is not None:
                        self._add(slabs, tile, next(found), weights[tile.view])
                if told is not None:
                    told(len(tiles))
            yield from slabs.finished(wanted.stop[0], last=True)
        finally:
            self._model.train(was_training)

    def predict_tiles(self, tiles: Sequence[tuple[EmReader, Tile]]) -> Iterator[Tensor | None]:
        """Yield the probabilities of single tiles, of any volumes, without those of their neighbours.

        Each is float32 ``[columns, z, y, x]`` over the whole tile, on the device; None where the reader has nothing.
        """
        was_training = self._model.training
        self._model.eval()
        try:
            inputs = [self._tile_input(reader, tile) for reader, tile in tiles]
            found = self._probabilities([part for part in inputs if part is not None])
            for (_, tile), part in zip(tiles, inputs, strict=True):
                yield None if part is None else self._in_world(tile, next(found))
        finally:
            self._model.train(was_training)

    def _read_ahead(
        self, reader: EmReader, tiles: Iterator[Tile], row: int
    ) -> Iterator[tuple[list[Tile], list[NDArray[np.uint8] | None]]]:
        """Yield batches, the next one being read meanwhile; those that end before a row are passed over."""

        def read(group: list[Tile]) -> list[NDArray[np.uint8] | None]:
            return [self._tile_input(reader, tile) for tile in group]

        with ThreadPoolExecutor(1, "cellmap-tiles") as pool:
            group = list(islice(tiles, self.batch_size))
            while group and all(tile.box.stop[0] <= row for tile in group):
                group = list(islice(tiles, self.batch_size))
            coming = pool.submit(read, group)
            while group:
                batch = coming.result()
                following = list(islice(tiles, self.batch_size))
                coming = pool.submit(read, following)
                yield group, batch
                group = following

    def _tile_input(self, reader: EmReader, tile: Tile) -> NDArray[np.uint8] | None:
        axis = self._axes[tile.view]
        em = np.zeros((self.card.in_channels, *tile.box.shape), np.uint8)
        if not reader.read(tile.box, axis, em):
            return None
        return em if axis is None else em.squeeze(axis + 1)

    def _probabilities(self, em: list[NDArray[np.uint8]]) -> Iterator[Tensor]:
        """Yield the probabilities of tiles ``[inputs, (z,) y, x]``, each ``[columns, (z,) y, x]``."""
        start = 0
        while start < len(em):
            part = np.stack(em[start : start + self.batch_size])
            try:
                yield from self._through(part)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self._use_less(part, error)
                continue
            start += len(part)

    def _use_less(self, part: NDArray[np.uint8], error: RuntimeError) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if len(part) == 1:
            raise RefusedError(
                f"the memory of {self.device} does not hold one tile of {'×'.join(map(str, part.shape[2:]))} voxels",
                "choose a smaller tile, or another device",
            ) from error
        self.batch_size = len(part) // 2

    @torch.no_grad()
    def _through(self, em: NDArray[np.uint8]) -> Tensor:
        raw = to_unit(torch.from_numpy(em).to(self.device))
        values = self._changed(raw)
        total: Tensor | None = None
        for flip in self._flips:
            dims = [axis + 2 for axis in flip]
            found = self._answer(values.flip(dims) if dims else values)
            found = found.flip(dims) if dims else found
            total = found if total is None else total.add_(found)
        if total is None:
            raise RequestError("no set of flips", "leave flips out for none")
        return total if len(self._flips) == 1 else total.div_(len(self._flips))

    def _changed(self, raw: Tensor) -> Tensor:
        """Return grey values changed as the network wants them, channel by channel."""
        if not self._grey:
            return raw
        flat = raw.flatten(0, 1)[:, None]
        flat = flat if self.card.dimensions == 3 else flat[:, :, None]
        changed = self._grey.apply(flat, 0, np.arange(len(flat)))
        return changed.view_as(raw)

    def _answer(self, values: Tensor) -> Tensor:
        with self._autocast:
            logits = self._model(values)
        expected = (len(values), len(self.card.columns), *values.shape[2:])
        if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != expected:
            got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else printable(type(logits).__name__)
            raise DataError(
                f"the network answers {got} for a tile, not {expected}",
                "it must answer a value for each column at each voxel it is given",
            )
        return torch.sigmoid(logits.to(torch.float32))

    def _add(self, slabs: _Slabs, tile: Tile, values: Tensor, weights: list[Tensor]) -> None:
        z, y, x = (part[number] for part, number in zip(weights, tile.numbers, strict=True))
        slabs.add(tile.box, self._in_world(tile, values), z / len(self._axes), y, x)

    def _in_world(self, tile: Tile, values: Tensor) -> Tensor:
        """Return a tile's values with the axis back that it was sliced across."""
        axis = self._axes[tile.view]
        return values if axis is None else values.unsqueeze(axis + 1)

    def _laid(self, axis: int | None) -> Shape3:
        """Return the voxels of a tile along the axes of the world."""
        if axis is None:
            return self._patch
        normal = normal_of(self.card)
        edges = [edge for place, edge in enumerate(self._patch) if place != normal]
        edges.insert(axis, 1)
        return (edges[0], edges[1], edges[2])

    def _window(self) -> int:
        """Return how many rows along z are open at a time."""
        thickest = max(self._laid(axis)[0] for axis in self._axes)
        return thickest + self._step()

    def _step(self) -> int:
        """Return how many rows are handed out together, at least."""
        return max(_ROWS, max(self._laid(axis)[0] for axis in self._axes) // 4)


class _Slabs:
    """Probabilities of the rows that tiles still add to."""

    def __init__(self, box: Box, columns: int, rows: int, step: int, device: torch.device) -> None:
        self._box, self._step = box, step
        depth, height, width = box.shape
        self._rows = torch.zeros(columns, min(rows, depth), height, width, device=device)
        self._first = box.start[0]

    def add(self, place: Box, values: Tensor, z: Tensor, y: Tensor, x: Tensor) -> None:
        """Add a tile's values ``[columns, z, y, x]`` times its weights along each axis."""
        inside = place.intersected(self._box)
        taken = inside.shifted(_minus(place.start)).slices
        put = inside.shifted(_minus((self._first, *self._box.start[1:]))).slices
        weight = (z[taken[0], None, None] * y[taken[1], None]) * x[taken[2]]
        self._rows[(slice(None), *put)].addcmul_(values[(slice(None), *taken)], weight)

    def finished(self, row: int, *, last: bool = False) -> Iterator[tuple[Box, Tensor]]:
        """Yield the rows before `row`, if they are many enough, and make room."""
        done = min(row, self._box.stop[0]) - self._first
        have = self._rows.shape[1]
        needs_room = have < self._box.stop[0] - self._first
        if done <= 0 or not (last or (needs_room and done >= self._step)):
            return
        box = Box((self._first, *self._box.start[1:]), (self._first + done, *self._box.stop[1:]))
        out = self._rows[:, :done].clone()
        rest = self._rows[:, done:].clone()
        self._rows[:, : have - done] = rest
        self._rows[:, have - done :] = 0
        self._first += done
        yield box, out


def grey_of(card: ModelCard) -> GreyAugmentation:
    """Return how a card says that grey values are changed before prediction.

    Raises
    ------
    RequestError
        If a change is only known to a Python file.
    """
    steps = []
    for step in card.value_transforms:
        options = {key: value for key, value in step.items() if key != "name"}
        name = str(step.get("name", "$object"))
        if "$object" in step or name == "$object":
            raise RequestError(
                "value_transforms has a step that only its Python file knows",
                "give the predictor what the file makes of it, or do the step in the network",
            )
        steps.append(ValueTransform(name, tuple(options.items())))
    return GreyAugmentation(steps, 0)


def slicing_axes(card: ModelCard, axes: str | None = None) -> tuple[int | None, ...]:
    """Return the axes that slices are cut across; one None for a 3D network.

    Raises
    ------
    RequestError
        If the axes are none of z, y, x, or the voxels are no cubes and an axis is not the patch's own.
    """
    normal = normal_of(card)
    if normal is None:
        if axes:
            raise RequestError(f"slicing axes {axes!r} for a 3D network", "leave them out")
        return (None,)
    is_cube = max(card.voxel_size_nm) <= 1.01 * min(card.voxel_size_nm)
    if axes is None:
        return (0, 1, 2) if is_cube else (normal,)
    if not axes or set(axes) - set(_AXES) or len(set(axes)) != len(axes):
        raise RequestError(f"slicing axes {axes!r}", "any of z, y and x, each once")
    if not is_cube and axes != _AXES[normal]:
        raise RequestError(
            f"slices across {axes} with voxels that are no cubes", f"slice across {_AXES[normal]}, as in training"
        )
    return tuple(_AXES.index(axis) for axis in axes)


def all_flips(dimensions: int) -> tuple[tuple[int, ...], ...]:
    """Return all sets of axes that a tile can be mirrored along: 4 in 2D, 8 in 3D."""
    axes = range(dimensions)
    return tuple(flip for length in range(dimensions + 1) for flip in combinations(axes, length))


def autocast_of(precision: str, device: torch.device) -> torch.autocast:
    """Return the arithmetic of a precision, as a context.

    Raises
    ------
    RequestError
        If it is none of ``fp32``, ``bf16`` and ``fp16``.
    """
    kinds = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
    if precision not in kinds:
        raise RequestError(f"the precision {precision!r}", "fp32, bf16 or fp16")
    kind = kinds[precision]
    return torch.autocast(device.type, dtype=kind or torch.bfloat16, enabled=kind is not None)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of torch says that a device has no memory left."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _ordered(plans: Sequence[TilePlan], box: Box) -> Iterator[Tile]:
    """Yield the tiles of all plans by their first row."""
    from heapq import merge

    def of(view: int, plan: TilePlan) -> Iterator[Tile]:
        return (Tile(view, numbers, plan.reach(numbers)) for numbers in plan.tiles(box))

    ways: list[Any] = [of(view, plan) for view, plan in enumerate(plans)]
    return merge(*ways, key=lambda tile: tile.box.start[0])


def _checked_flips(flips: Sequence[Sequence[int]], dimensions: int) -> tuple[tuple[int, ...], ...]:
    checked = tuple(tuple(flip) for flip in flips)
    if not checked or any(axis not in range(dimensions) for flip in checked for axis in flip):
        raise RequestError(
            f"flips {checked!r} for a network of {dimensions} dimensions", "give sets of its axes, from 0 on"
        )
    return checked


def _minus(start: tuple[int, ...]) -> Shape3:
    z, y, x = start
    return (-z, -y, -x)
