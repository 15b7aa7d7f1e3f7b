"""The official toolbox's vision transformer V-Net, under its names of weights.

A small encoder of convolutions, a transformer over pieces of 8 voxels at a quarter of the resolution, and a
decoder that takes the encoder's features at five scales.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

PIECE = 8
"""Voxels along each axis of a piece, at a quarter of the resolution."""
DOWN = 4
_ENCODER = (16, 32, 32)
_DECODER = (96, 48, 32, 32, 16)
_BESIDE = (32, 32, 32, 32, 16)


class OfficialViTVNet(nn.Module):
    """ViT-V-Net.

    Parameters
    ----------
    in_channels, out_channels
        Input and output channels.
    img_size
        Voxels of a patch along z, y, x, each a multiple of 32; a network takes no other.
    hidden_size, num_heads, num_layers, mlp_dim
        Width, heads and depth of the transformer.
    dropout_rate
        Share of values dropped while training.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        img_size: Sequence[int],
        hidden_size: int = 252,
        num_heads: int = 12,
        num_layers: int = 12,
        mlp_dim: int = 3072,
        dropout_rate: float = 0.1,
    ) -> None:
        super().__init__()
        grid = tuple(edge // (DOWN * PIECE) for edge in img_size)
        self.transformer = _Transformer(in_channels, grid, hidden_size, num_heads, num_layers, mlp_dim, dropout_rate)
        self.decoder = _Decoder(grid, hidden_size)
        head = nn.Conv3d(_DECODER[-1], out_channels, 3, padding=1)
        nn.init.normal_(head.weight, 0, 1e-5)
        if head.bias is not None:
            nn.init.zeros_(head.bias)
        self.reg_head = nn.Sequential(head)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        hidden, features = self.transformer(x)
        logits: Tensor = self.reg_head(self.decoder(hidden, features))
        return logits


class _Transformer(nn.Module):
    def __init__(
        self, inputs: int, grid: Sequence[int], width: int, heads: int, layers: int, inner: int, dropout: float
    ) -> None:
        super().__init__()
        self.embeddings = _Embeddings(inputs, grid, width, dropout)
        self.encoder = _Encoder(width, heads, layers, inner, dropout)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        pieces, features = self.embeddings(x)
        return self.encoder(pieces), features


class _Embeddings(nn.Module):
    def __init__(self, inputs: int, grid: Sequence[int], width: int, dropout: float) -> None:
        super().__init__()
        self.hybrid_model = _Features(inputs)
        self.patch_embeddings = nn.Conv3d(_ENCODER[-1], width, PIECE, stride=PIECE)
        self.position_embeddings = nn.Parameter(torch.zeros(1, grid[0] * grid[1] * grid[2], width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        x, features = self.hybrid_model(x)
        pieces = self.patch_embeddings(x).flatten(2).transpose(-1, -2)
        return self.dropout(pieces + self.position_embeddings), features


class _Features(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.inc = _DoubleConv(inputs, _ENCODER[0])
        self.down1 = _Down(_ENCODER[0], _ENCODER[1])
        self.down2 = _Down(_ENCODER[1], _ENCODER[2])

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        fine = self.inc(x)
        middle = self.down1(fine)
        coarse = self.down2(middle)
        features = [fine, middle, coarse]
        for _ in range(2):
            features.append(functional.max_pool3d(features[-1], 2))
        return coarse, features[::-1]


class _DoubleConv(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv3d(inputs, outputs, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv3d(outputs, outputs, 3, padding=1),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.double_conv(x)
        return out


class _Down(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool3d(2), _DoubleConv(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.maxpool_conv(x)
        return out


class _Encoder(nn.Module):
    def __init__(self, width: int, heads: int, layers: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.layer = nn.ModuleList([_Block(width, heads, inner, dropout) for _ in range(layers)])
        self.encoder_norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.layer:
            x = block(x)
        out: Tensor = self.encoder_norm(x)
        return out


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=1e-6)
        self.ffn_norm = nn.LayerNorm(width, eps=1e-6)
        self.ffn = _Mlp(width, inner, dropout)
        self.attn = _Attention(width, heads)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.attention_norm(x))
        out: Tensor = x + self.ffn(self.ffn_norm(x))
        return out


class _Mlp(nn.Module):
    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)
        self.dropout = nn.Dropout(dropout)
        for layer in (self.fc1, self.fc2):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.normal_(layer.bias, std=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dropout(self.fc2(self.dropout(functional.gelu(self.fc1(x)))))
        return out


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"hidden_size {width} is no multiple of num_heads {heads}")
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (self._split(layer(x)) for layer in (self.query, self.key, self.value))
        mixed = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class _Decoder(nn.Module):
    def __init__(self, grid: Sequence[int], width: int, head: int = 512) -> None:
        super().__init__()
        self.grid = tuple(grid)
        self.conv_more = _conv_norm(width, head)
        widths = (head, *_DECODER)
        self.blocks = nn.ModuleList(
            [_Step(low + beside, high) for (low, high), beside in zip(pairwise(widths), _BESIDE, strict=True)]
        )

    def forward(self, hidden: Tensor, features: Sequence[Tensor]) -> Tensor:
        x: Tensor = self.conv_more(hidden.transpose(1, 2).reshape(len(hidden), -1, *self.grid))
        for block, beside in zip(self.blocks, features, strict=True):
            x = block(x, beside)
        return x


class _Step(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = _conv_norm(inputs, outputs)
        self.conv2 = _conv_norm(outputs, outputs)

    def forward(self, x: Tensor, beside: Tensor) -> Tensor:
        x = functional.interpolate(x, scale_factor=2, mode="trilinear", align_corners=False)
        out: Tensor = self.conv2(self.conv1(torch.cat([x, beside], dim=1)))
        return out


def _conv_norm(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm3d(outputs), nn.ReLU(inplace=True)
    )
