from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.local import add_local_crops
from cellmap_tui.challenge.targets import Target, targets_of
from cellmap_tui.errors import RefusedError, RequestError
from cellmap_tui.learning.config_checks import targets_for
from cellmap_tui.learning.networks import find_network
from cellmap_tui.services.config import ConfigSource, open_config
from cellmap_tui.services.doctor_probes import Ran
from cellmap_tui.services.propose import plan_propose, propose
from cellmap_tui.services.propose_gpu import Gpu, planned_gpu
from cellmap_tui.services.propose_groups import grouped
from cellmap_tui.services.propose_model import ProposeRequest
from cellmap_tui.services.propose_sizes import FILL, sizes_of, step_bytes
from cellmap_tui.services.propose_targets import Objects, TargetFacts, Wish, wants_core, wishes
from cellmap_tui.services.report import SilentReporter

NOBODY = SilentReporter()
GPU = Gpu("a GPU with 24 GB", 24.0, False, 71.0)


def cube(voxel_nm, edge=100):
    size = voxel_nm if isinstance(voxel_nm, tuple) else (voxel_nm,) * 3
    shape = edge if isinstance(edge, tuple) else (edge,) * 3
    return Grid(tuple(map(float, size)), (0.0, 0.0, 0.0), shape)


def facts(name, labelled_nm, scored_nm=(), objects=None):
    (target,) = targets_of([name]).targets
    crops = {f"d/crop{number}": cube(size) for number, size in enumerate(labelled_nm)}
    return TargetFacts(target, crops, tuple(scored_nm), objects)


def scales(*args, **more):
    return [wish.scale_nm for wish in wishes(facts(*args, **more))]


@pytest.mark.parametrize(
    ("name", "labelled", "scored", "expected"),
    [
        ("er_mem", [2, 2, 4], [2, 4], [4]),
        ("er_mem", [8, 8, 2], [2, 4], [8]),
        ("er", [2, 2, 4], [2, 4, 8], [8]),
        ("nuc", [2, 2, 4], [2, 2, 4], [4]),
        ("nuc", [2, 4, 4], [4, 4, 4, 8], [8]),
        ("nuc", [2, 4, 32], [4, 4, 4, 32], [8, 32]),
        ("nuc", [2, 4, 32], [4] * 9 + [32], [8]),
        ("nuc", [2, 4, 32], [], [64]),
        ("cell", [32, 32], [], [64]),
    ],
)
def test_the_scale_follows_details_labels_and_what_is_scored(name, labelled, scored, expected):
    assert scales(name, labelled, scored) == expected


def test_measured_objects_stand_above_usual_sizes():
    assert scales("mito", [2, 2], (), objects=Objects(90, 160.0, 0.0)) == [8]
    assert "objects of 160 nm" in wishes(facts("mito", [2], (), Objects(90, 160.0, 0.0)))[0].reason


def test_a_core_is_for_instance_targets_whose_objects_touch():
    assert wants_core(facts("mito", [2], (), Objects(90, 160.0, 0.2)))
    assert not wants_core(facts("mito", [2], (), Objects(90, 160.0, 0.01)))
    assert not wants_core(facts("mito", [2], (), Objects(90, 160.0, None)))
    assert not wants_core(facts("mito", [2]))


def test_small_groups_join_their_neighbours_and_coarse_ones_stay_apart():
    many = ["er_mem", "mito_mem", "ves_mem", "pm"]
    wanted = [(Wish(facts(name, [2]), 4, ""),) for name in many]
    wanted += [(Wish(facts("mito", [2]), 8, ""), Wish(facts("mito", [2]), 16, ""))]
    groups = grouped(wanted, 3)
    assert [(group.scale_nm, len(group.wishes), group.is_coarse) for group in groups] == [
        (4, 5, False),
        (16, 1, True),
    ]
    (one,) = grouped(wanted, 1)
    assert one.scale_nm == 4
    assert len(one.wishes) == 5


@given(
    wanted=st.lists(st.sampled_from([2, 4, 8, 16, 32, 64]), min_size=1, max_size=40),
    coarse=st.sets(st.integers(0, 39)),
    most=st.integers(1, 8),
)
def test_every_target_is_in_a_group_and_there_are_no_more_groups_than_asked_for(wanted, coarse, most):
    some = facts("mito", [2])
    made = []
    for number, scale in enumerate(wanted):
        own = TargetFacts(Target(f"t{number}", ("mito",), "instance"), some.crops, (), None)
        more = (Wish(own, 64, ""),) if number in coarse and scale < 16 else ()
        made.append((Wish(own, scale, ""), *more))
    groups = grouped(made, most)
    assert 1 <= len(groups) <= most
    assert {wish.facts.target.name for group in groups for wish in group.wishes} == {
        f"t{n}" for n in range(len(wanted))
    }
    for group in groups:
        names = [wish.facts.target.name for wish in group.wishes]
        assert len(names) == len(set(names))
    assert [group.scale_nm for group in groups] == sorted(group.scale_nm for group in groups)


@given(
    edges=st.lists(st.integers(1, 800), min_size=1, max_size=5),
    channels=st.integers(1, 96),
    memory_gb=st.sampled_from([4.0, 10.0, 24.0, 40.0, 80.0]),
    size=st.sampled_from([(8, 8, 8), (5.24, 4, 4), (50, 4, 4), (4, 4, 30)]),
    dimensions=st.sampled_from(["auto", "2d", "3d"]),
)
def test_a_patch_suits_its_network_and_the_gpu_carries_a_step(edges, channels, memory_gb, size, dimensions):
    gpu = Gpu("", memory_gb, False, 71.0)
    sizes = sizes_of({f"c{i}": cube(size, edge) for i, edge in enumerate(edges)}, 8, channels, gpu, dimensions, None)
    assert all(length == 1 or length % sizes.network.multiple == 0 for length in sizes.patch)
    assert sum(length == 1 for length in sizes.patch) == sizes.is_flat
    assert sizes.is_flat == (dimensions == "2d" or (dimensions == "auto" and max(size) > 20))
    carried = step_bytes(sizes.patch, sizes.batch_size, sizes.network, channels)
    assert carried <= FILL * memory_gb * 1e9 or sizes.batch_size == 1
    assert sizes.epochs >= 20
    assert sizes.iterations >= 1
    assert math.isfinite(sizes.hours)


def test_patches_are_no_larger_than_the_middle_crop():
    sizes = sizes_of({"a": cube(8, (100, 40, 400))}, 8, 2, GPU, "auto", None)
    assert sizes.patch == (112, 48, 128)


def test_voxels_that_are_long_in_one_axis_make_flat_patches_in_their_proportions():
    sizes = sizes_of({"a": cube((50, 4, 4), (20, 512, 512))}, 8, 1, GPU, "auto", None)
    assert (sizes.scale_nm, sizes.patch) == ((50.0, 4.0, 4.0), (1, 512, 512))
    assert sizes_of({"a": cube((4, 4, 50), (512, 512, 20))}, 8, 1, GPU, "auto", None).patch == (512, 512, 1)


def test_fewer_hours_are_fewer_epochs():
    crops = {f"c{i}": cube(8, 300) for i in range(40)}
    free = sizes_of(crops, 8, 2, GPU, "auto", None)
    short = sizes_of(crops, 8, 2, GPU, "auto", 1.0)
    assert short.hours == pytest.approx(1.0)
    assert short.epochs * short.iterations < free.epochs * free.iterations


class Machine:
    def __init__(self, out, code=0):
        self.ran = Ran(code, out, "")

    def run(self, _words, _timeout_s):
        return self.ran


@pytest.mark.parametrize(
    ("out", "code", "memory", "peak", "assumed"),
    [
        ("NVIDIA H100 80GB HBM3, 81559\n", 0, 85.5, 790.0, False),
        ("NVIDIA L40S, 46068\nNVIDIA A10, 23028\n", 0, 24.1, 125.0, False),
        ("Some New Card, 24564\n", 0, 25.8, 71.0, False),
        ("No devices were found\n", 6, 24.0, 71.0, True),
    ],
)
def test_the_smallest_gpu_of_the_machine_is_planned_for(out, code, memory, peak, assumed):
    gpu = planned_gpu(None, Machine(out, code))
    assert gpu.memory_gb == pytest.approx(memory, abs=0.1)
    assert (gpu.peak_tflops, gpu.is_assumed) == (peak, assumed)
    assert planned_gpu(40.0, Machine(out, code)).memory_gb == 40.0


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    from cellmap_tui.services.demo import DemoRequest
    from cellmap_tui.services.demo import demo as make

    root = tmp_path_factory.mktemp("demo")
    return make(DemoRequest(root=root / "demo", size="tiny", make_only=True), NOBODY).data_root


def request_of(folder, **options):
    return ProposeRequest(output=folder, state_dir=folder / "state", gpu_memory_gb=24, **options)


def test_the_whole_challenge_asks_for_more_than_one_scale(tmp_path):
    result = plan_propose(request_of(tmp_path), NOBODY)
    assert [group.scale_nm[0] for group in result.groups] == [4.0, 8.0, 16.0]
    fine, middle, coarse = ({target.name for target in group.targets} for group in result.groups)
    assert {"er_mem", "pm"} <= fine
    assert {"mito", "er", "nuc"} <= middle
    assert {"mito", "nuc"} <= coarse
    assert fine | middle == {info.name for info in _scored()}
    # The labelled volume at 8 nm, as counted by hand from the published manifest.
    assert result.groups[1].labelled_voxels == pytest.approx(2.36e9, rel=0.01)
    assert (result.written, list(tmp_path.iterdir())) == ((), [])


def test_a_class_without_a_crop_is_left_out_with_its_reason(tmp_path):
    result = plan_propose(request_of(tmp_path, classes=("nuc", "ribo")), NOBODY)
    assert [out.name for out in result.left_out] == ["ribo"]
    assert "none of 289 crops" in result.left_out[0].reason
    with pytest.raises(RequestError, match="ribo is annotated in none of 289 crops"):
        plan_propose(request_of(tmp_path, classes=("ribo",)), NOBODY)


def test_configurations_are_written_and_have_no_mistake(demo, tmp_path):
    out = tmp_path / "plans"
    result = propose(request_of(out, data_root=demo), NOBODY)
    assert sorted(result.written) == sorted(out.glob("train_*.toml"))
    for group in result.groups:
        config = open_config(ConfigSource(group.path, state_dir=tmp_path)).checked()
        assert config.input_array_info[0].shape == group.patch
        assert set(config.classes) == {target.name for target in group.targets}
        assert find_network(config.architecture).name == group.network
        assert {t.name for t in targets_for(config).targets if t.core} == {t.name for t in group.targets if t.core}
        text = group.path.read_text()
        assert all(target.reason.split(";")[0] in text.replace("\n# ", " ") for target in group.targets)
    measured = {target.name: target for group in result.groups for target in group.targets}
    assert measured["mito"].objects > 0
    assert measured["mito"].object_nm > 0
    assert measured["er"].objects is None
    with pytest.raises(RefusedError, match="is there already"):
        propose(request_of(out, data_root=demo), NOBODY)
    propose(request_of(out, data_root=demo, overwrite=True), NOBODY)


def test_targets_of_a_file_are_divided_with_their_groups(demo, tmp_path):
    (tmp_path / "t.toml").write_text(
        'ignore = ["mito_ribo"]\n[targets]\nmembranes = ["er_mem", "ves_mem"]\n'
        'm = { classes = ["mito_mem", "mito_lum"], kind = "instance", core = true }\n'
    )
    result = propose(request_of(tmp_path / "out", data_root=demo, targets=tmp_path / "t.toml", max_groups=2), NOBODY)
    learned = {}
    for group in result.groups:
        config = open_config(ConfigSource(group.path, state_dir=tmp_path)).checked()
        targets = targets_for(config)
        assert targets.ignored == ("mito_ribo",)
        learned |= {target.name: target for target in targets.targets}
    assert set(learned) == {"membranes", "m"}
    assert learned["m"].core


def test_a_split_says_which_crops_and_classes_count(demo, tmp_path):
    from cellmap_tui.services.split import make_datasplit
    from cellmap_tui.services.split_model import SplitRequest

    split = tmp_path / "split.csv"
    make_datasplit(SplitRequest(csv_path=split, data_root=demo, classes=("mito", "er")), NOBODY)
    result = propose(request_of(tmp_path, data_root=demo, datasplit=split, classes=("mito", "pm")), NOBODY)
    assert "training crops of split.csv" in result.crops_from
    assert [out.name for out in result.left_out] == ["pm"]
    config = open_config(ConfigSource(result.groups[0].path, state_dir=tmp_path)).checked()
    assert config.datasplit_path == split


def test_labels_of_imported_crops_are_planned_too(tmp_path):
    add_local_crops(
        tmp_path, [Crop(1, "mine", "train", cube((50, 4, 4), (20, 512, 512)), ("wall",), source="import")]
    )
    result = plan_propose(request_of(tmp_path / "out", data_root=tmp_path, crops="mine/1"), NOBODY)
    (group,) = result.groups
    assert ([target.name for target in group.targets], group.patch) == (["wall"], (1, 512, 512))
    assert any("no test volumes" in note for note in result.notes)


def test_a_gpu_too_small_for_the_smallest_patch_is_told(tmp_path):
    result = plan_propose(ProposeRequest(output=tmp_path, gpu_memory_gb=1, classes=("nuc",)), NOBODY)
    assert any("even the smallest patch takes" in note for note in result.notes)


@pytest.mark.parametrize(
    "options",
    [
        {"max_groups": 0},
        {"gpu_memory_gb": 0.1},
        {"gpu_memory_gb": math.nan},
        {"hours": -1.0},
        {"crops": "1", "datasplit": "x"},
        {"classes": ("nuc",), "targets": "x"},
    ],
)
def test_requests_that_contradict_themselves_are_refused(options):
    with pytest.raises(RequestError):
        ProposeRequest(**options)


def test_the_data_are_left_as_they_are(demo, tmp_path):
    before = {p: p.stat().st_mtime_ns for p in demo.rglob("*") if ".cellmap-tui" not in p.parts and p.is_file()}
    propose(request_of(tmp_path, data_root=demo), NOBODY)
    assert before == {
        p: p.stat().st_mtime_ns for p in demo.rglob("*") if ".cellmap-tui" not in p.parts and p.is_file()
    }


def _scored():
    from cellmap_tui.challenge.classes import builtin_classes

    return builtin_classes().scored


def test_the_proposal_can_be_told_in_lines_before_it_is_made(demo, tmp_path):
    from cellmap_tui.services.plan_words import plan_lines

    lines = plan_lines("plan", request_of(tmp_path, data_root=demo, classes=("mito",)))
    assert "crops on disk" in lines[0]
    assert lines[1].startswith("1 target, ")
    assert not list(tmp_path.iterdir())
