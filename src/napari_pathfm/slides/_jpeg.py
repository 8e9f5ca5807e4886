"""JPEG tiles of a TIFF: decoded by libjpeg-turbo, off Python's lock, smaller if asked.

libjpeg can leave out high frequencies while it decodes: an 8 x 8 block becomes 4 x 4,
2 x 2 or one pixel. Every such pixel covers exactly the square of pixels that it stands
for, so the picture does not shift.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: By how much a tile can shrink while it is decoded.
FACTORS = (1, 2, 4, 8)

_START, _END, _JFIF = b"\xff\xd8", b"\xff\xd9", b"\xff\xe0"


def whole_stream(data: bytes, tables: bytes, *, ycbcr: bool) -> bytes:
    """Make a JPEG that stands alone of one whose tables lie elsewhere.

    Parameters
    ----------
    data : bytes
        The tile as it lies in the file.
    tables : bytes
        What TIFF keeps under JPEGTables: a JPEG of tables alone; may be empty.
    ycbcr : bool
        Whether TIFF says that the colours are YCbCr, and not RGB. JPEG says it in an
        Adobe marker (Adobe Technical Note 5116), which a tile need not have.

    Raises
    ------
    ValueError
        It is no JPEG.
    """
    if not data.startswith(_START):
        raise ValueError("the tile is no JPEG")
    after = len(_START)
    if data.startswith(_JFIF, after):
        # To libjpeg this says YCbCr whatever else is said; TIFF's word goes before.
        after += 2 + int.from_bytes(data[after + 2 : after + 4], "big")
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes((ycbcr,))
    if tables:
        if not tables.startswith(_START):
            raise ValueError("the JPEG tables are no JPEG")
        tables = tables[2:-2] if tables.endswith(_END) else tables[2:]
    return b"".join((_START, adobe, tables, data[after:]))


def decode(
    stream: bytes,
    width: int,
    height: int,
    factor: int = 1,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Decode a JPEG of a known size to RGB.

    Parameters
    ----------
    stream : bytes
        A JPEG that stands alone.
    width, height : int
        The size that it must have.
    factor : {1, 2, 4, 8}
        By how much to shrink it.
    out : uint8 array, optional
        Memory to use again, where it has the shape that is returned; fetching new
        pages takes a third of the time otherwise.

    Returns
    -------
    uint8 array, shape (height / factor, width / factor, 3)
        Sides rounded up.

    Raises
    ------
    ValueError
        It is damaged, or of another size.
    """
    import numpy as np
    import simplejpeg

    wanted = (-(-height // factor), -(-width // factor), 3)
    if out is None or out.shape != wanted:
        out = np.empty(wanted, np.uint8)
    # Into memory of our own: a forged header may speak of gigabytes.
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
        stream,
        min_factor=factor,
        min_height=wanted[0],
        min_width=wanted[1],
        buffer=out,
    )
    if pixels.shape != wanted:
        raise ValueError(
            f"the tile has {pixels.shape[1] * factor} x {pixels.shape[0] * factor} px "
            f"and should have {width} x {height}"
        )
    return out
