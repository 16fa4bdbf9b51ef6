import gzip
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors

from bench.data.wordvectors import (
    class_vectors,
    distances,
    read_distances,
    read_vectors,
    soft_labels,
    write_distances,
    write_matrix,
)
from bench.errors import WordsError
from bench.registry import SETS

SHIPPED = Path(__file__).parents[2] / "recipes" / "ffdwv" / "words"
WORDS = ["apple", "Dog", "dogs", "maple", "tree", "sweet_peppers", "ice-cream"]
TWO = np.array([[0.0, 1.5], [1.5, 0.0]])


def write_word2vec(path: Path, words: list[str], vectors: np.ndarray, binary: bool) -> Path:
    head = f"{len(words)} {vectors.shape[1]}\n".encode()
    if binary:
        body = b"".join(word.encode() + b" " + row.tobytes() + b"\n" for word, row in zip(words, vectors, strict=True))
    else:
        rows = (" ".join([word, *map(repr, row.tolist())]) for word, row in zip(words, vectors, strict=True))
        body = "\n".join(rows).encode() + b"\n"
    path.write_bytes(gzip.compress(head + body) if path.suffix == ".gz" else head + body)
    return path


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(len(WORDS), 8)).astype(np.float32)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("name", ["words.bin", "words.txt", "words.gz", "words"])
def test_all_kinds_of_files_are_told_by_their_content(name, binary, vectors, tmp_path):
    path = write_word2vec(tmp_path / name, WORDS, vectors, binary)
    found = read_vectors(path, ["maple", "apple", "maple"])
    assert list(found) == ["maple", "apple"]
    np.testing.assert_array_equal(found["apple"], vectors[0])
    np.testing.assert_array_equal(found["maple"], vectors[3])


@pytest.mark.parametrize(("file", "binary"), [("googlenews-subset.bin", True), ("glove-cifar100.txt", False)])
def test_real_vectors_are_those_that_gensim_loads(file, binary, data_root):
    path = data_root / "wordvectors" / file
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    whole = KeyedVectors.load_word2vec_format(str(path), binary=binary)
    found = read_vectors(path, whole.index_to_key)
    assert len(found) == len(whole)
    for word, vector in found.items():
        np.testing.assert_array_equal(vector, whole[word])


def test_gzipped_real_vectors(data_root, tmp_path):
    path = data_root / "wordvectors" / "googlenews-subset.bin"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    with path.open("rb") as source, gzip.open(tmp_path / "v.bin.gz", "wb", compresslevel=1) as target:
        shutil.copyfileobj(source, target)
    plain, zipped = read_vectors(path, ["cat", "dog"]), read_vectors(tmp_path / "v.bin.gz", ["cat", "dog"])
    np.testing.assert_array_equal(plain["dog"], zipped["dog"])
    cat, dog = plain["cat"].astype(float), plain["dog"].astype(float)
    assert cat @ dog / np.linalg.norm(cat) / np.linalg.norm(dog) == pytest.approx(0.761, abs=5e-4)


def test_memory_does_not_grow_with_the_file(tmp_path):
    words = [f"w{i}" for i in range(30_000)]
    path = write_word2vec(tmp_path / "big.bin", words, np.ones((30_000, 200), np.float32), binary=True)
    assert path.stat().st_size > 24e6
    read_vectors(path, ["w1"])  # imports are not what is measured
    tracemalloc.start()
    found = read_vectors(path, ["w3", "w29999"])
    peak = tracemalloc.get_traced_memory()[1]
    with pytest.raises(WordsError, match="'w30000'"):
        read_vectors(path, ["w30000"])
    peak_when_missing = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 2
    assert peak < peak_when_missing < 12e6


def test_reading_stops_at_the_last_word_needed(vectors, tmp_path):
    path = write_word2vec(tmp_path / "w.bin", WORDS, vectors, binary=True)
    path.write_bytes(path.read_bytes()[:-20])
    assert set(read_vectors(path, ["apple"])) == {"apple"}


def test_the_first_of_two_vectors_of_a_word_counts(vectors, tmp_path):
    path = write_word2vec(tmp_path / "w.bin", ["a", "b", "a", *WORDS[3:]], vectors, binary=True)
    np.testing.assert_array_equal(read_vectors(path, ["a", "maple"])["a"], vectors[0])


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("dog", "'Dog', 'dogs'"),
        ("maple_tree", "'maple', 'tree'"),
        ("sweet_pepper", "'sweet_peppers'"),
        ("Ice_Cream", "'ice-cream'"),
    ],
)
def test_a_missing_word_is_named_with_the_nearest(word, near, vectors, tmp_path):
    path = write_word2vec(tmp_path / "w.bin", WORDS, vectors, binary=True)
    with pytest.raises(WordsError, match=rf"w.bin: no vector for '{word}' \(near: {near}\)"):
        read_vectors(path, ["apple", word])


def test_many_missing_words_are_all_named(vectors, tmp_path):
    path = write_word2vec(tmp_path / "w.bin", WORDS, vectors, binary=True)
    with pytest.raises(WordsError) as caught:
        read_vectors(path, [f"zzz{i}qqq" for i in range(7)])
    assert all(f"'zzz{i}qqq'" in str(caught.value) for i in range(7))
    assert "'zzz0qqq' (nothing near it)" in str(caught.value)


@pytest.mark.parametrize(("cut", "binary"), [(7, True), (30, True), (1000, True), (40, False), (1000, False)])
def test_a_cut_file_is_one_clear_error(cut, binary, vectors, tmp_path):
    path = write_word2vec(tmp_path / "w.bin", WORDS, vectors, binary)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(WordsError, match=r"w.bin: not a complete word2vec file"):
        read_vectors(path, ["ice-cream"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("w.bin", b""),
        ("w.bin", b"\x1f\x8b\x08 zipped under another name"),
        ("w.bin", b"apple 0.1 0.2\nbear 0.3 0.4\n"),
        ("w.bin", b"0 300\n"),
        ("w.bin", b"5 99999999999\napple 1"),
        ("w.txt", b"2 2\napple 0.1 0.2\nbear 0.3 x\n"),
        ("w.txt", b"2 2\napple 0.1 0.2\nbear 0.3 0.4 0.5\n"),
        ("w.txt", b"2 2\napple 0.1 0.2\nbear 0.3 nan\n"),
        ("w.gz", b"not zipped"),
        ("w.gz", gzip.compress(b"2 2\napple 0.1 0.2\nbear 0.3 0.4\n" * 9, mtime=0)[:-12]),
    ],
)
def test_garbage_is_one_clear_error(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WordsError, match=rf"{name}: not a complete word2vec file \(.+\)"):
        read_vectors(tmp_path / name, ["bear"])


ENDLESS = 30_000_000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"2 3\n" + b"a" * ENDLESS, "a word of more than 10,000 bytes"),
        (b"2 3\napple " + b"\0" * 12 + b"a" * ENDLESS, "a word of more than 10,000 bytes"),
        (b"3 3\napple 1 2 3\n" + b"a" * ENDLESS, "a line of more than 10,150 bytes"),
        (b"3 3\napple 1 2 3\nbear " + b"1" * ENDLESS, "a line of more than 10,150 bytes"),
    ],
    ids=["no space", "no space behind a vector", "no line", "no end of a number"],
)
def test_a_file_in_which_nothing_ends_is_not_read_into_memory(content, reason, tmp_path):
    path = tmp_path / "endless.bin"
    path.write_bytes(content)
    with pytest.raises(WordsError):  # imports are not what is measured
        read_vectors(tmp_path / "none.bin", ["bear"])
    tracemalloc.start()
    with pytest.raises(WordsError, match=rf"endless.bin: not a complete word2vec file \(.*{reason}"):
        read_vectors(path, ["bear"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(WordsError, match=r"none.bin"):
        read_vectors(tmp_path / "none.bin", ["bear"])


def test_class_vectors_follow_the_label_map(vectors, tmp_path):
    path = write_word2vec(tmp_path / "w.bin", WORDS, vectors, binary=True)
    labels = {"maple_tree": ["maple", "tree"], "hound": "Dog"}
    found = class_vectors(path, ("hound", "apple", "maple_tree"), labels)
    wide = vectors.astype(np.float64)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [wide[1], wide[0], (wide[3] + wide[4]) / 2])
    with pytest.raises(WordsError, match="no class 'hounds'; did you mean 'hound'"):
        class_vectors(path, ("hound", "apple"), {"hounds": "Dog"})
    with pytest.raises(WordsError, match="class 'hound' has no word"):
        class_vectors(path, ("hound", "apple"), {"hound": []})


@pytest.mark.parametrize(
    ("normalise", "distance", "expected"),
    [
        ("raw", "euclidean", 5.0),
        ("raw", "sqeuclidean", 25.0),
        ("unit", "euclidean", 2**0.5),
        ("raw", "cosine", 1.0),
        ("unit", "sqeuclidean", 2.0),
    ],
)
def test_distances_by_hand(normalise, distance, expected):
    np.testing.assert_allclose(
        distances(np.array([[3.0, 0.0], [0.0, 4.0]]), normalise, distance), [[0, expected], [expected, 0]]
    )


@pytest.mark.parametrize("distance", ["euclidean", "cosine", "sqeuclidean"])
def test_distances_keep_the_rules_that_files_are_checked_for(distance, tmp_path):
    vectors = np.random.default_rng(0).normal(size=(6, 5))
    vectors[1] = vectors[0]
    write_distances(tmp_path / "d.csv", "abcdef", distances(vectors, "unit", distance), {})
    with pytest.raises(WordsError, match="class number 2 has length 0"):
        distances(np.array([[1.0], [2.0], [0.0]]), "unit", distance)


def test_soft_labels_by_hand():
    line = np.array([[0.0, 1.0, 3.0], [1.0, 0.0, 2.0], [3.0, 2.0, 0.0]])
    rows = np.sqrt([[0, 3, 19], [3, 0, 12], [19, 12, 0]])  # e.g. rows 0 and 1: (0-1)² + (1-0)² + (3-2)² = 3
    for reading, powers in (("vectors", line), ("rows", rows)):
        expected = [[np.exp(-d) / sum(np.exp(-e) for e in row) for d in row] for row in powers]
        np.testing.assert_allclose(soft_labels(line, reading), expected, rtol=1e-14)
    np.testing.assert_allclose(soft_labels(np.array([[0.0, np.log(3)], [np.log(3), 0.0]]), "vectors")[0], [0.75, 0.25])


@pytest.mark.parametrize("reading", ["vectors", "rows"])
def test_soft_labels_are_finite_for_any_distances(reading):
    far = np.array([[1e6, 1e6 + 1], [1e6 + 1, 1e6]])
    for matrix in (far, 1e5 * TWO):
        soft = soft_labels(matrix, reading)
        np.testing.assert_allclose(soft.sum(axis=1), 1.0)
        assert np.isfinite(soft).all()


def test_a_distance_file_round_trips_at_six_decimals(tmp_path):
    matrix = np.array([[0.0, 1 / 3, 2.0], [1 / 3, 0.0, 1e-9], [2.0, 1e-9, 0.0]])
    path = tmp_path / "new" / "d.csv"
    write_distances(path, ["cat", 'the "dog", old', "T-shirt/top"], matrix, {"vectors": "made up", "normalise": "raw"})
    table = read_distances(path)
    assert table.classes == ("cat", 'the "dog", old', "T-shirt/top")
    np.testing.assert_array_equal(table.matrix, matrix.round(6))
    assert path.read_text().startswith("# vectors: made up\n# normalise: raw\nclass,cat,")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "1: no distances"),
        ("# only comments\n", "1: no distances"),
        ("class\n", "1: expected the class names"),
        ("class,a,a\n", "1: expected the class names, each once"),
        ("class,a,b\na,0,1\n", "2: expected one row a class"),
        ("class,a,b\na,0,1\nb,1,0\nc,1,1\n", "4: expected one row a class"),
        ("class,a,b\na,0,1\nc,1,0\n", "3: expected one row a class"),
        ("class,a,b\na,0,1\nb,1\n", "3: 1 numbers for 2 classes"),
        ("class,a,b\na,0,x\nb,1,0\n", "2: could not convert string to float: 'x'"),
        ("class,a,b\na,0,nan\nb,1,0\n", "2: a number is not finite: a to b"),
        ("class,a,b\na,0,-1\nb,-1,0\n", "2: a distance is negative: a to b"),
        ("class,a,b\na,0,1\nb,1,0.5\n", "3: the distance of a class to itself is not 0: b"),
        ("# made\nclass,a,b\na,0,1\nb,2,0\n", "4: the distance differs from the one the other way: b to a"),
    ],
)
def test_a_bad_distance_file_is_refused_at_its_line(text, says, tmp_path):
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(WordsError, match=f"d.csv:{says}"):
        read_distances(tmp_path / "d.csv")


def test_a_distance_file_that_cannot_be_read(tmp_path):
    with pytest.raises(WordsError, match=r"none.csv: cannot be read"):
        read_distances(tmp_path / "none.csv")
    (tmp_path / "d.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(WordsError, match=r"d.csv: cannot be read as text"):
        read_distances(tmp_path / "d.csv")


def test_only_distances_are_written_as_distances(tmp_path):
    with pytest.raises(WordsError, match=r"d.csv: a: the distance of a class to itself is not 0"):
        write_distances(tmp_path / "d.csv", ["a", "b"], soft_labels(TWO, "vectors"), {})
    with pytest.raises(WordsError, match=r"a matrix \(2, 2\) for 3 classes"):
        write_distances(tmp_path / "d.csv", ["a", "b", "c"], TWO, {})
    assert not list(tmp_path.iterdir())
    write_matrix(tmp_path / "s.csv", ["a", "b"], soft_labels(TWO, "vectors"), {})
    assert (tmp_path / "s.csv").read_text() == "class,a,b\na,0.817574,0.182426\nb,0.182426,0.817574\n"


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("cifar10", {"automobile": "car"}),
        (
            "cifar100",
            {
                "maple_tree": "maple",
                "oak_tree": "oak",
                "pine_tree": "pine",
                "willow_tree": "willow",
                "sweet_pepper": "peppers",
                "aquarium_fish": ["aquarium", "fish"],
            },
        ),
    ],
)
def test_the_shipped_distances_are_those_of_the_vectors(name, labels, data_root):
    table = read_distances(SHIPPED / f"{name}-raw-euclidean.csv")
    assert table.classes == SETS[name].class_names
    path = data_root / "wordvectors" / "googlenews-subset.bin"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    made = distances(class_vectors(path, SETS[name].class_names, labels), "raw", "euclidean")
    np.testing.assert_array_equal(table.matrix, made.round(6))
