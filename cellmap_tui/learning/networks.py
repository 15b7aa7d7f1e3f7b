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
class Network:
    """One architecture."""

    name: str
    """Name in a configuration."""
    words: str
    """What it is, for people."""
    dimensions: tuple[int, ...]
    """2, 3 or both."""
    multiple: int
    """Each edge of a patch is a multiple of this, except an edge of one voxel."""
    package: str = ""
    """Python package that brings it; empty: this one."""
    parameters: int | None = None
    """Parameters at its usual size; None: not known."""
    train_tflop: float | None = None
    """Forward and backward of `TFLOP_VOXELS` voxels with 48 outputs, in TFLOP; None: not known."""
    features_per_voxel: int = 64
    """Channels at full resolution that a training step keeps, an estimate; for the memory forecast."""
    aliases: tuple[str, ...] = ()
    """Other names of it, the class names of its package among them."""


NETWORKS = (
    Network("2d_unet", "the official toolbox's 2D U-Net", (2,), 16, "", 31_000_000, 1.4, 256, ("UNet_2D", "unet2d")),
    Network("3d_unet", "the official toolbox's 3D U-Net", (3,), 16, "", 90_000_000, 11.4, 256, ("UNet_3D", "unet3d")),
    Network("2d_resnet", "the official toolbox's 2D residual network", (2,), 4, "", 11_000_000, None, 192),
    Network("3d_resnet", "the official toolbox's 3D residual network", (3,), 4, "", 32_000_000, None, 192),
    Network("vitnet", "the official toolbox's vision transformer V-Net", (3,), 16, "", None, None, 192, ("ViTVNet",)),
    Network("dynunet", "U-Net that fits its levels to the patch", (2, 3), 8, "monai", 31_000_000, 2.88, 700),
    Network("basicunet", "small U-Net, 32 to 256 channels", (2, 3), 16, "monai", 5_800_000, 1.81, 450),
    Network("basicunetplusplus", "nested U-Net", (2, 3), 16, "monai", 6_800_000, None, 256, ("unet++",)),
    Network("segresnet", "residual encoder-decoder", (2, 3), 8, "monai", 19_000_000, 3.49, 160),
    Network("segresnetds", "residual encoder-decoder with deep supervision", (2, 3), 16, "monai", None, None, 160),
    Network("attentionunet", "U-Net with attention gates", (2, 3), 16, "monai", None, None, 192),
    Network("swinunetr", "U-Net with a Swin transformer encoder", (2, 3), 32, "monai", 62_000_000, None, 320),
    Network("unetr", "U-Net with a transformer encoder", (2, 3), 16, "monai", None, None, 256),
    Network("mednext", "ConvNeXt U-Net", (2, 3), 16, "monai", None, None, 256, ("MedNeXtS", "MedNeXtM", "MedNeXtL")),
    Network("vnet", "V-Net", (2, 3), 16, "monai", 46_000_000, None, 160),
    Network(
        "resencunet",
        "U-Net with a residual encoder and deep supervision",
        (2, 3),
        8,
        "dynamic_network_architectures",
        None,
        None,
        192,
        ("ResidualEncoderUNet", "resenc_m", "resenc_l", "resenc_xl"),
    ),
    Network(
        "plainconvunet", "nnU-Net's plain U-Net", (2, 3), 8, "dynamic_network_architectures", 31_000_000, 2.88, 128
    ),
)
"""Every network by name; parameters and TFLOP as measured where they are known."""

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
