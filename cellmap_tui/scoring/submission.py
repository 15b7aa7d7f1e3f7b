"""What somebody hands in: a zip or folder of crops, each a folder of one array per class.

Read where it lies: a zip is never unpacked. What the official scorer forgives is forgiven (an outer
folder, missing ``.zgroup`` files, crop folders without ``crop``), what it does not see is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cellmap_tui.errors import DataError
from cellmap_tui.scoring.stored import is_array
from cellmap_tui.scoring.stores import ZipStore, join, open_store
from cellmap_tui.text import cut_middle, printable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from cellmap_tui.scoring.stores import Store

VolumeForm = Literal["array", "group", "multiscale", "v3", "unknown"]
"""How a volume is stored; the official scorer sees arrays alone."""

MAX_DEPTH = 6
"""How deep an outer folder is looked for."""


@dataclass(frozen=True, slots=True)
class VolumeRef:
    """Where a volume is; enough to open it in another process."""

    store: str
    """Path of the folder or zip."""
    key: str
    """Folder of the volume in it."""
    is_guarded: bool = False
    """Whether links out of the folder are refused."""


@dataclass(frozen=True, slots=True)
class PredictionVolume:
    """One class of one crop in a submission."""

    crop: str
    """Name of the crop, with ``crop``."""
    label: str
    """Name of the class."""
    ref: VolumeRef
    """Where it is."""
    form: VolumeForm
    """How it is stored."""

    @property
    def is_seen(self) -> bool:
        """Whether the official scorer sees it in a whole submission."""
        return self.form == "array"


@dataclass(frozen=True, slots=True)
class Submission:
    """A zip or folder of crops."""

    path: Path
    """What was given."""
    store: Store
    """Its files."""
    crops: Mapping[str, str]
    """Folder of each crop by its name there, with or without ``crop``."""
    is_guarded: bool
    """Whether it comes from somebody else."""
    warnings: tuple[str, ...] = ()
    """What the user should know about its layout."""

    def found_crops(self, wanted: Collection[str]) -> dict[str, str]:
        """Return the folder of each wanted crop that is there.

        As officially, names without ``crop`` count only where no name with it is wanted.

        Raises
        ------
        DataError
            If there is none of them.
        """
        found = {name: key for name, key in self.crops.items() if name in wanted}
        if not found:
            found = {f"crop{name}": key for name, key in self.crops.items() if f"crop{name}" in wanted}
        if found:
            return found
        there = ", ".join(sorted(self.crops)[:5]) or "no folder"
        raise DataError(
            printable(f"{self.path} holds none of the {len(wanted)} crops; it has {cut_middle(there, 60)}"),
            "put the crop folders, such as crop557, at the top of the zip or of the one .zarr folder in it",
        )

    def volumes(self, wanted: Collection[str] | None = None) -> dict[tuple[str, str], PredictionVolume]:
        """Return every volume by crop and class.

        Parameters
        ----------
        wanted
            Names of crops, with ``crop``; None: all that are there.
        """
        crops = dict(self.crops) if wanted is None else self.found_crops(wanted)
        found = {}
        for crop, key in crops.items():
            name = crop if crop.startswith("crop") or not crop.isdecimal() else f"crop{crop}"
            for label in self.store.folders(key):
                ref = VolumeRef(str(self.store.path), join(key, label), self.is_guarded)
                form = volume_form(self.store, ref.key)
                found[name, label] = PredictionVolume(name, label, ref, form)
        return found


def open_submission(path: Path, *, is_guarded: bool = True) -> Submission:
    """Open a zip, a folder of crops, or a folder with one zip in it.

    Parameters
    ----------
    path
        Zip or folder.
    is_guarded
        Whether links that lead out of it are refused; False for data of one's own.

    Raises
    ------
    MissingDataError
        If there is nothing at `path`.
    DataError
        If it is neither a folder nor a zip, holds what an archive must not, or several ``.zarr`` folders.
    """
    warnings = []
    store = open_store(path, is_guarded=is_guarded)
    inner = None if isinstance(store, ZipStore) else _only_zip(path, store)
    if inner is not None:
        warnings.append(f"{path} holds {inner.name}, which is scored")
        store = open_store(inner)
    if isinstance(store, ZipStore) and store.path.with_suffix(".zarr").is_dir():
        old = store.path.with_suffix(".zarr")
        warnings.append(f"the official scorer would score the folder {old} in place of {store.path.name}")
    roots = _roots(store)
    if len(roots) > 1:
        warnings.append(f"the crops lie in {roots[-1]}, not at the top")
    crops = {name: join(root, name) for root in roots for name in store.folders(root)}
    named = {name: key for name, key in crops.items() if key not in roots}
    return Submission(path, store, named, is_guarded, tuple(printable(text) for text in warnings))


def volume_form(store: Store, key: str) -> VolumeForm:
    """Return how the volume in a folder is stored."""
    if is_array(store, key):
        return "array"
    attributes = store.read(join(key, ".zattrs"))
    if attributes is not None and b'"multiscales"' in attributes:
        return "multiscale"
    if store.has(join(key, ".zgroup")) or any(is_array(store, join(key, name)) for name in store.folders(key)):
        return "group"
    return "v3" if store.has(join(key, "zarr.json")) else "unknown"


def _only_zip(path: Path, store: Store) -> Path | None:
    """Return the zip in a folder that has no folders; None where there are folders."""
    if store.folders():
        return None
    zips = [name for name in store.files() if name.lower().endswith(".zip")]
    if len(zips) > 1:
        raise DataError(printable(f"{path} holds {len(zips)} zips: {', '.join(zips[:3])}"), "give one of them")
    return path / zips[0] if zips else None


def _roots(store: Store) -> list[str]:
    """Return the folders in which crops lie: the top, and the one ``.zarr`` folder below it."""
    found = _zarr_folders(store, "", MAX_DEPTH)
    if len(found) > 1:
        names = ", ".join(found[:3])
        raise DataError(printable(f"{store.path} holds several .zarr folders: {names}"), "hand in one of them")
    return ["", *found]


def _zarr_folders(store: Store, key: str, depth: int) -> list[str]:
    if depth == 0 or is_array(store, key):
        return []
    found = []
    for name in store.folders(key):
        inner = join(key, name)
        found += [inner] if name.endswith(".zarr") else _zarr_folders(store, inner, depth - 1)
    return found
