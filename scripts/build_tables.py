"""Build the compact tables of `cellmap_tui.challenge` from the published files of the challenge.

    python scripts/build_tables.py --reference DIR           # write the tables
    python scripts/build_tables.py --reference DIR --check   # compare them, value by value

DIR holds classes_long.csv, classes_ids.csv, tested_classes.csv, manifest.csv,
train_crop_manifest.csv and test_crop_manifest.csv as published.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

from cellmap_tui.challenge.classes import ClassInfo, ClassTable, builtin_classes, collapse_ids
from cellmap_tui.challenge.crop_table import format_crop_table
from cellmap_tui.challenge.manifests import ManifestFile, parse_manifests

TABLES = Path(__file__).parent.parent / "cellmap_tui" / "challenge" / "tables"
OUTSIDE = "outside the challenge: not among the 48 scored classes"
REASONS = {
    "isg": "insulin secretory granules are not evaluated",
    "isg_mem": "part of the insulin secretory granule, which is not evaluated",
    "isg_lum": "part of the insulin secretory granule, which is not evaluated",
    "isg_ins": "part of the insulin secretory granule, which is not evaluated",
    "ribo": "the crops hold no ribosome foreground",
    "vim": "the official toolbox lists it with the instance classes, but no test volume has it",
}
"""What the published tables do not say about a class that is not scored."""


def main() -> int:
    """Write or check the tables; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, required=True, metavar="DIR")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    if arguments.check:
        problems = check(arguments.reference)
        print("\n".join(problems) or "the tables say what the published files say")
        return 1 if problems else 0
    write(arguments.reference)
    return 0


def write(reference: Path) -> None:
    """Write both tables."""
    TABLES.mkdir(exist_ok=True)
    rows = [_class_line(info) for info in published_classes(reference)]
    head = "# id\tname\taliases\tlong name\tmember ids\tscored as\twhy not scored\n"
    (TABLES / "classes.tsv").write_text(head + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    builtin_classes.cache_clear()
    crops = read_published(reference).crops
    (TABLES / "crops.tsv").write_text(format_crop_table(crops), encoding="utf-8")
    print(f"wrote {len(rows)} classes and {len(crops)} crops to {TABLES}")


def read_published(reference: Path):  # noqa: ANN201 - a Manifests
    """Return the crops of the published manifests."""
    files = {
        name: ManifestFile(file, (reference / file).read_bytes())
        for name, file in (
            ("manifest", "manifest.csv"),
            ("train_manifest", "train_crop_manifest.csv"),
            ("test_manifest", "test_crop_manifest.csv"),
        )
    }
    return parse_manifests(**files, source="challenge")


def published_classes(reference: Path) -> list[ClassInfo]:
    """Return the class table as the published files have it, with reasons for what is not scored."""
    scored = (reference / "tested_classes.csv").read_text().split()
    other_names = {int(row[1]): row[0] for row in csv.reader((reference / "classes_ids.csv").open())}
    annotated = {row["class_label"] for row in _rows(reference / "train_crop_manifest.csv")}
    infos = [_class(row, scored, other_names) for row in _rows(reference / "classes_long.csv")]
    table = ClassTable(infos)
    return [info if info.scoring else _with_reason(info, table, annotated) for info in infos]


def _class(row: dict[str, str], scored: list[str], other_names: dict[int, str]) -> ClassInfo:
    name, class_id = row["field_name"], int(row["class_id"])
    other = other_names.get(class_id, name)
    members = tuple(int(part) for part in row["ids included"].split("-") if part)
    instance = row["instance_challenge"] == "True"
    scoring = ("instance" if instance else "semantic") if name in scored else None
    aliases = (other,) if other != name else ()
    return ClassInfo(name, class_id, row["long_name"], aliases, members, scoring)


def _with_reason(info: ClassInfo, table: ClassTable, annotated: set[str]) -> ClassInfo:
    from dataclasses import replace

    parts = [OUTSIDE]
    parts.append("annotated in training crops" if info.name in annotated else "no training crop has it annotated")
    scored_parents = [group.name for group in table.parents(info.id) if group.scoring]
    if scored_parents:
        parts.append(f"counts only as part of {', '.join(scored_parents)}")
    if info.name in REASONS:
        parts.append(REASONS[info.name])
    return replace(info, not_scored_reason="; ".join(parts))


def _class_line(info: ClassInfo) -> str:
    members, aliases = collapse_ids(info.member_ids), ",".join(info.aliases)
    fields = (info.id, info.name, aliases, info.long_name, members, info.scoring, info.not_scored_reason)
    return "\t".join("" if field is None else str(field) for field in fields)


def check(reference: Path) -> list[str]:
    """Compare the tables with the published files value by value; return what differs."""
    from cellmap_tui.challenge.catalog import builtin_catalog

    catalog = builtin_catalog()
    problems = []
    if list(catalog.classes) != published_classes(reference):
        problems.append("the classes differ")
    for split, file in (("train", "train_crop_manifest.csv"), ("test", "test_crop_manifest.csv")):
        published = {_values(row) for row in _rows(reference / file)}
        ours = {
            (a.crop.id, a.crop.dataset, a.class_name, a.grid.voxel_size_nm, a.grid.translation_nm, a.grid.shape)
            for a in catalog.annotations()
            if a.crop.split == split
        }
        missing, extra = len(published - ours), len(ours - published)
        if missing or extra:
            problems.append(f"{file}: {missing} rows are missing and {extra} are extra")
        print(f"{file}: {len(published)} published rows, {len(published & ours)} the same")
    return problems


def _values(row: dict[str, str]) -> tuple[object, ...]:
    triples = [row[name].strip("[]").split(";") for name in ("voxel_size", "translation", "shape")]
    voxel_size, translation = (tuple(map(float, part)) for part in triples[:2])
    return (
        int(row["crop_name"]),
        row["dataset"],
        row["class_label"],
        voxel_size,
        translation,
        tuple(map(int, triples[2])),
    )


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    sys.exit(main())
