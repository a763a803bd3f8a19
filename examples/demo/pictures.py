"""Draws one picture per product of ``products.jsonl`` after ``shapes.toml``, always the same for one sku.

``python pictures.py [FOLDER]`` draws what is missing; ``draw_all`` does so for a caller with a progress bar.
"""

from __future__ import annotations

import argparse
import colorsys
import json
import os
import random
import sys
import tomllib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

HERE = Path(__file__).resolve().parent
PRODUCTS = HERE / "products.jsonl"
PICTURES = HERE / "pictures"
SIZE = 800
SCALE = SIZE * 2 / 100  # shapes are drawn on a field of 100 x 100, twice as large, and halved: smooth edges
PALETTE = 64  # colours of a file: enough for flat shapes with smooth edges, and it stays below 20 KB

Colour = tuple[int, int, int]


class Sketch:
    """One picture: its random numbers and colours come from the sku, its parts from ``shapes.toml``."""

    def __init__(self, sku: str, hue: float) -> None:
        self.rng = random.Random(sku)  # noqa: S311 -- a seed for shapes, not a secret
        hue += self.rng.uniform(-0.05, 0.05)
        own = hue + self.rng.choice([0.0, 0.08, 0.33, 0.5, 0.6])
        self.colours = {
            "main": _colour(own, self.rng.uniform(0.35, 0.6), self.rng.uniform(0.55, 0.8)),
            "dark": _colour(own, 0.55, 0.36),
            "light": _colour(own, 0.18, 0.93),
            "accent": _colour(own + 0.5, 0.55, 0.85),
            "wall": _colour(hue, 0.10, 0.96),
            "floor": _colour(hue, 0.16, 0.90),
            "shadow": _colour(hue, 0.22, 0.80),
        }
        self.image = Image.new("RGB", (SIZE * 2, SIZE * 2), self.colours["wall"])
        self._draw = ImageDraw.Draw(self.image)
        self.part("box", 0, self.rng.uniform(68, 74), 100, 100, "floor", 0)
        self.part("oval", 50, 83, 34, 4, "shadow")

    def part(self, kind: str, *values: Any) -> None:
        names = [value for value in values if isinstance(value, str)]
        if names and names[0].endswith("?"):
            if self.rng.random() < 0.5:
                return
            values = tuple(value.rstrip("?") if isinstance(value, str) else value for value in values)
        getattr(self, f"_{kind}")(*values)

    def _named(self, name: str) -> Colour:
        return self.colours[self.rng.choice(["main", "dark", "light", "accent"]) if name == "any" else name]

    def _box(self, *values: Any) -> None:
        *corners, colour, radius = values
        self._draw.rounded_rectangle(_scaled(corners), radius * SCALE, self._named(colour))

    def _oval(self, *values: Any) -> None:
        *place, colour = values
        self._draw.ellipse(_around(*place), self._named(colour))

    def _ring(self, *values: Any) -> None:
        *place, colour, width = values
        self._draw.ellipse(_around(*place), None, self._named(colour), round(width * SCALE))

    def _arc(self, *values: Any) -> None:
        x, y, radius, start, end, colour, width = values
        place = _around(x, y, radius, radius)
        self._draw.arc(place, start, end, self._named(colour), round(width * SCALE))

    def _shape(self, points: Sequence[float], colour: str) -> None:
        self._draw.polygon(_scaled(points), self._named(colour))

    def _line(self, points: Sequence[float], colour: str, width: float) -> None:
        self._draw.line(_scaled(points), self._named(colour), round(width * SCALE), joint="curve")

    def _grid(self, *values: Any) -> None:
        columns, rows, x, y, step_x, step_y, width, height, colour, radius = values
        for row in range(rows):
            for column in range(columns):
                left, top = x + column * step_x, y + row * step_y
                self._box(left, top, left + width, top + height, colour, radius)

    def _dots(self, *values: Any) -> None:
        count, x0, y0, x1, y1, radius, colour = values
        for _ in range(count):
            self._oval(self.rng.uniform(x0, x1), self.rng.uniform(y0, y1), radius, radius * 0.8, colour)

    def _stems(self, *values: Any) -> None:
        count, x0, y0, x1, y1, foot_x, foot_y = values
        for _ in range(count):
            x, y = self.rng.uniform(x0, x1), self.rng.uniform(y0, y1)
            self._line([foot_x, foot_y, x, y], "dark", 1.2)
            self._oval(x, y, 6, 4, self.rng.choice(["accent", "light", "main"]))


def _scaled(values: Sequence[float]) -> list[float]:
    return [value * SCALE for value in values]


def _around(x: float, y: float, rx: float, ry: float) -> list[float]:
    return _scaled([x - rx, y - ry, x + rx, y + ry])


def _colour(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


@cache
def _shapes() -> dict[str, Any]:
    return tomllib.loads((HERE / "shapes.toml").read_text(encoding="utf-8"))


def shape_of(key: str, category: str) -> tuple[float, str]:
    """The hue of the category, and the name of the shape for a product's key."""
    shapes = _shapes()
    hue, name = shapes["categories"].get(category, (0.5, "blocks"))
    for candidate, shape in shapes.items():
        words = shape.get("words", "").split()
        if any(f"-{word}-" in f"-{key}-" for word in words):
            return hue, candidate
    return hue, name


def draw(sku: str, key: str, category: str) -> Image.Image:
    hue, name = shape_of(key, category)
    sketch = Sketch(sku, hue)
    for part in _shapes()[name]["parts"]:
        sketch.part(*part)
    return sketch.image.reduce(2).quantize(PALETTE, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


def draw_all(folder: Path = PICTURES, progress: Callable[[int, int], None] | None = None) -> int:
    """Draws what is missing in ``folder``, telling ``progress(done, total)``; answers how many it drew."""
    wanted: dict[str, tuple[str, str, str]] = {}
    for line in PRODUCTS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        wanted.setdefault(Path(row["image"]).name, (row["sku"], row["product"], row["category"]))
    folder.mkdir(parents=True, exist_ok=True)
    drawn = 0
    for done, (name, product) in enumerate(wanted.items(), start=1):
        path = folder / name
        if not path.exists():
            unfinished = path.with_name(f"{name}.{os.getpid()}.part")
            draw(*product).save(unfinished, "PNG", compress_level=6)
            unfinished.replace(path)  # so that an interrupted run leaves no half picture behind
            drawn += 1
        if progress is not None:
            progress(done, len(wanted))
    return drawn


def _show(done: int, total: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        print(f"\rpictures {done}/{total}", end=end, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw the pictures of the demo's products that are missing.")
    parser.add_argument("folder", nargs="?", type=Path, default=PICTURES)
    folder: Path = parser.parse_args().folder
    try:
        drawn = draw_all(folder, _show)
    except KeyboardInterrupt:
        return 130
    print(f"{drawn} drawn into {folder}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
