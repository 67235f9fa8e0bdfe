"""Arrays and a JSON header in one ``.npz`` file, safe to read from strangers.

Nothing in such a file is code and nothing in it is imported. Its members are stored
uncompressed, so that a file can never ask for more memory than its own size: a
compressed member, one whose array does not fill it exactly, or members that overlap
are refused before anything is allocated.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import secrets
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

__all__ = ["atomically", "read_archive", "write_archive"]

Array = np.ndarray

HEADER = "header"
_MAGIC = b"\x93NUMPY\x01\x00"
_NPY = re.compile(
    r"\{'descr': '(?P<dtype>[<>|=]?[fiubU]\d+)', 'fortran_order': (True|False), "
    r"'shape': \((?P<shape>[\d, ]*)\), \}\s*"
)
#: What reading a broken zip or npy file may raise.
_BROKEN = (
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


@contextmanager
def atomically(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file that takes the place of `path` when all went well, and else is removed."""
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with beside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def write_archive(
    path: str | os.PathLike[str], header: Mapping[str, Any], arrays: Mapping[str, Array]
) -> None:
    """Write a header of JSON values and named arrays of numbers; the old file, or all of the new.

    Parameters
    ----------
    path : path
        Used as it is: no suffix is added.
    header : mapping
        Values that JSON knows, without NaN and infinity.
    arrays : mapping of str to array
        Real numbers; not named "header".
    """
    text = json.dumps(header, allow_nan=False)
    with atomically(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in {HEADER: np.array(text), **arrays}.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # a fixed date: equal models, equal files
            with archive.open(member, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asarray(array), allow_pickle=False)


def read_archive(
    path: str | os.PathLike[str], what: str, version: int
) -> tuple[dict[str, Any], dict[str, Array]]:
    """Header and arrays of a file made by `write_archive`.

    Parameters
    ----------
    path : path
    what : str
        The header's "format".
    version : int
        The newest "version" that the caller can read; they count from 1.

    Raises
    ------
    ValueError
        For any other file, a damaged one, or a newer version.
    OSError
        Where the file cannot be opened.
    """
    size = Path(path).stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            names = _members(archive, size)
            if HEADER not in names:
                raise ValueError("it has no header, so it was not made by latentem")
            header = _header(_array(archive, HEADER), what, version)
            arrays = {name: _array(archive, name) for name in names if name != HEADER}
    except _BROKEN as error:
        raise ValueError(
            f"cannot read {os.fspath(path)!r} as a {what} file: {_words(error)}"
        ) from None
    return header, arrays


def _members(archive: zipfile.ZipFile, size: int) -> list[str]:
    """Names of the arrays; the members must lie in the file as they are, side by side."""
    members = archive.infolist()
    names = [member.filename for member in members]
    if len(set(names)) != len(names) or not all(name.endswith(".npy") for name in names):
        raise ValueError("it is a zip file, but not one of arrays only, each with its own name")
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise ValueError(
                f"its array {member.filename.removesuffix('.npy')!r} is compressed, which latentem "
                "never does"
            )
    if sum(member.file_size for member in members) > size:
        raise ValueError("its arrays claim to be larger than the file")
    return [name.removesuffix(".npy") for name in names]


def _array(archive: zipfile.ZipFile, name: str) -> Array:
    """One member as an array, allocated only after its size is known to be right."""
    data = archive.read(f"{name}.npy")  # checks the CRC
    start = 10 + int.from_bytes(data[8:10], "little")
    match = _NPY.fullmatch(data[10:start].decode("latin-1")) if data[:8] == _MAGIC else None
    if match is None:
        raise ValueError(f"its array {name!r} is not one of real numbers in numpy's format 1.0")
    dtype = np.dtype(match["dtype"])
    if (dtype.kind == "U") != (name == HEADER):
        raise ValueError(f"its array {name!r} holds {dtype}, which is not expected there")
    shape = [int(length) for length in match["shape"].replace(",", " ").split()]
    if math.prod(shape) * dtype.itemsize != len(data) - start:
        raise ValueError(f"its array {name!r} claims a shape that its data do not fill")
    array = np.load(io.BytesIO(data), allow_pickle=False)
    return array if name == HEADER else array.astype(dtype.newbyteorder("="), copy=False)


def _header(array: Array, what: str, version: int) -> dict[str, Any]:
    try:
        header = json.loads(array.item())
    except (ValueError, RecursionError):
        raise ValueError("its header is not JSON") from None
    if not isinstance(header, dict) or header.get("format") != what:
        raise ValueError(f"its header does not say that it is a {what} file")
    found = header.get("version")
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise ValueError("its header has no version number")
    if found > version:
        raise ValueError(
            f"it is of version {found} of the format, and this latentem reads up to {version}: "
            "install a newer latentem"
        )
    return header


def _words(error: BaseException) -> str:
    if isinstance(error, zipfile.BadZipFile):
        return f"it is not a zip file, or was cut off or damaged ({error})"
    return str(error) or f"it is damaged ({type(error).__name__})"
