"""One module a command; each adds its parser and handles its call."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any

from cellmap_tui.errors import RequestError
from cellmap_tui.text import nearest

Subparsers = Any
"""argparse's action that makes parsers; its type has no public name."""

COMMANDS = {
    "demo": ("demo", "make a small synthetic challenge and walk the journey on it"),
    "import": ("import_data", "bring EM and label stacks of your own into the challenge layout"),
    "fetch-data": ("fetch_data", "download crops: planned, checked, resumable"),
    "verify": ("verify", "check what is on disk against the bucket, and repair it"),
    "crops": ("crops", "list crops and annotations, filter them, set crops aside"),
    "classes": ("classes", "list the classes: ids, groups, scoring, crops"),
    "catalog": ("catalog", "re-read the published manifests"),
    "make-datasplit": ("make_datasplit", "divide the crops into training and validation"),
    "get-counts": ("get_counts", "count crops, voxels and objects of each class"),
    "plan": ("plan", "propose class groups, scales, patches and networks, a configuration each"),
    "config": ("config", "show, check, compare and convert training configurations"),
    "patches": ("patches", "build the bank of crops and show what a network would be fed"),
    "train": ("train", "train a network; stop and resume at any step"),
    "predict": ("predict", "predict every voxel of crops or boxes with a checkpoint"),
    "process": ("process", "turn predictions into labels by a recipe per class"),
    "tune": ("tune", "find the best post-processing per class on validation crops"),
    "map-labels": ("map_labels", "turn ground-truth ids or class arrays into targets"),
    "export": ("export", "write labelled regions in the formats of other tools"),
    "pack-results": ("pack_results", "build the zip to upload from predictions, aligned and checked"),
    "evaluate": ("evaluate", "score a submission or predictions against ground truth"),
    "batch-eval": ("batch_eval", "score many submissions into one table"),
    "validate-submission": ("validate_submission", "check what will be uploaded: coverage, format, every volume"),
    "submissions": ("submissions", "what was packed and submitted, with hashes, scores and counts per day"),
    "visualize": ("visualize", "slices with overlays as PNG or in the terminal; neuroglancer links"),
    "run": ("run_plan", "carry out a plan file, step by step, resumable"),
    "speedtest": ("speedtest", "measure the throughput of the bucket"),
    "runs": ("runs", "list, follow, stop and resume runs"),
    "doctor": ("doctor", "check the machine and its surroundings"),
}
"""Command to its module in this package and its summary. Only the module of the command at hand is imported."""

GLOBALS_HINT = "Global options (--batch, --json, --data-root DIR, …) may follow; see: cellmap-tui --help"


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps examples as they are written and gives option names room."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)


def add_commands(parser: argparse.ArgumentParser, asked: str | None) -> None:
    """Add the command that was asked for; all of them by name and summary where none was.

    Building every parser takes longer than listing the crops.
    """
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    if asked in COMMANDS:
        import_module(f"{__name__}.{COMMANDS[asked][0]}").add(subparsers)
        return
    if asked is not None:
        near = nearest(asked, COMMANDS)
        raise RequestError(f"no command {asked!r}", f"did you mean {near!r}?" if near else "see: cellmap-tui --help")
    for name, (_, summary) in COMMANDS.items():
        subparsers.add_parser(name, help=summary, add_help=False)


def add_command(subparsers: Subparsers, name: str, examples: str) -> argparse.ArgumentParser:
    """Add one command with its examples and return its parser."""
    summary = COMMANDS[name][1]
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"examples:\n{examples}\n{GLOBALS_HINT}",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    return parser
