"""TIFF: one file with a slice a page, or a folder with a slice a file.

Uncompressed slices are read by seeking, so a part of a large slice costs that part; compressed
ones are decoded whole. ImageJ files beyond 4 GB, which have one page for all slices, are read the
same way.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from cellmap_tui.errors import DataError, MissingDataError
from cellmap_tui.text import count
from cellmap_tui.volumes.stack_source import Source, file_identity, length_nm, native, three_lengths

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.challenge.grid import Shape3, Vec3

SUFFIXES = (".tif", ".tiff")
_DECODERS = 4  # threads; each reserves address space, which a batch system may limit
_RESAVE = "save it again as a TIFF with one greyscale slice a page"


class TiffSource(Source):
    """The slices of one TIFF file."""

    axes = "zyx"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tiff = _open(path)
        try:
            series = _only_series(self._tiff, path)
            self._pages = series.pages
            self.shape = _slices_shape(series, path)
            self.dtype = native(np.dtype(series.dtype), str(path))
            self._stored = self.dtype.newbyteorder(self._tiff.byteorder)
            self._first_offset = _first_offset(series)
            if self._first_offset is None:
                _check_pages(self._pages, self.shape, path)
            _check_decodable(self._pages[0], self._first_offset, path)
            self.voxel_size_nm = _voxel_size_nm(self._tiff)
            self.notes = _notes(self._pages[0], path)
        except BaseException:
            self._tiff.close()
            raise

    def read(self, start: Shape3, stop: Shape3) -> np.ndarray:
        """Return a box of slices, rows and columns."""
        out = np.empty([b - a for a, b in zip(start, stop, strict=True)], dtype=self.dtype)
        for index in range(start[0], stop[0]):
            rows = self._read_rows(index, start[1], stop[1])
            out[index - start[0]] = rows[:, start[2] : stop[2]]
        return out

    def close(self) -> None:
        """Close the file."""
        self._tiff.close()

    def identity(self) -> dict[str, object]:
        """Return path, size and modification time."""
        return file_identity(self._path)

    def _read_rows(self, index: int, first: int, end: int) -> np.ndarray:
        row_bytes = self.shape[2] * self.dtype.itemsize
        if self._first_offset is not None:
            offset = self._first_offset + index * self.shape[1] * row_bytes
            return self._read_at(self._tiff.filehandle, offset + first * row_bytes, end - first)
        page = self._pages[index]
        page_offset = _page_offset(page)
        if page_offset is not None:
            return self._read_at(self._tiff.filehandle, page_offset + first * row_bytes, end - first)
        return _decode(page, self._path, index)[first:end].astype(self.dtype, copy=False)

    def _read_at(self, file: BinaryIO, offset: int, rows: int) -> np.ndarray:
        file.seek(offset)
        needed = rows * self.shape[2] * self.dtype.itemsize
        data = file.read(needed)
        if len(data) < needed:
            raise DataError(f"{self._path} ends in the middle of a slice", "copy it again")
        return np.frombuffer(data, dtype=self._stored).reshape(rows, self.shape[2])


class TiffFolderSource(Source):
    """The files of a folder in the natural order of their names, a slice each."""

    axes = "zyx"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = sorted((f for f in path.iterdir() if f.suffix.lower() in SUFFIXES), key=natural_key)
        if not self._files:
            raise MissingDataError(
                f"folder {path} has no .tif files", "name a TIFF file, a TIFF folder or a zarr array"
            )
        first = _open_slice(self._files[0])
        self.shape = (len(self._files), first.shape[1], first.shape[2])
        self.dtype = first.dtype
        self.voxel_size_nm = first.voxel_size_nm
        self.notes = first.notes
        first.close()
        self._identity = self._check_all()

    def read(self, start: Shape3, stop: Shape3) -> np.ndarray:
        """Return a box of slices, rows and columns."""
        out = np.empty([b - a for a, b in zip(start, stop, strict=True)], dtype=self.dtype)
        for index in range(start[0], stop[0]):
            source = _open_slice(self._files[index])
            out[index - start[0]] = source.read((0, *start[1:]), (1, *stop[1:]))[0]
            source.close()
        return out

    def close(self) -> None:
        """Nothing is held open."""

    def identity(self) -> dict[str, object]:
        """Return path, number and total size of the files, and the newest modification time."""
        return self._identity

    def _check_all(self) -> dict[str, object]:
        size, modified = 0, 0
        for file in self._files:
            source = _open_slice(file)
            source.close()
            if source.shape[1:] != self.shape[1:] or source.dtype != self.dtype:
                raise DataError(
                    f"{file} is {_described(source.shape, source.dtype)}, "
                    f"{self._files[0].name} is {_described(self.shape, self.dtype)}",
                    "every slice must have one size and type",
                )
            stat = file.stat()
            size, modified = size + stat.st_size, max(modified, stat.st_mtime_ns)
        path = str(self._path.absolute())
        return {"path": path, "files": len(self._files), "size_bytes": size, "modified_ns": modified}


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Return a sort key in which ``slice_2`` comes before ``slice_10``."""
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part.lower()) for part in parts if part]


def _open_slice(path: Path) -> TiffSource:
    source = TiffSource(path)
    if source.shape[0] != 1:
        source.close()
        raise DataError(
            f"{path} has {count(source.shape[0])} slices, but a folder is read as one slice a file",
            "name that file itself, or leave only single slices in the folder",
        )
    return source


def _described(shape: Shape3, dtype: np.dtype[np.generic]) -> str:
    return f"{shape[1]}×{shape[2]} {dtype}"


def _open(path: Path) -> Any:
    import logging

    import tifffile

    # What it logs about a broken file would stand beside the error that says it in words.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        return tifffile.TiffFile(path)
    except (tifffile.TiffFileError, ValueError, IndexError) as error:
        raise DataError(f"{path} is not a readable TIFF file: {error}") from None


def _only_series(tiff: Any, path: Path) -> Any:
    try:
        series = [found for found in tiff.series if not found.pages[0].is_reduced]
    except Exception as error:  # noqa: BLE001 - foreign metadata can fail in any way inside tifffile
        raise DataError(f"{path}: its slices cannot be listed: {error}", _RESAVE) from None
    if not series:
        raise DataError(f"{path} has no slices")
    if len(series) > 1:
        groups = ", ".join(f"{len(s.pages)} of {'×'.join(str(n) for n in s.pages[0].shape)}" for s in series[:4])
        raise DataError(f"{path} mixes pages of several sizes: {groups}", "every slice must have one size and type")
    if any(page is None for page in series[0].pages):
        raise DataError(f"{path} lacks slices that its metadata promise", "copy it again with all of its parts")
    return series[0]


def _slices_shape(series: Any, path: Path) -> Shape3:
    axes, shape = series.get_axes(squeeze=True), series.get_shape(squeeze=True)
    if "S" in axes:
        raise DataError(f"{path} is a colour image", "save it as greyscale")
    lead = [(axis, n) for axis, n in zip(axes, shape, strict=True) if axis not in "YX"]
    y, x = series.keyframe.shape[-2:]
    if not lead:
        return (1, y, x)
    if len(lead) > 1:
        named = ", ".join(f"{n} along {axis}" for axis, n in lead)
        raise DataError(f"{path} has several channels or time points: {named}", "save one of them as its own stack")
    if lead[0] == ("C", lead[0][1]) and lead[0][1] <= 4:
        raise DataError(f"{path} has {lead[0][1]} channels and no slices", "save one channel as its own stack")
    return (int(lead[0][1]), y, x)


def _first_offset(series: Any) -> int | None:
    """Return where the slices begin when they lie behind one another without gaps or compression."""
    page = series.pages[0]
    if series.dataoffset is None or page.bitspersample not in (8, 16, 32, 64):
        return None
    return int(series.dataoffset)


def _page_offset(page: Any) -> int | None:
    if not page.is_contiguous or page.keyframe.bitspersample not in (8, 16, 32, 64) or page.keyframe.fillorder != 1:
        return None
    return int(page.dataoffsets[0])


def _check_pages(pages: Any, shape: Shape3, path: Path) -> None:
    """Look at each page: tifffile takes the middle of a file to be like its ends."""
    if len(pages) != shape[0]:
        raise DataError(f"{path} has {len(pages)} pages for {shape[0]} slices", _RESAVE)
    first = pages[0]
    for index, page in enumerate(pages):
        if page.keyframe.shape != first.shape or page.keyframe.dtype != first.dtype:
            raise DataError(
                f"{path}: slice {index} is {page.keyframe.shape} {page.keyframe.dtype}, "
                f"slice 0 is {first.shape} {first.dtype}",
                "every slice must have one size and type",
            )


def _check_decodable(page: Any, first_offset: int | None, path: Path) -> None:
    if first_offset is None and _page_offset(page) is None:
        _decode(page, path, 0)


def _decode(page: Any, path: Path, index: int) -> np.ndarray:
    try:
        return np.asarray(page.asarray(maxworkers=_DECODERS))
    except Exception as error:  # noqa: BLE001 - each codec has errors of its own
        if "imagecodecs" in str(error):
            name = getattr(page.keyframe.compression, "name", str(page.keyframe.compression))
            raise DataError(f"{path} is compressed with {name}", "pip install 'cellmap-tui[tiff]'") from None
        raise DataError(f"{path}: slice {index} cannot be decoded: {error}", "copy it again") from None


def _notes(page: Any, path: Path) -> tuple[str, ...]:
    if getattr(page.keyframe.photometric, "name", "") == "MINISWHITE":
        return (f"{path.name} declares 0 to be white; values are taken as they are stored",)
    return ()


def _voxel_size_nm(tiff: Any) -> Vec3 | None:
    ome = tiff.ome_metadata
    if ome:
        return three_lengths([_ome_length_nm(ome, axis) for axis in "ZYX"])
    imagej = tiff.imagej_metadata
    if imagej:
        unit = imagej.get("unit")
        tags = tiff.pages[0].tags
        sizes = [_pixel_size(tags.get(name)) for name in ("YResolution", "XResolution")]
        return three_lengths([length_nm(size, unit) for size in (imagej.get("spacing"), *sizes)])
    return None


def _ome_length_nm(ome: str, axis: str) -> float | None:
    size = re.search(rf'PhysicalSize{axis}="([^"]+)"', ome)
    unit = re.search(rf'PhysicalSize{axis}Unit="([^"]+)"', ome)
    return length_nm(size[1], unit[1] if unit else "µm") if size else None


def _pixel_size(tag: Any) -> float | None:
    """Return the inverse of a resolution tag, which counts pixels per unit."""
    if tag is None or not tag.value[0]:
        return None
    return float(tag.value[1]) / float(tag.value[0])
