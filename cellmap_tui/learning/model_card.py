"""What must be known to use a network's weights: kept beside them as ``model.json``, read without torch.

Owns the card, making it from a configuration, and its JSON. Building the network of a card is
`build_network`'s work.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import DataError, MissingDataError, RequestError
from cellmap_tui.learning.networks import find_network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cellmap_tui.learning.config_model import TrainConfig
    from cellmap_tui.learning.config_objects import PythonObject

NAME = "model.json"
"""The card's name in a run directory."""
FORMAT = 1
"""Number of the layout; a reader takes every number up to its own."""
OWN = "custom"
"""Architecture of a network that only a Python configuration can build."""
MAX_BYTES = 16 * 2**20

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class InputScale:
    """One input of a network; each is a channel."""

    name: str
    """Its name in the configuration."""
    shape: tuple[int, int, int]
    """Voxels of a patch along z, y, x."""
    voxel_size_nm: Triple
    """Voxel size along z, y, x."""


@dataclass(frozen=True, slots=True)
class OwnModel:
    """Where a configuration's own network comes from."""

    path: str
    """The Python file."""
    sha256: str
    """Hash of the file and of the files beside it that it imports; empty: not known."""
    variable: str
    """Name under which the file holds the network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A network, what it takes and what it answers."""

    architecture: str
    """Name of `networks`, or `OWN`."""
    columns: tuple[str, ...]
    """Names of the output channels, cores included."""
    dimensions: int
    """2 or 3."""
    shape: tuple[int, int, int]
    """Voxels of a training patch along z, y, x; one is 1 in 2D."""
    voxel_size_nm: Triple
    """Voxel size of the patch along z, y, x."""
    in_channels: int = 1
    """Input channels, one for each of `input_scales`."""
    model_kwargs: dict[str, Any] = field(default_factory=dict)
    """Options of the network, plain values."""
    model_name: str = ""
    """Name in the files of checkpoints."""
    input_scales: tuple[InputScale, ...] = ()
    """What the channels are."""
    value_transforms: tuple[dict[str, Any], ...] = ()
    """Changes of grey values (0 to 1) before a prediction: tables with a name and options."""
    targets: str = ""
    """The text of ``targets.toml``."""
    config_hash: str = ""
    """Hash of the resolved configuration."""
    split_hash: str = ""
    """Hash of the split."""
    versions: dict[str, str] = field(default_factory=dict)
    """Version by package, at training."""
    own_model: OwnModel | None = None
    """Where the network comes from, where `architecture` is `OWN`."""

    def __post_init__(self) -> None:
        if self.dimensions not in (2, 3):
            raise RequestError(f"a network has 2 or 3 dimensions, not {self.dimensions}")
        if not self.columns:
            raise RequestError("a network without output channels", "name at least one class")

    @property
    def patch(self) -> tuple[int, ...]:
        """Voxels of a patch along the network's own axes: two in 2D."""
        return tuple(self.shape[axis] for axis in self.axes)

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of `shape` that the network sees."""
        return (0, 1, 2) if self.dimensions == 3 else flat_axes(self.shape)

    @property
    def spacing_nm(self) -> tuple[float, ...]:
        """Voxel size along the network's own axes."""
        return tuple(self.voxel_size_nm[axis] for axis in self.axes)


def flat_axes(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the two axes of a flat patch: all but the first that is one voxel thick."""
    flat = next((axis for axis, count in enumerate(shape) if count == 1), 0)
    return tuple(axis for axis in range(3) if axis != flat)


def card_of(
    config: TrainConfig,
    columns: Sequence[str],
    *,
    targets: str = "",
    config_hash: str = "",
    split_hash: str = "",
    versions: Mapping[str, str] | None = None,
    python_sha256: str = "",
    python_path: Path | None = None,
) -> ModelCard:
    """Return the card of the network that a configuration asks for.

    Parameters
    ----------
    config
        A checked configuration.
    columns
        Output channels, as `codebook.column_names` gives them.
    targets
        Text of ``targets.toml``.
    config_hash, split_hash
        What tells the configuration and the split from others.
    versions
        Version by package; this tool's and torch's by default.
    python_path, python_sha256
        The Python file that holds the configuration's own network, and its hash.
    """
    from cellmap_tui.learning.config_write import plain_value

    first = config.input_array_info[0]
    inputs = tuple(InputScale(info.name, info.shape, info.scale_nm) for info in config.input_array_info)
    own = None if config.model is None else _own_model(config.model, python_path, python_sha256)
    return ModelCard(
        architecture=_architecture(config),
        columns=tuple(columns),
        dimensions=2 if first.is_flat else 3,
        shape=first.shape,
        voxel_size_nm=first.scale_nm,
        in_channels=len(inputs),
        model_kwargs=plain_value(config.model_kwargs),
        model_name=config.model_name,
        input_scales=inputs,
        value_transforms=_plain_transforms(config),
        targets=targets,
        config_hash=config_hash,
        split_hash=split_hash,
        versions=dict(installed_versions() if versions is None else versions),
        own_model=own,
    )


def installed_versions() -> dict[str, str]:
    """Return the versions of the packages that decide what a network computes."""
    from importlib.metadata import PackageNotFoundError, version

    from cellmap_tui.version import __version__

    found = {"cellmap-tui": __version__}
    for package in ("torch", "monai", "dynamic-network-architectures", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def card_json(card: ModelCard) -> str:
    """Return a card as JSON; infinite and undefined numbers do not occur in one."""
    told = {"format": FORMAT, **{item.name: getattr(card, item.name) for item in fields(card)}}
    told["input_scales"] = [
        {"name": part.name, "shape": part.shape, "voxel_size_nm": part.voxel_size_nm} for part in card.input_scales
    ]
    own = card.own_model
    told["own_model"] = None if own is None else {item.name: getattr(own, item.name) for item in fields(own)}
    return json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def parse_card(text: str, place: str = NAME) -> ModelCard:
    """Return the card of a JSON text.

    Raises
    ------
    DataError
        If it is no card; names the place and the key.
    """
    try:
        told = json.loads(text)
    except ValueError as error:
        raise DataError(f"{place} is not JSON: {error}", "copy it anew from the run it belongs to") from None
    if not isinstance(told, dict) or not isinstance(told.get("format"), int):
        raise DataError(f"{place} describes no network: it has no format", "give the model.json of a training run")
    if told["format"] > FORMAT:
        raise DataError(f"{place} was written by a newer version (format {told['format']})", "update this tool")
    return _card(told, place)


def read_card(path: Path) -> ModelCard:
    """Return the card in a file.

    Raises
    ------
    MissingDataError
        If there is none.
    DataError
        If it is no card.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path} is too large to describe a network", "give the model.json of a training run")
        return parse_card(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text", "give the model.json of a training run") from None
    except OSError as error:
        raise MissingDataError(f"cannot read {path}: {error.strerror}", "give the folder of a training run") from None


def write_card(path: Path, card: ModelCard) -> None:
    """Write a card whole, or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(card_json(card), encoding="utf-8")
    temporary.replace(path)


def _architecture(config: TrainConfig) -> str:
    """Return the network's name; another name of it is kept, since it may say a size (``resenc_l``)."""
    if config.model is not None:
        return OWN
    named = find_network(config.model_name)
    if named is not None and config.architecture in (None, named.name):
        return config.model_name
    return str(config.architecture or config.model_name)


def _own_model(model: PythonObject, path: Path | None, sha256: str) -> OwnModel:
    return OwnModel("" if path is None else str(path), sha256, model.variable or "model")


def _plain_transforms(config: TrainConfig) -> tuple[dict[str, Any], ...]:
    from cellmap_tui.learning.config_write import plain_value

    told = (plain_value(step) for step in config.value_transforms)
    return tuple(step if isinstance(step, dict) else {"name": "$object", "text": str(step)} for step in told)


def _card(told: dict[str, Any], place: str) -> ModelCard:
    read = _Reader(told, place)
    scales = read.items("input_scales", [])
    own = told.get("own_model")
    return ModelCard(
        architecture=read.text("architecture"),
        columns=tuple(read.texts("columns")),
        dimensions=read.whole("dimensions", (2, 3)),
        shape=read.shape("shape"),
        voxel_size_nm=read.sizes("voxel_size_nm"),
        in_channels=read.whole("in_channels", range(1, 65)),
        model_kwargs=read.table("model_kwargs"),
        model_name=read.text("model_name", ""),
        input_scales=tuple(_scale(part, place) for part in scales),
        value_transforms=tuple(read.tables("value_transforms")),
        targets=read.text("targets", ""),
        config_hash=read.text("config_hash", ""),
        split_hash=read.text("split_hash", ""),
        versions={str(name): str(value) for name, value in read.table("versions").items()},
        own_model=None if own is None else _read_own(own, place),
    )


def _scale(told: object, place: str) -> InputScale:
    read = _Reader(told, place)
    return InputScale(read.text("name"), read.shape("shape"), read.sizes("voxel_size_nm"))


def _read_own(told: object, place: str) -> OwnModel:
    read = _Reader(told, place)
    return OwnModel(read.text("path"), read.text("sha256", ""), read.text("variable", "model"))


class _Reader:
    """Takes values out of a table and says which one is wrong."""

    def __init__(self, told: object, place: str) -> None:
        self._place = place
        if not isinstance(told, dict):
            raise DataError(f"{place} has a part that is no table", "copy it anew from the run it belongs to")
        self._told: dict[str, Any] = told

    def text(self, key: str, default: str | None = None) -> str:
        value = self._told.get(key, default)
        return value if isinstance(value, str) else self._wrong(key, "a text")

    def items(self, key: str, default: list[Any] | None = None) -> list[Any]:
        value = self._told.get(key, default)
        return value if isinstance(value, list) else self._wrong(key, "a list")

    def texts(self, key: str) -> list[str]:
        value = self.items(key)
        return value if value and all(isinstance(part, str) for part in value) else self._wrong(key, "names")

    def tables(self, key: str) -> list[dict[str, Any]]:
        value = self.items(key, [])
        return value if all(isinstance(part, dict) for part in value) else self._wrong(key, "tables")

    def table(self, key: str) -> dict[str, Any]:
        value = self._told.get(key, {})
        return value if isinstance(value, dict) else self._wrong(key, "a table")

    def whole(self, key: str, allowed: Sequence[int]) -> int:
        value: Any = self._told.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
            self._wrong(key, f"a number from {allowed[0]} to {allowed[-1]}")
        return int(value)

    def shape(self, key: str) -> tuple[int, int, int]:
        value = self._three(key)
        if not all(isinstance(part, int) and part > 0 for part in value):
            self._wrong(key, "three counts of voxels")
        return (value[0], value[1], value[2])

    def sizes(self, key: str) -> Triple:
        value = self._three(key)
        if not all(math.isfinite(part) and part > 0 for part in value):
            self._wrong(key, "three sizes in nm")
        return (float(value[0]), float(value[1]), float(value[2]))

    def _three(self, key: str) -> list[Any]:
        value = self.items(key)
        numbers = all(isinstance(part, int | float) and not isinstance(part, bool) for part in value)
        return value if len(value) == 3 and numbers else self._wrong(key, "three numbers")

    def _wrong(self, key: str, words: str) -> Any:
        raise DataError(f"{self._place}: {key} is not {words}", "copy it anew from the run it belongs to")
