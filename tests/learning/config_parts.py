"""Configurations as users write them, in files of a test's own."""

from __future__ import annotations

from cellmap_tui.learning.config_python import run_python_config
from cellmap_tui.learning.config_read import read_config

OFFICIAL = """\
# A configuration as participants of the challenge have it.
import torch
from cellmap_data.transforms.augment import Binarize, NaNtoNum
from cellmap_segmentation_challenge.models import UNet_2D
from cellmap_segmentation_challenge.utils import get_tested_classes
from torchvision.transforms import v2 as T

learning_rate = 0.0002
batch_size = 4
input_array_info = {"shape": (1, 128, 128), "scale": (8, 8, 8)}
target_array_info = input_array_info
epochs = 40
iterations_per_epoch = 100
random_seed = 7
classes = ["nuc", "er", "mito"]
tested = get_tested_classes()
model_name = "our_first"
model_to_load = "our_first"
model = UNet_2D(1, len(classes))
load_model = "best"
criterion = torch.nn.BCEWithLogitsLoss
spatial_transforms = {
    "mirror": {"axes": {"x": 0.5, "y": 0.1}},
    "transpose": {"axes": ["x", "y"]},
    "rotate": {"axes": {"x": [-90, 90]}},
}
train_raw_value_transforms = T.Compose([T.ToDtype(torch.float, scale=True), NaNtoNum({"nan": 0})])
target_value_transforms = T.Compose([Binarize()])
filter_by_scale = True
validation_time_limit = 30
use_mutual_exclusion = False

if __name__ == "__main__":
    from cellmap_segmentation_challenge import train

    train(__file__)
"""


def write(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def read(folder, text, *sets, name="config.toml", **more):
    return read_config(write(folder, name, text), sets=sets, cwd=folder, run_python=run_python_config, **more)


def refuse(path):
    raise AssertionError(f"{path} was run")
