"""Memory and time of a loss and its gradient: this tool's against the plain way and the official toolbox's.

    python bench/losses.py [--edge N] [--classes N] [--batch N] [--threads N] [--rounds N] [--half] [--device cuda]

Each way runs in a process of its own, on the same logits and label codes, with a third of the states
unknown. "Extra" is the peak above what there was before the call (logits, codes and the book), the gradient
of the logits included: on the CPU the process' resident memory, on a GPU torch's own count. Ways:

    ours       BCE + Dice on label codes, column by column
    ours-bce   the same, BCE alone
    plain      BCE + Dice with masks on float targets, as torch's operations give it
    toolbox    BCE with a weight for present voxels, on float targets with NaN for unknown, as the official
               toolbox has it

Targets and masks that a way needs are made inside its call. Each line ends with the target and whether it was
met; the gradient of `ours` is compared with that of `plain`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

WAYS = ("ours", "ours-bce", "plain", "toolbox")
TARGET = 1.5
CODES = 200


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--edge", type=int, default=80)
    parser.add_argument("--classes", type=int, default=48)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--half", action="store_true", help="logits in bfloat16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options)))
        return 0
    shape = f"{options.batch} x {options.classes} x {options.edge}^3, {options.threads} threads, {options.device}"
    print(f"{shape}, {'bfloat16' if options.half else 'float32'}")
    answers = {way: child(way) for way in WAYS}
    met = True
    for way, answer in answers.items():
        line = f"{way:9} extra {answer['extra_mb']:7.1f} MB = {answer['extra_logits']:.2f} x logits"
        line += f"   forward {answer['forward_s']:.2f} s, both {answer['both_s']:.2f} s"
        if way.startswith("ours"):
            ok = answer["extra_logits"] <= TARGET
            met = met and ok
            line += f"   target <= {TARGET} x: {'met' if ok else 'MISSED'}"
        print(line)
    apart = abs(answers["ours"]["loss"] - answers["plain"]["loss"])
    print(f"ours and plain differ by {apart:.1e} in the loss, {gradient_gap(options):.1e} of the largest gradient")
    return 0 if met else 1


def child(way: str) -> dict[str, float]:
    # Large tensors go straight back to the system, so that the peak is that of what is alive.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    call = [sys.executable, __file__, *sys.argv[1:], "--way", way]
    done = subprocess.run(call, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(done.stderr)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def data(options: argparse.Namespace):
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    shape = (options.batch, options.classes, *[options.edge] * 3)
    values = torch.bfloat16 if options.half else torch.float32
    logits = torch.empty(shape, dtype=values, device=options.device).normal_().requires_grad_()
    book = torch.randint(0, 3, (CODES, options.classes)).to(torch.uint8)
    book[book == 2] = 255
    book[0] = 255
    # Labels come in clumps, not voxel by voxel.
    small = torch.randint(0, CODES, (options.batch, *[options.edge // 8 + 1] * 3)).to(torch.uint8)
    codes = small
    for axis in (1, 2, 3):
        codes = codes.repeat_interleave(8, dim=axis).narrow(axis, 0, options.edge)
    return logits, codes.contiguous().to(options.device), book.to(options.device)


def measure(options: argparse.Namespace) -> dict[str, float]:
    import torch

    logits, codes, book = data(options)
    call = make(options.way, torch, book)
    small = torch.zeros(1, options.classes, 8, 8, 8, device=options.device, requires_grad=True)
    call(small, codes[:1, :8, :8, :8].contiguous()).backward()
    begin(options.device)
    before = now(options.device)
    loss = call(logits, codes)
    loss.backward()
    extra = peak(options.device) - before
    value = float(loss.detach())
    forward, both = [], []
    for _ in range(options.rounds):
        logits.grad = None
        begin(options.device)
        start = time.perf_counter()
        loss = call(logits, codes)
        wait(options.device)
        forward.append(time.perf_counter() - start)
        loss.backward()
        wait(options.device)
        both.append(time.perf_counter() - start)
    size = logits.numel() * logits.element_size()
    return {
        "extra_mb": extra / 1e6,
        "extra_logits": extra / size,
        "forward_s": min(forward),
        "both_s": min(both),
        "loss": value,
    }


def make(way: str, torch, book):
    from cellmap_tui.learning.losses import CodedLabels, LossSpec, masked_loss

    def ours(logits, codes):
        return masked_loss(logits, CodedLabels(codes, book), LossSpec("dice_bce" if way == "ours" else "bce")).loss

    def states(codes):
        return book[codes.long()].movedim(-1, 1)

    def plain(logits, codes):
        known = states(codes)
        target, mask = (known == 1).float(), (known != 255).float()
        axes = (0, *range(2, logits.ndim))
        logits = logits.float()
        counts = mask.sum(dim=axes)
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        entropy = (entropy * mask).sum(dim=axes) / counts
        p = torch.sigmoid(logits) * mask
        target = target * mask
        dice = 1 - (2 * (p * target).sum(dim=axes) + 1) / (p.sum(dim=axes) + target.sum(dim=axes) + 1)
        return entropy.mean() + dice.mean()

    def toolbox(logits, codes):
        known = states(codes)
        target = torch.where(known == 255, torch.nan, (known == 1).float())
        weight = torch.ones(target.shape[1], 1, 1, 1, device=logits.device)
        mask = ~target.isnan()
        logits = logits.float()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, target.nan_to_num(0), pos_weight=weight, reduction="none"
        )
        return (loss * mask).sum() / mask.sum()

    return {"plain": plain, "toolbox": toolbox}.get(way, ours)


def gradient_gap(options: argparse.Namespace) -> float:
    import torch

    options.edge = min(options.edge, 48)
    logits, codes, book = data(options)
    gradients = []
    for way in ("ours", "plain"):
        logits.grad = None
        make(way, torch, book)(logits, codes).backward()
        gradients.append(logits.grad.float())
    return float((gradients[0] - gradients[1]).abs().max() / gradients[1].abs().max())


def begin(device: str) -> None:
    if device == "cpu":
        Path("/proc/self/clear_refs").write_text("5")
        return
    import torch

    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()


def wait(device: str) -> None:
    if device != "cpu":
        import torch

        torch.cuda.synchronize()


def now(device: str) -> int:
    if device == "cpu":
        return status("VmRSS")
    import torch

    return torch.cuda.memory_allocated()


def peak(device: str) -> int:
    if device == "cpu":
        return status("VmHWM")
    import torch

    return torch.cuda.max_memory_allocated()


def status(name: str) -> int:
    text = Path("/proc/self/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+) kB", text)[1]) * 1024


if __name__ == "__main__":
    sys.exit(main())
