"""Images in files: read as they are, and written without a silent change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from latentem.cli.messages import BadInput

__all__ = ["SUFFIXES", "read_image", "write_image"]

#: Formats that are written: values exactly, in float32, and as whole numbers of a range.
SUFFIXES = ("npy", "tif", "tiff", "png")
#: Kinds of pixels of pillow that are numbers, one or three to a pixel.
MODES = ("L", "I", "I;16", "I;16B", "I;16L", "F", "RGB")


def read_image(path: str) -> np.ndarray:
    """Pixels of an image file, (row, column) or (row, column, channel), as they are stored."""
    if not Path(path).is_file():
        raise BadInput(f"there is no file {path!r}")
    if path.lower().endswith(".npy"):
        try:
            pixels = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise BadInput(f"{path!r} is no array of numpy: {error}") from None
    else:
        pixels = _pictured(path)
    if pixels.ndim not in (2, 3) or pixels.dtype.kind not in "fiub" or not pixels.size:
        raise BadInput(
            f"{path!r} holds {pixels.dtype} of shape {pixels.shape}, and an image is "
            "(row, column) or (row, column, channel) of numbers"
        )
    return pixels


def _pictured(path: str) -> np.ndarray:
    image = _pillow()
    try:
        with image.open(path) as file:
            if getattr(file, "n_frames", 1) > 1:
                raise BadInput(f"{path!r} holds {file.n_frames} images: give one of them")
            if file.mode == "1":
                return np.asarray(file.convert("L"))
            if file.mode not in MODES:
                raise BadInput(
                    f"{path!r} has pixels of kind {file.mode}: save it in grey or RGB, without "
                    "transparency or a palette"
                )
            return np.asarray(file)
    except (image.UnidentifiedImageError, OSError, SyntaxError) as error:
        raise BadInput(f"{path!r} cannot be read as an image: {error}") from None


def write_image(pixels: np.ndarray, path: Path, like: np.ndarray) -> list[str]:
    """Write an image; sentences about what its format cannot hold.

    Parameters
    ----------
    pixels : array
    path : Path
        .npy holds the values as they are, .tif float32, .png whole numbers.
    like : array
        The image that was read: a PNG has 16 bits where that has more than 8.
    """
    from latentem.engine.archive import atomically

    suffix, told = path.suffix.lower(), []
    with atomically(path) as file:
        if suffix == ".npy":
            np.save(file, pixels)
            return []
        if suffix == ".png":
            wide = like.dtype.itemsize > 1 and like.max(initial=0) > 255 and pixels.ndim == 2
            kind, top = (np.uint16, 65535) if wide else (np.uint8, 255)
            lost = int(np.sum(pixels > top + 0.5))
            if lost:
                told.append(
                    f"{lost:,} pixels above {top:,}, at most {pixels.max():.6g}, are {top:,} in "
                    f"{path.name}: a PNG holds no more; .npy and .tif do"
                )
            values = np.clip(np.round(pixels), 0, top).astype(kind)
        else:
            values = pixels.astype(np.float32)
        if values.ndim == 3 and values.dtype == np.float32:
            raise BadInput(f"{path.name}: colours in float32 are no TIFF here; use .npy or .png")
        _pillow().fromarray(values).save(file, format="PNG" if suffix == ".png" else "TIFF")
    return told


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise BadInput(
            "images other than .npy are read with pillow: pip install 'latentem[cli]'"
        ) from None
    return Image
