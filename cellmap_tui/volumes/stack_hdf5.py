"""Datasets in HDF5 files: ``volume.h5:/path/in/file``, or the only stack in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import DataError, MissingDataError, RequestError
from cellmap_tui.text import nearest, printable
from cellmap_tui.volumes.stack_source import IndexedSource, file_identity, length_nm, three_lengths

if TYPE_CHECKING:
    from pathlib import Path

_LISTED = 8


class Hdf5Source(IndexedSource):
    """One dataset of an HDF5 file."""

    def __init__(self, path: Path, inner: str | None) -> None:
        import h5py

        self._path = path
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise DataError(f"{path} is not a readable HDF5 file: {error}") from None
        try:
            self._inner = inner or _only_stack(self._file, path)
            dataset = _dataset(self._file, self._inner, path)
            super().__init__(dataset, f"{path}:{self._inner}")
            # Fiji, ilastik and other tools keep z, y, x in micrometres here.
            declared = dataset.attrs.get("element_size_um")
        except BaseException:
            self._file.close()
            raise
        if declared is not None:
            self.voxel_size_nm = three_lengths([length_nm(value, "um") for value in list(declared)])

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def identity(self) -> dict[str, object]:
        """Return path, dataset, size and modification time."""
        return {**file_identity(self._path), "inner": self._inner}


def _dataset(file: Any, inner: str, path: Path) -> Any:
    import h5py

    found = file.get(inner)
    if isinstance(found, h5py.Dataset):
        return found
    names = _stacks(file)
    near = nearest(inner, names) or nearest(f"/{inner.lstrip('/')}", names)
    if isinstance(found, h5py.Group):
        raise RequestError(f"{path}:{inner} is a group", f"name a dataset: {_listed(path, names)}")
    raise MissingDataError(
        f"{path} has no dataset {printable(inner)}", f"did you mean {near}?" if near else _listed(path, names)
    )


def _only_stack(file: Any, path: Path) -> str:
    names = _stacks(file)
    if len(names) == 1:
        return names[0]
    if not names:
        raise DataError(f"{path} holds no dataset with three axes")
    raise RequestError(f"{path} holds {len(names)} stacks", f"name one: {_listed(path, names)}")


def _stacks(file: Any) -> list[str]:
    import h5py

    names: list[str] = []

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "buif" and len(item.shape) >= 3:
            names.append(f"/{name}")

    file.visititems(visit)
    return names


def _listed(path: Path, names: list[str]) -> str:
    shown = ", ".join(f"{path.name}:{printable(name)}" for name in names[:_LISTED])
    return f"{shown} and {len(names) - _LISTED} more" if len(names) > _LISTED else shown
