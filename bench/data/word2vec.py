"""Reads a few words of a word2vec file of any size with gensim's reader, and offers near words for those it lacks."""

import re
import zlib
from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import WordsError

Vector = NDArray[np.float32]

_VOCABULARY = 200_000  # words kept for suggestions: files begin with the most frequent
_DIMENSIONS = 100_000  # more than any vectors have: the header is not one
_SUGGESTED = 5  # missing words for which near ones are looked up


def read_vectors(path: Path, words: Iterable[str]) -> dict[str, Vector]:
    """The vectors float32 (D,) of some words of a word2vec file: binary or text, gzipped (``.gz``) or not.

    Memory does not grow with the file; reading stops once every word is found. Raises ``WordsError`` when the file
    cannot be read as far as that, or names the words that it lacks and the nearest of its vocabulary.
    """
    wanted = tuple(dict.fromkeys(words))
    near = _Near(wanted)
    try:
        vectors = _select(path, _is_binary(path), frozenset(wanted), near)
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


def _is_binary(path: Path) -> bool:
    """Whether vectors are stored as bytes, told by the first one; ``ValueError`` for a header that is not one."""
    from gensim.utils import open as open_any

    with open_any(str(path), "rb") as file:
        header = file.readline(100).split()
        if len(header) != 2 or not all(number.isdigit() for number in header):
            raise ValueError("it does not begin with the number of words and of dimensions")
        count, dimensions = map(int, header)
        if count == 0 or not 0 < dimensions <= _DIMENSIONS:
            raise ValueError(f"its header promises {count} words of {dimensions} dimensions")
        first = file.readline(200 + 50 * dimensions).split()
    try:
        return len([float(number) for number in first[1:]]) != dimensions
    except ValueError:
        return True


class _Complete(Exception):  # noqa: N818  (not an error)
    """Every wanted word has been found."""


def _select(path: Path, binary: bool, wanted: frozenset[str], near: _Near) -> dict[str, Vector]:
    """The wanted vectors among those that gensim reads, by the one method through which its reader keeps a vector."""
    from gensim.models import KeyedVectors

    vectors: dict[str, Vector] = {}

    class Selection(KeyedVectors):  # type: ignore[misc]
        def __init__(self, vector_size: int, count: int, dtype: Any) -> None:
            super().__init__(vector_size, 0, dtype)  # room for no vector, however many the file has

        def add_vector(self, key: str, vector: Any) -> int:
            near.add(key)
            if key in wanted and key not in vectors:
                vectors[key] = _checked(key, vector, self.vector_size)
            if len(vectors) == len(wanted):
                raise _Complete
            self.next_index += 1
            return int(self.next_index - 1)

        def set_vecattr(self, key: str, attr: str, val: Any) -> None:
            """Word counts are not needed."""

    with suppress(_Complete):
        # Tools that wrote such files cut words of other alphabets in the middle of a letter: replaced, not fatal.
        Selection.load_word2vec_format(str(path), binary=binary, unicode_errors="replace")
    return vectors


def _checked(word: str, values: Any, dimensions: int) -> Vector:
    vector = np.asarray(values, dtype=np.float32)
    if vector.shape != (dimensions,) or not np.isfinite(vector).all():
        raise ValueError(f"the vector of {word!r} does not have {dimensions} finite numbers")
    return vector
