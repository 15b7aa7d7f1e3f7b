"""Value transforms that a configuration can name, and what their options take."""

from __future__ import annotations

from typing import Any

from cellmap_tui.learning.config_kinds import Kind, UnfitError, real, shown, switch, whole


def _number_or_range(least: float = 0.0, most: float = float("inf")) -> Kind:
    bound = real(least, most)
    words = f"{bound.words}, or a range of two"

    def read(value: object) -> Any:
        if not isinstance(value, list | tuple):
            return bound.read(value)
        if len(value) != 2:
            raise UnfitError(f"{shown(value)}, not {words}")
        low, high = bound.read(value[0]), bound.read(value[1])
        if low > high:
            raise UnfitError(f"{shown(value)}, a range that runs backwards")
        return [low, high]

    return Kind(words, read)


_ANY = Kind("a value", lambda value: value)
_SPREAD = _number_or_range()
_CHANCE = real(0, 1)
OPTIONS_OF: dict[str, dict[str, Kind]] = {
    "ToDtype": {"dtype": _ANY, "scale": _ANY},
    "Normalize": {"mean": _ANY, "std": _ANY, "scale": _ANY, "shift": _ANY},
    "NaNtoNum": {"nan": _ANY, "posinf": _ANY, "neginf": _ANY, "params": _ANY},
    "Binarize": {"threshold": real()},
    "GaussianNoise": {"mean": real(), "sigma": _SPREAD, "clip": switch(), "std": _SPREAD},
    "GaussianBlur": {"kernel_size": whole(1), "sigma": _SPREAD, "dim": whole(2, 3), "channels": whole(1)},
    "RandomContrast": {"contrast_range": _SPREAD},
    "RandomGamma": {"gamma_range": _SPREAD},
    "GainOffset": {"gain_range": _SPREAD, "offset_range": _number_or_range(-1, 1)},
    "SectionJitter": {"gain": real(0), "offset": real(0)},
    "MissingSections": {"sections": whole(1)},
    "ShiftedSections": {"shift": real(0)},
    "LowResolution": {"factor": _number_or_range(1)},
}
"""Steps by name and their options in the order of the official toolbox's arguments; the first three only scale."""
_SCALING = frozenset({"ToDtype", "Normalize", "NaNtoNum", "Binarize"})


def option_kinds(name: str) -> dict[str, Kind]:
    """Return what the options of a step take; those that vary something also have a probability."""
    return OPTIONS_OF[name] | ({} if name in _SCALING else {"probability": _CHANCE})


def check_step(name: str, options: dict[str, Any]) -> None:
    """Refuse a step that works against the range of values that networks are fed.

    Raises
    ------
    UnfitError
        If it normalises by mean and deviation.
    """
    if name == "Normalize" and options.keys() & {"mean", "std"}:
        raise UnfitError("a list with Normalize by mean and std; values are 0 to 1, normalise in the model instead")
