"""A large picture of the Mandelbrot set, computed tile by tile."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from raincheck import OperationContext

TILE = 128  # pixels; a tile's arrays stay in the processor's cache
ESCAPED = 16.0  # |z| beyond which a point never comes back; larger than 2 for smooth colours
SUPERSAMPLING = 2  # each pixel is the mean of 2 x 2 points


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What part of the plane is seen, and how finely."""

    width: int
    height: int
    center: complex
    span: float  # width of the view in the plane
    iterations: int

    def tiles(self) -> list[tuple[int, int]]:
        """Return the upper left corners of all tiles."""
        return [(x, y) for y in range(0, self.height, TILE) for x in range(0, self.width, TILE)]

    def points(self, x: int, y: int) -> NDArray[np.complex128]:
        """Return the plane's points under a tile, ``SUPERSAMPLING`` to the pixel's side."""
        step = self.span / self.width / SUPERSAMPLING
        columns = np.arange(x * SUPERSAMPLING, min(x + TILE, self.width) * SUPERSAMPLING)
        rows = np.arange(y * SUPERSAMPLING, min(y + TILE, self.height) * SUPERSAMPLING)
        real = self.center.real + (columns - self.width * SUPERSAMPLING / 2) * step
        imaginary = self.center.imag - (rows - self.height * SUPERSAMPLING / 2) * step
        points: NDArray[np.complex128] = real[np.newaxis, :] + 1j * imaginary[:, np.newaxis]
        return points


def render_fractal(view: View, png: Path, *, op: OperationContext) -> None:
    """Draw the view into a PNG file. Each tile is a cancellation point."""
    picture = np.zeros((view.height, view.width, 3), np.uint8)
    tiles = view.tiles()
    for x, y in op.track(tiles, message="computing", unit="tiles"):
        tile = colours(escape_times(view.points(x, y), view.iterations))
        picture[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    op.progress(len(tiles), len(tiles), message="writing the file", unit="tiles")
    Image.fromarray(picture).save(png, "PNG")


def escape_times(points: NDArray[np.complex128], iterations: int) -> NDArray[np.float64]:
    """Return for each point after how many steps it escapes, smoothed; NaN where it never does."""
    times = np.full(points.size, np.nan)
    alive = np.arange(points.size)
    c = points.ravel()
    z = np.zeros_like(c)
    for step in range(iterations):
        z = z * z + c
        size = z.real * z.real + z.imag * z.imag
        gone = size > ESCAPED * ESCAPED
        if gone.any():
            times[alive[gone]] = step + 1 - np.log2(np.log(size[gone]) / 2 / np.log(ESCAPED))
            stays = ~gone
            alive, z, c = alive[stays], z[stays], c[stays]
    return times.reshape(points.shape)


def colours(times: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return RGB pixels: a cosine palette of blues and ambers, black inside the set."""
    phase = np.log1p(np.maximum(times, 0.0))[..., np.newaxis] * 1.35 + np.array([3.5, 3.1, 2.5])
    shades = np.where(np.isnan(phase), 0.0, 127.5 - 127.5 * np.cos(phase))
    height, width = times.shape[0] // SUPERSAMPLING, times.shape[1] // SUPERSAMPLING
    blocks = shades.reshape(height, SUPERSAMPLING, width, SUPERSAMPLING, 3)
    pixels: NDArray[np.uint8] = blocks.mean(axis=(1, 3)).astype(np.uint8)
    return pixels
