"""Drawn patches in a file, as varied for training and as they are, for whoever looks at them later without torch.

A job writes them (`save_looks`); a screen reads them (`read_looks`) and draws planes (`draw_look`): grey values as a
network gets them, and beside them what is known, tinted where a class is and hatched where nobody said anything.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import DataError, MissingDataError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Shape3, Vec3
    from cellmap_tui.learning.batch import PatchBatch
    from cellmap_tui.learning.loader import PatchLoader
    from cellmap_tui.services.patches_model import PatchesRequest

FILE = "patches.npz"
"""Name in the folder of a run."""
MOST_BYTES = 128 * 2**20
"""Patches that would take more are left out, but for the first."""
VERSION = 1
_NO_EM = 96
_GROUND = 24
_GAP = 2


@dataclass(frozen=True, slots=True)
class LookNote:
    """Where a patch comes from."""

    crop: str
    """``dataset/crop234``."""
    drawn_for: str
    """The target it was drawn for."""
    draw: str
    """``foreground``, ``anywhere`` or ``empty``."""


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """The arrays of some patches."""

    raw: NDArray[np.uint8]
    """Grey values of the first input ``[n, z, y, x]``."""
    valid: NDArray[np.bool_]
    """Where they are of the EM."""
    codes: NDArray[Any]
    """Rows of the book ``[n, z, y, x]``."""


@dataclass(frozen=True, slots=True, eq=False)
class PatchLooks:
    """Patches to look at."""

    columns: tuple[str, ...]
    """Channels of the target."""
    colours: tuple[tuple[int, int, int], ...]
    """A colour for each."""
    notes: tuple[LookNote, ...]
    """Where each patch comes from."""
    voxel_size_nm: Vec3
    """Of the labels."""
    book: NDArray[np.uint8]
    """States ``[codes, columns]``: 0 absent, 1 present, 255 unknown."""
    plain: Draws
    """Patches as they are in the crops."""
    varied: Draws | None
    """The same patches as they are varied for training; None where they are not."""

    @property
    def shape(self) -> Shape3:
        """Voxels of a patch."""
        z, y, x = self.plain.codes.shape[1:]
        return (z, y, x)

    def draws(self, is_varied: bool) -> Draws:
        """Return the patches as varied, if they are, or as they are."""
        return self.varied if is_varied and self.varied is not None else self.plain

    def best_plane(self, number: int, axis: int, *, is_varied: bool) -> int:
        """Return the plane of a patch with most of the class it was drawn for, the middle one where there is none."""
        import numpy as np

        column = self.columns.index(self.notes[number].drawn_for)
        there = self.book[self.draws(is_varied).codes[number], column] == 1
        sums = np.moveaxis(there, axis, 0).sum(axis=(1, 2))
        return int(sums.argmax()) if sums.any() else len(sums) // 2


@dataclass(frozen=True, slots=True)
class LookSpec:
    """Which plane of which patch, drawn how."""

    number: int
    """Number of the patch."""
    axis: int
    """Axis that is looked along."""
    plane: int
    """Plane of the labels across it."""
    is_varied: bool
    """Whether the patch is shown as varied for training."""
    column: int | None
    """The class that is shown; None: all."""
    overlay: str
    """``tint``, ``outline`` or ``off``."""
    width: int
    """Most pixels of the whole picture."""
    height: int
    """The same, down."""


def save_looks(path: Path, request: PatchesRequest, loader: PatchLoader) -> int:
    """Write the first patches of an epoch, as they are and as varied, and return how many.

    The file is written at once: it is there whole or not at all.
    """
    import numpy as np

    from cellmap_tui.services.patches_open import open_loader
    from cellmap_tui.services.patches_picture import column_colour

    bank = loader.source.bank
    number = _number(request, loader)
    varied = _draw(loader, request.epoch, number)
    plain = (
        _draw(open_loader(replace(request, augment=False), bank), request.epoch, number)
        if request.augment
        else varied
    )
    about = {
        "version": VERSION,
        "columns": bank.columns,
        "colours": [column_colour(name, bank.targets) for name in bank.columns],
        "notes": [asdict(LookNote(note.crop, note.drawn_for, note.draw)) for note in varied.notes],
        "voxel_size_nm": request.target_info.scale_nm,
    }
    arrays = {f"plain_{name}": array for name, array in _arrays(plain).items()}
    if request.augment:
        arrays |= {f"varied_{name}": array for name, array in _arrays(varied).items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp.npz")
    try:
        arrays |= {"about": np.array(json.dumps(about)), "book": np.asarray(bank.book)}
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return number


def read_looks(path: Path) -> PatchLooks:
    """Read patches.

    Raises
    ------
    MissingDataError
        If there are none.
    DataError
        If the file is of another version or damaged.
    """
    import zipfile
    import zlib

    import numpy as np

    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            if about.get("version") != VERSION:
                raise DataError(f"{path} was written by another version", "draw the patches again")
            draws = {
                kind: Draws(*(file[f"{kind}_{name}"] for name in ("raw", "valid", "codes")))
                for kind in ("plain", "varied")
                if f"{kind}_raw" in file
            }
            return PatchLooks(
                columns=tuple(about["columns"]),
                colours=tuple((r, g, b) for r, g, b in about["colours"]),
                notes=tuple(LookNote(**note) for note in about["notes"]),
                voxel_size_nm=tuple(about["voxel_size_nm"]),
                book=file["book"],
                plain=draws["plain"],
                varied=draws.get("varied"),
            )
    except FileNotFoundError:
        raise MissingDataError(f"{path} is gone", "draw the patches again") from None
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}", "draw the patches again") from None


def draw_look(looks: PatchLooks, spec: LookSpec) -> NDArray[np.uint8]:
    """Return a plane of a patch twice: grey values, and what is known over them.

    Returns
    -------
    NDArray[np.uint8]
        RGB ``[h, w, 3]``, no larger than asked for.
    """
    import numpy as np

    from cellmap_tui.volumes.slices import Layer, render_slice

    draws = looks.draws(spec.is_varied)
    codes = np.take(draws.codes[spec.number], spec.plane, axis=spec.axis)
    is_like = draws.raw.shape == draws.codes.shape
    depth = draws.raw.shape[1 + spec.axis]
    em_plane = spec.plane if is_like else depth // 2
    raw, valid = (np.take(part[spec.number], em_plane, axis=spec.axis) for part in (draws.raw, draws.valid))
    height, width = _fitting(looks, spec)
    grey, inside = _grey(raw, height, width), _nearest(valid, height, width)
    states = looks.book[_nearest(codes, height, width)]
    shown = range(len(looks.columns)) if spec.column is None else [spec.column]
    layers = [Layer((states[..., at] == 1).astype(np.uint8), looks.colours[at]) for at in shown]
    unknown = (states[..., list(shown)] == 255).all(axis=2)
    overlay: Any = spec.overlay
    left = render_slice(grey, em_valid=inside)
    ground = grey if is_like else np.full_like(grey, _NO_EM)
    hatched = None if overlay == "off" else unknown
    right = render_slice(ground, layers, overlay=overlay, unknown=hatched, em_valid=inside if is_like else None)
    picture = np.full((height, 2 * width + _GAP, 3), _GROUND, np.uint8)
    picture[:, :width], picture[:, width + _GAP :] = left, right
    return picture


def _fitting(looks: PatchLooks, spec: LookSpec) -> tuple[int, int]:
    """Return the pixels of one panel: as large as fits, in the patch's proportions."""
    down, across = (axis for axis in range(3) if axis != spec.axis)
    high = looks.shape[down] * looks.voxel_size_nm[down]
    wide = looks.shape[across] * looks.voxel_size_nm[across]
    scale = min(spec.height / high, (spec.width - _GAP) / 2 / wide)
    return max(1, int(high * scale)), max(1, int(wide * scale))


def _nearest(plane: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    import numpy as np

    rows = (np.arange(height) * 2 + 1) * plane.shape[0] // (2 * height)
    columns = (np.arange(width) * 2 + 1) * plane.shape[1] // (2 * width)
    sampled: NDArray[Any] = plane[rows][:, columns]
    return sampled


def _grey(plane: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return grey values at another size: means where it is smaller, so that fine texture does not flicker."""
    if height >= plane.shape[0] and width >= plane.shape[1]:
        return _nearest(plane, height, width)
    import numpy as np
    from PIL import Image

    return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BOX))


def _number(request: PatchesRequest, loader: PatchLoader) -> int:
    kinds = 2 if request.augment else 1
    return max(1, min(request.show, MOST_BYTES // (kinds * max(1, loader.source.sample_bytes))))


def _draw(loader: PatchLoader, epoch: int, number: int) -> PatchBatch:
    return loader.source.augment(loader.source.read(epoch, range(number)))


def _arrays(batch: PatchBatch) -> dict[str, NDArray[Any]]:
    """Return grey values, their mask and rows of the whole book, none of them squeezed."""
    import numpy as np

    name = next(iter(batch.em))
    if name in batch.augmented:
        raw = (batch.augmented[name][:, 0].numpy() * 255).round().astype(np.uint8)
    else:
        raw = batch.em[name].numpy()
    mask = batch.em_valid[name]
    codes = batch.codes.numpy().astype(np.int64) + batch.first_code.numpy()[:, None, None, None]
    return {
        "raw": raw,
        "valid": np.ones(raw.shape, np.bool_) if mask is None else mask.numpy(),
        "codes": codes.astype(np.uint16 if codes.max(initial=0) < 2**16 else np.uint32),
    }
