"""Reads a few words of a word2vec file of any size, and offers near words for those it lacks.

gensim opens the file, packed or not. Its reader would read on until a line or a word ends: in a damaged file in which
none does, all of it into memory. This one keeps a word with its vector at most.
"""

import re
import zlib
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bench.errors import WordsError

Vector = NDArray[np.float32]

_VOCABULARY = 200_000  # words kept for suggestions: files begin with the most frequent
_DIMENSIONS = 100_000  # more than any vectors have: the header is not one
_LONGEST_WORD = 10_000  # bytes: more than any word has
_LONGEST_NUMBER = 50  # bytes of a number in a text file
_CHUNK = 100 * 1024  # bytes that are read at a time
_SUGGESTED = 5  # missing words for which near ones are looked up


def read_vectors(path: Path, words: Iterable[str]) -> dict[str, Vector]:
    """The vectors float32 (D,) of some words of a word2vec file: binary or text, gzipped (``.gz``) or not.

    Memory does not grow with the file; reading stops once every word is found. Raises ``WordsError`` when the file
    cannot be read as far as that, or names the words that it lacks and the nearest of its vocabulary.
    """
    wanted = tuple(dict.fromkeys(words))
    near = _Near(wanted)
    try:
        vectors = _select(path, frozenset(wanted), near)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise WordsError(f"{path}: not a complete word2vec file ({error or type(error).__name__})") from error
    missing = [word for word in wanted if word not in vectors]
    if missing:
        told = "; ".join(near.told(word) for word in missing[:_SUGGESTED])
        others = f"; and {', '.join(map(repr, missing[_SUGGESTED:]))}" if missing[_SUGGESTED:] else ""
        raise WordsError(f"{path}: no vector for {told}{others}. Give such a class another word in the label map")
    return {word: vectors[word] for word in wanted}


class _Near:
    """The vocabulary that suggestions come from: its beginning, and every spelling of a wanted word or of its parts."""

    def __init__(self, wanted: Iterable[str]) -> None:
        self._spellings = {_fold(part) for word in wanted for part in (word, *_parts(word))}
        self._words: dict[str, str] = {}

    def add(self, word: str) -> None:
        folded = _fold(word)
        if len(self._words) < _VOCABULARY or folded in self._spellings:
            self._words.setdefault(folded, word)

    def told(self, word: str) -> str:
        """The word and what is near it: other spellings, then its parts, then similar words."""
        folded = [_fold(part) for part in (word, *_parts(word))]
        similar = get_close_matches(folded[0], self._words, n=3, cutoff=0.6)
        near = dict.fromkeys(self._words[key] for key in (*folded, *similar) if key in self._words)
        return f"{word!r} (near: {', '.join(map(repr, near))})" if near else f"{word!r} (nothing near it)"


def _fold(word: str) -> str:
    return "".join(_parts(word)).lower()


def _parts(word: str) -> list[str]:
    return [part for part in re.split(r"[_\-\s]+", word) if part]


def _select(path: Path, wanted: frozenset[str], near: _Near) -> dict[str, Vector]:
    """The wanted vectors; ``EOFError`` if the file ends before its header says so and some were not found."""
    from gensim.utils import open as open_any

    vectors: dict[str, Vector] = {}
    with open_any(str(path), "rb") as file:
        count, dimensions = _header(file)
        for word, numbers in islice(_words(file, dimensions), count):
            near.add(word)
            if word in wanted and word not in vectors:
                vectors[word] = _checked(word, numbers, dimensions)
                if len(vectors) == len(wanted):
                    return vectors
            count -= 1
    if count:
        raise EOFError(f"{count} words fewer than its header promises")
    return vectors


def _header(file: BinaryIO) -> tuple[int, int]:
    """The numbers of words and of dimensions; ``ValueError`` for a first line that is no header."""
    header = file.readline(100).split()
    if len(header) != 2 or not all(number.isdigit() for number in header):
        raise ValueError("it does not begin with the number of words and of dimensions")
    count, dimensions = map(int, header)
    if count == 0 or not 0 < dimensions <= _DIMENSIONS:
        raise ValueError(f"its header promises {count} words of {dimensions} dimensions")
    return count, dimensions


def _words(file: BinaryIO, dimensions: int) -> Iterator[tuple[str, Any]]:
    """Each word and its numbers; whether they are text or bytes is told by the first of them."""
    longest = _LONGEST_WORD + _LONGEST_NUMBER * dimensions
    first = file.readline(longest)
    try:
        binary = len([float(number) for number in first.split()[1:]]) != dimensions
    except ValueError:
        binary = True
    yield from _of_bytes(file, first, dimensions) if binary else _of_text(file, first, longest)


def _of_text(file: BinaryIO, line: bytes, longest: int) -> Iterator[tuple[str, list[str]]]:
    while line:
        if len(line) == longest:
            raise ValueError(f"a line of more than {longest:,} bytes")
        word, *numbers = line.rstrip().decode(errors="replace").split(" ")
        yield word, numbers
        line = file.readline(longest)


def _of_bytes(file: BinaryIO, chunk: bytes, dimensions: int) -> Iterator[tuple[str, Vector]]:
    size, start = 4 * dimensions, 0
    while True:
        space = chunk.find(b" ", start, start + _LONGEST_WORD)
        if space == -1 and len(chunk) - start > _LONGEST_WORD:
            raise ValueError(f"a word of more than {_LONGEST_WORD:,} bytes")
        if space == -1 or len(chunk) - space - 1 < size:
            more = file.read(max(_CHUNK, size))
            if not more:
                return
            chunk, start = chunk[start:] + more, 0
            continue
        # Some tools end each vector with a line break. Some cut words of other alphabets in the middle of a letter.
        word = chunk[start:space].decode(errors="replace").lstrip("\n")
        yield word, np.frombuffer(chunk, np.float32, dimensions, space + 1)
        start = space + 1 + size


def _checked(word: str, values: Any, dimensions: int) -> Vector:
    vector = np.asarray(values, dtype=np.float32)
    if vector.shape != (dimensions,) or not np.isfinite(vector).all():
        raise ValueError(f"the vector of {word!r} does not have {dimensions} finite numbers")
    return vector
