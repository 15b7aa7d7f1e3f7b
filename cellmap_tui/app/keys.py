"""Every key of the app in one table: what it is called, what it does, what it may be changed to.

Screens and widgets never write a key of their own: they call `bind` with an id of `KEYS`. So a key
means the same everywhere, the footer and the help are built from the bindings, and ``[keys]`` in
the settings can change any of them. A pane that needs a letter of its own adds a line here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.binding import Binding

from cellmap_tui.text import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the grammar."""

    id: str
    """Name of the binding, as in ``[keys]`` of the settings."""
    keys: str
    """Keys that do it, separated by commas, in Textual's names."""
    label: str
    """What it does in one or two words, for the footer."""
    help: str
    """What it does in one sentence, for the help screen."""
    display: str | None = None
    """How the footer names the key; None: from the key itself."""


GRAMMAR = (
    Key("go.home", "0", "Home", "Go to the home screen."),
    Key("go.data", "1", "Data", "Go to the datasets and crops."),
    Key("go.classes", "2", "Classes", "Go to the classes."),
    Key("go.fetch", "3", "Fetch", "Go to the downloads."),
    Key("go.train", "4", "Train", "Go to the training."),
    Key("go.eval", "5", "Eval", "Go to the scores."),
    Key("go.predict", "6", "Predict", "Go to the predictions."),
    Key("go.submit", "7", "Submit", "Go to the submission."),
    Key("go.runs", "8", "Runs", "Go to the runs."),
    Key("go.settings", "9", "Settings", "Go to the settings."),
    Key("go.doctor", "D", "Doctor", "Check this machine."),
    Key("pane.next", "tab", "pane", "Move to the next pane."),
    Key("pane.previous", "shift+tab", "pane back", "Move to the previous pane."),
    Key("pane.zoom", "z", "enlarge", "Enlarge the focused pane; again to restore it."),
    Key("move.up", "up,k", "up", "Move up."),
    Key("move.down", "down,j", "down", "Move down."),
    Key("move.left", "left,h", "left", "Move left, or close a branch."),
    Key("move.right", "right,l", "right", "Move right, or open a branch."),
    Key("move.top", "home,g", "top", "Move to the top."),
    Key("move.bottom", "end,G", "bottom", "Move to the bottom."),
    Key("move.half_up", "ctrl+u", "half page up", "Move up half a page."),
    Key("move.half_down", "ctrl+d", "half page down", "Move down half a page."),
    Key("move.page_up", "pageup", "page up", "Move up a page."),
    Key("move.page_down", "pagedown", "page down", "Move down a page."),
    Key("do.filter", "slash", "filter", "Filter this list while you type; enter keeps the filter, esc clears it."),
    Key("do.mark", "space", "mark", "Mark the row, or take the mark away."),
    Key("do.mark_all", "a", "mark all", "Mark all rows that are shown, or none."),
    Key("do.open", "enter", "open", "Open what is under the cursor."),
    Key("do.close", "escape", "close", "Close the innermost thing: filter, window, enlarged pane."),
    Key("do.sort", "s", "sort", "Sort by the next column."),
    Key("do.view", "v", "view slice", "View a slice of the EM with its labels."),
    Key("do.new", "n", "new", "Make something new."),
    Key("do.reload", "r", "reload", "Do it again: retry, reload, or go on with what was stopped."),
    Key("do.export", "e", "export", "Write what is shown into a file."),
    Key("do.save", "w", "save", "Keep it in the settings."),
    Key("do.undo", "u", "undo", "Take the last change back."),
    Key("do.stop", "x", "stop", "Stop, cancel or leave out what is under the cursor; asks first."),
    Key("do.pause", "p", "pause", "Pause, or go on."),
    Key("do.prune", "P", "prune", "Remove old runs; shows which and how large, and asks first."),
    Key("do.copy", "y", "copy", "Copy the row to the clipboard of the terminal."),
    Key("do.log", "L", "full log", "Show everything that the focused run has written."),
    Key("do.doctor", "d", "doctor", "Check this machine."),
    Key("app.help", "question_mark", "help", "Show the keys of this screen and of the focused pane."),
    Key("app.commands", "colon,ctrl+p", "commands", "Find any action, screen, run or theme by name.", "^p"),
    Key("app.jump", "ctrl+o", "jump", "Put a letter on each pane and jump to one."),
    Key("app.quit", "q,ctrl+q", "quit", "Leave; running jobs go on."),
    Key("answer.yes", "y", "yes", "Answer yes."),
    Key("answer.no", "n", "no", "Answer no."),
)
"""Keys that mean the same everywhere."""

PANES = (
    Key("home.demo_data", "b", "browse demo", "Open the demo data in the browser, for this session."),
    Key("slice.previous", "left_square_bracket", "step", "Step one slice back.", "[ ]"),
    Key("slice.next", "right_square_bracket", "next slice", "Step one slice on."),
    Key("slice.previous_ten", "left_curly_bracket", "×10", "Step ten slices back.", "{ }"),
    Key("slice.next_ten", "right_curly_bracket", "ten slices on", "Step ten slices on."),
    Key("slice.axis", "t", "axis", "Look along the next axis."),
    Key("slice.overlay", "o", "overlay", "Draw labels as a tint, as outlines, or not at all."),
    Key("slice.classes", "s", "classes", "Draw the labels of the next class alone; after the last, of all."),
    Key("slice.kinds", "m", "draw", "Draw the next of truth, predictions over it, predictions alone, errors."),
    Key("slice.choose", "C", "choose classes", "Choose which classes are drawn."),
    Key("slice.closer", "plus", "closer", "Double the magnification.", "+ -"),
    Key("slice.farther", "minus", "farther", "Halve the magnification."),
    Key("slice.opaque", "greater_than_sign", "opacity", "Make labels more opaque.", "< >"),
    Key("slice.clear", "less_than_sign", "clearer", "Make labels more transparent."),
    Key("slice.goto", "i", "go to", "Go to a voxel, a position in nm, a slice, a class or an object."),
    Key(
        "slice.compare", "c", "compare", "Put a second picture of the same place beside this one; again to close it."
    ),
    Key("table.reverse", "S", "turn round", "Turn the order of the rows round."),
    Key("data.fetch", "f", "fetch", "Plan a fetch of the marked crops, or of the one in hand."),
    Key("crop.verify", "V", "verify", "Check the crop on disk against the bucket, as a job; asks first."),
    Key("crop.repair", "R", "repair", "Check the crop and fetch what is missing or corrupt, as a job; asks first."),
    Key("data.exclude", "x", "exclude", "Leave this crop out of splits, with a reason; again to take it back."),
    Key(
        "data.annotations",
        "t",
        "annotations",
        "Change between crops and their annotations, a row per crop and class.",
    ),
    Key("data.dataset", "m", "dataset", "Open the page of the crop's dataset: sizes, classes, a map of its crops."),
    Key("data.copy_address", "Y", "copy S3 address", "Copy the address of the crop in the bucket."),
    Key("fetch.turn", "t", "plan", "Change between the plan of a fetch and the fetch that goes on."),
    Key("split.turn", "t", "options", "Change between the crops of a split and its options."),
    Key(
        "split.move", "m", "other side", "Bind this crop to the other side of the split, then let it be drawn again."
    ),
    Key(
        "train.plan", "P", "plan", "Propose which classes are learned together, at which scale, and by which network."
    ),
    Key("train.runs", "T", "train", "Train from a configuration: preflight, loss, Dice, stop and go on."),
    Key(
        "train.patches", "B", "patches", "Look at the patches that a network would be fed, from the bank of a split."
    ),
    Key("plan.gpu", "m", "GPU memory", "Choose the memory of the GPU that is planned for."),
    Key("patches.varied", "m", "augment", "Show patches as they are varied for training, or as they are."),
    Key("patches.next", "right,l", "patch", "Show the next patch.", "← →"),
    Key("patches.previous", "left,h", "patch before", "Show the patch before."),
    Key("patches.draw", "r", "draw more", "Draw other patches from the bank, as a job."),
    Key("targets.scan", "o", "count", "Look through the labels on disk for the targets, as a job; asks first."),
    Key("targets.split", "d", "split", "Choose the split whose crops are counted."),
    Key("config.problem", "exclamation_mark", "next problem", "Go to the next key that is wrong.", "!"),
    Key("config.changed", "c", "changed", "List only the keys that somebody has set, or all."),
    Key("config.reset", "R", "reset", "Take back every change made here; undo brings them back."),
    Key("chart.left", "left,h", "cursor", "Move the cursor to the point before.", "← →"),
    Key("chart.right", "right,l", "cursor right", "Move the cursor to the next point."),
    Key("chart.closer", "i", "zoom", "Zoom in around the cursor.", "i o"),
    Key("chart.farther", "o", "zoom out", "Zoom out."),
    Key("chart.fit", "f", "fit", "Show everything again."),
    Key("chart.follow", "F", "follow", "Follow the newest steps, or no longer."),
    Key("chart.smoother", "plus,equals_sign", "smooth", "Smooth the curves more.", "+ -"),
    Key("chart.rougher", "minus", "smooth less", "Smooth the curves less."),
    Key("chart.raw", "0", "no smoothing", "Draw the curves as they were told."),
    Key("chart.band", "b", "band", "Draw lowest and highest values behind the curve, or not."),
    Key("chart.axis", "m", "x axis", "Draw over steps, epochs, time of day, or time since the start."),
    Key("chart.log_y", "y", "log y", "Draw values on a logarithmic axis, or on a linear one."),
    Key("chart.log_x", "Y", "log x", "Draw steps on a logarithmic axis, or on a linear one."),
    Key("chart.series", "s", "series", "Choose which curves are drawn."),
    Key("chart.clip", "percent_sign", "clip", "Leave outliers out of the limits, or not."),
    Key("live.checkpoint", "c", "checkpoint", "Ask the run to write a checkpoint now."),
    Key("live.validate", "V", "validate", "Ask the run to validate now; asks first."),
    Key("live.rate", "R", "learning rate", "Ask the run to go on with another learning rate."),
    Key("live.epoch", "E", "stop after epoch", "Ask the run to stop when this epoch is done; asks first."),
    Key("live.classes", "K", "classes", "Show every class, the worst first."),
    Key("live.heat", "H", "heat map", "Show every class over the epochs."),
    Key("live.machine", "M", "machine", "Show GPUs, memory, disk, and where the time goes."),
    Key("live.compare", "d", "compare", "Compare the runs that are drawn: settings, metrics, classes."),
    Key("live.add", "A", "add a log", "Draw another run, folder or TensorBoard log too."),
    Key("live.findings", "W", "findings", "Show all that stands out, why, and which setting to change."),
    Key("live.bell", "B", "bell", "Ring the bell at the end, at a failure, and at a new best; or no longer."),
    Key("live.turn", "t", "turn", "Change between the tables and charts of this page."),
    Key("live.metric", "m", "metric", "Show the next of Dice, IoU, precision, recall."),
    Key("samples.before", "left_square_bracket", "epoch", "Show the epoch before.", "[ ]"),
    Key("samples.after", "right_square_bracket", "next epoch", "Show the next epoch."),
    Key("samples.next", "right,l", "slice", "Show the next slice.", "← →"),
    Key("samples.previous", "left,h", "slice before", "Show the slice before."),
    Key("samples.panels", "m", "panels", "Show all four pictures, or fewer and larger ones."),
    Key("predict.turn", "t", "plan", "Change between the plan and the prediction that goes on."),
    Key("predict.process", "P", "process", "Turn predictions into labels: recipes, preview, tuning."),
    Key("predict.networks", "c", "networks", "Choose the checkpoints that predict."),
    Key("predict.which", "m", "best, latest", "Take the best checkpoint of runs, or the latest."),
    Key("predict.options", "i", "options", "Choose crops, classes, voxel size, type and overlap."),
    Key("process.tune", "T", "tune", "Try thresholds and sizes on validation crops, as a job."),
    Key("recipe.add", "n", "add step", "Add a step after this one."),
    Key("recipe.kind", "m", "kind", "Choose another kind of step."),
    Key("recipe.move_up", "K", "step up", "Move the step up.", "K J"),
    Key("recipe.move_down", "J", "step down", "Move the step down."),
    Key("recipe.more", "plus,equals_sign", "more", "Take the next higher value of the option.", "+ -"),
    Key("recipe.less", "minus", "less", "Take the next lower value of the option."),
    Key("recipe.crop", "c", "crop", "Look at another crop that is predicted."),
    Key("recipe.load", "f", "open file", "Read a recipe from a file."),
    Key("recipe.axis", "t", "axis", "Look along the next axis."),
    Key("recipe.beside", "m", "EM", "Show the EM beside the result, or the probability."),
    Key("recipe.reset", "R", "built-in", "Go back to the built-in recipe of the class; asks first."),
    Key("eval.compare", "c", "compare", "Compare with another evaluation, side by side; again to choose another."),
    Key("eval.turn", "t", "all pairs", "Change between the classes and all pairs of crop and class."),
    Key("classes.resolve", "i", "resolve id", "Find the class of an id, its parents and members."),
    Key("classes.targets", "t", "targets", "Edit targets: which classes a network should produce as one."),
    Key("targets.move", "m", "move to", "Choose the target that the class goes to."),
    Key("targets.rename", "r", "rename", "Give the target another name."),
    Key("targets.kind", "i", "kind", "Tell the target's objects apart, or no longer."),
    Key("targets.core", "c", "cores", "Learn the cores of touching objects too, or no longer."),
    Key("targets.load", "f", "open file", "Read targets from a file."),
    Key("submit.options", "i", "options", "Choose predictions, zip, test manifest, and what becomes of gaps."),
    Key("submit.validate", "V", "validate", "Check the zip as the challenge will see it, as a job."),
    Key("submit.score", "c", "score", "Score the zip against a truth, as a job."),
    Key("submit.turn", "t", "log", "Change between the volumes and the log of submissions."),
    Key("submit.upload", "m", "uploaded", "Note that the submission was handed in."),
    Key("submit.returned", "i", "returned score", "Note the score that came back, a number or a result file."),
    Key("submit.diff", "c", "changes", "Show what changed since the last one handed in."),
    Key("classes.heat", "m", "heat map", "Show crops per class and dataset."),
)
"""Letters of single panes."""

KEYS: dict[str, Key] = {key.id: key for key in (*GRAMMAR, *PANES)}
"""Every key by its id."""

UNUSABLE = {
    "ctrl+h": "it arrives as backspace",
    "ctrl+i": "it arrives as tab",
    "ctrl+m": "it arrives as enter",
    "ctrl+@": "it arrives as ctrl+space",
    "ctrl+space": "it arrives as ctrl+@",
    "ctrl+b": "tmux takes it",
    "ctrl+a": "screen takes it",
    "shift+enter": "most terminals send enter",
}
"""Keys that cannot be bound, and why."""

_DISPLAY = {
    "space": "␣",
    "enter": "⏎",
    "escape": "esc",
    "tab": "⇥",
    "shift+tab": "⇧⇥",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "slash": "/",
    "question_mark": "?",
    "colon": ":",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "percent_sign": "%",
    "exclamation_mark": "!",
    "greater_than_sign": ">",
    "less_than_sign": "<",
}
_DISPLAY_ASCII = {
    "␣": "space",
    "⏎": "enter",
    "⇥": "tab",
    "⇧⇥": "shift+tab",
    "↑": "up",
    "↓": "down",
    "←": "left",
    "→": "right",
}


def bind(
    key_id: str,
    action: str,
    label: str | None = None,
    *,
    show: bool = True,
    help: str | None = None,
    priority: bool = False,
) -> Binding:
    """Return the binding of a key of the table.

    Parameters
    ----------
    key_id
        Id of a `Key`.
    action
        Textual action that the key starts.
    label, help
        In place of the words of the table, where a pane can say it more exactly.
    show
        Whether the footer may name it; the help always does.
    priority
        Whether it is taken before the focused widget sees it.
    """
    key = KEYS[key_id]
    return Binding(
        key.keys,
        action,
        label or key.label,
        show=show,
        key_display=key.display,
        tooltip=help or key.help,
        id=key.id,
        priority=priority,
    )


def display(key: str, *, ascii_only: bool = False) -> str:
    """Return how a key is written on screen: ``␣``, ``⏎``, ``^p``, ``G``."""
    shown = _DISPLAY.get(key) or (f"^{key[5:]}" if key.startswith("ctrl+") else key)
    if len(shown) > 1 and shown.startswith("upper_"):
        shown = shown[6:].upper()
    return plain(shown) if ascii_only else shown


def plain(shown: str) -> str:
    """Return how a key is written where there is nothing but ASCII."""
    return _DISPLAY_ASCII.get(shown, shown)


def checked_overrides(overrides: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Split ``[keys]`` of the settings into what can be used and what is wrong with the rest.

    Returns
    -------
    tuple[dict[str, str], list[str]]
        Binding id to keys, and a line for each entry that was left out.
    """
    usable: dict[str, str] = {}
    problems: list[str] = []
    for key_id, keys in overrides.items():
        problem = _problem(key_id, keys)
        if problem:
            problems.append(problem)
        else:
            usable[key_id] = keys
    return usable, problems


def _problem(key_id: str, keys: str) -> str:
    if key_id not in KEYS:
        near = nearest(key_id, KEYS)
        return f"[keys] {key_id}: no such key" + (f"; did you mean {near}?" if near else "")
    for key in keys.split(","):
        name = key.strip()
        if not name:
            return f"[keys] {key_id}: {keys!r} names no key"
        if name in UNUSABLE:
            return f"[keys] {key_id}: {name} cannot be used, {UNUSABLE[name]}"
        if name.startswith("alt+"):
            return f"[keys] {key_id}: {name} cannot be used, terminals often eat alt"
    return ""
