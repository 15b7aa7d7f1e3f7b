"""Targets that nothing can be learned of: told with the crops that were searched and each reason."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cellmap_tui.errors import RequestError
from cellmap_tui.services.split_model import DROP_WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.challenge.targets import Target
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.services.split_judge import Judged
    from cellmap_tui.services.split_model import TargetState
    from cellmap_tui.services.split_sources import Candidate
    from cellmap_tui.services.split_targets import Meaning

    Reasons = dict[tuple[str, str], list[str]]

_WORDS: dict[TargetState, tuple[str, str]] = {
    "unknown": ("do not annotate it", "does not annotate it"),
    "missing": ("annotate it, but the labels are not on disk", "annotates it, but the labels are not on disk"),
    "absent": ("annotate it and have no voxel of it", "annotates it and has no voxel of it"),
    "part": ("annotate only members that are absent", "annotates only members that are absent"),
    "coarse": ("have labels coarser than the scale", "has labels coarser than the scale"),
    "broken": ("have labels that cannot be read", "has labels that cannot be read"),
}
"""What several crops do, and one."""
_SHOWN = 3
_NAMED = 12


def check_annotated(candidates: Sequence[Candidate], meaning: Meaning, report: Reporter) -> None:
    """Raise for targets that no crop annotates, before any label is read.

    Raises
    ------
    RequestError
        Names every such target, the crops that were searched, and why each does not do.
    """
    nowhere = [
        target
        for target in meaning.targets.targets
        if not any(meaning.source(name, c.annotated).arrays for c in candidates for name in target.classes)
    ]
    if nowhere:
        refs = [candidate.ref for candidate in candidates]
        raise _error([(target, {_WORDS["unknown"]: refs}) for target in nowhere], meaning, len(refs), report)


def check_shown(judged: Sequence[Judged], meaning: Meaning, report: Reporter) -> None:
    """Raise for targets that no crop that is used shows.

    Raises
    ------
    RequestError
        Names every such target, the crops that were searched, and why each does not do.
    """
    found = []
    for target in meaning.targets.targets:
        if not any(crop.dropped is None and crop.shows(target.name) for crop in judged):
            found.append((target, _reasons(target.name, judged)))
    if found:
        raise _error(found, meaning, len(judged), report)


def _reasons(name: str, judged: Sequence[Judged]) -> Reasons:
    reasons: Reasons = {}
    for crop in judged:
        state = next(view.stand.state for view in crop.views if view.stand.name == name)
        words = _WORDS.get(state)
        if words is None and crop.dropped is not None:
            why = DROP_WORDS[crop.dropped]
            words = (f"have it but are left out: {why}", f"has it but is left out: {why}")
        reasons.setdefault(words or ("have it", "has it"), []).append(crop.candidate.ref)
    return reasons


def none_usable(judged: Sequence[Judged]) -> RequestError:
    """Return the error of a split without crops: how many are left out for which reason, and what they annotate."""
    kinds = Counter(crop.dropped for crop in judged if crop.dropped is not None)
    told = "; ".join(f"{count} × {DROP_WORDS[kind]}" for kind, count in kinds.most_common())
    names = sorted({name for crop in judged for name in crop.candidate.annotated})
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    instead = f"they annotate {', '.join(names[:_NAMED])}{more}" if names else "fetch crops, or import your own"
    return RequestError(f"none of {_crops(len(judged))} can be used: {told}", instead)


def _error(
    targets: Sequence[tuple[Target, Reasons]], meaning: Meaning, searched: int, report: Reporter
) -> RequestError:
    parts = []
    for target, reasons in targets:
        told = [_counted(words, refs) for words, refs in reasons.items()]
        parts.append(
            f"nothing to learn {target.name} from in {_crops(searched)}: {', '.join(told)}{_why(target, meaning)}"
        )
        for words, refs in reasons.items():
            if len(refs) > _SHOWN:
                report.warning(f"{target.name}: {len(refs)} crops {words[0]}: {' '.join(refs)}")
    left = [name for name in meaning.targets.names if name not in {target.name for target, _ in targets}]
    instead = f"choose others, such as -c {','.join(left)}" if left else "choose other classes or crops"
    return RequestError("; ".join(parts), f"{instead}; --force goes on without")


def _counted(words: tuple[str, str], refs: Sequence[str]) -> str:
    shown = ", ".join(refs[:_SHOWN]) + (f" and {len(refs) - _SHOWN} more" if len(refs) > _SHOWN else "")
    return f"{len(refs)} {words[len(refs) == 1]} ({shown})"


def _why(target: Target, meaning: Meaning) -> str:
    info = meaning.table.named(target.name)
    return f" ({info.not_scored_reason})" if info is not None and info.not_scored_reason else ""


def _crops(number: int) -> str:
    return f"{number} crop{'' if number == 1 else 's'}"
