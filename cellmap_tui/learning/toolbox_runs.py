"""Runs of the official toolbox: which of their checkpoints was the best, from their TensorBoard events."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TAG = "validation"
"""Tag of the value of a validation, one for each epoch; lower is better."""


def best_epochs(folder: Path, model_name: str) -> tuple[int, ...]:
    """Return the validated epochs of a run, the best first.

    The toolbox validates after each epoch and counts checkpoints from 1, so event ``i`` belongs to epoch
    ``i + 1``; it takes ``i`` itself.

    Parameters
    ----------
    folder
        Folder of the checkpoints; events are looked for in ``tensorboard/<model_name>`` beside it.
    model_name
        Whose events.
    """
    values = _validations(folder, model_name)
    return tuple(sorted(range(1, len(values) + 1), key=lambda epoch: (values[epoch - 1], epoch)))


def _validations(folder: Path, model_name: str) -> list[float]:
    places = (folder.parent / "tensorboard" / model_name, folder / "tensorboard" / model_name)
    place = next((place for place in places if place.is_dir()), None)
    if place is None:
        return []
    # Half a second, and only for runs of the toolbox.
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(place), size_guidance={"scalars": 0})
    events.Reload()
    if TAG not in events.Tags()["scalars"]:
        return []
    return [float(event.value) for event in events.Scalars(TAG)]
