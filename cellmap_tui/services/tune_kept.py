"""Scores of recipes that were tried, kept on disk: a tuning that was killed goes on where it was.

They lie with the scores of evaluations in the state folder, by everything that decides them: recipe, rules, scorer,
and what the file system says about prediction and truth.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

from cellmap_tui.errors import RefusedError
from cellmap_tui.services.process_plan import read_names
from cellmap_tui.services.process_sources import find_core, find_named
from cellmap_tui.services.process_volume import job_key
from cellmap_tui.services.tune_recipes import recipe_of

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.scoring.results import PairScore
    from cellmap_tui.services.process_recipe import ClassRecipe
    from cellmap_tui.services.tune_recipes import Candidate
    from cellmap_tui.services.tune_score import Place


class KeptTries:
    """Scores of candidates of one class.

    Parameters
    ----------
    folder
        The state folder; None: as the settings say.
    start
        Recipe that tuning started from.
    profile
        Name of the scoring rules.
    """

    def __init__(self, folder: Path | None, start: ClassRecipe, profile: str) -> None:
        from cellmap_tui.services.evaluate_store import PairStore
        from cellmap_tui.services.settings import load_settings

        self._store = PairStore((folder or load_settings().state_dir) / "scores")
        self._start = start
        self._profile = profile
        self._prints: dict[tuple[str, str], tuple[str, ...]] = {}

    def get(self, candidate: Candidate, place: Place) -> PairScore | None:
        """Return the score of a candidate on a crop; None where it was not tried, or something has changed."""
        from cellmap_tui.services.evaluate_pairs import from_kept

        key = self._key(candidate, place)
        values = None if key is None else self._store.get(key)
        return None if values is None else from_kept(values)

    def put(self, candidate: Candidate, place: Place, score: PairScore) -> None:
        """Keep a score; where that cannot be, the next tuning tries again."""
        from cellmap_tui.services.evaluate_pairs import to_kept

        key = self._key(candidate, place)
        if key is not None:
            with contextlib.suppress(RefusedError):
                self._store.put(key, to_kept(score))

    def _key(self, candidate: Candidate, place: Place) -> str | None:
        from cellmap_tui.scoring.limits import Limits
        from cellmap_tui.services.evaluate_pairs import SCORER
        from cellmap_tui.services.evaluate_store import pair_key

        recipe = recipe_of(candidate, self._start, None)
        if recipe.others:
            return None  # labels of other classes are no files that could be told apart
        return pair_key(
            {
                "scorer": SCORER,
                "tried": job_key(recipe, *self._prints_of(candidate.run, recipe, place)),
                "profile": self._profile,
                "crop": place.target.name,
                "dataset": place.crop.dataset,
                "label": place.target.label,
                "scoring": place.kind,
                "unknown_value": place.unknown_value,
                "limits": dataclasses.astuple(Limits.from_environment()),
            }
        )

    def _prints_of(self, run: str, recipe: ClassRecipe, place: Place) -> tuple[str, ...]:
        """Return what tells truth and predictions from others; they are looked at once."""
        from cellmap_tui.services.evaluate_store import fingerprint

        key = (run, place.crop.ref)
        if key not in self._prints:
            label = place.target.label
            named = (self._start.source or label, *read_names(self._start), *read_names(recipe))
            paths = [place.target.truth, find_core(run, place.crop, label)]
            paths += [find_named(run, place.crop, name) for name in named]
            self._prints[key] = tuple("" if path is None else fingerprint(path) for path in paths)
        return self._prints[key]
