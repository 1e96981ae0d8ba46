"""Your own pictures: what is read, cut, scaled and split, and that each mistake is refused in a sentence."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import vaelib
from vaelib.data import DataError, images, load_images

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (60, 6, 5), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (60, 6, 5, 3), dtype=np.uint8)


def write(folder, arrays, suffix="png"):
    folder.mkdir(parents=True, exist_ok=True)
    for i, array in enumerate(arrays):
        Image.fromarray(array).save(folder / f"{i:03}.{suffix}")
    return folder


def whole(loaded):
    """Train and test put back into the order of the source."""
    x = np.empty((len(loaded.names), *loaded.data_shape), "float32")
    x[loaded.train], x[loaded.test] = loaded.x_train, loaded.x_test
    return x


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "gif"])
def test_a_folder_of_files_gives_their_pixels(tmp_path, suffix):
    loaded = load_images(write(tmp_path / "mine", GREY, suffix))
    assert loaded.x_train.dtype == loaded.x_test.dtype == np.float32 and loaded.data_shape == (6, 5)
    np.testing.assert_array_equal(whole(loaded) * 255, GREY)
    assert loaded.names[:2] == (f"000.{suffix}", f"001.{suffix}")
    assert str(loaded.source) == "Data: mine, 48 + 12 images of 6 × 5, from a folder"
    assert not loaded.source.stand_in


def test_subfolders_count_and_hidden_or_other_files_do_not(tmp_path):
    write(tmp_path / "mine" / "b", GREY[:30])
    write(tmp_path / "mine" / "a", GREY[30:])
    write(tmp_path / "mine" / ".thumbnails", GREY)
    (tmp_path / "mine" / "notes.txt").write_text("no picture")
    (tmp_path / "mine" / "._000.png").write_bytes(b"no picture")
    loaded = load_images(tmp_path / "mine")
    assert loaded.names[0] == "a/000.png" and loaded.names[-1] == "b/029.png" and len(loaded.names) == 60
    np.testing.assert_array_equal(whole(loaded)[0] * 255, GREY[30])


def test_the_split_is_by_seed_and_complete():
    a, b, c = (load_images(GREY, seed=seed, test_share=0.25) for seed in (3, 3, 4))
    np.testing.assert_array_equal(a.x_train, b.x_train)
    assert sorted([*a.train, *a.test]) == list(range(60)) and len(a.test) == 15
    assert set(a.test) != set(c.test) and set(a.test) != set(range(45, 60))
    np.testing.assert_array_equal(whole(a), whole(c))
    in_order = load_images(GREY, seed=None)
    assert in_order.test.tolist() == list(range(48, 60)) and in_order.train.tolist() == list(range(48))
    few = load_images(GREY[:2], at_least=1, test_share=0.99)
    assert len(few.x_train) == len(few.x_test) == 1


@pytest.mark.parametrize(
    "array, white, divisor",
    [
        (GREY, None, 255),
        (GREY.astype("int64"), None, 255),
        (GREY / 255, None, 1),
        (GREY > 99, None, 1),
        ((GREY > 99).astype(int), None, 1),
        (GREY // 16, 16, 16),
        (GREY.astype(float), 255, 255),
        (GREY[..., None], None, 255),
        (list(GREY), None, 255),
    ],
)
def test_ranges_that_are_understood(array, white, divisor):
    loaded = load_images(array, white=white)
    expected = np.asarray(array, float).reshape(60, 6, 5) / divisor
    np.testing.assert_allclose(whole(loaded), expected, atol=1e-7)
    assert ("divided by" in loaded.source.origin) == (divisor != 1)
    if divisor != 1:
        assert f"divided by {divisor}" in str(loaded.source)


def test_colours_stay_or_become_the_grey_that_pillow_makes(tmp_path):
    folder = write(tmp_path / "mine", COLOUR)
    np.testing.assert_array_equal(whole(load_images(folder, colour=True)) * 255, COLOUR)
    assert "6 × 5 in colour" in str(load_images(COLOUR, colour=True).source)
    np.testing.assert_array_equal(whole(load_images(COLOUR, colour=True)) * 255, COLOUR)
    from_files, from_array = load_images(folder), load_images(COLOUR)
    grey = np.stack([np.asarray(Image.fromarray(picture).convert("L")) for picture in COLOUR])
    np.testing.assert_array_equal(whole(from_files) * 255, grey)
    np.testing.assert_allclose(whole(from_array) * 255, grey, atol=1)  # Pillow rounds to whole numbers
    assert "made grey" in str(from_files.source) and "made grey" in str(from_array.source)
    one = write(tmp_path / "mixed", [*GREY, COLOUR[0]])
    assert load_images(one, colour=True).data_shape == (6, 5, 3)


def test_size_cuts_around_the_middle_and_scales(tmp_path):
    wide = np.zeros((60, 4, 12), np.uint8)
    wide[:, :, 4:8] = 200  # the middle square; what is cut away is black
    wide[0, 0, 4] = 0
    for source in (write(tmp_path / "mine", wide), wide, list(wide)):
        loaded = load_images(source, size=2)
        assert loaded.data_shape == (2, 2) and "resized to 2 × 2" in str(loaded.source)
        np.testing.assert_allclose(whole(loaded)[1:] * 255, 200, atol=1)
        assert whole(loaded)[0, 0, 0] < whole(loaded)[0, 1, 1]
    assert load_images(wide, size=(2, 3)).data_shape == (2, 3)
    assert load_images(COLOUR, size=3, colour=True).data_shape == (3, 3, 3)
    assert "resized" not in str(load_images(wide, size=(4, 12)).source)
    mixed = [wide[0], *GREY]
    assert load_images(mixed, size=4).data_shape == (4, 4)
    # A uniform picture stays uniform, whatever its range.
    flat = load_images([np.full((9, 7), i / 100) for i in range(60)], size=(3, 5))
    np.testing.assert_allclose(whole(flat), np.arange(60)[:, None, None] / 100 * np.ones((3, 5)), atol=1e-6)


def test_what_files_can_hide(tmp_path):
    write(tmp_path, GREY)
    sixteen = np.minimum(GREY[0].astype("uint16"), 254) * 257 + 200
    Image.fromarray(sixteen).save(tmp_path / "000.png")
    see_through = np.dstack([GREY[1]] * 3 + [np.zeros((6, 5), np.uint8)])
    Image.fromarray(see_through).save(tmp_path / "001.png")
    exif = Image.Exif()
    exif[0x0112] = 3  # held upside down
    Image.fromarray(GREY[2]).save(tmp_path / "002.png", exif=exif)
    Image.fromarray(GREY[3]).convert("P").save(tmp_path / "003.png")
    x = whole(load_images(tmp_path)) * 255
    np.testing.assert_array_equal(x[0], np.minimum(GREY[0], 254))
    np.testing.assert_array_equal(x[1], 255)  # what lies under transparency is not shown
    np.testing.assert_array_equal(x[2], GREY[2, ::-1, ::-1])
    np.testing.assert_array_equal(x[3], GREY[3])


NAN = (GREY / 255).astype("float32")
NAN[17, 2, 2], NAN[20, 0, 0] = np.nan, np.inf


@pytest.mark.parametrize(
    "array, options, sentence",
    [
        (NAN, {}, r"picture 17 holds NaN or infinity \(and 1 more\)\. Remove or repair"),
        (list(NAN), {"size": 4}, "picture 17 holds NaN"),
        (GREY.astype(float), {}, r"values from 0 to 255: which value is white\? Say so, for example white=255"),
        (GREY // 16, {}, "whole numbers from 0 to 15: .* white=16"),
        (GREY // 2, {}, "whole numbers from 0 to 127: .* white=255"),
        (GREY // 16, {"white": 10}, "above white=10"),
        (GREY / 255 - 0.5, {}, "values from -0.5 to 0.5, and a pixel is at least 0"),
        (GREY[:12], {}, "source holds 12 pictures, and at least 50"),
        ([], {}, "source holds 0 pictures"),
        (GREY.reshape(60, 30), {}, r"has \(30,\)\. One row of numbers .*reshape\(-1, height, width\)"),
        (COLOUR.transpose(0, 3, 1, 2), {}, r"np.moveaxis\(source, 1, -1\)"),
        (np.zeros((60, 6, 5, 4)), {}, r"transparency\? Leave it out"),
        (np.zeros((60, 6, 5, 2)), {}, r"picture 0 has \(6, 5, 2\)"),
        ([*COLOUR, GREY[0]], {}, "Some pictures have 3 channels and some have 1"),
        ([*GREY, GREY[0].T], {}, r"picture 0 is 6 × 5, and picture 60 is 5 × 6\. Pass size, for example size=\(6, 5\)"),
        (GREY, {"colour": True}, r"3 channels; received shape \(6, 5\)\. Leave colour out"),
        (np.array([["a"]] * 60), {}, "must hold numbers; picture 0 has dtype"),
        (np.full((60, 6, 5), 0.5), {}, "All 60 pictures are the same"),
        (np.broadcast_to(np.uint8(0), (60, 4000, 6000)), {}, r"60 pictures of 4000 × 6000 .* 5\.8 GB.* size=64"),
        (None, {}, "source must be a folder or an array of pictures; received None"),
    ],
)  # fmt: skip
def test_each_mistake_in_an_array_is_named(array, options, sentence):
    with pytest.raises(DataError, match=sentence):
        load_images(array, **options)


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"size": 0}, "size.* must be a whole number of at least 1"),
        ({"size": (3, 4, 5)}, r"size must be \(height, width\)"),
        ({"test_share": 1}, "test_share must lie above 0 and below 1; received 1"),
        ({"test_share": float("nan")}, "test_share"),
        ({"white": 0}, "white must be the value of a white pixel"),
        ({"at_least": 0}, "at_least must be a whole number"),
    ],
)
def test_arguments_out_of_range(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        load_images(GREY, **options)


def test_each_mistake_in_a_folder_is_named(tmp_path):
    def refused(folder, sentence, **options):
        with pytest.raises(ValueError, match=sentence):
            load_images(folder, **options)

    refused(tmp_path / "none", "none does not exist")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("no picture")
    refused(empty, r"holds no picture \(files of other kinds: 1\)")
    refused(empty / "notes.txt", "notes.txt is a file")
    mine = write(tmp_path / "mine", GREY)
    refused(mine, "at least 61 are needed", at_least=61)
    refused(mine, "every picture in the folder is grey", colour=True)
    refused(mine, "white is for arrays", white=255)
    Image.fromarray(GREY[0].T).save(mine / "turned.png")
    refused(mine, r"000.png is 6 × 5, and turned.png is 5 × 6\. Pass size")
    assert load_images(mine, size=5).data_shape == (5, 5)
    data = (mine / "007.png").read_bytes()
    (mine / "007.png").write_bytes(data[: len(data) // 2])
    (mine / "009.png").write_text("no picture")
    refused(mine, r"007.png cannot be read as a picture \(\w+\).*, and so are 1 more\. Replace it", size=5)
    fractions = write(tmp_path / "fractions", GREY)
    Image.fromarray(NAN[0]).save(fractions / "f.tif")
    refused(fractions, "f.tif holds fractions")


def test_a_folder_too_large_is_refused_after_its_first_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_BYTES", 4 * 60 * 29)
    with pytest.raises(DataError, match="60 pictures of 6 × 5 values .* Pass a smaller size"):
        load_images(write(tmp_path, GREY))
    assert load_images(tmp_path, size=5).data_shape == (5, 5)


def test_the_loader_is_public_and_light():
    assert vaelib.load_images is load_images
    check = "import sys, vaelib; vaelib.load_images; assert not {'keras', 'tensorflow', 'sklearn'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0


def test_what_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    from vaelib.data import images

    for i in range(3):
        Image.fromarray(np.full((4, 4), 80 * i, "uint8")).save(tmp_path / f"{i}.png")

    def refuse(path, size, colour):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(images, "_read", refuse)
    with pytest.raises(DataError, match="^0.png may not be read: permission denied. Allow it, or take it out"):
        load_images(tmp_path, at_least=2)
    monkeypatch.setattr(images.os, "access", lambda *_: False)
    with pytest.raises(DataError, match="^The folder .* may not be read: permission denied"):
        load_images(tmp_path, at_least=2)
    with pytest.raises(DataError, match="^source must name a folder; .* there is no such user"):
        load_images("~nobody-of-this-name/pictures")
