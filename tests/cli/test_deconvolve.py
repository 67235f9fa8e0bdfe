"""``latentem deconvolve``: files in and out, what is told, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from latentem import Deconvolution
from latentem.cli import main

pytest.importorskip("matplotlib")  # with pillow
Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A blurred image and its point spread function, in every format."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    truth = np.full((24, 30), 20.0)
    truth[8:14, 10:20] = 160.0
    psf = np.ones((3, 5)) / 15
    operator = Deconvolution(psf)._operator(truth)
    image = rng.poisson(operator.forward(operator.extend(truth)))
    np.save("image.npy", image)
    np.save("psf.npy", psf)
    Image.fromarray(image.astype(np.uint8)).save("image.png")
    Image.fromarray((image * 100).astype(np.uint16)).save("wide.png")
    Image.fromarray(np.stack([image.astype(np.uint8)] * 3, axis=-1)).save("colour.png")
    Image.fromarray((image / 3).astype(np.float32)).save("image.tif")
    Image.fromarray(np.full((3, 5), 9, dtype=np.uint8)).save("psf.png")
    return tmp_path


def sharpened(image, **settings):
    made = Deconvolution(np.ones((3, 5)) / 15, tol=0, max_iter=5, accelerate=None, **settings)
    return made.fit(image).image_


def run(*arguments):
    return main(["deconvolve", *arguments, "--iterations", "5"])


def test_array(folder, capsys):
    assert run("image.npy", "psf.npy", "-o", "sharp.npy") == 0
    found, image = np.load("sharp.npy"), np.load("image.npy")
    np.testing.assert_allclose(found, sharpened(image), rtol=1e-12)
    out, err = capsys.readouterr()
    assert "image.npy: 24 x 30, 5 iterations of Richardson-Lucy" in out
    assert "written: sharp.npy (1 channel)" in out
    assert err == ""


def test_picture_is_whole_numbers_and_says_what_it_cannot_hold(folder, capsys):
    bright = np.asarray(Image.open("image.png")).astype(int) * 8 // 5
    Image.fromarray(np.minimum(bright, 255).astype(np.uint8)).save("bright.png")
    assert run("bright.png", "psf.png", "-o", "sharp.png") == 0
    found = np.asarray(Image.open("sharp.png"))
    wanted = sharpened(np.asarray(Image.open("bright.png")))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.minimum(np.round(wanted), 255))
    err = capsys.readouterr().err
    assert "the point spread function sums to 135: it is divided by that" in err
    count = int(np.sum(wanted > 255.5))
    assert count > 0
    assert f"{count} pixels above 255" in err


def test_sixteen_bits_stay(folder):
    assert run("wide.png", "psf.png", "-o", "sharp.png") == 0
    found = np.asarray(Image.open("sharp.png"))
    wanted = sharpened(np.asarray(Image.open("wide.png")))
    assert found.max() > 255
    np.testing.assert_array_equal(found, np.round(wanted))


def test_floating_point_tiff(folder):
    assert run("image.tif", "psf.npy", "-o", "sharp.tif") == 0
    found = np.asarray(Image.open("sharp.tif"))
    assert found.dtype == np.float32
    wanted = sharpened(np.asarray(Image.open("image.tif")))
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_channels_one_by_one(folder, capsys):
    assert run("colour.png", "psf.npy", "-o", "sharp.npy") == 0
    found, grey = np.load("sharp.npy"), sharpened(np.asarray(Image.open("image.png")))
    assert found.shape == (24, 30, 3)
    np.testing.assert_allclose(found[..., 1], grey, rtol=1e-12)
    assert "(3 channels)" in capsys.readouterr().out


def test_options_and_json(folder, capsys):
    options = [
        "--background",
        "2",
        "--smooth",
        "10",
        "--boundary",
        "zero",
        "--accelerate",
        "--json",
    ]
    assert run("image.npy", "psf.npy", "-o", "sharp.npy", *options) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["iterations"] == [5]
    assert (record["background"], record["smooth"], record["boundary"]) == (2, 10, "zero")
    assert record["range"]["out"][1] == np.load("sharp.npy").max()
    assert len(record["loglik"]) == 1


def save(name, array):
    np.save(name, np.asarray(array))
    return name


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (lambda: ("none.npy", "psf.npy"), "there is no file 'none.npy'"),
        (lambda: (save("a.npy", np.full((9, 9), np.nan)), "psf.npy"), "y[0, 0] is nan"),
        (lambda: (save("a.npy", -np.ones((9, 9))), "psf.npy"), "y[0, 0] is -1: counts are not"),
        (lambda: (save("a.npy", np.ones(9)), "psf.npy"), "an image is (row, column)"),
        (lambda: ("image.npy", save("a.npy", np.zeros((3, 3)))), "must be finite and not negative"),
        (lambda: ("image.npy", "colour.png"), "'colour.png' is in colour: save it in grey"),
        (lambda: ("image.npy", "sharp.txt"), "there is no file 'sharp.txt'"),
    ],
)
def test_wrong_images(folder, capsys, arguments, sentence):
    assert run(*arguments(), "-o", "sharp.npy") == 2
    assert sentence in capsys.readouterr().err
    assert not (folder / "sharp.npy").exists()


def test_wrong_files(folder, capsys):
    (folder / "text.png").write_text("no image")
    Image.new("RGBA", (5, 5)).save("clear.png")
    np.save("objects.npy", np.array([[None]]), allow_pickle=True)
    for arguments, sentence in (
        (("text.png", "psf.npy", "-o", "a.npy"), "'text.png' cannot be read as an image"),
        (("clear.png", "psf.npy", "-o", "a.npy"), "without transparency or a palette"),
        (("objects.npy", "psf.npy", "-o", "a.npy"), "'objects.npy' is no array of numpy"),
        (("image.npy", "psf.npy", "-o", "image.npy"), "is what is read: it is not overwritten"),
        (("image.npy", "psf.npy", "-o", "a.jpg"), "a.jpg"),
        (("colour.png", "psf.npy", "-o", "a.tif"), "images in colour are written as .npy or .png"),
    ):
        assert run(*arguments) == 2
        assert sentence in capsys.readouterr().err


def test_psf_on_a_background_is_told(folder, capsys):
    wide = np.full((9, 9), 5.0)
    wide[4, 4] = 9.0
    assert run("image.npy", save("wide.npy", wide), "-o", "sharp.npy") == 0
    assert "not dark at its edge" in capsys.readouterr().err
