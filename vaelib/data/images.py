"""Your own pictures, a folder of files or an array, as a checked data set: each refusal says what to do about it."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from vaelib import checks
from vaelib.data import tiles
from vaelib.data.download import DataError, Source, expanded

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pnm")
MAX_BYTES = 400_000_000  # of pixels as float32: training needs as much again, and a small machine has little
GREY = np.array([0.299, 0.587, 0.114], "float32")  # how bright red, green and blue look (ITU-R BT.601, as in Pillow)


class Images(NamedTuple):
    """Pictures, split for training, validation and testing.

    Attributes:
        x_train, x_test: float32 (n, height, width), or (n, height, width, 3) in colour; pixels in [0, 1].
        train, test: where each picture stood in the source, int64 (n,): use them on labels of your own.
        names: the name of each picture of the source, in its order: the path below the folder, or its number.
        source: where the pictures came from, and what was done to them.
        x_validation, validation: as x_test and test; empty where validation_share is 0.
        where: the picture, row and column of each tile, int64 (n, 3), in the order of names; None without tiles.
    """

    x_train: np.ndarray
    x_test: np.ndarray
    train: np.ndarray
    test: np.ndarray
    names: tuple[str, ...]
    source: Source
    x_validation: np.ndarray
    validation: np.ndarray
    where: np.ndarray | None = None

    @property
    def data_shape(self):
        """Shape of one picture, as encoders, decoders and likelihoods ask for it."""
        return self.x_train.shape[1:]


def load_images(
    source, *, size=None, tile=None, colour=False, white=None, test_share=0.2, validation_share=0.0, seed=0,
    at_least=50, name=None,
):  # fmt: skip
    """Turn a folder of pictures, or an array of them, into a checked data set.

    Pixels end in [0, 1]. Picture files know their own range. An array in [0, 1] stays as it is. An array of integers
    whose largest value lies between 128 and 255 is divided by 255. Any other range is refused until `white` names its
    brightest value. What was done to the pictures stands in `source`, which a notebook shows.

    Args:
        source: a folder, searched with its subfolders; or an array of shape (n, height, width) or
            (n, height, width, 1 or 3); or a list of arrays of shape (height, width) or (height, width, 1 or 3).
        size: (height, width), or one number for both: each picture is cut to that shape around its middle, then
            scaled with Pillow. By default pictures stay as they are and must have one size.
        tile: cut each picture, after that, into squares of so many pixels, without overlap; pictures may then differ in
            size. Neighbouring tiles are nearly the same, so the parts are made of blocks of tiles, and tiles that touch
            a block of another part belong to none.
        colour: keep red, green and blue. By default colours become grey.
        white: the value of a white pixel, for arrays in another range than [0, 1] or 0 to 255.
        test_share: share of the pictures (of the blocks of tiles) that is kept for testing, above 0 and below 1.
        validation_share: the same for validation, at least 0; together below 1.
        seed: of the split, a whole number of at least 0. None keeps the order and tests on the last pictures: for the
            frames of a video, whose neighbours are nearly the same picture.
        at_least: how few pictures (or tiles) are too few.
        name: what to call the data on screen; the folder's name by default.

    Returns:
        Images.

    Raises:
        DataError: the pictures cannot be used; the sentence names the first at fault and says what to do.
        ValueError: another argument is out of its range.
    """
    at_least, size = max(2, checks.positive_int("at_least", at_least)), _checked_size(size)
    if not 0 < test_share < 1:
        raise ValueError(f"test_share must lie above 0 and below 1; received {test_share!r}.")
    if not 0 <= validation_share < 1 - test_share:
        raise ValueError(
            f"validation_share must be at least 0, and below 1 - test_share = {1 - test_share:g}; "
            f"received {validation_share!r}."
        )
    tile = None if tile is None else checks.positive_int("tile", tile)
    if white is not None and not 0 < white < np.inf:
        raise ValueError(f"white must be the value of a white pixel, above 0; received {white!r}.")
    if isinstance(source, str | Path):
        x, names, done = _from_folder(expanded("source", source), size, tile, colour, at_least)
        name, origin = name or expanded("source", source).resolve().name, "from a folder"
        if white is not None:
            raise ValueError("white is for arrays: picture files say themselves what white is. Leave it out.")
    else:
        x, names, done = _from_array(source, size, tile, colour, white, at_least)
        name, origin = name or "your pictures", "from an array"
    where = None
    if tile is not None:
        count, (x, names, where) = len(x), tiles.cut(x, names, tile)
        done.append(f"{count:,} cut into tiles")
        _require_enough(len(x), at_least, "tiles")
    if (x == x[0]).all():
        raise DataError(f"All {len(x)} pictures are the same: there is nothing to learn. Check how they were made.")
    rng = None if seed is None else np.random.default_rng(seed)
    if where is None:
        train, validation, test = _split(len(x), validation_share, test_share, rng)
    else:
        train, validation, test = tiles.split(where, (validation_share, test_share), rng)
        if min(len(train), len(test), len(validation) or not validation_share) == 0:
            raise DataError(
                f"The {len(x)} tiles make too few blocks to hold some out. Pass a smaller tile, or more pictures."
            )
        done.append(f"{len(x) - len(train) - len(validation) - len(test):,} between the parts left out")
    shape = " × ".join(map(str, x.shape[1:3])) + (" in colour" if x.ndim == 4 else "")
    counts = [len(part) for part in (train, validation, test) if len(part)]
    words = f"{' + '.join(f'{count:,}' for count in counts)} images of {shape}"
    origin = Source(name, "; ".join([origin, *done]), False, words)
    return Images(x[train], x[test], train, test, names, origin, x[validation], validation, where)


def _split(count, validation_share, test_share, rng):
    """Indices for training, validation and testing; where rng is None the last ones are for testing."""
    order = np.arange(count) if rng is None else rng.permutation(count)
    cut = count - min(max(1, round(test_share * count)), count - 1)
    kept = min(max(1, round(validation_share * count)), cut - 1) if validation_share else 0
    return np.split(order, [cut - kept, cut])


def _checked_size(size):
    if size is None:
        return None
    size = checks.sizes("size", size)
    if len(size) > 2:
        raise ValueError(f"size must be (height, width), or one number for both; received {size}.")
    return size if len(size) == 2 else size * 2


def _from_folder(folder, size, tile, colour, at_least):
    """Read every picture below a folder: (float32 array, or a list to cut into tiles; names; what was done to them)."""
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist"
        raise DataError(
            f"source must name a folder of pictures; {folder} {problem}. Name the folder, or pass an array."
        )
    if not os.access(folder, os.R_OK | os.X_OK):
        raise DataError(f"The folder {folder} may not be read: permission denied. Allow it, or name another one.")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not _hidden(path.relative_to(folder)))
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not pictures:
        raise DataError(
            f"The folder {folder} holds no picture (files of other kinds: {len(files)}). Put pictures into it, "
            f"named {', '.join(SUFFIXES)}."
        )
    names = tuple(path.relative_to(folder).as_posix() for path in pictures)
    _require_enough(len(pictures), at_least if tile is None else 1)
    read, broken, done = [], [], set()
    for path, name in zip(pictures, names, strict=True):
        try:
            pixels, notes = _read(path, size, colour)
        except DataError:
            raise
        except PermissionError:
            raise DataError(f"{name} may not be read: permission denied. Allow it, or take it out.") from None
        except Exception as error:  # a damaged file can make its reader raise anything
            broken.append((name, error))
            continue
        _require_room(len(pictures), pixels.shape)
        read.append(pixels)
        done |= notes
    if broken:
        name, problem = broken[0]
        raise DataError(
            f"{name} cannot be read as a picture ({type(problem).__name__}); it is cut off, damaged or of another kind"
            f"{f', and so are {len(broken) - 1} more' if len(broken) > 1 else ''}. Replace it, or take it out."
        )
    if tile is None:
        _require_one_size([pixels.shape for pixels in read], names)
    if colour and "colour" not in done:
        raise DataError("colour=True keeps colours, and every picture in the folder is grey. Leave colour out.")
    words = {"grey": "made grey", "size": f"resized to {' × '.join(map(str, size or ()))}"}
    done = [words[note] for note in words if note in done]
    if tile is not None:
        return [pixels.astype("float32") / np.float32(255) for pixels in read], names, done
    return np.stack(read).astype("float32") / np.float32(255), names, done


def _hidden(path):
    return any(part.startswith(".") for part in path.parts)


def _read(path, size, colour):
    """Read one picture as uint8 (height, width) or (height, width, 3), and say what happened to it."""
    with Image.open(path) as file:
        picture = ImageOps.exif_transpose(file)  # a camera may note how it was held instead of turning the picture
        if picture.mode == "F":
            raise DataError(f"{path.name} holds fractions, whose white nobody knows. Save it with 8 or 16 bits.")
        if picture.mode.startswith("I"):  # 16 bits of grey
            picture = Image.fromarray((np.asarray(picture).clip(0, 65535) // 257).astype("uint8"))
        if picture.has_transparency_data:  # what lies under it is not meant to be seen
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
        picture = picture if picture.mode == "L" else picture.convert("RGB")
    pixels = np.asarray(picture)
    coloured = pixels.ndim == 3 and bool((pixels != pixels[..., :1]).any())
    notes = {"colour" if colour else "grey"} if coloured else set()
    picture = picture.convert("RGB" if colour else "L")
    if size is not None and picture.size != size[::-1]:
        picture = _fit(picture, size)
        notes.add("size")
    return np.asarray(picture), notes


def _from_array(source, size, tile, colour, white, at_least):
    """Check and scale an array, or a list of arrays of possibly different sizes: as `_from_folder`."""
    pictures = [np.asarray(picture) for picture in source] if isinstance(source, list | tuple) else np.asarray(source)
    if isinstance(pictures, np.ndarray) and pictures.ndim == 0:
        raise DataError(f"source must be a folder or an array of pictures; received {source!r}.")
    names = tuple(map(str, range(len(pictures))))
    shapes = [_checked_shape(picture, name) for picture, name in zip(pictures, names, strict=True)]
    _require_enough(len(names), at_least if tile is None else 1)
    if size is None and tile is None:
        _require_one_size(shapes, [f"picture {name}" for name in names])
    channels = {shape[2:] for shape in shapes}
    if len(channels) > 1:
        raise DataError("Some pictures have 3 channels and some have 1: give all of them the same number.")
    if colour and channels != {(3,)}:
        raise DataError(f"colour=True needs pictures with 3 channels; received shape {shapes[0]}. Leave colour out.")
    _require_room(len(names), (*(size or shapes[0][:2]), *shapes[0][2:]))
    _require_finite(pictures)
    low = float(min(picture.min() for picture in pictures))
    high = float(max(picture.max() for picture in pictures))
    whole = all(picture.dtype.kind in "iub" for picture in pictures)
    divisor = _divisor(low, high, whole, white)
    done = [f"divided by {divisor:g}"] if divisor != 1 else []
    if size is not None and set(shapes) != {(*size, *shapes[0][2:])}:
        done.append(f"resized to {size[0]} × {size[1]}")
    to_grey = not colour and channels == {(3,)}
    if to_grey:
        done.append("made grey")

    def ready(picture, shape):
        picture = picture.reshape(shape).astype("float32") / np.float32(divisor)
        picture = picture if size in (None, shape[:2]) else _resize(picture, size)
        picture = picture @ GREY if to_grey else picture
        return picture.clip(0, 1)  # rounding may leave a white pixel just above 1

    made = (ready(picture, shape) for picture, shape in zip(pictures, shapes, strict=True))
    if tile is not None:
        return list(made), names, done
    channels = () if to_grey else shapes[0][2:]
    return np.fromiter(made, np.dtype(("float32", (*(size or shapes[0][:2]), *channels))), len(names)), names, done


def _checked_shape(picture, name):
    """The shape of one picture, without a channel axis of length 1."""
    shape = picture.shape
    if picture.dtype.kind not in "fiub":
        raise DataError(f"source must hold numbers; picture {name} has dtype {picture.dtype}.")
    if len(shape) == 3 and shape[-1] == 1:
        shape = shape[:2]
    if 0 not in shape and (len(shape) == 2 or (len(shape) == 3 and shape[-1] == 3)):
        return shape
    advice = "Pass an array of shape (n, height, width), or (n, height, width, 3) in colour."
    if len(shape) == 1:
        advice = "One row of numbers per picture? Give it its shape: source.reshape(-1, height, width)."
    elif len(shape) == 3 and shape[0] in (1, 3):
        advice = "The channels come first? Move them: np.moveaxis(source, 1, -1)."
    elif len(shape) == 3 and shape[-1] == 4:
        advice = "The fourth channel is transparency? Leave it out: source[..., :3]."
    raise DataError(
        f"A picture must have shape (height, width), or (height, width, 3) in colour; picture {name} has {shape}. "
        + advice
    )


def _divisor(low, high, whole, white):
    """What to divide pixels by, from the range of their values."""
    found = f"{'whole numbers' if whole else 'values'} from {low:g} to {high:g}"
    if low < 0:
        raise DataError(f"source holds {found}, and a pixel is at least 0. Shift and scale it to [0, 1].")
    if white is not None:
        if high > white:
            raise DataError(
                f"source holds {found}, above white={white:g}. White is the largest value a pixel can have."
            )
        return white
    if high <= 1:
        return 1
    # Picture files hold 0 to 255, and few sets of pictures have nothing above half of it.
    if whole and 128 <= high <= 255:
        return 255
    raise DataError(f"source holds {found}: which value is white? Say so, for example white={_likely_white(high):g}.")


def _likely_white(high):
    """The usual white that lies next above the largest value."""
    return next((white for white in (16, 100, 255, 4095, 65535) if high <= white), high)


def _resize(picture, size):
    """As `_fit`, for an array of floats; each channel by itself."""
    planes = picture.reshape(*picture.shape[:2], -1)
    done = [np.asarray(_fit(Image.fromarray(planes[..., i]), size)) for i in range(planes.shape[-1])]
    return np.stack(done, axis=-1).reshape(*size, *picture.shape[2:])


def _fit(picture, size):
    """Cut a Pillow image to the shape of size around its middle, and scale it."""
    shrink = min(picture.height / size[0], picture.width / size[1])
    height, width = max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))
    top, left = (picture.height - height) // 2, (picture.width - width) // 2
    # Bilinear: unlike the sharper filters it gives nothing outside the range of the pixels.
    cut = picture.crop((left, top, left + width, top + height))
    return cut.resize(size[::-1], Image.Resampling.BILINEAR)


def _require_enough(count, at_least, what="pictures"):
    if count < at_least:
        raise DataError(
            f"source holds {count} {what}, and at least {at_least} are needed: a VAE learns a few by heart instead "
            "of what they share. Add pictures, or pass at_least."
        )


def _require_one_size(shapes, names):
    for shape, name in zip(shapes, names, strict=True):
        if shape[:2] != shapes[0][:2]:
            a, b = (f"{height} × {width}" for height, width in (shapes[0][:2], shape[:2]))
            raise DataError(
                f"The pictures must have one size (height × width): {names[0]} is {a}, and {name} is {b}. "
                f"Pass size, for example size=({shapes[0][0]}, {shapes[0][1]}), and they are resized."
            )


def _require_room(count, shape):
    if (bytes_needed := 4 * count * int(np.prod(shape))) > MAX_BYTES:
        raise DataError(
            f"{count:,} pictures of {' × '.join(map(str, shape))} values take {bytes_needed / 1e9:.1f} GB, more than "
            f"{MAX_BYTES / 1e9:g}. Pass a smaller size, for example size=64, or fewer pictures."
        )


def _require_finite(pictures):
    bad = [i for i, picture in enumerate(pictures) if not np.isfinite(picture).all()]
    if bad:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise DataError(f"Pixels must be finite; picture {bad[0]} holds NaN or infinity{more}. Remove or repair it.")
