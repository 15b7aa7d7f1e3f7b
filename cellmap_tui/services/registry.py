"""The commands by name: which request each takes and which function does it.

A run directory names its command, and the job process finds the work here. Both are kept as
``module:name`` and resolved on first use, so that reading the table imports no service.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import UnknownNameError
from cellmap_tui.text import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Command:
    """One thing a user can ask for that may take long enough to be a job."""

    name: str
    """As typed on the command line."""
    request: str
    """``module:Class`` of the request model."""
    run: str
    """``module:function`` that takes the request and a reporter and returns the result."""
    summary: str
    """One line for people."""

    def request_model(self) -> type[Any]:
        """Import and return the request model."""
        model: type[Any] = _resolve(self.request)
        return model

    def function(self) -> Callable[..., object]:
        """Import and return the service function; this may load what the work needs, numpy or torch included."""
        function: Callable[..., object] = _resolve(self.run)
        return function


def _table(*commands: Command) -> dict[str, Command]:
    return {command.name: command for command in commands}


COMMANDS: dict[str, Command] = _table(
    Command(
        name="demo",
        request="cellmap_tui.services.demo:DemoRequest",
        run="cellmap_tui.services.demo:demo",
        summary="Make a small synthetic challenge and walk the journey on it.",
    ),
    Command(
        name="import",
        request="cellmap_tui.services.import_data:ImportRequest",
        run="cellmap_tui.services.import_data:import_data",
        summary="Bring EM and label stacks of your own into the challenge layout.",
    ),
    Command(
        name="fetch-data",
        request="cellmap_tui.services.fetch_model:FetchRequest",
        run="cellmap_tui.services.fetch:fetch",
        summary="Download crops: planned, checked, resumable.",
    ),
    Command(
        name="verify",
        request="cellmap_tui.services.verify_model:VerifyRequest",
        run="cellmap_tui.services.verify:verify",
        summary="Check what is on disk against the bucket, and repair it.",
    ),
    Command(
        name="evaluate",
        request="cellmap_tui.services.evaluate:EvaluateRequest",
        run="cellmap_tui.services.evaluate:evaluate",
        summary="Score a submission or predictions against ground truth.",
    ),
    Command(
        name="batch-eval",
        request="cellmap_tui.services.batch_eval:BatchEvalRequest",
        run="cellmap_tui.services.batch_eval:batch_eval",
        summary="Score many submissions into one table.",
    ),
    Command(
        name="validate-submission",
        request="cellmap_tui.services.validate_submission:ValidateRequest",
        run="cellmap_tui.services.validate_submission:validate_submission",
        summary="Check what will be uploaded: coverage, format, every volume.",
    ),
    Command(
        name="fetch-archive",
        request="cellmap_tui.services.fetch_archive:FetchArchiveRequest",
        run="cellmap_tui.services.fetch_archive:fetch_archive",
        summary="Download and unpack a published archive of all crops.",
    ),
    Command(
        name="speedtest",
        request="cellmap_tui.services.speedtest:SpeedtestRequest",
        run="cellmap_tui.services.speedtest:speedtest",
        summary="Measure the throughput of the bucket.",
    ),
    Command(
        name="map-labels",
        request="cellmap_tui.services.map_labels_model:MapLabelsRequest",
        run="cellmap_tui.services.map_labels:map_labels",
        summary="Turn ground-truth ids or class arrays into targets.",
    ),
    Command(
        name="export",
        request="cellmap_tui.services.export_model:ExportRequest",
        run="cellmap_tui.services.export:export",
        summary="Write labelled regions in the formats of other tools.",
    ),
    Command(
        name="pack-results",
        request="cellmap_tui.services.pack_model:PackRequest",
        run="cellmap_tui.services.pack:pack_results",
        summary="Build the zip to upload from predictions, aligned and checked.",
    ),
    Command(
        name="make-datasplit",
        request="cellmap_tui.services.split_model:SplitRequest",
        run="cellmap_tui.services.split:make_datasplit",
        summary="Divide the crops into training and validation.",
    ),
    Command(
        name="get-counts",
        request="cellmap_tui.services.counts_model:CountsRequest",
        run="cellmap_tui.services.counts:get_counts",
        summary="Count crops, voxels and objects of each class.",
    ),
    Command(
        name="plan",
        request="cellmap_tui.services.propose_model:ProposeRequest",
        run="cellmap_tui.services.propose:propose",
        summary="Propose class groups, scales, patches and networks, a configuration each.",
    ),
    Command(
        name="patches",
        request="cellmap_tui.services.patches_model:PatchesRequest",
        run="cellmap_tui.services.patches:make_patches",
        summary="Build the bank of crops and show what a network would be fed.",
    ),
    Command(
        name="run",
        request="cellmap_tui.services.journey_model:JourneyRequest",
        run="cellmap_tui.services.journey:run_journey",
        summary="Carry out a plan file, step by step, resumable.",
    ),
    Command(
        name="train",
        request="cellmap_tui.services.train_model:TrainRequest",
        run="cellmap_tui.services.train:train",
        summary="Train a network on patches; stop and resume at any step.",
    ),
    Command(
        name="predict",
        request="cellmap_tui.services.predict_model:PredictRequest",
        run="cellmap_tui.services.predict:predict",
        summary="Predict every voxel of crops or boxes with a checkpoint.",
    ),
    Command(
        name="process",
        request="cellmap_tui.services.process_model:ProcessRequest",
        run="cellmap_tui.services.process:process",
        summary="Turn predictions into labels by a recipe per class.",
    ),
    Command(
        name="tune",
        request="cellmap_tui.services.tune_model:TuneRequest",
        run="cellmap_tui.services.tune:tune",
        summary="Find the best post-processing per class on validation crops.",
    ),
)
"""Every command that can run as a job."""


def find_command(name: str, commands: Mapping[str, Command] = COMMANDS) -> Command:
    """Return the command of that name.

    Raises
    ------
    UnknownNameError
        If this version has none; names the nearest.
    """
    if name in commands:
        return commands[name]
    near = nearest(name, commands)
    remedy = f"did you mean {near!r}?" if near else f"this version has {', '.join(sorted(commands))}"
    raise UnknownNameError(f"no command {name!r} in this version", remedy)


def _resolve(target: str) -> Any:
    import importlib

    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)
