"""How a person looks at trainings: axis, smoothing, filter, what is drawn over each other; kept between sessions."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Axis = Literal["step", "epoch", "time", "elapsed"]
AXES: tuple[Axis, ...] = ("step", "epoch", "time", "elapsed")
"""In the order of the key that changes them."""
SMOOTHINGS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
"""What the keys of smoothing go through: weights of what was before."""
MOST_OVERLAYS = 8
"""Runs drawn over each other; more colours nobody tells apart."""
_MOST_REMEMBERED = 50
_NAME = "live-view.json"
_CLIP_PERCENT = 1.0


@dataclass(frozen=True, slots=True)
class LiveView:
    """How trainings are looked at."""

    axis: Axis = "step"
    """What the curves run over."""
    smoothing: float = 0.9
    """Weight of what was before, 0 to 0.99; 0 draws what was told, which makes thick bars of noise."""
    log_y: bool = False
    """Whether values are on a logarithmic axis."""
    log_x: bool = False
    """Whether the axis below is logarithmic."""
    band: bool = True
    """Whether lowest and highest values, or those told, are drawn behind."""
    clip: bool = False
    """Whether outliers are left out of the limits."""
    follow: bool = False
    """Whether the newest steps are followed, in place of the whole run."""
    metrics: str = ""
    """Filter of the metrics that are drawn; empty: the usual ones."""
    hidden: tuple[str, ...] = ()
    """Curves that are left out, by name."""
    bell: bool = False
    """Whether the terminal rings at an end, a failure, and a new best."""
    overlays: tuple[str, ...] = ()
    """Folders that are drawn over the run in hand, in the order of their colours."""

    @property
    def clip_percent(self) -> float:
        """Per cent of the values at each end that do not count for the limits."""
        return _CLIP_PERCENT if self.clip else 0.0

    def smoother(self, step: int) -> LiveView:
        """Return the view with more (1) or less (-1) smoothing."""
        place = min(range(len(SMOOTHINGS)), key=lambda index: abs(SMOOTHINGS[index] - self.smoothing))
        return replace(self, smoothing=SMOOTHINGS[max(0, min(len(SMOOTHINGS) - 1, place + step))])

    def next_axis(self) -> LiveView:
        """Return the view over the next axis."""
        return replace(self, axis=AXES[(AXES.index(self.axis) + 1) % len(AXES)])

    def turned(self, switch: str) -> LiveView:
        """Return the view with ``band``, ``clip``, ``log_x`` or ``log_y`` the other way."""
        changes: dict[str, Any] = {switch: not getattr(self, switch)}
        return replace(self, **changes)


def load_view(state_dir: Path, main: Path | None = None) -> LiveView:
    """Return the view as it was left, with what was drawn over this run; what cannot be read is as at first.

    Parameters
    ----------
    state_dir
        The app's own folder.
    main
        The run in hand.
    """
    told = _read(state_dir)
    view = _view(told.get("view"))
    overlays = told.get("overlays")
    paths = overlays.get(str(main)) if main is not None and isinstance(overlays, dict) else None
    known = tuple(map(str, paths))[:MOST_OVERLAYS] if isinstance(paths, list) else ()
    return replace(view, overlays=known)


def save_view(state_dir: Path, view: LiveView, main: Path | None = None) -> bool:
    """Keep the view for the next time; return whether the disk took it: a full one must not end a look."""
    told = _read(state_dir)
    overlays = told.get("overlays")
    kept: dict[str, Any] = dict(overlays) if isinstance(overlays, dict) else {}
    if main is not None:
        kept.pop(str(main), None)
        if view.overlays:
            kept[str(main)] = list(view.overlays)
    kept = dict(list(kept.items())[-_MOST_REMEMBERED:])
    document = {"v": 1, "view": {**asdict(view), "overlays": []}, "overlays": kept}
    path = state_dir / _NAME
    temporary = path.with_name(f".{_NAME}.{os.getpid()}")
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
        temporary.replace(path)
    except OSError:
        return False
    return True


def _read(state_dir: Path) -> Mapping[str, Any]:
    try:
        told = json.loads((state_dir / _NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _view(told: object) -> LiveView:
    if not isinstance(told, dict):
        return LiveView()
    usual = LiveView()
    values: dict[str, Any] = {}
    for item in fields(LiveView):
        value = told.get(item.name)
        if isinstance(value, type(getattr(usual, item.name))):
            values[item.name] = value
    hidden = told.get("hidden")
    values["hidden"] = tuple(map(str, hidden)) if isinstance(hidden, list) else ()
    if values.get("axis") not in AXES:
        values["axis"] = "step"
    smoothing = values.get("smoothing", usual.smoothing)
    values["smoothing"] = min(SMOOTHINGS[-1], max(0.0, smoothing)) if math.isfinite(smoothing) else 0.0
    return LiveView(**values)
