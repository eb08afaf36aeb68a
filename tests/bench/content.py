"""Bytes and file sizes that are the same on every machine: pools of half-compressible data, cut into files.

Soft data compresses like the files of a distribution (gzip about 2.5), hard data like media (about 1.3). Files
are windows into a pool at positions far apart, so that no compressor finds one file in another.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

POOL = 64 << 20
PIECE = 4096


class Pool:
    """A block of data; `noise` is the part of it that does not compress."""

    def __init__(self, seed: int, noise: float) -> None:
        chance = random.Random(seed)
        words = [chance.randbytes(chance.randint(2, 5)).hex().encode() for _ in range(512)]
        pieces, size = [], 0
        while size < POOL:
            if chance.random() < noise:
                piece = chance.randbytes(PIECE)
            else:
                piece = b" ".join(chance.choices(words, k=PIECE // 8))
            pieces.append(piece)
            size += len(piece)
        self.data = memoryview(b"".join(pieces)[:POOL])

    def window(self, start: int, size: int) -> memoryview | bytes:
        """`size` bytes from `start` on, around the end of the pool as often as it takes."""
        start %= POOL
        if start + size <= POOL:
            return self.data[start : start + size]
        parts = [self.data[start:]]
        size -= POOL - start
        while size > 0:
            parts.append(self.data[:size])
            size -= POOL
        return b"".join(parts)


def soft() -> Pool:
    """Text, scripts, programs: what most files of an image are."""
    return Pool(seed=1, noise=0.12)


def hard() -> Pool:
    """Mostly compressed already: the worst case for who compresses."""
    return Pool(seed=2, noise=0.65)


KINDS = {"soft": soft, "hard": hard}


def sizes(seed: int, count: int, total: int) -> list[int]:
    """`count` file sizes as on a real system, many small and a few large, that add up to `total` exactly."""
    chance = random.Random(seed)
    weights = [min(chance.lognormvariate(8.0, 1.7), 4e6) for _ in range(count)]
    scale = total / sum(weights)
    result = [int(weight * scale) for weight in weights]
    result[-1] += total - sum(result)
    return result


def files(pool: Pool, seed: int, count: int, total: int) -> Iterator[tuple[str, memoryview | bytes]]:
    """Path and content of every file: 16 to a directory, three directories deep, in the order of their paths."""
    chance = random.Random(seed)
    for number, size in enumerate(sizes(seed, count, total)):
        path = f"d{number >> 12:02d}/d{number >> 8 & 15:02d}/d{number >> 4 & 15:02d}/file-{number:05d}.bin"
        yield path, pool.window(chance.randrange(POOL), size)
