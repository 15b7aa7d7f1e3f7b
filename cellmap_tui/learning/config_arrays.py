"""Arrays and transforms of a configuration: what a patch is, and how it is varied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cellmap_tui.learning.config_kinds import AXES, Kind, UnfitError, fields, real, shown, triple_nm, whole
from cellmap_tui.learning.config_objects import PythonObject, object_of
from cellmap_tui.learning.config_steps import OPTIONS_OF, check_step, option_kinds
from cellmap_tui.text import nearest, printable

MAX_EDGE = 4096
"""Longest edge of a patch in voxels; a longer one is a slip of the keyboard."""


@dataclass(frozen=True, slots=True)
class ArrayInfo:
    """One array of a patch."""

    name: str
    """Name of the array; ``raw`` or ``labels`` where the configuration names none."""
    shape: tuple[int, int, int]
    """Voxels along z, y, x; one axis of a single voxel makes it two-dimensional."""
    scale_nm: tuple[float, float, float]
    """Voxel size along z, y, x."""

    @property
    def is_flat(self) -> bool:
        """Whether it is one voxel thick."""
        return 1 in self.shape


@dataclass(frozen=True, slots=True)
class SpatialTransforms:
    """How patches are moved; positions in nanometres, so voxels need not be cubes."""

    mirror: tuple[tuple[str, float], ...] = ()
    """Axis and the probability of a mirror image along it."""
    transpose: tuple[str, ...] = ()
    """Axes that may be exchanged for each other; at least two, or none."""
    rotate: tuple[tuple[str, float, float], ...] = ()
    """Axis to turn about, and the range in degrees."""
    scale: tuple[float, float] | None = None
    """Range of a factor of size."""
    elastic: tuple[float, float] | None = None
    """Standard deviation and spacing in nm of a smooth displacement."""


@dataclass(frozen=True, slots=True)
class ValueTransform:
    """One step that changes grey values or labels."""

    name: str
    """One of `OPTIONS_OF`."""
    options: tuple[tuple[str, Any], ...] = ()
    """Its options."""


@dataclass(frozen=True, slots=True)
class KeepCheckpoints:
    """Which checkpoints stay on disk."""

    last: int = 2
    """So many of the newest."""
    best: int = 1
    """So many of the best."""
    every: int = 0
    """Each of which the epoch is a multiple of this; 0: none."""


def arrays(default_name: str) -> Kind:
    """Return the kind of ``input_array_info``: a shape and a scale, or a table of named ones."""
    words = "a table with shape and scale, or a table of such tables by name"

    def read(value: object) -> tuple[ArrayInfo, ...]:
        if not isinstance(value, dict) or not value:
            raise UnfitError(f"{shown(value)}, not {words}")
        if not all(isinstance(part, dict) for part in value.values()):
            return (_array(default_name, value),)
        infos = []
        for name, part in value.items():
            try:
                infos.append(_array(str(name), part))
            except UnfitError as problem:
                raise UnfitError(f"a table whose array {printable(str(name))!r} is {problem}") from None
        return tuple(infos)

    return Kind(words, read)


def shape() -> Kind:
    """Return the kind of patch shapes."""
    words = "three whole numbers of voxels (z, y, x)"

    def read(value: object) -> tuple[int, int, int]:
        if isinstance(value, str):
            value = [int(part) if part.isdecimal() else part for part in value.replace(",", " ").split()]
        if not isinstance(value, list | tuple) or not 2 <= len(value) <= 3:
            raise UnfitError(f"{shown(value)}, not {words}")
        for length in value:
            if isinstance(length, bool) or not isinstance(length, int):
                raise UnfitError(f"{shown(value)}, not {words}")
            if not 1 <= length <= MAX_EDGE:
                raise UnfitError(f"{shown(value)}; a patch has 1 to {MAX_EDGE} voxels along each axis")
        lengths = [1, *value] if len(value) == 2 else list(value)
        return (lengths[0], lengths[1], lengths[2])

    return Kind(words, read)


def spatial() -> Kind:
    """Return the kind of ``spatial_transforms``, laid out as the official toolbox has it."""
    kinds = {
        "mirror": _of_axes(Kind("axes with probabilities", _mirror)),
        "transpose": _of_axes(Kind("a list of at least two axes", _transpose)),
        "rotate": _of_axes(Kind("axes with ranges in degrees", _rotate)),
        "scale": Kind("a range of factors", _factor_range),
        "elastic": Kind("a table with sigma_nm and spacing_nm", _elastic),
    }
    words = f"a table of {', '.join(kinds)}"

    def read(value: object) -> SpatialTransforms:
        return SpatialTransforms(**fields({} if value is None else value, kinds, words))

    return Kind(words, read)


def values() -> Kind:
    """Return the kind of value transforms: a list of tables with a name, or the chain of a Python file."""
    words = "a list of tables, each with a name and its options"

    def read(value: object) -> tuple[ValueTransform | PythonObject, ...]:
        if value is None:
            return ()
        if isinstance(value, dict) and "$object" in value:
            return _of_object(object_of("", value))
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, list | tuple):
            raise UnfitError(f"{shown(value)}, not {words}")
        return tuple(step for part in value for step in _steps(part, words))

    return Kind(words, read)


def keep() -> Kind:
    """Return the kind of ``keep_checkpoints``."""
    words = "a table with last, best and every"
    kinds = {"last": whole(1), "best": whole(0), "every": whole(0)}

    def read(value: object) -> KeepCheckpoints:
        return KeepCheckpoints(**fields({} if value is None else value, kinds, words))

    return Kind(words, read)


def _array(name: str, value: object) -> ArrayInfo:
    read = fields(value, {"shape": shape(), "scale": _scale()}, "a table with shape and scale")
    for key in ("shape", "scale"):
        if key not in read:
            raise UnfitError(f"{shown(value)} without {key}")
    return ArrayInfo(name, read["shape"], read["scale"])


def _scale() -> Kind:
    sizes = triple_nm()

    def read(value: object) -> tuple[float, float, float]:
        if isinstance(value, list | tuple) and len(value) == 2:
            value = [value[0], *value]
        size: tuple[float, float, float] = sizes.read(value)
        return size

    return Kind(sizes.words, read)


def _of_axes(kind: Kind) -> Kind:
    """Return the kind that takes ``{axes = …}``, as the toolbox writes it, or what stands behind ``axes``."""

    def read(value: object) -> Any:
        if isinstance(value, dict) and "axes" in value:
            fields(value, {"axes": Kind("", lambda part: part)}, "a table with axes")
            value = value["axes"]
        return kind.read(value)

    return Kind(kind.words, read)


def _axis(name: object) -> str:
    if name not in AXES:
        raise UnfitError(f"{shown(name)}, not one of the axes z, y, x")
    return str(name)


def _mirror(value: object) -> tuple[tuple[str, float], ...]:
    if isinstance(value, list | tuple):
        value = dict.fromkeys(value, 0.5)
    if not isinstance(value, dict):
        raise UnfitError(f"{shown(value)}, not axes with probabilities")
    share = real(0, 1)
    return tuple((_axis(axis), share.read(part)) for axis, part in value.items())


def _transpose(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) == 1 or len(set(map(str, value))) != len(value):
        raise UnfitError(f"{shown(value)}, not a list of at least two different axes")
    return tuple(_axis(axis) for axis in value)


def _rotate(value: object) -> tuple[tuple[str, float, float], ...]:
    if not isinstance(value, dict):
        raise UnfitError(f"{shown(value)}, not axes with ranges in degrees")
    return tuple((_axis(axis), *_range(part, -360, 360)) for axis, part in value.items())


def _factor_range(value: object) -> tuple[float, float]:
    return _range(value["range"] if isinstance(value, dict) and set(value) == {"range"} else value, 0.1, 10)


def _elastic(value: object) -> tuple[float, float]:
    kinds = {"sigma_nm": real(above=0), "spacing_nm": real(above=0)}
    read = fields(value, kinds, "a table with sigma_nm and spacing_nm")
    if len(read) != len(kinds):
        raise UnfitError(f"{shown(value)}, not a table with both sigma_nm and spacing_nm")
    return (read["sigma_nm"], read["spacing_nm"])


def _range(value: object, least: float, most: float) -> tuple[float, float]:
    bound = real(least, most)
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise UnfitError(f"{shown(value)}, not a range of two numbers")
    low, high = bound.read(value[0]), bound.read(value[1])
    if low > high:
        raise UnfitError(f"{shown(value)}, a range that runs backwards")
    return (low, high)


def _steps(part: object, words: str) -> tuple[ValueTransform | PythonObject, ...]:
    if isinstance(part, str):
        part = {"name": part}
    if isinstance(part, dict) and "$object" in part:
        return _of_object(object_of("", part))
    if not isinstance(part, dict) or not isinstance(part.get("name"), str):
        raise UnfitError(f"a list with {shown(part)}, not {words}")
    name = part["name"]
    if name not in OPTIONS_OF:
        near = nearest(name, OPTIONS_OF) or next((known for known in OPTIONS_OF if known.lower() == name.lower()), "")
        raise UnfitError(
            f"a list with the unknown transform {printable(name)!r}" + (f"; did you mean {near!r}?" if near else "")
        )
    read = fields({key: value for key, value in part.items() if key != "name"}, option_kinds(name), "a table")
    check_step(name, read)
    return (ValueTransform(name, tuple(read.items())),)


def _of_object(step: PythonObject) -> tuple[ValueTransform | PythonObject, ...]:
    """Return the steps of a chain; one that is known by name and options needs its file no more."""
    if step.name == "Compose":
        items = step.arguments[0] if len(step.arguments) == 1 and isinstance(step.arguments[0], list | tuple) else ()
        return tuple(kept for item in items or step.arguments for kept in _item(item))
    if step.name in OPTIONS_OF and step.kind in ("call", "instance"):
        kinds = option_kinds(step.name)
        named = dict(zip(kinds, step.arguments, strict=False)) | dict(step.options)
        check_step(step.name, named)
        try:
            read = fields(named, kinds, "")
        except UnfitError:
            return (step,)  # a class of that name with other options: its own file knows what they mean
        return (ValueTransform(step.name, tuple(read.items())),)
    return (step,)


def _item(item: object) -> tuple[ValueTransform | PythonObject, ...]:
    if isinstance(item, PythonObject):
        return _of_object(item)
    if isinstance(item, dict) and "$object" in item:
        return _of_object(object_of("", item))
    raise UnfitError(f"a chain with {shown(item)}, not a transform")
