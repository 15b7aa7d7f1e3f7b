from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cellmap_tui.errors import DataError
from cellmap_tui.learning.config_objects import PythonObject
from cellmap_tui.learning.config_python import load_python_namespace, python_facts, run_python_config
from cellmap_tui.learning.config_read import read_config
from cellmap_tui.learning.config_write import resolved_toml
from tests.learning.config_parts import OFFICIAL, read, write


def run(folder, text, **options):
    return run_python_config(write(folder, "train.py", text), **options)


def test_an_official_configuration_is_read_without_the_toolbox(tmp_path):
    resolved = read(tmp_path, OFFICIAL, name="train.py")
    config = resolved.checked()
    assert (config.architecture, config.model_name, config.model) == ("2d_unet", "our_first", None)
    assert (config.loss, config.criterion, config.optimizer) == ("bce", None, "RAdam")
    assert config.classes == ("nuc", "er", "mito")
    assert config.force_all_classes == "validate"
    assert [step.name for step in config.train_raw_value_transforms] == ["ToDtype", "NaNtoNum"]
    assert config.spatial_transforms.rotate == (("x", -90.0, 90.0),)
    assert config.iterations_per_epoch == 100
    assert config.filter_by_scale is True
    assert resolved.form == "python"
    assert resolved.origins["epochs"] == "train.py, line 12"
    assert resolved.origins["weight_loss"] == "default"


def test_its_defaults_are_the_toolbox_s(tmp_path):
    config = read(tmp_path, "", name="train.py").checked()
    assert (config.batch_size, config.epochs, config.iterations_per_epoch, config.learning_rate) == (
        8,
        1000,
        1000,
        1e-4,
    )
    assert (config.architecture, config.input_array_info[0].shape) == ("2d_unet", (1, 128, 128))
    assert config.validation_prob == 0.15


def test_the_same_configuration_as_toml_says_the_same(tmp_path):
    resolved = read(tmp_path, OFFICIAL, name="train.py")
    text = resolved_toml(resolved, tmp_path, everything=False)
    assert "python" not in text
    assert read(tmp_path, text).checked() == resolved.checked()


def test_a_flat_shape_of_two_axes_is_one_voxel_thick(tmp_path):
    text = 'input_array_info = {"shape": (128, 64), "scale": (8, 4)}'
    (info,) = read(tmp_path, text, name="train.py").checked().input_array_info
    assert (info.shape, info.scale_nm) == ((1, 128, 64), (8.0, 8.0, 4.0))


def test_a_path_may_be_a_string(tmp_path):
    config = read(tmp_path, 'base_experiment_path = "out"\n', name="train.py").checked()
    assert config.base_experiment_path == tmp_path / "out"


def test_files_beside_a_configuration_can_be_imported_and_belong_to_its_hash(tmp_path):
    write(tmp_path, "ours.py", "EPOCHS = 3\n")
    path = write(tmp_path, "train.py", "from ours import EPOCHS\nepochs = EPOCHS\n")
    before = python_facts(path)
    assert run_python_config(path).values["epochs"] == 3
    write(tmp_path, "ours.py", "EPOCHS = 4\n")
    assert python_facts(path).sha256 != before.sha256
    assert [sibling.name for sibling in before.siblings] == ["ours.py"]
    assert sorted(item.name for item in tmp_path.iterdir()) == ["ours.py", "train.py"]


@pytest.mark.slow
def test_objects_come_back_as_descriptions(tmp_path):
    text = (
        "import torch\n"
        "model = torch.nn.Linear(3, 2)\n"
        "optimizer = torch.optim.SGD(model.parameters(), lr=0.25, momentum=0.9)\n"
        "scheduler = torch.optim.lr_scheduler.StepLR\n"
        'device = torch.device("cpu")\n'
        "def process_func(x):\n    return x > 0\n"
    )
    resolved = read(tmp_path, text, name="train.py")
    config = resolved.checked()
    assert isinstance(config.model, PythonObject)
    assert config.model.variable == "model"
    assert dict(config.model.options) == {"parameters": 8}
    assert (config.optimizer, config.optimizer_kwargs, config.learning_rate) == ("SGD", {"momentum": 0.9}, 0.25)
    assert (config.scheduler, config.device, config.process_func.kind) == ("StepLR", "cpu", "function")
    again = read(tmp_path, resolved_toml(resolved, tmp_path))
    assert again.checked() == config
    assert again.python_files == resolved.python_files


def test_for_training_the_objects_themselves_can_be_had(tmp_path):
    import torch

    path = write(
        tmp_path, "train.py", "import torch\nfrom cellmap_data.ops import Nothing\nmodel = torch.nn.Linear(3, 2)\n"
    )
    names = load_python_namespace(path, expected_sha256=python_facts(path).sha256)
    assert isinstance(names["model"], torch.nn.Linear)
    assert "cellmap_data" not in sys.modules
    with pytest.raises(DataError, match="not what was allowed"):
        load_python_namespace(path, expected_sha256="0")


def test_training_at_the_end_of_the_file_does_not_start(tmp_path):
    text = 'epochs = 2\nif __name__ == "__main__":\n    epochs = 9\n'
    assert run(tmp_path, text).values["epochs"] == 2


def test_a_name_that_is_nearly_a_key_is_pointed_out_and_others_are_not(tmp_path):
    resolved = read(tmp_path, "bacth_size = 3\nroot = 'a'\nfor i in range(3):\n    pass\n", name="train.py")
    assert len(resolved.warnings) == 1
    assert "train.py, line 1: 'bacth_size'" in resolved.warnings[0]
    assert "'batch_size'" in resolved.warnings[0]


def test_what_it_prints_disturbs_nothing(tmp_path):
    ran = run(tmp_path, 'print(\'{"values": {"epochs": 1}}\' * 99999)\nepochs = 3\n')
    assert ran.values == {"epochs": 3}
    assert 0 < len(ran.printed) < 20_000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\nepochs = 1 / 0", "train.py, line 2: ZeroDivisionError: division by zero"),
        ("import sys\nepochs = 3\nsys.exit(0)", "train.py, line 3: sys.exit: the file leaves with 0"),
        ("import os\nprint('bye')\nos._exit(7)", "code 7; it last printed: bye"),
        ("import os\nos.kill(os.getpid(), 11)", "killed by signal 11"),
        ("epochs = = 3", "train.py, line 1: not Python"),
        ("import not_a_package", "line 1: ModuleNotFoundError: No module named 'not_a_package'"),
        ("answer = input()", "line 1: EOFError"),
        ("def f():\n    f()\nf()", "line 2: RecursionError"),
        ("raise KeyboardInterrupt", "line 1: KeyboardInterrupt"),
    ],
)
def test_a_file_that_fails_says_where(tmp_path, text, says):
    with pytest.raises(DataError) as caught:
        run(tmp_path, text)
    assert says in str(caught.value)


def test_a_file_without_an_end_is_ended_with_what_it_started(tmp_path):
    child = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
    text = (
        f"import os, subprocess, sys\nos.chdir({str(tmp_path)!r})\n"
        f"subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        "while True:\n    pass\n"
    )
    for timeout_s in (4.0, 16.0, 64.0):  # a busy machine needs longer to start what it started
        with pytest.raises(DataError, match="did not come to an end"):
            run(tmp_path, text, timeout_s=timeout_s)
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
            break
    pid = int((tmp_path / "pid").read_text())
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    assert state.strip()[:1] in ("", "Z")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("Path('a') / 'b'", "a/b"),
        ("{3, 1}", [1, 3]),
        ("range(3)", [0, 1, 2]),
        ("numpy.float32(0.5)", 0.5),
        ("numpy.array([1, 2])", [1, 2]),
        ("Colour.RED", "red"),
        (
            "Odd()",
            {"$object": {"kind": "instance", "type": "cellmap_config.Odd", "text": "(ValueError while showing it)"}},
        ),
    ],
)
def test_values_of_every_kind_come_back_plain(tmp_path, value, told):
    text = (
        "import enum, numpy\nfrom pathlib import Path\n"
        "class Colour(str, enum.Enum):\n    RED = 'red'\n"
        "class Odd:\n    def __repr__(self):\n        raise ValueError\n"
        f"model_kwargs = {value}\n"
    )
    assert run(tmp_path, text).values["model_kwargs"] == told


def test_a_value_that_holds_itself_is_no_trap(tmp_path):
    assert run(tmp_path, "model_kwargs = {}\nmodel_kwargs['me'] = model_kwargs\nepochs = 2\n").values["epochs"] == 2


def test_a_toml_file_may_take_an_object_from_python(tmp_path):
    write(tmp_path, "nets.py", "import torch\nnet = torch.nn.Linear(1, 1)\n")
    resolved = read(tmp_path, 'model = { python = "nets.py", variable = "model" }')
    assert "nets.py has no 'model'" in resolved.problems[0].message
    gone = read(tmp_path, 'model = { python = "gone.py" }')
    assert "gone.py cannot be read" in gone.problems[0].message


def test_what_is_imported_is_known_without_running(tmp_path):
    path = write(
        tmp_path, "train.py", "import os.path, torch\nfrom subprocess import run\nexec('1')\nopen('ran', 'w')\n"
    )
    facts = python_facts(path)
    assert facts.imports == ("os", "subprocess", "torch")
    assert facts.reaches_out == ("exec", "os", "subprocess")
    assert [item.name for item in tmp_path.iterdir()] == ["train.py"]


def test_a_package_that_is_installed_is_not_stood_in_for(tmp_path):
    package = tmp_path / "cellmap_data"
    package.mkdir()
    write(package, "__init__.py", "WORD = 5\n")
    config = read_config(
        write(tmp_path, "train.py", "import cellmap_data\nepochs = cellmap_data.WORD\n"), run_python=run_python_config
    )
    assert config.checked().epochs == 5


def test_a_package_whose_import_fails_is_stood_in_for_and_told(tmp_path):
    package = tmp_path / "cellmap_data"
    package.mkdir()
    write(package, "__init__.py", "raise RuntimeError('no such operator')\n")
    text = "import cellmap_data\nfrom cellmap_data.transforms import Binarize\nepochs = 5\n"
    resolved = read(tmp_path, text + "target_value_transforms = [Binarize(0.5)]\n", name="train.py")
    assert [(step.name, step.options) for step in resolved.checked().target_value_transforms] == [
        ("Binarize", (("threshold", 0.5),))
    ]
    (warning,) = resolved.warnings
    assert "cellmap_data is installed and cannot be imported (no such operator)" in warning


def test_steps_that_exist_tell_their_options(tmp_path):
    text = (
        "class GaussianBlur:\n    kernel_size, sigma = (5, 5), [0.1, 2.0]\n"
        "class Compose:\n    transforms = [GaussianBlur()]\n"
        "class Odd:\n    pass\n"
        "train_raw_value_transforms = Compose()\nval_raw_value_transforms = [Odd()]\n"
    )
    config = read(tmp_path, text, name="train.py").checked()
    (blur,) = config.train_raw_value_transforms
    assert (blur.name, dict(blur.options)) == ("GaussianBlur", {"kernel_size": 5, "sigma": [0.1, 2.0]})
    (odd,) = config.val_raw_value_transforms
    assert (odd.type, odd.variable) == ("cellmap_config.Odd", "val_raw_value_transforms")


def test_a_file_does_not_outlive_who_waits_for_it(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = write(
        tmp_path, "train.py", f"held = open({str(pipe)!r}, 'w')\nheld.write('x')\nheld.flush()\nwhile True: pass\n"
    )
    code = (
        "import sys; from pathlib import Path; from cellmap_tui.learning.config_python import run_python_config;"
        "run_python_config(Path(sys.argv[1]))"
    )
    waiting = subprocess.Popen([sys.executable, "-c", code, str(path)])
    with pipe.open() as reader:
        assert reader.read(1) == "x"
        waiting.kill()
        waiting.wait()
        assert reader.read() == ""  # comes when the last holder of the pipe is gone
