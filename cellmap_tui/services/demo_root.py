"""The demo's own folder: where things lie in it, what is finished, and what it must stay out of.

``demo.json`` says what the demo is and which units are finished; a unit counts as finished when it
stands there and its folders exist. Everything is built below ``.partial`` and renamed, so a demo
that was killed at any point goes on with the first unit that is not finished.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.challenge.layout import SIDECAR
from cellmap_tui.errors import DataError, RefusedError, RequestError
from cellmap_tui.services.settings import BUCKET
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellmap_tui.services.demo_plan import Size

MARKER = "demo.json"
FORMAT = 1
"""Version of the generator: demos of another version are not continued, their bytes would not fit together."""
_LOCK = ".demo.lock"
_PARTIAL = ".partial"
_SCANNED_ENTRIES = 2000


@dataclass(frozen=True, slots=True)
class DemoRoot:
    """Paths below the root of a demo."""

    root: Path

    @property
    def marker(self) -> Path:
        """What the demo is and how far it is."""
        return self.root / MARKER

    @property
    def bucket_root(self) -> Path:
        """Folder of buckets, as an S3 server wants it."""
        return self.root / "bucket"

    @property
    def bucket(self) -> Path:
        """The bucket."""
        return self.bucket_root / BUCKET

    @property
    def data_root(self) -> Path:
        """A data root with all of the demo present."""
        return self.root / "data"

    @property
    def truth(self) -> Path:
        """Ground truth of the test crops, in the layout of a submission."""
        return self.root / "truth" / "ground_truth.zarr"

    @property
    def slices(self) -> Path:
        """Pictures that the journey draws."""
        return self.root / "slices"

    @property
    def fetched(self) -> Path:
        """Data root that the journey fetches into."""
        return self.root / "fetched"

    @property
    def stand_in(self) -> Path:
        """What stands for a model's output: damaged truth, a zarr a dataset."""
        return self.root / "stand-in"

    @property
    def plan(self) -> Path:
        """The plan that the journey carries out."""
        return self.root / "plan.toml"

    @property
    def targets(self) -> Path:
        """Its targets."""
        return self.root / "targets.toml"

    @property
    def training_config(self) -> Path:
        """Configuration of its network."""
        return self.root / "train.toml"

    def written_by_the_plan(self) -> tuple[Path, ...]:
        """Return what the steps of the plan make, its progress included."""
        folders = ("mapped", "exported", "training", ".state")
        results = ("result.json", "result_extended.json", "model_result.json", "model_result_extended.json")
        files = ("counts.csv", "datasplit.csv", "submission.zip", "model.zip", "plan.state.json")
        return tuple(self.root / name for name in (*folders, *results, *files))

    @property
    def partial(self) -> Path:
        """Where things are built."""
        return self.root / _PARTIAL

    @property
    def manifest(self) -> Path:
        """Training crops and their addresses in the bucket."""
        return self.root / "manifest.csv"

    @property
    def train_manifest(self) -> Path:
        """Annotations of the training crops."""
        return self.root / "train_manifest.csv"

    @property
    def test_manifest(self) -> Path:
        """Volumes of the test crops."""
        return self.root / "test_manifest.csv"

    def files(self) -> tuple[Path, ...]:
        """Return the single files, the marker last."""
        return (self.manifest, self.train_manifest, self.test_manifest, self.marker)

    def owned(self) -> tuple[Path, ...]:
        """Return everything that a demo writes, the marker last."""
        made = (self.bucket_root, self.data_root, self.root / "truth", self.partial)
        walked = (
            self.slices,
            self.fetched,
            self.stand_in,
            *self.written_by_the_plan(),
            self.plan,
            self.targets,
            self.training_config,
        )
        return (*made, *walked, *self.files())


@dataclass(frozen=True, slots=True)
class Marker:
    """Content of ``demo.json``."""

    size: Size
    seed: int
    finished: tuple[str, ...] = ()
    """Units that are complete, in the order of the plan."""
    format: int = FORMAT

    @property
    def recipe(self) -> tuple[object, ...]:
        """What decides every byte of the demo."""
        return (self.format, self.size, self.seed)


def read_marker(path: Path) -> Marker | None:
    """Return what a folder's marker says, or None where there is none.

    Raises
    ------
    DataError
        If the file is not a marker.
    """
    try:
        value = json.loads(path.read_bytes())
        return Marker(value["size"], int(value["seed"]), tuple(map(str, value["finished"])), int(value["format"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(
            f"{path} does not describe a demo: {printable(str(error))}", "choose another folder, or remove it"
        ) from None


def write_marker(path: Path, marker: Marker) -> None:
    """Replace the marker."""
    value = {
        "format": marker.format,
        "size": marker.size,
        "seed": marker.seed,
        "finished": sorted(marker.finished),
    }
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def check_place(root: Path, user_data_root: Path | None) -> None:
    """Make sure that a demo may live at `root`.

    Raises
    ------
    RequestError
        If `root` is a file or cannot be listed.
    RefusedError
        If it is a data root, lies inside one, or holds anything but a demo.
    """
    remedy = "choose an empty or new folder for the demo"
    place = root.resolve()
    try:
        entries = {entry.name for entry in place.iterdir() if not _is_unfinished(entry)} if place.exists() else set()
    except NotADirectoryError:
        raise RequestError(f"{root} is a file", remedy) from None
    except OSError as error:
        raise RequestError(f"{root} cannot be read: {error.strerror}", remedy) from None
    for folder in (place, *place.parents):
        if (user_data_root is not None and folder == user_data_root.resolve()) or _is_data_root(folder):
            where = "is" if folder == place else "lies inside"
            raise RefusedError(f"{root} {where} the data root {folder}, which a demo must stay out of", remedy)
    if entries and MARKER not in entries:
        raise RefusedError(f"{root} is not empty and not a demo", remedy)


def clear(paths: DemoRoot) -> None:
    """Remove what a demo wrote, and nothing else."""
    for path in paths.owned():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def only_writer(paths: DemoRoot) -> Iterator[None]:
    """Hold the demo for this process, and clear away what a killed one left half done.

    Raises
    ------
    RefusedError
        If another process is at work in it.
    """
    import fcntl

    with (paths.root / _LOCK).open("w") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RefusedError(
                f"another process is making the demo in {paths.root}",
                "watch it under `runs`, or choose another folder",
            ) from None
        _remove_leftovers(paths)
        try:
            yield
        finally:
            shutil.rmtree(paths.partial, ignore_errors=True)


def _remove_leftovers(paths: DemoRoot) -> None:
    shutil.rmtree(paths.partial, ignore_errors=True)
    for path in (*paths.files(), paths.data_root / SIDECAR / "crops.json"):
        for file in path.parent.glob(f"{path.name}.*.tmp"):
            file.unlink(missing_ok=True)
    for file in paths.slices.glob(".*.png.*.tmp"):
        file.unlink(missing_ok=True)


def _is_unfinished(entry: Path) -> bool:
    """Return whether a file is what a demo that was killed at its very start leaves behind."""
    return entry.name == _LOCK or (entry.name.startswith(f"{MARKER}.") and entry.suffix == ".tmp")


def _is_data_root(folder: Path) -> bool:
    """Return whether a folder has a local catalog or a dataset in the challenge's layout."""
    try:
        if (folder / SIDECAR).is_dir():
            return True
        with os.scandir(folder) as entries:
            for entry, _ in zip(entries, range(_SCANNED_ENTRIES), strict=False):
                if entry.is_dir() and (Path(entry.path) / f"{entry.name}.zarr").is_dir():
                    return True
    except OSError:
        return False
    return False


def demo_of(data_root: Path) -> DemoRoot | None:
    """Return the demo that a data root belongs to; None where it is nobody's demo."""
    paths = DemoRoot(data_root.absolute().parent)
    if paths.data_root != data_root.absolute():
        return None
    try:
        return paths if read_marker(paths.marker) is not None else None
    except DataError:
        return None
