"""Networks that a configuration can name: what each asks of a patch, and what it costs.

Facts only; nothing here imports torch. A name is found without regard to case, hyphens and underscores.
"""

from __future__ import annotations

from dataclasses import dataclass

from cellmap_tui.errors import UnknownNameError
from cellmap_tui.text import nearest

TFLOP_VOXELS = 128**3
"""The patch that `train_tflop` is given for."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a network costs at its usual size, with one input channel and 48 outputs."""

    parameters: int
    """Weights."""
    train_tflop: float
    """Forward and backward of `TFLOP_VOXELS` voxels, in TFLOP."""
    kept_channels: int
    """Values per voxel that a training step keeps for its backward pass."""


@dataclass(frozen=True, slots=True)
class Network:
    """One architecture."""

    name: str
    """Name in a configuration."""
    words: str
    """What it is, for people."""
    multiple: int
    """Each edge of a patch is a multiple of this, except an edge of one voxel."""
    package: str
    """Python package that brings it; empty: this one."""
    cost_2d: Cost | None
    """What it costs with flat patches; None: it takes none."""
    cost_3d: Cost | None
    """What it costs with solid patches; None: it takes none."""
    aliases: tuple[str, ...] = ()
    """Other names of it, the class names of its package among them."""

    @property
    def dimensions(self) -> tuple[int, ...]:
        """2, 3 or both."""
        return tuple(number for number, cost in ((2, self.cost_2d), (3, self.cost_3d)) if cost is not None)

    def cost(self, *, is_flat: bool) -> Cost:
        """Return what it costs with patches of a kind.

        Raises
        ------
        ValueError
            If it does not take them.
        """
        cost = self.cost_2d if is_flat else self.cost_3d
        if cost is None:
            raise ValueError(f"{self.name} does not work in {2 if is_flat else 3}D")
        return cost


_MONAI = "monai"
_NNUNET = "dynamic_network_architectures"
NETWORKS = (
    Network("2d_unet", "the official toolbox's 2D U-Net", 16, "", Cost(31_000_000, 9.27, 1367), None, ("UNet_2D",)),
    Network("3d_unet", "the official toolbox's 3D U-Net", 16, "", None, Cost(90_300_000, 11.4, 905), ("UNet_3D",)),
    Network("2d_resnet", "the official toolbox's 2D residual network", 4, "", Cost(8_000_000, 8.41, 1065), None),
    Network("3d_resnet", "the official toolbox's 3D residual network", 4, "", None, Cost(24_500_000, 18.7, 556)),
    Network(
        "vitnet", "the official toolbox's transformer V-Net", 32, "", None, Cost(31_500_000, 0.95, 200), ("ViTVNet",)
    ),
    Network(
        "dynunet",
        "U-Net that fits its levels to the patch",
        8,
        _MONAI,
        Cost(20_600_000, 2.75, 623),
        Cost(31_200_000, 2.88, 427),
    ),
    Network(
        "basicunet",
        "small U-Net, 32 to 256 channels",
        16,
        _MONAI,
        Cost(2_000_000, 0.97, 546),
        Cost(5_800_000, 1.81, 425),
    ),
    Network(
        "basicunetplusplus",
        "nested U-Net",
        16,
        _MONAI,
        Cost(2_400_000, 3.2, 1578),
        Cost(7_000_000, 7.61, 1365),
        ("unet++",),
    ),
    Network(
        "segresnet", "residual encoder-decoder", 8, _MONAI, Cost(6_300_000, 3.0, 757), Cost(18_800_000, 3.49, 502)
    ),
    Network(
        "segresnetds",
        "residual encoder-decoder with deep supervision",
        16,
        _MONAI,
        Cost(29_100_000, 4.45, 779),
        Cost(87_200_000, 3.92, 474),
    ),
    Network(
        "attentionunet",
        "U-Net with attention gates",
        16,
        _MONAI,
        Cost(7_900_000, 2.05, 762),
        Cost(23_600_000, 2.36, 535),
    ),
    Network(
        "swinunetr",
        "U-Net with a Swin transformer encoder",
        32,
        _MONAI,
        Cost(25_100_000, 3.47, 1823),
        Cost(62_200_000, 4.66, 1575),
    ),
    Network(
        "unetr",
        "U-Net with a transformer encoder",
        16,
        _MONAI,
        Cost(87_300_000, 5.04, 1089),
        Cost(92_700_000, 1.04, 296),
    ),
    Network(
        "mednext",
        "ConvNeXt U-Net",
        16,
        _MONAI,
        Cost(5_500_000, 2.61, 2635),
        Cost(5_600_000, 1.79, 1803),
        ("MedNeXtS", "MedNeXtB", "MedNeXtM", "MedNeXtL"),
    ),
    Network("vnet", "V-Net", 16, _MONAI, Cost(9_400_000, 3.17, 554), Cost(45_800_000, 6.73, 377)),
    Network(
        "resencunet",
        "U-Net with a residual encoder and deep supervision",
        8,
        _NNUNET,
        Cost(71_900_000, 6.1, 962),
        Cost(102_400_000, 4.33, 522),
        ("ResidualEncoderUNet", "resenc_s", "resenc_m", "resenc_l", "resenc_xl", "resenc_xxl"),
    ),
    Network(
        "plainconvunet", "nnU-Net's plain U-Net", 8, _NNUNET, Cost(20_700_000, 2.77, 623), Cost(31_200_000, 2.88, 427)
    ),
)
"""Every network by name.

Costs were counted by `net_cost` on patches of 128³ and 512²: the arithmetic of torch's operators, the tensors that
autograd keeps.
"""

TOOLBOX_CLASSES = {"UNet_2D": "2d_unet", "UNet_3D": "3d_unet", "ViTVNet": "vitnet"}
"""Network of each class of the official toolbox whose dimensions are fixed."""


def find_network(name: str) -> Network | None:
    """Return the network of that name or alias, or None."""
    wanted = _plain(name)
    for network in NETWORKS:
        if wanted in map(_plain, (network.name, *network.aliases)):
            return network
    return None


def known_network(name: str) -> Network:
    """Return the network of that name.

    Raises
    ------
    UnknownNameError
        If there is none; names the nearest.
    """
    network = find_network(name)
    if network is None:
        near = nearest(name, [network.name for network in NETWORKS])
        remedy = f"did you mean {near!r}?" if near else f"there are {', '.join(n.name for n in NETWORKS)}"
        raise UnknownNameError(f"no network is called {name!r}", remedy)
    return network


def toolbox_network(class_name: str, options: dict[str, object]) -> str | None:
    """Return the network that a class of the official toolbox stands for; its ResNet says its dimensions."""
    if class_name == "ResNet":
        return "3d_resnet" if options.get("ndims") == 3 else "2d_resnet"
    return TOOLBOX_CLASSES.get(class_name)


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
