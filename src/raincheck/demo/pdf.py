"""A small PDF: pages of shapes and of text in Helvetica, which every reader of PDFs has."""

import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Self

A4 = (595.0, 842.0)  # points, which are 1/72 inch
INK, SOFT, FAINT = "1d2733", "566473", "dbe2e8"
_ENCODING = "cp1252"  # of the standard fonts; it has the euro sign
# Advance widths of Helvetica in thousandths of its size, from the space on.
_WIDTHS = (
    *(278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278),
    *(556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556),
    *(1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778),
    *(667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556),
    *(333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556),
    *(556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584),
)
_WIDTH_OF_OTHERS = 556

Point = tuple[float, float]
Box = tuple[float, float, float, float]


class Page:
    """What is drawn on one page. Lengths are points, the origin is the lower left corner, colours are ``rrggbb``."""

    def __init__(self) -> None:
        self._said: list[str] = []

    def rectangles(self, boxes: Iterable[Box], colour: str) -> None:
        """Fill boxes of x, y, width and height."""
        shapes = "\n".join(f"{x:.2f} {y:.2f} {width:.2f} {height:.2f} re" for x, y, width, height in boxes)
        self._said.append(f"{_rgb(colour)} rg\n{shapes}\nf" if shapes else "")

    def area(self, corners: Sequence[Point], colour: str) -> None:
        """Fill a shape."""
        self._said.append(f"{_rgb(colour)} rg\n{_path(corners)}\nf")

    def line(self, points: Sequence[Point], colour: str, *, width: float = 1.0) -> None:
        """Draw a line through points."""
        self._said.append(f"{_rgb(colour)} RG {width:.2f} w 1 j\n{_path(points)}\nS")

    def text(
        self,
        at: Point,
        text: str,
        *,
        size: float = 9,
        bold: bool = False,
        colour: str = INK,
        align: Literal["left", "center", "right"] = "left",
    ) -> None:
        """Write a line of text; what the font has no letter for becomes a question mark."""
        shift = {"left": 0.0, "center": 0.5, "right": 1.0}[align] * width_of(text, size)
        letters = text.encode(_ENCODING, "replace").hex()
        font = "F2" if bold else "F1"
        place = f"{at[0] - shift:.2f} {at[1]:.2f}"
        self._said.append(f"{_rgb(colour)} rg BT /{font} {size:g} Tf {place} Td <{letters}> Tj ET")

    def content(self) -> bytes:
        """Return what a reader draws."""
        return "\n".join(self._said).encode("ascii")


def width_of(text: str, size: float) -> float:
    """Return how wide a text is in Helvetica, in points."""
    letters = (ord(letter) - 32 for letter in text)
    return sum(_WIDTHS[at] if 0 <= at < len(_WIDTHS) else _WIDTH_OF_OTHERS for at in letters) * size / 1000


class Book:
    """A PDF file that grows page by page, and is whole once the block ends without an error."""

    _PAGES, _REGULAR, _BOLD, _INFO = 2, 3, 4, 5  # numbers of objects; 1 is the catalogue

    def __init__(self, path: Path, *, title: str) -> None:
        self._path = path
        self._title = title
        self._places: dict[int, int] = {}
        self._pages: list[int] = []

    def __enter__(self) -> Self:
        """Begin the file."""
        self._file: BinaryIO = self._path.open("wb")
        self._file.write(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what makes it whole, unless something went wrong."""
        with self._file:
            if kind is None:
                self._finish()

    def add(self, page: Page) -> None:
        """Write a page."""
        number = self._INFO + 1 + 2 * len(self._pages)
        content = zlib.compress(page.content())
        head = f"<< /Length {len(content)} /Filter /FlateDecode >>\nstream\n".encode()
        self._object(number, head + content + b"\nendstream")
        fonts = f"/Font << /F1 {self._REGULAR} 0 R /F2 {self._BOLD} 0 R >>"
        size = " ".join(f"{length:g}" for length in A4)
        self._object(
            number + 1,
            f"<< /Type /Page /Parent {self._PAGES} 0 R /MediaBox [0 0 {size}] /Contents {number} 0 R "
            f"/Resources << {fonts} >> >>".encode(),
        )
        self._pages.append(number + 1)

    def _finish(self) -> None:
        kids = " ".join(f"{page} 0 R" for page in self._pages)
        title = self._title.encode("utf-16").hex()
        self._object(1, f"<< /Type /Catalog /Pages {self._PAGES} 0 R >>".encode())
        self._object(self._PAGES, f"<< /Type /Pages /Count {len(self._pages)} /Kids [{kids}] >>".encode())
        for number, name in ((self._REGULAR, "Helvetica"), (self._BOLD, "Helvetica-Bold")):
            font = f"<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>"
            self._object(number, font.encode())
        self._object(self._INFO, f"<< /Title <{title}> >>".encode())
        table = self._file.tell()
        places = "".join(f"{self._places[number]:010} 00000 n \n" for number in sorted(self._places))
        count = len(self._places) + 1
        self._file.write(f"xref\n0 {count}\n0000000000 65535 f \n{places}".encode())
        trailer = f"<< /Size {count} /Root 1 0 R /Info {self._INFO} 0 R >>"
        self._file.write(f"trailer\n{trailer}\nstartxref\n{table}\n%%EOF\n".encode())

    def _object(self, number: int, content: bytes) -> None:
        self._places[number] = self._file.tell()
        self._file.write(b"%d 0 obj\n%b\nendobj\n" % (number, content))


def _rgb(colour: str) -> str:
    return " ".join(f"{int(colour[at : at + 2], 16) / 255:.3f}" for at in (0, 2, 4))


def _path(points: Sequence[Point]) -> str:
    return "\n".join(f"{x:.2f} {y:.2f} {'l' if at else 'm'}" for at, (x, y) in enumerate(points))
