"""``latentem deconvolve IMAGE PSF -o OUT``: sharpen an image by its point spread function."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentem.cli.arguments import positive, whole
from latentem.cli.messages import BadInput, plural, say, watched, writable

if TYPE_CHECKING:
    import numpy as np

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "NAME", "USAGE", "add_arguments", "run"]

NAME = "deconvolve"
USAGE = "latentem deconvolve IMAGE PSF -o OUT [OPTION ...]"
HELP = "sharpen an image by its point spread function"
DESCRIPTION = """\
Estimate the image behind a blurred one, from the image of a point (Richardson-Lucy,
which is EM). Files are .npy, .png, .tif and what else pillow reads; colours are
sharpened one by one. Values are counts, or go with them; they are never rescaled. The
scene goes on outside the frame, which is estimated too, so that borders are right."""
EPILOG = """\
Noise grows with the iterations: stop early, or give --smooth and more of them.
Exit codes: 0 all is well; 2 wrong arguments or data. Results go to standard output,
messages and progress to standard error.

Examples:
  latentem deconvolve blurred.png psf.png -o sharp.png
  latentem deconvolve cells.tif psf.tif -o sharp.tif --background 100 --iterations 50
  latentem deconvolve stars.npy psf.npy -o sharp.npy --accelerate --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("image", metavar="IMAGE", help="the blurred image")
    parser.add_argument("psf", metavar="PSF", help="the image of a point; divided by its sum")
    parser.add_argument(
        "-o", "--out", required=True, metavar="OUT", help=".npy (exact), .tif (float32) or .png"
    )
    add = parser.add_argument
    add("--iterations", type=whole(1), default=30, metavar="N", help="EM maps (default 30)")
    add(
        "--accelerate",
        action="store_true",
        help="SQUAREM: a map does the work of several of plain Richardson-Lucy",
    )
    add(
        "--background",
        type=positive,
        metavar="B",
        help="what every pixel counts without an image, in the unit of the image (default 0)",
    )
    add(
        "--smooth",
        type=positive,
        metavar="S",
        help="prior: differences of neighbours of about S, in the unit of the image",
    )
    add(
        "--boundary",
        choices=("unknown", "zero"),
        default="unknown",
        help="outside the frame: more of the scene, or nothing (default unknown)",
    )
    add("--json", action="store_true", help="print JSON in place of text")


def run(args: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    from latentem.cli.images import SUFFIXES, read_image, write_image

    out = writable(args.out, SUFFIXES)
    if out.resolve() in (Path(args.image).resolve(), Path(args.psf).resolve()):
        raise BadInput(f"{args.out!r} is what is read: it is not overwritten")
    image, psf = read_image(args.image), _psf(read_image(args.psf), args.psf)
    if out.suffix.lower() in (".tif", ".tiff") and image.ndim == 3:
        raise BadInput("images in colour are written as .npy or .png: change the name of -o")
    sharp, results = _sharpened(image, psf, args)
    for text in write_image(sharp, out, image):
        say(text)
    if args.json:
        print(json.dumps(_record(args, image, sharp, results), indent=2, allow_nan=False))
    else:
        print(_text(args, image, sharp, results, out))
    return 0


def _psf(psf: np.ndarray, name: str) -> np.ndarray:
    """The point spread function, of sum 1."""
    import numpy as np

    if psf.ndim != 2:
        raise BadInput(f"the point spread function {name!r} is in colour: save it in grey")
    psf = psf.astype(float)
    if not np.all(np.isfinite(psf)) or psf.min() < 0 or not psf.sum() > 0:
        raise BadInput(
            f"the point spread function {name!r} must be finite and not negative, and not all zero"
        )
    total = float(psf.sum())
    if abs(total - 1) > 1e-6:
        say(f"the point spread function sums to {total:.6g}: it is divided by that")
    if min(psf.shape) > 5 and float(psf[[0, -1]].max()) > 0.1 * float(psf.max()):
        say("the point spread function is not dark at its edge: is it cut off, or on a background?")
    return psf / total


def _sharpened(
    image: np.ndarray, psf: np.ndarray, args: argparse.Namespace
) -> tuple[np.ndarray, list[Any]]:
    """The image, channel by channel, and how each fit went."""
    import numpy as np

    from latentem.estimators.reconstruction import Deconvolution
    from latentem.models.image_prior import SmoothnessPrior

    made = Deconvolution(
        psf,
        args.boundary,
        background=args.background,
        prior=None if args.smooth is None else SmoothnessPrior(args.smooth**-2),
        tol=0,
        max_iter=args.iterations,
        accelerate="squarem" if args.accelerate else None,
        progress=watched(),
    )
    channels = [image] if image.ndim == 2 else list(np.moveaxis(image, -1, 0))
    found, results = [], []
    for channel in channels:
        try:
            found.append(made.fit(channel).image_)
        except ValueError as error:
            raise BadInput(f"{args.image!r} cannot be sharpened: {error}") from None
        results.append(made.result_)
    return (found[0] if image.ndim == 2 else np.stack(found, axis=-1)), results


def _record(
    args: argparse.Namespace, image: np.ndarray, sharp: np.ndarray, results: list[Any]
) -> dict[str, Any]:
    return {
        "image": args.image,
        "psf": args.psf,
        "out": args.out,
        "shape": list(image.shape),
        "iterations": [result.n_iter for result in results],
        "accelerate": args.accelerate,
        "background": args.background,
        "smooth": args.smooth,
        "boundary": args.boundary,
        "loglik": [result.loglik for result in results],
        "range": {"image": _range(image), "out": _range(sharp)},
        "seconds": sum(result.seconds for result in results),
    }


def _range(image: np.ndarray) -> list[float]:
    return [float(image.min()), float(image.max())]


def _text(
    args: argparse.Namespace, image: np.ndarray, sharp: np.ndarray, results: list[Any], out: Path
) -> str:
    size = " x ".join(str(n) for n in image.shape)
    how = "accelerated EM maps" if args.accelerate else "iterations of Richardson-Lucy"
    seconds = sum(result.seconds for result in results)
    loglik = sum(result.loglik for result in results)
    first = sum(result.history["objective"][1] for result in results)
    gained = sum(result.objective for result in results) - first
    (low, high), (least, most) = _range(image), _range(sharp)
    return "\n".join(
        [
            f"{args.image}: {size}, {args.iterations} {how}, {seconds:.1f} s",
            f"values from {low:.4g} to {high:.4g}, sharpened from {least:.4g} to {most:.4g}",
            f"log-likelihood {loglik:.2f}; {gained:.6g} gained since the first iteration",
            f"written: {out} ({plural(len(results), 'channel')})",
        ]
    )
