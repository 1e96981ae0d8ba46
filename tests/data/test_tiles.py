"""Pictures cut into tiles, and parts of which no tile touches a tile of another."""

import numpy as np
import pytest
from PIL import Image

from vaelib.data import DataError, load_images, tiles

RNG = np.random.default_rng(0)
LARGE = [RNG.integers(0, 256, (101, 150, 3), dtype=np.uint8), RNG.integers(0, 256, (90, 131, 3), dtype=np.uint8)]


def test_tiles_are_the_pixels_of_their_place_without_overlap():
    cut, names, where = tiles.cut(LARGE, ("a", "b"), 8)
    assert cut.shape == (12 * 18 + 11 * 16, 8, 8, 3) and len(names) == len(where) == len(cut)
    assert names[19] == "a, row 1, column 1" and where[19].tolist() == [0, 1, 1]
    # 101 is 12 tiles and 5 pixels, 2 of them at the top; 150 is 18 tiles and 6 pixels, 3 of them at the left.
    np.testing.assert_array_equal(cut[19], LARGE[0][10:18, 11:19])
    put = np.zeros((12, 18), int)
    np.add.at(put, tuple(where[where[:, 0] == 0, 1:].T), 1)
    assert (put == 1).all()


def test_a_picture_smaller_than_a_tile_gives_none():
    cut, names, where = tiles.cut([np.zeros((7, 30))], ("a",), 8)
    assert len(cut) == len(names) == len(where) == 0 and where.shape == (0, 3)


@pytest.mark.parametrize("seed", [0, 1, 2, None])
@pytest.mark.parametrize("shares", [(0.1, 0.2), (0.0, 0.5), (0.3, 0.3)])
def test_no_tile_touches_a_tile_of_another_part(seed, shares):
    where = tiles.cut([np.zeros((300, 400)), np.zeros((170, 90))], "ab", 8)[2]
    parts = tiles.split(where, shares, None if seed is None else np.random.default_rng(seed))
    part_at = {tuple(where[i]): number for number, part in enumerate(parts) for i in part}
    assert len(part_at) == sum(map(len, parts))
    for (picture, row, column), number in part_at.items():
        around = {part_at.get((picture, row + down, column + right)) for down in (-1, 0, 1) for right in (-1, 0, 1)}
        assert around <= {number, None}
    for part, share in zip(parts[1:], shares, strict=True):
        assert len(part) / len(where) == pytest.approx(share, abs=0.12) and (len(part) > 0) == (share > 0)


def test_left_out_are_only_tiles_that_touch_another_part():
    where = tiles.cut([np.zeros((320, 320))], "a", 8)[2]
    train, test = tiles.split(where, (0.2,), np.random.default_rng(0))
    grid = np.zeros((42, 42), bool)
    grid[tuple((where[test, 1:] + 1).T)] = True
    touched = np.any([np.roll(grid, (down, right), (0, 1)) for down in (-1, 0, 1) for right in (-1, 0, 1)], axis=0)
    out = np.setdiff1d(np.arange(len(where)), np.concatenate([train, test]))
    assert len(out) and touched[tuple((where[out, 1:] + 1).T)].all()
    assert (np.bincount(where[test, 1] // 8 * 5 + where[test, 2] // 8) % 64 == 0).all()  # test blocks are whole


def test_loaded_tiles_are_split_three_ways_and_know_their_places(tmp_path):
    for name, picture in zip("ab", LARGE, strict=True):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    from_files = load_images(tmp_path, tile=6, colour=True, validation_share=0.2)
    from_arrays = load_images(LARGE, tile=6, colour=True, validation_share=0.2)
    assert from_files.names[0] == "a.png, row 0, column 0" and from_arrays.names[0] == "0, row 0, column 0"
    scaled = [picture / np.float32(255) for picture in LARGE]
    every, _, where = tiles.cut(scaled, "ab", 6)
    for loaded in (from_files, from_arrays):
        np.testing.assert_array_equal(loaded.where, where)
        for x, part in [(loaded.x_train, loaded.train), (loaded.x_validation, loaded.validation)]:
            np.testing.assert_allclose(x, every[part], atol=1e-7)
        counts = [len(part) for part in (loaded.train, loaded.validation, loaded.test)]
        assert min(counts) > 0
        assert f"{counts[0]} + {counts[1]} + {counts[2]} images of 6 × 6 in colour" in str(loaded.source)
        assert f"2 cut into tiles; {len(every) - sum(counts)} between the parts left out" in str(loaded.source)


def test_grey_tiles_of_pictures_resized_first():
    loaded = load_images(LARGE, size=(48, 64), tile=4)
    assert loaded.data_shape == (4, 4) and len(loaded.names) == 2 * 12 * 16
    assert len(loaded.x_validation) == 0 and loaded.x_validation.shape[1:] == (4, 4)


def test_what_cannot_be_cut_is_refused():
    with pytest.raises(DataError, match="holds 8 tiles, and at least 50 are needed"):
        load_images(LARGE, tile=50)
    with pytest.raises(DataError, match="too few blocks to hold some out. Pass a smaller tile"):
        load_images(RNG.random((1, 80, 80)), tile=10)
    with pytest.raises(ValueError, match="tile must be a whole number of at least 1; received 0"):
        load_images(LARGE, tile=0)


def test_validation_without_tiles():
    x = RNG.random((60, 4, 4))
    loaded = load_images(x, test_share=0.2, validation_share=0.1)
    parts = [loaded.train, loaded.validation, loaded.test]
    assert [len(part) for part in parts] == [42, 6, 12] and sorted(np.concatenate(parts)) == list(range(60))
    np.testing.assert_array_equal(loaded.test, load_images(x, test_share=0.2).test)
    np.testing.assert_allclose(loaded.x_validation, x[loaded.validation], atol=1e-6)
    assert load_images(x, seed=None, validation_share=0.1).validation.tolist() == list(range(42, 48))
    for share in (-0.1, 0.8):
        with pytest.raises(ValueError, match="validation_share must be at least 0, and below 1 - test_share = 0.8"):
            load_images(x, validation_share=share)
