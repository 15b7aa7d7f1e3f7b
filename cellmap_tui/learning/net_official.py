"""The official toolbox's U-Nets and residual networks, in 2D and 3D, under its names of weights.

So its checkpoints load here and those made here load there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from cellmap_tui.errors import RequestError
from cellmap_tui.learning.net_options import made

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from cellmap_tui.learning.model_card import ModelCard

_CONV: dict[int, type[nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
_UP: dict[int, type[nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_BATCH_NORM: dict[int, type[nn.Module]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_INSTANCE_NORM: dict[int, type[nn.Module]] = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
_POOL: dict[int, type[nn.Module]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
_PADS: dict[str, dict[int, type[nn.Module]]] = {
    "reflect": {2: nn.ReflectionPad2d, 3: nn.ReflectionPad3d},
    "replicate": {2: nn.ReplicationPad2d, 3: nn.ReplicationPad3d},
}
_SMOOTH = {2: "bilinear", 3: "trilinear"}


class OfficialUNet(nn.Module):
    """Four halvings, batch norm, 64 to 1024 channels.

    Parameters
    ----------
    dimensions
        2 or 3.
    n_channels, n_classes
        Input and output channels.
    trilinear
        Whether the way up interpolates (linearly along each axis) rather than learns to.
    features
        Channels at full resolution; the toolbox has 64.
    """

    def __init__(
        self, dimensions: int, n_channels: int, n_classes: int, trilinear: bool = False, features: int = 64
    ) -> None:
        super().__init__()
        width = [features * 2**level for level in range(5)]
        less = 2 if trilinear else 1
        self.inc = _DoubleConv(dimensions, n_channels, width[0])
        self.down1 = _Down(dimensions, width[0], width[1])
        self.down2 = _Down(dimensions, width[1], width[2])
        self.down3 = _Down(dimensions, width[2], width[3])
        self.down4 = _Down(dimensions, width[3], width[4] // less)
        self.up1 = _Up(dimensions, width[4], width[3] // less, trilinear)
        self.up2 = _Up(dimensions, width[3], width[2] // less, trilinear)
        self.up3 = _Up(dimensions, width[2], width[1] // less, trilinear)
        self.up4 = _Up(dimensions, width[1], width[0], trilinear)
        self.outc = _Head(dimensions, width[0], n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        kept = [self.inc(x)]
        for down in (self.down1, self.down2, self.down3, self.down4):
            kept.append(down(kept[-1]))
        x = kept.pop()
        for up in (self.up1, self.up2, self.up3, self.up4):
            x = up(x, kept.pop())
        logits: Tensor = self.outc(x)
        return logits


class OfficialResNet(nn.Module):
    """Convolutions of 7 at both ends, two halvings, residual blocks between.

    Parameters
    ----------
    dimensions
        2 or 3.
    input_nc, output_nc
        Input and output channels.
    ngf
        Channels at full resolution.
    n_blocks
        Residual blocks.
    n_downsampling
        Halvings.
    padding_type
        ``reflect``, ``replicate`` or ``zeros``.
    use_dropout
        Whether blocks drop a fifth of their values while training.
    """

    def __init__(
        self,
        dimensions: int,
        input_nc: int,
        output_nc: int,
        ngf: int = 64,
        n_blocks: int = 6,
        n_downsampling: int = 2,
        padding_type: str = "reflect",
        use_dropout: bool = False,
    ) -> None:
        super().__init__()
        pad = _padding(padding_type, dimensions)
        conv, norm, up = _CONV[dimensions], _INSTANCE_NORM[dimensions], _UP[dimensions]
        layers = [*pad(3), conv(input_nc, ngf, 7, padding=_zeros(padding_type, 3)), norm(ngf), nn.ReLU()]
        for width in (ngf * 2**level for level in range(n_downsampling)):
            layers += [conv(width, width * 2, 3, stride=2, padding=1), norm(width * 2), nn.ReLU()]
        inner = ngf * 2**n_downsampling
        layers += [_ResidualBlock(dimensions, inner, padding_type, use_dropout) for _ in range(n_blocks)]
        for width in (ngf * 2**level for level in range(n_downsampling, 0, -1)):
            layers += [up(width, width // 2, 3, stride=2, padding=1, output_padding=1), norm(width // 2), nn.ReLU()]
        layers += [*pad(3), conv(ngf, output_nc, 7, padding=_zeros(padding_type, 3))]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.model(x)
        return logits


class _DoubleConv(nn.Module):
    def __init__(self, dimensions: int, inputs: int, outputs: int, between: int | None = None) -> None:
        super().__init__()
        between = between or outputs
        conv, norm = _CONV[dimensions], _BATCH_NORM[dimensions]
        self.double_conv = nn.Sequential(
            conv(inputs, between, 3, padding=1, bias=False),
            norm(between),
            nn.ReLU(inplace=True),
            conv(between, outputs, 3, padding=1, bias=False),
            norm(outputs),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.double_conv(x)
        return out


class _Down(nn.Module):
    def __init__(self, dimensions: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(_POOL[dimensions](2), _DoubleConv(dimensions, inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.maxpool_conv(x)
        return out


class _Up(nn.Module):
    def __init__(self, dimensions: int, inputs: int, outputs: int, smooth: bool) -> None:
        super().__init__()
        self.up: nn.Module
        if smooth:
            self.up = nn.Upsample(scale_factor=2, mode=_SMOOTH[dimensions], align_corners=True)
        else:
            self.up = _UP[dimensions](inputs, inputs // 2, 2, stride=2)
        self.conv = _DoubleConv(dimensions, inputs, outputs, inputs // 2 if smooth else None)

    def forward(self, x: Tensor, beside: Tensor) -> Tensor:
        x = self.up(x)
        missing = [want - have for want, have in zip(beside.shape[2:], x.shape[2:], strict=True)]
        if any(missing):
            # Last axis first, as torch's padding has it.
            x = functional.pad(x, [side for lack in reversed(missing) for side in (lack // 2, lack - lack // 2)])
        out: Tensor = self.conv(torch.cat([beside, x], dim=1))
        return out


class _Head(nn.Module):
    def __init__(self, dimensions: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = _CONV[dimensions](inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out


class _ResidualBlock(nn.Module):
    def __init__(self, dimensions: int, width: int, padding_type: str, use_dropout: bool) -> None:
        super().__init__()
        pad = _padding(padding_type, dimensions)
        conv, norm = _CONV[dimensions], _INSTANCE_NORM[dimensions]
        zeros = _zeros(padding_type, 1)
        layers = [*pad(1), conv(width, width, 3, padding=zeros), norm(width), nn.ReLU()]
        layers += [nn.Dropout(0.2)] if use_dropout else []
        layers += [*pad(1), conv(width, width, 3, padding=zeros), norm(width)]
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv_block(x)
        return out


def _padding(name: str, dimensions: int) -> Callable[[int], list[nn.Module]]:
    if name == "zeros":
        return lambda width: []
    name = "reflect" if name == "same" else name
    if name not in _PADS:
        raise RequestError(
            f"model_kwargs: padding_type is {name!r}",
            "use reflect, replicate or zeros; valid would answer less than the patch",
        )
    return lambda width: [_PADS[name][dimensions](width)]


def _zeros(name: str, width: int) -> int:
    return width if name == "zeros" else 0


def official_network(name: str, card: ModelCard, options: Mapping[str, Any]) -> nn.Module:
    """Return ``2d_unet``, ``3d_unet``, ``2d_resnet``, ``3d_resnet`` or ``vitnet``.

    Raises
    ------
    RequestError
        If an option is wrong; names the nearest.
    """
    inputs, outputs = card.in_channels, len(card.columns)
    if name == "vitnet":
        from cellmap_tui.learning.net_vit import OfficialViTVNet

        ends = {"in_channels": inputs, "out_channels": outputs, "img_size": card.patch}
        return made(OfficialViTVNet, options, ends, name)
    dimensions = int(name[0])
    if name.endswith("unet"):
        return made(
            OfficialUNet, options, {"dimensions": dimensions, "n_channels": inputs, "n_classes": outputs}, name
        )
    return made(OfficialResNet, options, {"dimensions": dimensions, "input_nc": inputs, "output_nc": outputs}, name)
