"""What a prediction is asked on screen: networks, crops, and the options that can be changed before it starts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cellmap_tui import text
from cellmap_tui.errors import CellmapError, RequestError
from cellmap_tui.services.predict_model import DEFAULT_CROPS, TEMPLATE, PredictRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellmap_tui.challenge.grid import Vec3
    from cellmap_tui.services.settings import Settings


@dataclass(frozen=True, slots=True)
class Option:
    """One option of the form."""

    name: str
    """Field of `PredictForm`."""
    label: str
    """What it is called on screen."""
    help: str
    """What it does, in a sentence."""
    choices: tuple[object, ...] = ()
    """What ``enter`` goes through; none: it is typed."""
    unset: str = "-"
    """What stands there while it is not given."""


_SWITCH = (False, True)

OPTIONS = (
    Option("crops", "crops", "Which crops: enter lists them; n there takes 234,236 or a filter or test."),
    Option("classes", "classes", "These in every crop, such as: mito er", unset="what each crop asks for"),
    Option("all_classes", "all classes", "All that the networks know, whatever a crop asks for.", _SWITCH),
    Option("cores", "cores", "Predict the core of a class beside it, where a network knows it.", _SWITCH),
    Option("which", "checkpoint", "Of a run the best by validation, or the latest.", ("best", "latest")),
    Option("averaged", "averaged", "Averaged weights where training averaged, or those of the last step.", _SWITCH),
    Option("voxel_size", "voxel size", "model, crop, auto (the coarser of both), or nm as 8 or 8 8 8."),
    Option("dtype", "type", "uint8 is probability times 255.", ("uint8", "float16", "float32")),
    Option("unit", "floats are", "What floats hold.", ("probability", "logits")),
    Option("overlap", "overlap", "Share of a tile that it has in common with the next, such as: 0.25"),
    Option("blending", "blending", "How tiles that overlap are joined.", ("gaussian", "constant")),
    Option("flips", "flips", "Average over all mirror images: 4 or 8 times the work.", _SWITCH),
    Option("axes", "axes", "Axes that a 2D network's slices are cut across, such as: z", unset="as in training"),
    Option("output", "output", "Folder, or template with {dataset} and {crop}.", unset=f"data root/{TEMPLATE}"),
    Option("overwrite", "replace", "Replace predictions of other networks or settings.", _SWITCH),
    Option("max_bytes", "max bytes", "Refuse to write more, such as: 50G.", unset="none"),
    Option("ignore_disk", "ignore disk", "Start although the free disk space looks too small.", _SWITCH),
    Option("remote", "from bucket", "Read the EM straight from the bucket.", _SWITCH),
    Option("coarse_em", "coarse EM", "Enlarge coarser EM where the level that is needed is not here.", _SWITCH),
    Option("device", "device", "Where it computes: auto, cpu, cuda, cuda:1, mps."),
    Option("devices", "devices", "Devices that share the blocks."),
    Option("batch_size", "batch", "Tiles that go through the network together.", unset="as the device holds"),
    Option("precision", "precision", "Arithmetic; sums are float32.", ("auto", "fp32", "bf16", "fp16")),
    Option("memory_bytes", "memory", "For sums of probabilities, such as: 4G", unset="as the device has"),
    Option("em", "EM volume", "In place of crops: a dataset on disk, or a path.", unset="none"),
    Option("box_nm", "box nm", "Corners of it: z y x : z y x", unset="all of it"),
    Option("name", "box name", "Its name in place of a crop's."),
    Option("trust", "own code", "Let a Python configuration run. It is code: look at it first.", _SWITCH),
)
"""The options in the order in which the screen lists them."""

_BY_NAME = {option.name: option for option in OPTIONS}


@dataclass(frozen=True, slots=True)
class PredictForm:
    """A prediction as it is filled in now; the options mean what they mean in `PredictRequest`."""

    networks: tuple[str, ...] = ()
    """Runs, folders, ``.pth`` files and configurations."""
    ensemble: str = ""
    """An ``ensemble.toml`` in place of them."""
    base: PredictRequest | None = None
    """A request from the command line, for what the screen has no option for, such as manifests."""
    crops: str = DEFAULT_CROPS
    """Crops as of ``--crops``."""
    classes: tuple[str, ...] = ()
    """These in every crop."""
    all_classes: bool = False
    """All that the networks know."""
    cores: bool = True
    """Cores beside their classes."""
    which: Literal["best", "latest"] = "best"
    """Which checkpoint of a run."""
    averaged: bool = True
    """Averaged weights."""
    voxel_size: str = "auto"
    """Of what is written."""
    dtype: Literal["uint8", "float16", "float32"] = "uint8"
    """Of what is written."""
    unit: Literal["probability", "logits"] = "probability"
    """What floats are."""
    overlap: float = 0.25
    """Share of a tile."""
    blending: Literal["gaussian", "constant"] = "gaussian"
    """How tiles are joined."""
    flips: bool = False
    """Mirror images."""
    axes: str = ""
    """Slicing directions."""
    output: str = ""
    """Folder or template."""
    overwrite: bool = False
    """Replace others."""
    max_bytes: int | None = None
    """Largest plan."""
    ignore_disk: bool = False
    """Start on a disk that looks too small."""
    remote: bool = False
    """EM from the bucket."""
    coarse_em: bool = False
    """Coarser EM."""
    device: str = "auto"
    """Where it computes."""
    devices: int = 1
    """Devices that share the blocks."""
    batch_size: int | None = None
    """Tiles together."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic."""
    memory_bytes: int | None = None
    """For sums."""
    em: str = ""
    """An EM volume."""
    box_nm: tuple[Vec3, Vec3] | None = None
    """Its corners."""
    name: str = "box"
    """Its name."""
    trust: bool = False
    """Whether a Python configuration may run."""

    @classmethod
    def of_request(cls, request: PredictRequest) -> PredictForm:
        """Return the form of a request as it came from the command line."""
        chosen: dict[str, Any] = {option.name: getattr(request, option.name) for option in OPTIONS}
        ensemble = "" if request.ensemble is None else str(request.ensemble)
        return cls(request.checkpoints, ensemble, request, **chosen)

    @property
    def has_networks(self) -> bool:
        """Whether anything is named that could predict."""
        return bool(self.networks or self.ensemble)

    def request(self, settings: Settings) -> PredictRequest:
        """Return what the service is asked.

        Raises
        ------
        RequestError
            If there is no network, or options contradict each other.
        """
        chosen: dict[str, Any] = {option.name: getattr(self, option.name) for option in OPTIONS}
        chosen["checkpoints"] = () if self.ensemble else self.networks
        chosen["ensemble"] = Path(self.ensemble) if self.ensemble else None
        if self.base is not None:
            return replace(self.base, dry_run=False, **chosen)
        return PredictRequest(
            data_root=settings.data_root.absolute(),
            endpoint_url=settings.endpoint_url or "",
            bucket=settings.bucket,
            state_dir=settings.state_dir.absolute(),
            **chosen,
        )

    @property
    def needs_plan_of(self) -> PredictForm:
        """The form without the options that change nothing about a plan."""
        return replace(self, max_bytes=None, ignore_disk=False)

    def words(self, option: Option) -> str:
        """Return the value of an option as the screen shows it."""
        value = getattr(self, option.name)
        if isinstance(value, bool):
            return "yes" if value else "no"
        return self.typed(option) or option.unset

    def typed(self, option: Option) -> str:
        """Return the value of an option as it is typed; empty while it is not given."""
        value = getattr(self, option.name)
        if value is None or value == () or value == "":
            return ""
        if option.name in _SIZES:
            return text.size(value).replace(" ", "").removesuffix("B")
        if option.name == "box_nm":
            return " : ".join(" ".join(text.number(part) for part in corner) for corner in value)
        return " ".join(value) if isinstance(value, tuple) else str(value)

    def is_set(self, option: Option) -> bool:
        """Tell whether an option differs from what it is by itself."""
        return bool(getattr(self, option.name) != getattr(PredictForm(), option.name))

    def with_next(self, option: Option) -> PredictForm:
        """Return the form with the next choice of an option."""
        at = option.choices.index(getattr(self, option.name))
        return self._with(option.name, option.choices[(at + 1) % len(option.choices)])

    def with_text(self, option: Option, typed: str) -> PredictForm:
        """Return the form with an option as it was typed; an empty line takes it back.

        Raises
        ------
        RequestError
            If it cannot be read.
        """
        shown = typed.strip()
        parsed = _PARSERS.get(option.name, str)
        return self._with(option.name, parsed(shown) if shown else getattr(PredictForm(), option.name))

    def with_networks(self, places: tuple[str, ...], ensemble: str = "") -> PredictForm:
        """Return the form with other networks."""
        return replace(self, networks=() if ensemble else places, ensemble=ensemble)

    def problem(self, option: Option, typed: str, settings: Settings) -> str:
        """Return what is wrong with a typed value; empty when it is right."""
        try:
            form = self.with_text(option, typed)
            if form.has_networks:
                form.request(settings)
        except CellmapError as error:
            return ": ".join(filter(None, (error.message, error.remedy)))
        return ""

    def _with(self, name: str, value: Any) -> PredictForm:
        changed = replace(self, **{name: value})
        # Some exclude each other; the one that was set last counts.
        if name == "classes" and value:
            changed = replace(changed, all_classes=False)
        elif name == "all_classes" and value:
            changed = replace(changed, classes=())
        elif name == "unit" and value == "logits" and changed.dtype == "uint8":
            changed = replace(changed, dtype="float16")
        elif name == "dtype" and value == "uint8":
            changed = replace(changed, unit="probability")
        elif name == "em" and not value:
            changed = replace(changed, box_nm=None)
        return changed


def option_of(name: str) -> Option:
    """Return the option of a field."""
    return _BY_NAME[name]


def _words(typed: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(typed.replace(",", " ").split()))


def _size(typed: str) -> int:
    from cellmap_tui.services.memory_budget import parse_size

    return parse_size(typed)


def _whole(typed: str) -> int:
    try:
        return int(typed)
    except ValueError:
        raise RequestError(f"{typed!r} is no whole number", "type digits, or nothing to take it back") from None


def _number(typed: str) -> float:
    try:
        return float(typed)
    except ValueError:
        raise RequestError(f"{typed!r} is no number", "type digits, or nothing to take it back") from None


def _voxel_size(typed: str) -> str:
    if typed in ("auto", "model", "crop"):
        return typed
    values = [_number(part) for part in typed.replace(",", " ").replace("×", " ").split()]
    if len(values) not in (1, 3) or not all(0 < value < 1e9 for value in values):
        raise RequestError(f"{typed!r} is no voxel size", "type model, crop, auto, or nm as 8 or 8 8 8")
    return ",".join(text.number(value) for value in values)


def _axes(typed: str) -> str:
    if not set(typed) <= set("zyx") or len(set(typed)) != len(typed):
        raise RequestError(f"{typed!r} are no axes", "type some of zyx")
    return typed


def _box(typed: str) -> tuple[Vec3, Vec3]:
    corners = [[_number(part) for part in corner.replace(",", " ").split()] for corner in typed.split(":")]
    if [len(corner) for corner in corners] != [3, 3]:
        raise RequestError(f"{typed!r} has no two corners", "type six lengths in nm: z y x : z y x")
    (a, b, c), (d, e, f) = corners
    return (a, b, c), (d, e, f)


_SIZES = frozenset({"max_bytes", "memory_bytes"})
_PARSERS: dict[str, Callable[[str], object]] = {
    "classes": _words,
    "max_bytes": _size,
    "memory_bytes": _size,
    "devices": _whole,
    "batch_size": _whole,
    "overlap": _number,
    "voxel_size": _voxel_size,
    "axes": _axes,
    "box_nm": _box,
}
