from __future__ import annotations

import dataclasses
import subprocess
import sys
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmap_tui.errors import MissingDataError, RequestError
from cellmap_tui.learning.config_arrays import ArrayInfo
from cellmap_tui.learning.config_checks import World, targets_for
from cellmap_tui.learning.config_model import TrainConfig, keys
from cellmap_tui.learning.config_read import read_config
from cellmap_tui.learning.config_write import resolved_toml
from cellmap_tui.learning.networks import NETWORKS, find_network
from tests.learning.config_parts import read, refuse

TABLE_D = """
base_experiment_path model_save_path logs_save_path datasplit_path validation_prob learning_rate batch_size
input_array_info target_array_info epochs iterations_per_epoch random_seed classes model_name model_to_load
model_kwargs model load_model low_is_best smoothing_window spatial_transforms train_raw_value_transforms
val_raw_value_transforms
target_value_transforms value_transforms optimizer scheduler scheduler_kwargs criterion criterion_kwargs weight_loss
weighted_sampler use_mutual_exclusion force_all_classes filter_by_scale use_s3 validation_time_limit
validation_batch_limit max_grad_norm gradient_accumulation_steps device dataloader_kwargs debug_memory process_func
precision ema_decay loss ignore_padding metrics val_every best_metric keep_checkpoints early_stop max_hours devices
workers cache_gb compile
"""


def the_problem(resolved):
    assert len(resolved.problems) == 1, resolved.problems
    return resolved.problems[0]


def test_every_key_of_the_official_toolbox_is_there():
    assert set(TABLE_D.split()) <= set(keys())


def test_every_key_has_a_field_and_takes_its_own_defaults():
    assert list(keys()) == [field.name for field in dataclasses.fields(TrainConfig)]
    for key in keys().values():
        for default in (key.default, key.official):
            if key.name != "target_array_info":
                key.kind.read(default)


def test_what_is_done_to_grey_values_by_default_is_what_the_patches_do():
    from cellmap_tui.learning.augment_values import DEFAULT_VALUES, GreyAugmentation

    key = keys()["train_raw_value_transforms"]
    assert key.kind.read(key.default) == DEFAULT_VALUES
    GreyAugmentation(DEFAULT_VALUES, 0)


def test_no_file_at_all_is_a_whole_configuration(tmp_path):
    config = read_config(None, cwd=tmp_path, run_python=refuse).checked()
    assert (config.architecture, config.loss, config.optimizer) == ("resencunet", "dice_bce", "AdamW")
    assert config.target_array_info[0].shape == config.input_array_info[0].shape == (128, 128, 128)


def test_values_carry_where_they_come_from(tmp_path):
    text = 'epochs = 20\n\n[input_array_info]\nshape = [64, 64, 64]\nscale = 8\n\n["spatial_transforms"]\n'
    resolved = read(tmp_path, text, "batch_size=4", "epochs=5")
    assert resolved.origins["epochs"] == "--set"
    assert resolved.origins["batch_size"] == "--set"
    assert resolved.origins["input_array_info"] == "config.toml, line 3"
    assert resolved.origins["learning_rate"] == "default"
    assert resolved.checked().epochs == 5


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        ("classes=nuc,mito", "classes", ("nuc", "mito")),
        ('classes=["nuc", "mito"]', "classes", ("nuc", "mito")),
        ("device=cpu", "device", "cpu"),
        ("learning-rate=1e-3", "learning_rate", 0.001),
        ("filter_by_scale=8,8,8", "filter_by_scale", (8.0, 8.0, 8.0)),
        ("filter_by_scale=true", "filter_by_scale", True),
        ("max_hours=none", "max_hours", None),
        ("workers=auto", "workers", "auto"),
        ("workers=3", "workers", 3),
        ("force_all_classes=true", "force_all_classes", "true"),
        ("model_name=UNet_3D", "architecture", "3d_unet"),
        ("criterion=BCEWithLogitsLoss", "loss", "bce"),
    ],
)
def test_a_set_takes_what_a_shell_can_write(tmp_path, words, key, value):
    assert getattr(read(tmp_path, "", words).checked(), key) == value


def test_a_set_of_a_part_keeps_the_rest_of_its_table(tmp_path):
    text = "input_array_info = { shape = [32, 32, 32], scale = [16, 8, 8] }"
    config = read(tmp_path, text, "input_array_info.shape=64,64,64").checked()
    assert config.input_array_info == (ArrayInfo("raw", (64, 64, 64), (16.0, 8.0, 8.0)),)


def test_paths_in_a_file_are_relative_to_it_and_on_the_command_line_to_where_one_stands(tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    (tmp_path / "c.toml").write_text('datasplit_path = "a.csv"\nbase_experiment_path = "out"\n')
    config = read_config(tmp_path / "c.toml", cwd=here, run_python=refuse).checked()
    assert config.datasplit_path == tmp_path / "a.csv"
    assert config.model_save_path == str(tmp_path / "out" / "checkpoints/{model_name}_{epoch}.pth")
    config = read_config(tmp_path / "c.toml", sets=["datasplit_path=a.csv"], cwd=here, run_python=refuse).checked()
    assert config.datasplit_path == here / "a.csv"


def test_save_paths_that_nobody_gave_are_left_to_the_run(tmp_path):
    assert read(tmp_path, "").checked().model_save_path == "checkpoints/{model_name}_{epoch}.pth"


def test_a_targets_file_takes_the_place_of_classes(tmp_path):
    (tmp_path / "targets.toml").write_text('[targets]\nm = { classes = ["mito"], kind = "instance" }\n')
    config = read(tmp_path, 'targets_path = "targets.toml"\ncores = ["m"]').checked()
    assert config.classes == ("m",)
    assert targets_for(config).targets[0].core
    both = read(tmp_path, 'targets_path = "targets.toml"\nclasses = ["nuc"]')
    assert "two things" in the_problem(both).message


def test_labels_of_imported_crops_are_classes_too(tmp_path):
    text = 'classes = ["plant_wall"]'
    assert read(tmp_path, text).problems
    assert not read(tmp_path, text, world=World(labels=("plant_wall",))).problems


@pytest.mark.parametrize(
    ("text", "says", "helps"),
    [
        ("epcohs = 3", "unknown key 'epcohs'", "did you mean 'epochs'?"),
        ("bacth-size = 3", "unknown key 'bacth-size'", "did you mean 'batch_size'?"),
        ('learning_rate = "0.1"', 'the text "0.1", not a number above 0', ""),
        ("batch_size = 0", "batch_size is 0, not a whole number of at least 1", ""),
        ("batch_size = true", "batch_size is True, not a whole number", ""),
        ("learning_rate = nan", "not a number", ""),
        ('load_model = "lastest"', "did you mean 'latest'?", ""),
        ('classes = ["mitoo"]', "no class is called 'mitoo'", "did you mean 'mito'?"),
        ("classes = []", "classes is empty", "name at least one"),
        ('classes = ["nuc", "nuc"]', "named twice", ""),
        ('cores = ["mito"]', "no target is called 'mito'", "there are nuc, er"),
        ('cores = ["er"]', "has no objects", "instance targets only"),
        ('model_name = "3d_unett"', "is no network", "did you mean '3d_unet'?"),
        ('model_name = "a/b"', "not a name for files", ""),
        ('optimizer = "AdamWW"', "did you mean 'AdamW'?", ""),
        ("input_array_info = { shape = [1, 1, 64], scale = 8 }", "is a line", "two axes"),
        ("input_array_info = { shape = [64, 64, 99999], scale = 8 }", "1 to 4096 voxels", ""),
        ("input_array_info = { shape = [64, 64, 60], scale = 8 }", "60 of 64×64×60", "64×64×56 or 64×64×64"),
        ("input_array_info = { shape = [64, 64, 64], scale = [8, 8] }", "", ""),
        ("input_array_info = { shape = [64, 64, 64] }", "without scale", ""),
        ("input_array_info = { shape = [64, 64, 64], scale = -8 }", "not a voxel size", ""),
        ("target_array_info = { shape = [64, 64, 64], scale = 8 }", "which no input has", "leave it out"),
        ("[spatial_transforms]\nmiror = { axes = { x = 1 } }", "did you mean 'mirror'?", ""),
        ("[spatial_transforms]\nmirror = { axes = { w = 1 } }", "not one of the axes", ""),
        ("[spatial_transforms]\nrotate = { axes = { x = [9, 3] } }", "runs backwards", ""),
        ('[[value_transforms]]\nname = "GausianNoise"', "did you mean 'GaussianNoise'?", ""),
        ('[[value_transforms]]\nname = "GaussianNoise"\nstdd = 1', "did you mean 'std'?", ""),
        ('[[value_transforms]]\nname = "GaussianNoise"\nstd = "much"', "whose std is", ""),
        ('[[value_transforms]]\nname = "RandomGamma"\ngamma_range = [2, 1]', "runs backwards", ""),
        ('[[value_transforms]]\nname = "Normalize"\nmean = 0.5', "normalise in the model", ""),
        ('device = "gpu"', "device is 'gpu'", "cuda"),
        ('model_save_path = "a.pth"', "has no {epoch}", "replace"),
        ('model_save_path = "{epoch}_{loss}.pth"', "unknown field {loss}", ""),
        ('metrics = ["dise"]', "no metric is called 'dise'", "did you mean 'dice'?"),
        ('low_is_best = true\nbest_metric = "dice"', "lower dice is better", "follows"),
        ("model = 3", "only a Python configuration can hold one", ""),
    ],
)
def test_a_mistake_is_named_with_its_line_and_what_helps(tmp_path, text, says, helps):
    resolved = read(tmp_path, text)
    if not says:
        assert not resolved.problems
        return
    problem = the_problem(resolved)
    assert says in problem.message
    assert helps in problem.remedy
    assert problem.place.startswith("config.toml, line")
    with pytest.raises(RequestError, match=r"config\.toml, line"):
        resolved.checked()


def test_all_mistakes_are_told_at_once(tmp_path):
    resolved = read(tmp_path, 'epcohs = 1\nbatch_size = 0\nclasses = ["mitoo"]\n')
    assert [problem.key for problem in resolved.problems] == ["epcohs", "batch_size", "classes"]
    with pytest.raises(RequestError, match="2 more; config check lists them"):
        resolved.checked()


@pytest.mark.parametrize("data", [b"a = \n", b"\xff\xfe", b"x = " + b"[" * 5000])
def test_a_file_that_is_not_toml_is_told_so(tmp_path, data):
    (tmp_path / "c.toml").write_bytes(data)
    with pytest.raises(RequestError, match=r"c\.toml is not TOML"):
        read_config(tmp_path / "c.toml", run_python=refuse)


def test_a_file_that_is_not_there_or_of_another_kind_is_told_so(tmp_path):
    with pytest.raises(MissingDataError, match="cannot be read"):
        read_config(tmp_path / "c.toml", run_python=refuse)
    with pytest.raises(RequestError, match=r"neither \.toml nor \.py"):
        read_config(tmp_path / "c.yaml", run_python=refuse)
    with pytest.raises(RequestError, match="not key=value"):
        read(tmp_path, "", "epochs")


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_the_name_of_a_network_suffices(tmp_path, network):
    shape = [1, 128, 128] if network.dimensions == (2,) else [128, 128, 128]
    text = f'model_name = "{network.name}"\ninput_array_info = {{ shape = {shape}, scale = 8 }}\n'
    assert read(tmp_path, text).checked().architecture == network.name
    assert all(find_network(alias) is not None for alias in network.aliases)


def test_few_epochs_have_no_long_warm_up(tmp_path):
    assert read(tmp_path, "", "epochs=4").checked().warmup_epochs == 0


@st.composite
def settings_of_a_user(draw):
    edge = st.sampled_from([16, 32, 64, 128])
    scale = st.sampled_from([2, 4.0, 8, 1.62, 32])
    return {
        "classes": draw(st.lists(st.sampled_from(["nuc", "mito", "er", "cell", "ecs"]), min_size=1, unique=True)),
        "input_array_info": {
            name: {"shape": [draw(edge)] * 3, "scale": [draw(scale), draw(scale), draw(scale)]}
            for name in draw(st.lists(st.sampled_from(["raw", "labels", "wide view", "ü"]), min_size=1, unique=True))
        },
        "learning_rate": draw(st.floats(1e-9, 1)),
        "max_hours": draw(st.none() | st.floats(0.001, 1e4)),
        "filter_by_scale": draw(st.booleans() | scale | st.tuples(scale, scale, scale).map(list)),
        "model_name": draw(st.sampled_from(["dynunet", "ResidualEncoderUNet", "3d_unet", "resenc_l"])),
        "workers": draw(st.just("auto") | st.integers(0, 64)),
        "optimizer_kwargs": draw(
            st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.booleans(), max_size=3)
        ),
        "spatial_transforms": {
            "mirror": {"axes": {draw(st.sampled_from("zyx")): draw(st.floats(0, 1))}},
            "scale": sorted([draw(st.floats(0.5, 2)), draw(st.floats(0.5, 2))]),
        },
        "keep_checkpoints": {"last": draw(st.integers(1, 9)), "every": draw(st.integers(0, 9))},
    }


@settings(max_examples=60, deadline=None)
@given(values=settings_of_a_user(), everything=st.booleans())
def test_what_was_resolved_reads_back_as_the_same(tmp_path_factory, values, everything):
    import tomli_w

    folder = tmp_path_factory.mktemp("config")
    text = tomli_w.dumps({name: "none" if value is None else value for name, value in values.items()})
    resolved = read(folder, text)
    written = resolved_toml(resolved, folder, everything=everything, heading="two\nlines")
    assert tomllib.loads(written)
    assert read(folder, written, name="again.toml").checked() == resolved.checked()


def test_reading_a_configuration_imports_nothing_heavy():
    code = (
        "import sys; from cellmap_tui.services.config import ConfigSource, show_config; from pathlib import Path;"
        "show_config(ConfigSource(None, ('epochs=3',), Path('/nonexistent')));"
        "print(sorted({'torch', 'numpy', 'zarr', 'monai', 'msgspec'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
