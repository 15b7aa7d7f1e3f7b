"""The peer's side: cellmap-data's own loader, in an environment of its own. Answers a JSON line for each on stdin."""

import json
import sys
import time


def without_missing_operators():
    """Let torchvision load beside a torch without CUDA: its fake kernels belong to operators that are not there."""
    import torch

    registered = torch.library.register_fake

    def register_fake(operator, *args, **options):
        if isinstance(operator, str) and operator.startswith("torchvision::"):
            return lambda function: function
        return registered(operator, *args, **options)

    torch.library.register_fake = register_fake


def opened(case):
    """Return the peer's split and loader for a case."""
    from cellmap_data import CellMapDataLoader, CellMapDataSplit

    info = {"shape": case["shape"], "scale": case["scale"]}
    split = CellMapDataSplit(
        {"input": info},
        {"output": info},
        classes=case["classes"],
        csv_path=case["csv"],
        pad=True,
        spatial_transforms=case["spatial"],
    )
    loader = CellMapDataLoader(
        split.train_datasets_combined,
        classes=case["classes"],
        batch_size=case["batch_size"],
        weighted_sampler=True,
        iterations_per_epoch=10**6,
        device="cpu",
    )
    return split, loader


def run(batches, seconds):
    """Return samples a second over at least so many seconds and two batches."""
    samples = taken = 0
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds or taken < 2:
        samples += len(next(batches)["output"])
        taken += 1
    return samples / (time.perf_counter() - begun)


def dump(split, numbers, path):
    """Write samples as they come without augmentation, and where they start on the label grid."""
    import numpy as np

    arrays = {}
    for crop, dataset in enumerate(split.train_datasets):
        for number in numbers:
            index = int(number * len(dataset))
            box = dataset.sampling_box
            scale = dataset._target_scale
            shape = [round((box[axis][1] - box[axis][0]) / scale[axis]) for axis in box]
            sample = dataset[index]
            name = f"{crop}-{index}"
            arrays[f"{name}-start"] = np.array(np.unravel_index(index, shape))
            arrays[f"{name}-input"] = sample["input"].numpy()
            arrays[f"{name}-output"] = sample["output"].numpy()
            arrays[f"{name}-path"] = np.array(str(dataset.target_path))
    np.savez(path, **arrays)


def main():
    without_missing_operators()
    import torch

    torch.set_num_threads(1)
    split = loader = batches = None
    for line in sys.stdin:
        order = json.loads(line)
        answer = {}
        if order["do"] == "open":
            split, loader = opened(order["case"])
            batches = iter(loader)
            next(batches)
        elif order["do"] == "run":
            answer["rate"] = run(batches, order["seconds"])
        elif order["do"] == "dump":
            dump(split, order["numbers"], order["path"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
