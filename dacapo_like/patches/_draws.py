"""Random numbers that depend on a seed, an epoch and an index, and on nothing else."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dacapo_like.errors import ConfigError

Key = tuple[int, int]

_WORD = 1 << 64
_ROUNDS = 6
_SMALLEST_BITS = 6  # a Feistel network over fewer has too few permutations to choose from


def key_of(seed: int) -> Key:
    """Give the key of a seed, which may be any integer: seeds that differ by little have keys that have nothing in common.

    Examples
    --------
    >>> key_of(0) != key_of(-1)
    True
    """
    digest = hashlib.blake2b(str(seed).encode(), digest_size=16, person=b"patches").digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


def check_word(name: str, value: int) -> None:
    """Refuse what is no number of an epoch or a sample.

    Raises
    ------
    ConfigError
        It is negative, or has over 64 bits.
    """
    if not 0 <= value < _WORD:
        raise ConfigError(f"no such {name}", got=value, expected="an integer of at least 0")


class Draws:
    """The random numbers of one sample: Philox 4x64-10 [1]_, its counter made of epoch, index and attempt.

    Only the words of the generator are used, which numpy promises never to change, and integers made of them; so the numbers are
    the same on every platform and with every version.

    Parameters
    ----------
    key : (int, int)
        As `key_of` gives it.
    epoch, index, attempt : int
        Of 64 bits. Each triple has 2**66 words of its own.

    References
    ----------
    .. [1] J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

    Examples
    --------
    >>> Draws(key_of(7), epoch=3, index=12).below(1000) == Draws(key_of(7), epoch=3, index=12).below(1000)
    True
    """

    def __init__(self, key: Key, *, epoch: int, index: int, attempt: int = 0) -> None:
        self._words = np.random.Philox(
            counter=np.array([0, attempt, index, epoch], np.uint64), key=np.array(key, np.uint64)
        )

    def below(self, n: int) -> int:
        """Give an integer from 0 to ``n - 1``, each exactly as likely as the others; `n` may have any number of bits.

        It is the high part of a product, drawn again where a value would be favoured (D. Lemire, 2019).
        """
        words = -(-n.bit_length() // 64)
        whole = 1 << 64 * words
        unfair = whole % n
        while True:
            product = self._bits(words) * n
            if product % whole >= unfair:
                return product // whole

    def fraction(self) -> float:
        """Give a multiple of 2**-53 that is at least 0 and less than 1."""
        return float((self._bits(1) >> 11) * 2.0**-53)

    def pick(self, cumulative: NDArray[Any]) -> int:
        """Choose an entry with the probability of its weight.

        Parameters
        ----------
        cumulative : ndarray
            Of uint64, then the probabilities are exact, or float64: the sums of weights up to and with each; the last is not 0.
        """
        total = cumulative[-1].item()
        at = self.below(total) if cumulative.dtype.kind == "u" else self.fraction() * total
        return int(np.searchsorted(cumulative, cumulative.dtype.type(at), side="right"))

    def _bits(self, words: int) -> int:
        value = 0
        for _ in range(words):
            value = value << 64 | int(self._words.random_raw())
        return value


def shuffled(number: int, n: int, key: Key, *salt: int) -> int:
    """Give the place of a number in a random order of ``range(n)``, without making the whole of it.

    A Feistel network over a power of four, walked until it is back inside of the range [1]_.

    Parameters
    ----------
    number : int
        From 0 to ``n - 1``.
    n : int
        How many there are.
    key : (int, int)
        As `key_of` gives it.
    *salt : int
        Which of all orders.

    References
    ----------
    .. [1] J. Black and P. Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002.

    Examples
    --------
    >>> sorted(shuffled(i, 10, key_of(0), 1) for i in range(10)) == list(range(10))
    True
    """
    half = max(-(-(n - 1).bit_length() // 2), _SMALLEST_BITS // 2)
    mask = (1 << half) - 1
    secret = hashlib.blake2b(repr((key, salt)).encode(), digest_size=32).digest()
    while True:
        left, right = number >> half, number & mask
        for step in range(_ROUNDS):
            text = right.to_bytes(32, "little")
            digest = hashlib.blake2b(text, digest_size=32, key=secret, salt=bytes([step])).digest()
            left, right = right, left ^ int.from_bytes(digest, "little") & mask
        number = left << half | right
        if number < n:
            return number
