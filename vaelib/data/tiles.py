"""Large pictures cut into tiles, and a split into parts whose tiles are no neighbours in any picture."""

from itertools import product

import numpy as np

BLOCK = 8  # tiles along the side of a block: larger blocks lose fewer tiles at their edges, smaller ones are more alike


def cut(pictures, names, tile):
    """Cut pictures into square tiles without overlap; what is left over at the edges stays out.

    Args:
        pictures: arrays of shape (height, width) or (height, width, 3), all of one kind.
        names: the name of each.
        tile: pixels along a tile's side.

    Returns:
        The tiles (n, tile, tile) or (n, tile, tile, 3); their names; and `where`, int64 (n, 3): the picture of each
        tile, and its row and column there, counted in tiles.
    """
    tiles, called, where = [], [], []
    for number, (picture, name) in enumerate(zip(pictures, names, strict=True)):
        rows, columns = (length // tile for length in picture.shape[:2])
        top, left = ((length % tile) // 2 for length in picture.shape[:2])
        for row, column in np.ndindex(rows, columns):
            y, x = top + row * tile, left + column * tile
            tiles.append(picture[y : y + tile, x : x + tile])
            called.append(f"{name}, row {row}, column {column}")
            where.append((number, row, column))
    kept = np.stack(tiles) if tiles else np.zeros((0, tile, tile), "float32")
    return kept, tuple(called), np.array(where, "int64").reshape(-1, 3)


def split(where, shares, rng):
    """Split tiles by blocks: no tile of one part touches a tile of another, not even by a corner.

    A tile and its neighbour are nearly the same picture. So whole blocks of about 8 × 8 tiles are held out, and the
    tiles that touch them, on their outside, belong to no part.

    Args:
        where: as `cut` returns it.
        shares: the share of the blocks that each part but the first takes, in the order of precedence.
        rng: a NumPy generator that says which blocks; None takes the last ones.

    Returns:
        The indices of the tiles of each part, the first part first.
    """
    blocks = np.stack([where[:, 0], *_block_numbers(where)], axis=1)
    _, block = np.unique(blocks, axis=0, return_inverse=True)
    block, count = block.reshape(-1), block.max() + 1
    order = np.arange(count)[::-1] if rng is None else rng.permutation(count)
    part_of_block, taken = np.zeros(count, int), 0
    for part, share in enumerate(shares, 1):
        number = max(1, round(share * count)) if share else 0
        part_of_block[order[taken : taken + number]] = part
        taken += number
    part = part_of_block[block]
    # The larger part gives way: of two tiles that touch across parts, the one of the lower number.
    places = where + [0, 1, 1]  # a margin around each picture spares the question whether a neighbour exists
    grid = np.full(where.max(axis=0) + [1, 3, 3], -1)
    grid[tuple(places.T)] = part
    around = [grid[tuple((places + [0, *step]).T)] for step in product((-1, 0, 1), repeat=2)]
    inside = np.max(around, axis=0) == part
    return [np.flatnonzero(inside & (part == number)) for number in range(len(shares) + 1)]


def _block_numbers(where):
    """The block row and block column of each tile: each picture is divided as evenly as blocks of about BLOCK allow."""
    lengths = np.zeros((where[:, 0].max() + 1, 2), int)
    np.maximum.at(lengths, where[:, 0], where[:, 1:] + 1)
    length = lengths[where[:, 0]]
    number = np.maximum(1, np.round(length / BLOCK).astype(int))
    return (where[:, 1:] * number // length).T
