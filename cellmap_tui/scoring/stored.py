"""Arrays of foreign Zarr v2 stores, read box by box from a folder or a zip.

Its own reader and not zarr's: archives are read in place, every declaration is checked before memory is
taken, and an uncompressed chunk costs little more than the reading of its file.
"""

from __future__ import annotations

import itertools
import json
import math
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cellmap_tui.errors import DataError, MissingDataError
from cellmap_tui.scoring.codecs import Codec, read_codec
from cellmap_tui.scoring.stores import join
from cellmap_tui.text import printable
from cellmap_tui.volumes.metadata import LIMIT_BYTES, Node
from cellmap_tui.volumes.ngff import CHUNK_LIMIT_BYTES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.scoring.stores import Store
    from cellmap_tui.volumes.arrays import Voxels

CACHE_BYTES = 64 * 2**20
"""Decoded chunks kept, so that chunks cut by the blocks of another array are decoded once."""


@dataclass(slots=True)
class StoredArray:
    """One three-dimensional array of a store."""

    store: Store
    """Where its files are."""
    key: str
    """Its folder in the store."""
    shape: Shape3
    """Voxels on each axis."""
    chunks: Shape3
    """Voxels of a chunk on each axis."""
    dtype: np.dtype[Any]
    """Type of its voxels, in the byte order of this machine."""
    attributes: Node
    """Content of its ``.zattrs``."""
    _stored_dtype: np.dtype[Any]
    _codec: Codec
    _fill_value: float
    _separator: str
    _order: str
    _cache: OrderedDict[Shape3, Voxels] = field(default_factory=OrderedDict)
    _cached_bytes: int = 0

    @property
    def name(self) -> str:
        """Where it is, for people."""
        return printable(str(self.store.path / self.key))

    def read(self, start: Shape3, stop: Shape3) -> Voxels:
        """Return the voxels of a half-open box that lies inside the array.

        Raises
        ------
        DataError
            If a chunk is broken; names its file.
        """
        first = [a // c for a, c in zip(start, self.chunks, strict=True)]
        last = [-(-b // c) for b, c in zip(stop, self.chunks, strict=True)]
        if all(b - a == 1 for a, b in zip(first, last, strict=True)):
            chunk = self._chunk((first[0], first[1], first[2]), is_whole=self._is_chunk(start, stop))
            return chunk[tuple(slice(a % c, b - a + a % c) for a, b, c in zip(start, stop, self.chunks, strict=True))]
        found = np.empty([b - a for a, b in zip(start, stop, strict=True)], self.dtype)
        for z, y, x in itertools.product(*(range(a, b) for a, b in zip(first, last, strict=True))):
            self._copy((z, y, x), start, stop, found)
        return found

    def read_once(self, start: Shape3, stop: Shape3, scratch: NDArray[np.uint8] | None = None) -> Voxels:
        """Return what `read` does for a box of which nobody will ask for the rest: nothing is kept.

        Where the box lies in one chunk whose codec packs it in blocks, only the blocks that hold it are unpacked,
        into `scratch` if that is large enough: then the voxels are good until it is used again.
        """
        index = [a // c for a, c in zip(start, self.chunks, strict=True)]
        within = [slice(a - i * c, b - i * c) for a, b, i, c in zip(start, stop, index, self.chunks, strict=True)]
        is_one = all(part.stop <= c for part, c in zip(within, self.chunks, strict=True))
        if not is_one or self._order != "C" or not self._codec.has_blocks:
            return self.read(start, stop)
        planes = self._decoded((index[0], index[1], index[2]), within[0], scratch)
        return planes[:, within[1], within[2]]

    def planes_a_block(self) -> int:
        """Return how many planes across z `read_once` unpacks together; 0 where it unpacks whole chunks."""
        if self._order != "C" or not self._codec.has_blocks:
            return 0
        plane_bytes = math.prod(self.chunks[1:]) * self._stored_dtype.itemsize
        return max(1, self._codec.block_bytes(self.chunks, self._stored_dtype) // plane_bytes)

    def _copy(self, index: Shape3, start: Shape3, stop: Shape3, found: Voxels) -> None:
        low = [max(i * c, a) for i, c, a in zip(index, self.chunks, start, strict=True)]
        high = [min((i + 1) * c, b) for i, c, b in zip(index, self.chunks, stop, strict=True)]
        inner = tuple(slice(a - i * c, b - i * c) for a, b, i, c in zip(low, high, index, self.chunks, strict=True))
        outer = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, start, strict=True))
        is_whole = self._is_chunk((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        found[outer] = self._chunk(index, is_whole=is_whole)[inner]

    def _is_chunk(self, start: Shape3, stop: Shape3) -> bool:
        """Return whether a box is all there is of a chunk, so that nobody will ask for the rest."""
        return all(
            a % c == 0 and b == min(a + c, n) for a, b, c, n in zip(start, stop, self.chunks, self.shape, strict=True)
        )

    def _chunk(self, index: Shape3, *, is_whole: bool) -> Voxels:
        found = self._cache.get(index)
        if found is None:
            found = self._decoded(index)
            if not is_whole:
                self._keep(index, found)
        return found

    def _keep(self, index: Shape3, chunk: Voxels) -> None:
        self._cache[index] = chunk
        self._cached_bytes += chunk.nbytes
        while self._cached_bytes > CACHE_BYTES:
            self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes

    def _decoded(
        self, index: Shape3, planes: slice | None = None, scratch: NDArray[np.uint8] | None = None
    ) -> Voxels:
        """Return a chunk, or some of its planes."""
        first, last = (0, self.chunks[0]) if planes is None else (planes.start, planes.stop)
        shape = (last - first, *self.chunks[1:])
        key = join(self.key, self._separator.join(map(str, index)))
        data = self.store.read(key)
        if data is None:
            return np.broadcast_to(np.asarray(self._fill_value).astype(self.dtype), shape)
        try:
            plane_bytes = math.prod(self.chunks[1:]) * self._stored_dtype.itemsize
            first, last, whole = first * plane_bytes, last * plane_bytes, self.chunks[0] * plane_bytes
            content = self._codec.decode_part(data, first, last, whole, scratch)
            voxels = np.frombuffer(content, self._stored_dtype).reshape(shape, order=self._order)  # type: ignore[call-overload]
        except Exception as error:  # noqa: BLE001 - codecs raise whatever they like on a broken chunk
            reason = (str(error) or type(error).__name__).splitlines()[0][:200]
            raise DataError(
                printable(f"{self.store.path / key}: broken chunk: {reason}"), "write the volume again"
            ) from None
        found: Voxels = voxels.astype(self.dtype, copy=False)
        return found


def read_node(store: Store, key: str) -> Node | None:
    """Return the content of a metadata file, None where there is none; DataError if it is not JSON."""
    data = store.read(key)
    if data is None:
        return None
    file = store.path / key
    if len(data) > LIMIT_BYTES:
        raise DataError(printable(f"{file}: larger than any metadata file ({LIMIT_BYTES // 2**20} MiB)"))
    try:
        value = json.loads(data)
    except RecursionError:
        raise DataError(printable(f"{file}: nested too deeply")) from None
    except ValueError as error:
        raise DataError(printable(f"{file}: not JSON: {error}")) from None
    node = Node(value, file)
    if not isinstance(value, dict):
        raise node.wrong("must be a JSON object")
    return node


def is_array(store: Store, key: str) -> bool:
    """Return whether a folder is a Zarr v2 array."""
    return store.has(join(key, ".zarray"))


def open_stored(store: Store, key: str) -> StoredArray:
    """Open an array after checking everything that its metadata declare.

    Raises
    ------
    MissingDataError
        If there is no array.
    DataError
        If its metadata are wrong or it does not have three axes; names file and key.
    """
    array = read_node(store, join(key, ".zarray"))
    if array is None:
        raise MissingDataError(printable(f"{store.path / key} is not a Zarr v2 array"))
    attributes = read_node(store, join(key, ".zattrs")) or Node({}, Path(f"{store.path / key}/.zattrs"))
    version = array.get("zarr_format")
    if version.integer() != 2:
        raise version.wrong(f"is Zarr v{version.value}; challenge data are Zarr v2")
    dtype = _dtype(array.get("dtype"))
    shape, chunks = array.get("shape").shape3(), array.get("chunks").shape3()
    if math.prod(chunks) * dtype.itemsize >= CHUNK_LIMIT_BYTES:
        raise array.get("chunks").wrong("one chunk is larger than 2 GiB")
    if math.prod(shape) >= 2**62:
        raise array.get("shape").wrong("has more voxels than can be counted")
    return StoredArray(
        store,
        key,
        shape,
        chunks,
        dtype.newbyteorder("="),
        attributes,
        dtype,
        read_codec(array),
        _fill_value(array, dtype),
        _choice(array, "dimension_separator", (".", "/"), "."),
        _choice(array, "order", ("C", "F"), "C"),
    )


def _dtype(node: Node) -> np.dtype[Any]:
    name = node.text()
    try:
        dtype: np.dtype[Any] = np.dtype(name)
    except (TypeError, ValueError):
        raise node.wrong(f"unknown dtype {name!r}") from None
    if dtype.kind not in "uifb" or dtype.itemsize > 8:
        raise node.wrong(f"dtype {name!r} is not an integer, float or boolean of up to 64 bits")
    return dtype


def _choice(array: Node, key: str, known: tuple[str, ...], default: str) -> str:
    node = array.find(key)
    if node is None or node.value is None:
        return default
    if node.text() not in known:
        raise node.wrong(f"must be one of {', '.join(known)}, not {node.text()!r}")
    return node.text()


def _fill_value(array: Node, dtype: np.dtype[Any]) -> float:
    node = array.find("fill_value")
    if node is None or node.value is None:
        return 0
    if node.value in ("NaN", "Infinity", "-Infinity") and dtype.kind == "f":
        return float(str(node.value).replace("Infinity", "inf"))
    if not isinstance(node.value, bool | int | float):
        raise node.wrong(f"must be a number, not {node.value!r}")
    value = node.value
    if dtype.kind in "ui" and not (isinstance(value, int) and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max):
        raise node.wrong(f"{value!r} does not fit into {dtype}")
    return value
