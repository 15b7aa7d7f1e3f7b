"""The golden cases: written once per session, scored as a whole submission."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cellmap_tui.challenge.manifests import ManifestFile, parse_volumes
from cellmap_tui.scoring.aggregate import Scores, aggregate
from cellmap_tui.scoring.pairs import score_pair
from cellmap_tui.scoring.plan import Pairs, plan_pairs
from cellmap_tui.scoring.profiles import DEFAULT_PROFILE, Profile
from cellmap_tui.scoring.submission import open_submission
from tests.scoring.golden import gen_cases

GOLDEN = Path(__file__).parent / "golden"
NAMES = tuple(sorted(file.stem for file in GOLDEN.glob("*.json")))
SLOW = ("timing_200-s1",)


@dataclass(frozen=True)
class Case:
    name: str
    folder: Path

    @property
    def golden(self) -> dict:
        return json.loads((GOLDEN / f"{self.name}.json").read_text())

    @property
    def facts(self) -> dict:
        return json.loads((self.folder / "case.json").read_text())

    def plan(self, profile: Profile = DEFAULT_PROFILE) -> Pairs:
        manifest = self.folder / "test_crop_manifest.csv"
        crops = parse_volumes(ManifestFile(manifest.name, manifest.read_bytes()), "test")
        grids = {(crop.name, label): crop.grid_of(label) for crop in crops for label in crop.classes}
        submission = open_submission(self.folder / self.facts["submission"])
        truth = open_submission(self.folder / "ground_truth.zarr", is_guarded=False)
        return plan_pairs(submission, truth, grids, profile)

    def scores(self, profile: Profile = DEFAULT_PROFILE) -> Scores:
        plan = self.plan(profile)
        return aggregate(map(score_pair, plan.official), profile, plan.total_evals)


def write_case(name: str, root: Path) -> Case:
    kind, _, seed = name.rpartition("-s")
    return Case(name, gen_cases.build(kind, int(seed)).write(root))
