"""Patches as a picture: a row for each, the grey values a network gets, then a panel for each target.

In a target's panel its voxels are tinted, voxels known to be something else are plain, and voxels about
which nobody said anything are hatched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cellmap_tui.challenge.classes import builtin_classes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cellmap_tui.challenge.targets import Targets
    from cellmap_tui.learning.batch import PatchBatch

    RGB = NDArray[np.uint8]

PANEL_PX = 160
"""Least edge of a panel; smaller patches are enlarged by whole factors."""
_GAP = 4
_HEADING = 14
_GROUND = 32
_INK = (220, 220, 220)


def draw_patches(batch: PatchBatch, targets: Targets) -> RGB:
    """Return the picture of a batch: the plane of each patch with most of what it was drawn for.

    Parameters
    ----------
    batch
        Patches on the host.
    targets
        Give the colours.

    Returns
    -------
    NDArray[np.uint8]
        RGB ``[h, w, 3]``.
    """
    import numpy as np

    raw = (batch.raw[:, 0].numpy() * 255).round().astype(np.uint8)
    valid = batch.raw_valid()[:, 0].numpy()
    states = batch.states.numpy()
    if raw.ndim == 3:
        raw, valid, states = raw[:, None], valid[:, None], states[:, :, None]
    like = raw.shape[1:] == states.shape[2:]
    rows = []
    for number, note in enumerate(batch.notes):
        plane = _plane(states[number], batch.columns.index(note.drawn_for))
        em_plane = plane if like else raw.shape[1] // 2
        panels = _panels(raw[number, em_plane], valid[number, em_plane], states[number, :, plane], batch, targets)
        names = [f"{note.crop} {note.draw}", *batch.columns]
        rows.append(_row(panels, names))
    width = max(row.shape[1] for row in rows)
    return np.concatenate([_padded(row, row.shape[0], width) for row in rows])


def _plane(states: NDArray[Any], column: int) -> int:
    """Return the plane across z with most of a column; the middle one where it does not occur."""
    present = (states[column] == 1).sum(axis=(1, 2))
    return int(present.argmax()) if present.any() else states.shape[1] // 2


def _panels(
    raw: NDArray[Any], valid: NDArray[Any], states: NDArray[Any], batch: PatchBatch, targets: Targets
) -> list[RGB]:
    import numpy as np

    from cellmap_tui.volumes.slices import Layer, render_slice

    factor = max(1, -(-PANEL_PX // max(raw.shape)))

    def large(plane: NDArray[Any]) -> NDArray[Any]:
        return np.kron(plane, np.ones((factor, factor), plane.dtype)) if factor > 1 else plane

    panels = [render_slice(large(raw), em_valid=large(valid))]
    fits = raw.shape == states.shape[1:]
    for column, name in enumerate(batch.columns):
        plane = states[column]
        ground = raw if fits else np.full(plane.shape, 96, np.uint8)
        layer = Layer(large((plane == 1).astype(np.uint8)), column_colour(name, targets))
        panels.append(render_slice(large(ground), [layer], unknown=large(plane == 255)))
    return panels


def column_colour(column: str, targets: Targets) -> tuple[int, int, int]:
    """Return the colour of a channel: that of its target's class."""
    from cellmap_tui.volumes.colours import class_colour

    target = targets.get(column.removesuffix("/core"))
    info = builtin_classes().named(target.name) or builtin_classes().named(target.classes[0])
    return class_colour(target.name, info.id if info is not None else target.id)


def _row(panels: list[RGB], names: list[str]) -> RGB:
    import numpy as np

    headed = [_headed(panel, name) for panel, name in zip(panels, names, strict=True)]
    height = max(panel.shape[0] for panel in headed)
    return np.concatenate([_padded(panel, height, panel.shape[1]) for panel in headed], axis=1)


def _headed(panel: RGB, name: str) -> RGB:
    """Return a panel with its name above it and a gap to the right and below."""
    import numpy as np
    from PIL import Image, ImageDraw

    height, width, _ = panel.shape
    image = Image.new("RGB", (width + _GAP, height + _HEADING + _GAP), (_GROUND,) * 3)
    image.paste(Image.fromarray(panel), (0, _HEADING))
    ImageDraw.Draw(image).text((1, 1), _cut(name, width // 6), fill=_INK)
    return np.asarray(image)


def _cut(name: str, letters: int) -> str:
    return name.encode("ascii", "replace").decode() if len(name) <= letters else f"{name[: letters - 2]}.."


def _padded(picture: RGB, height: int, width: int) -> RGB:
    import numpy as np

    missing = ((0, height - picture.shape[0]), (0, width - picture.shape[1]), (0, 0))
    return np.pad(picture, missing, constant_values=_GROUND)
