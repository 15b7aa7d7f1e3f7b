"""An evaluation in words: the list of them, the overall scores, what is behind a class, how crops spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from cellmap_tui import text
from cellmap_tui.app.eval_rows import crop_words, delta_words, figure, worst_first
from cellmap_tui.app.run_words import bar, clock_words, eta_words, progress_words, share, state_words
from cellmap_tui.app.signs import colour, sign
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.text import cut_middle, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.app.eval_rows import ClassRow, PairRow
    from cellmap_tui.app.evaluations import EvaluationItem
    from cellmap_tui.services.compare_runs import CompareResult, ScoreRow
    from cellmap_tui.services.evaluate_model import EvaluateResult

COMMAND = "cellmap-tui --batch evaluate --predictions DIR --crops 234,236"
SUBMISSION_COMMAND = "cellmap-tui --batch evaluate -s submission.zip -t truth.zarr"
NOTHING = "Nothing matches the filter."
_LOOKS = {"done": "good", "failed": "bad", "lost": "bad", "unreadable": "bad", "running": "accent"}
_BAR_WIDTH = 20
_BINS = 10
PROVISIONAL = "provisional: its formula is not published in full"


def empty_words() -> Content:
    """Return how the first evaluation is made, here and from a shell."""
    return Content.assemble(
        ("No evaluations yet.\n\n", "bold"),
        ("n", "bold $accent"),
        " scores predictions on crops that are on this disk, or a submission against\n"
        "ground truth; its plan is shown before anything starts. From a shell:\n\n",
        (f"  {COMMAND}\n  {SUBMISSION_COMMAND}\n\n", "$text-primary"),
        ("add --dry-run to see pairs, memory and time; both appear in this list", "$foreground-muted"),
    )


def item_columns() -> tuple[Column[EvaluationItem], ...]:
    """Return the columns of the list of evaluations."""
    return (
        Column("state", "state", 10, lambda item: state_words(item.run), sort_key=lambda item: item.run.state,
               look=lambda item: _LOOKS.get(item.run.state, "warn" if item.run.is_live else "dim")),
        Column("name", "scored", 18, lambda item: item.name, max_width=48, sort_key=lambda item: item.name),
        Column("score", "score", 5, score_words, align="right", sort_key=lambda item: worst_first(item.overall),
               look=lambda item: "strong"),
        Column("instance", "inst", 5, lambda item: figure(item.instance), align="right", priority=4,
               sort_key=lambda item: worst_first(item.instance)),
        Column("semantic", "sem", 5, lambda item: figure(item.semantic), align="right", priority=4,
               sort_key=lambda item: worst_first(item.semantic)),
        Column("profile", "profile", 8, profile_words, max_width=22, priority=2),
        Column("pairs", "pairs", 5, _pairs_words, align="right", priority=3, max_width=16),
        Column("started", "started", 8, lambda item: clock_words(item.run.started_s or item.run.created_s),
               max_width=16, priority=1, sort_key=lambda item: item.run.started_s or 0.0),
        Column("id", "run", 22, lambda item: item.run.run_id, max_width=32, priority=5),
    )  # fmt: skip


def score_words(item: EvaluationItem) -> str:
    """Return the overall score, or how far it is."""
    return progress_words(item.run) if item.run.is_live else figure(item.overall)


def profile_words(item: EvaluationItem) -> str:
    """Return the rules; provisional ones say so."""
    return f"{item.profile}{' provisional' if item.provisional else ''}"


def _pairs_words(item: EvaluationItem) -> str:
    if item.pairs is None:
        return "-"
    return f"{item.pairs}, {item.missing} missing" if item.missing else str(item.pairs)


def item_brief(item: EvaluationItem | None) -> Content:
    """Return two lines about the evaluation under the cursor."""
    if item is None:
        return Content("")
    first = Content.assemble(
        (f"{cut_middle(printable(item.name), 40)}  ", "bold"), printable(asked_words(item.asked))
    )
    said = item.problem or item.run.problem or (item.run.message if item.run.state != "done" else "") or ""
    if item.run.state in {"failed", "lost", "stopped"}:
        said = f"{said}; r goes on: finished pairs are kept" if said else "r goes on: finished pairs are kept"
    elif not said and item.classes:
        worst = min(item.classes, key=lambda one: worst_first(one.score))
        said = f"{len(item.classes)} classes, worst {worst.label} {figure(worst.score)} (enter opens)"
    return Content("\n").join([first, Content.styled(printable(said), "$foreground-muted")])


def asked_words(asked: dict[str, object]) -> str:
    """Return what was asked, in one line: crops, classes, truth."""
    parts = [f"crops {asked['crops']}"] if asked.get("crops") else []
    parts += [f"datasplit {asked['datasplit']}"] if asked.get("datasplit") else []
    parts += [f"truth {asked['truth']}"] if asked.get("truth") else []
    classes = asked.get("classes")
    if isinstance(classes, list) and classes:
        parts.append(f"classes {' '.join(map(str, classes))}")
    return "  ".join(parts)


def head_words(item: EvaluationItem, result: EvaluateResult | None, compared: CompareResult | None) -> Content:
    """Return the overall scores in a line; of an evaluation without them, where it stands."""
    name = (f"{cut_middle(printable(item.name), 28)}  ", "bold")
    if result is None:
        return Content.assemble(name, *_standing(item))
    parts: list[tuple[str, str]] = [name, (f"{crops_words(result)}  ", ""), ("score ", "")]
    parts.append((figure(result.overall_score), "bold"))
    change = _change(compared, "overall_score")
    parts.append((f" {change}" if change else "", ""))
    parts.append((f"  profile {printable(result.profile)}", ""))
    if result.provisional:
        parts.append((" provisional", "$text-warning"))
    return Content.assemble(*parts)


def overall_words(result: EvaluateResult, compared: CompareResult | None = None) -> str:
    """Return both sides of the overall score: ``instance 0.571  semantic 0.656``."""
    words = []
    for kind, key in (("instance", "overall_instance_score"), ("semantic", "overall_semantic_score")):
        change = _change(compared, key)
        words.append(f"{kind} {figure(getattr(result, key))}{f' {change}' if change else ''}")
    return "  ".join(words)


def crops_words(result: EvaluateResult) -> str:
    """Return how many crops and pairs there are."""
    crops = len({pair.crop for pair in result.pairs})
    return f"{crops} crop{'s' if crops != 1 else ''}"


def _change(compared: CompareResult | None, key: str) -> str:
    row = _row(compared.overall if compared else (), key)
    return delta_words(row.deltas[0]).strip() if row is not None and row.deltas[0] is not None else ""


def _row(rows: Sequence[ScoreRow], name: str) -> ScoreRow | None:
    return next((row for row in rows if row.name == name), None)


def _standing(item: EvaluationItem) -> list[tuple[str, str]]:
    run = item.run
    parts = [(f"{state_words(run)}  ", colour(run.state))]
    done = share(run)
    if run.is_live and done is not None:
        left = f"  {eta_words(run)} left" if run.eta_s is not None else ""
        unit = printable(run.unit or "")
        parts.append((f"{bar(done, _BAR_WIDTH)} {100 * done:.0f} % of the {unit}{left}", ""))
    elif run.message or item.problem:
        parts.append((printable(item.problem or run.message or ""), ""))
    return parts


def remarks(item: EvaluationItem, result: EvaluateResult | None, compared: CompareResult | None) -> list[str]:
    """Return what the user should know about the numbers, the gravest first, each with its sign."""
    lines = []
    if result is not None:
        lines += [f"{sign('error')} {words}" for words in result.errors]
        lines += [f"{sign('warning')} {words}" for words in (compared.warnings if compared else ())]
        lines += [f"{sign('warning')} profile {result.profile} is {PROVISIONAL}"] if result.provisional else []
        if result.missing:
            names = " ".join(result.missing[:4]) + (" …" if len(result.missing) > 4 else "")
            lines.append(f"{sign('warning')} {_volumes(len(result.missing))} not there, scored as empty: {names}")
        lines += [f"{sign('warning')} {words}" for words in result.warnings]
    elif item.run.state in {"failed", "lost", "stopped"}:
        lines += [f"{sign('warning')} {item.run.remedy}"] if item.run.remedy else []
        lines.append("r goes on: finished pairs are kept")
    return [printable(line) for line in lines]


def remark_lines(lines: list[str], width: int, most: int) -> Content:
    """Return the gravest remarks, a line each; how many there are more stands in the last, the log has them all."""
    shown = lines[:most]
    more = f"  +{len(lines) - most} more, L" if len(lines) > most else ""
    cut = [cut_middle(line, max(10, width - (len(more) if at == most - 1 else 0))) for at, line in enumerate(shown)]
    if cut:
        cut[-1] += more
    return Content("\n").join(map(Content, cut))


def _volumes(number: int) -> str:
    return f"{number} volume is" if number == 1 else f"{number} volumes are"


def class_brief(row: ClassRow | None, pairs: Sequence[PairRow]) -> Content:
    """Return the best and the worst crop of a class in a line."""
    if row is None:
        return Content("")
    label = row.result.label
    of_class = [pair for pair in pairs if pair.pair.label == label]
    scored = [pair for pair in of_class if pair.pair.score is not None]
    if not scored:
        return Content(f"{printable(label)}: no crop has a score")
    best, worst = max(scored, key=_score), min(scored, key=_score)
    words = f" by crop: best {_crop_score(best)}, worst {_crop_score(worst)}"
    hint = "  (enter lists, v slice)"
    return Content.assemble((printable(label), "bold"), printable(words), (hint, "$foreground-muted"))


def pair_brief(row: PairRow | None) -> Content:
    """Return the counts of a pair in a line."""
    if row is None:
        return Content("")
    pair = row.pair
    parts = [f"{name} {text.count(value)}" for name, value in _counts(row)]
    if pair.mean_matched_iou is not None:
        parts.append(f"matched IoU {figure(pair.mean_matched_iou)}")
    if pair.message:
        parts.append(pair.message)
    return Content.assemble((f"{cut_middle(printable(row.key), 36)}  ", "bold"), printable("  ".join(parts)))


def _counts(row: PairRow) -> list[tuple[str, int]]:
    names = ("matched", "hallucinated", "missed") if row.pair.kind == "instance" else ("tp", "fp", "fn")
    values = (row.pair.tp, row.pair.fp, row.pair.fn)
    return [(name, value) for name, value in zip(names, values, strict=True) if value is not None]


def _score(row: PairRow) -> float:
    return worst_first(row.pair.score)


def _crop_score(row: PairRow) -> str:
    return f"{crop_words(row.pair.crop)} {figure(row.pair.score)}"


def compared_words(compared: CompareResult, width: int) -> Content:
    """Return the changes of some classes in a line: ``compared with mito-s1: mito +0.021 ▲, er …``."""
    words = f"compared with {cut_middle(printable(compared.evaluations[0]), 28)}: "
    changed = [row for row in compared.classes if row.deltas[0] is not None]
    named: list[str] = []
    for row in changed:
        part = f"{printable(row.name)} {delta_words(row.deltas[0]).strip()}"
        if len(words) + sum(len(one) + 2 for one in named) + len(part) > width:
            break
        named.append(part)
    return Content(words + (", ".join(named) or "no class in both"))


def spread_lines(pairs: Sequence[PairRow], width: int, height: int) -> list[str]:
    """Return how the scores of crops spread, the best at the top: a line a tenth, its bar and its count."""
    scores = [row.pair.score for row in pairs if row.pair.score is not None]
    if not scores or height < 2:
        return []
    counts = [0] * _BINS
    for score in scores:
        counts[min(_BINS - 1, max(0, int(score * _BINS)))] += 1
    room = max(4, width - 16)
    lines = []
    for at in range(_BINS - 1, -1, -1):
        long = round(counts[at] / max(counts) * room)
        cells = bar(1.0, max(long, 1)) if counts[at] else ""
        lines.append(f"{at / _BINS:.1f}-{(at + 1) / _BINS:.1f}  {cells} {counts[at] or ''}".rstrip())
    return lines[:height]
