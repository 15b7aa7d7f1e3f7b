"""A laid-out chart as SVG text or as a PNG image."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from cellmap_tui.monitor.chart_layout import (
    BOTTOM,
    FRAME_COLOUR,
    GRID_COLOUR,
    HEIGHT,
    LEFT,
    PAPER,
    RIGHT,
    TEXT_COLOUR,
    TOP,
    WIDTH,
    Layout,
)
from cellmap_tui.text import cut_middle

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

SCALE = 2
"""Pixels of a PNG for each of the layout."""
NAME_LETTERS = 26
FONT_SIZE = 12
_DIM = 0.3


def to_svg(layout: Layout) -> bytes:
    """Return the chart as an SVG document."""
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="{FONT_SIZE}" fill="{TEXT_COLOUR}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{PAPER}"/>',
        f'<text x="{LEFT}" y="26" font-size="15">{escape(layout.title)}</text>',
    ]
    for x, label in layout.x_ticks:
        parts.append(f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="{GRID_COLOUR}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{escape(label)}</text>')
    for y, label in layout.y_ticks:
        parts.append(f'<path d="M{LEFT} {y:.1f}H{right}" stroke="{GRID_COLOUR}"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{escape(label)}</text>')
    parts.append(f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="{FRAME_COLOUR}"/>')
    middle = (LEFT + right) / 2
    parts.append(f'<text x="{middle:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{escape(layout.x_words)}</text>')
    for line in layout.lines:
        for pieces, style in ((line.raw, f'opacity="{_DIM}"'), (line.pieces, 'stroke-width="1.6"')):
            for piece in pieces:
                path = "M" + "L".join(f"{x:g} {y:g}" for x, y in (piece if len(piece) > 1 else piece * 2))
                parts.append(
                    f'<path d="{path}" fill="none" stroke="{line.colour}" stroke-linejoin="round" '
                    f'stroke-linecap="round" {style}/>'
                )
        name = escape(cut_middle(line.name, NAME_LETTERS))
        parts.append(f'<text x="{right + 8}" y="{line.end_y + 4:.1f}" fill="{line.colour}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""]).encode("utf-8")


def to_png(layout: Layout) -> bytes:
    """Return the chart as a PNG image."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), PAPER)
    draw = ImageDraw.Draw(image)
    font, title = ImageFont.load_default(FONT_SIZE * SCALE), ImageFont.load_default(15 * SCALE)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    _write(draw, LEFT, 26, layout.title, title, "ls")
    for x, label in layout.x_ticks:
        _stroke(draw, [(x, TOP), (x, bottom)], GRID_COLOUR, 1)
        _write(draw, x, bottom + 17, label, font, "ms")
    for y, label in layout.y_ticks:
        _stroke(draw, [(LEFT, y), (right, y)], GRID_COLOUR, 1)
        _write(draw, LEFT - 7, y, label, font, "rm")
    _stroke(draw, [(LEFT, TOP), (LEFT, bottom), (right, bottom)], FRAME_COLOUR, 2)
    _write(draw, (LEFT + right) / 2, HEIGHT - 10, layout.x_words, font, "ms")
    for line in layout.lines:
        for piece in line.raw:
            _stroke(draw, piece, _dimmed(line.colour), 2)
    for line in layout.lines:
        for piece in line.pieces:
            _stroke(draw, piece, line.colour, 3)
        _write(draw, right + 8, line.end_y, cut_middle(line.name, NAME_LETTERS), font, "lm", line.colour)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _stroke(draw: ImageDraw, points: list[tuple[float, float]], colour: str, width: int) -> None:
    pixels = [(x * SCALE, y * SCALE) for x, y in (points if len(points) > 1 else points * 2)]
    draw.line(pixels, fill=colour, width=width, joint="curve" if width > 2 else None)
    if len(points) == 1:
        x, y = pixels[0]
        draw.ellipse((x - width, y - width, x + width, y + width), fill=colour)


def _write(
    draw: ImageDraw,
    x: float,
    y: float,
    text: str,
    font: FreeTypeFont | ImageFont,
    anchor: str,
    colour: str = TEXT_COLOUR,
) -> None:
    draw.text((x * SCALE, y * SCALE), text, fill=colour, font=font, anchor=anchor)


def _dimmed(colour: str) -> str:
    """Return a colour as it looks through `_DIM` on paper: PNG lines have no opacity of their own."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 + (part - 255) * _DIM):02x}" for part in parts)
