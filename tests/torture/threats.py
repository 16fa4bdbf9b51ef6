"""What hostile files hold: code, bombs, strange names, numbers that are none, orders to a terminal."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.conftest import TINY

SENTINEL = "executed"
Named = tuple[str, bytes]

ORDERS = (
    *(
        "\x1b[2J",
        "\x1b]0;x\x07",
        "\x1b[31m",
        "\x07",
        "\x08\x08\x08",
        "\r",
        "\x9b31m",
        "\x7f",
        "\u202e",
        "\u2066",
        "\x00",
    ),
    *("\x1bP", "\u200f"),
)
LAYOUTS = {
    "cifar10": (
        *(f"cifar-10-batches-py/data_batch_{i}" for i in range(1, 6)),
        *("cifar-10-batches-py/test_batch", "cifar-10-batches-py/batches.meta"),
    ),
    "cifar100": ("cifar-100-python/train", "cifar-100-python/test", "cifar-100-python/meta"),
    "mnist": tuple(
        f"MNIST/raw/{part}-{kind}{end}"
        for part in ("train", "t10k")
        for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
        for end in ("", ".gz")
    ),
}


class Code:
    """Whoever unpickles it makes the sentinel."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.folder / SENTINEL), "w")


def pickles(folder: Path) -> list[Named]:
    """Code in every wrapping that something unpickles."""
    plain = pickle.dumps({"weights": Code(folder)}, 2)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", plain)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    npy = b"\x93NUMPY\x01\x00" + struct.pack("<H", 118)
    npy += b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n" + plain
    arrays = io.BytesIO()
    with zipfile.ZipFile(arrays, "w") as archive:
        for name in ("train_x", "train_y", "test_x", "test_y", "names"):
            archive.writestr(f"{name}.npy", npy)
    return [
        *((f"a pickle of protocol {n}", pickle.dumps(Code(folder), n)) for n in (0, 2, 4, 5)),
        ("a pickle in the zip of torch.save", buffer.getvalue()),
        ("a pickle in an array", npy),
        ("pickles in arrays", arrays.getvalue()),
        ("a pickle in gzip", gzip.compress(plain)),
    ]


def safetensors() -> list[Named]:
    """Headers that say what is not so."""
    of = '{"t":{"dtype":"F32","shape":[%s],"data_offsets":[%s]}}'
    headers = {
        "a header of no JSON": "{" * 64,
        "a header 100,000 deep": "[" * 100_000,
        "offsets beyond the end": of % ("4", "0,16000000"),
        "offsets backwards": of % ("4", "16,0"),
        "negative offsets": of % ("4", "-16,0"),
        "a huge shape": of % ("1099511627776,1099511627776", "0,16"),
        "a huge shape of nothing": of % ("1099511627776,0", "0,0"),
        "an unknown type": '{"t":{"dtype":"PICKLE","shape":[4],"data_offsets":[0,16]}}',
        "no tensors": "{}",
        "metadata of numbers": '{"__metadata__":{"about":1}}',
        "metadata 100,000 deep": '{"__metadata__":{"about":"%s"}}' % ("[" * 100_000),
        "a huge number in metadata": '{"__metadata__":{"about":"{\\"epoch\\": %s}"}}' % ("9" * 100_000),
    }
    lengths = (0, 1, 2**31, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
    return [
        *((f"a header of {n} bytes", struct.pack("<Q", n) + b"{}" + bytes(100)) for n in lengths),
        *((name, struct.pack("<Q", len(text)) + text.encode() + bytes(16)) for name, text in headers.items()),
        ("nothing", b""),
    ]


def texts() -> list[Named]:
    """What is no JSON, or more of it than a reader can take."""
    return [
        ("JSON 1,000,000 deep", b"[" * 10**6),
        ("objects 100,000 deep", b'{"a":' * 10**5 + b"1" + b"}" * 10**5),
        ("a record whose curve is 100,000 deep", b'{\n "schema": 1,\n "curve": [' + b"[" * 10**5 + b"]\n}\n"),
        ("UTF-16", '{"schema": 1}'.encode("utf-16")),
        ("a byte order mark", b'\xef\xbb\xbf{"schema": 1}'),
        ("bytes that are no UTF-8", b'{"schema": 1, "key": "\xff\xfe\x80"}'),
        ("zeros", bytes(4096)),
        *((f"JSON {text!r}", text.encode()) for text in ("null", "[]", "{}", "3", '"x"', "", "[1]", '{"schema": {}}')),
        ("20 MB of one string", b'"' + b"x" * 20_000_000 + b'"'),
    ]


def numbers() -> list[Named]:
    """Numbers that JSON has and nobody can use."""
    odd = ("9" * 5000, "1e999", "-1e999", "NaN", "Infinity", "9" * 400, "-1", "1.5", "true")
    return [(f"a schema of {n[:8]}", f'{{"schema": {n}, "key": {n}, "id": {n}, "macs": {n}}}'.encode()) for n in odd]


def archive(*members: tuple[str, dict[str, Any], bytes]) -> bytes:
    """A tar file with whatever names and fields."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as file:
        for name, fields, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for field, value in fields.items():
                setattr(member, field, value)
            file.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def archives() -> list[Named]:
    """Members that no pack has."""
    link = {"type": tarfile.SYMTYPE, "linkname": "../../../elsewhere"}
    kinds: Sequence[tuple[str, str, dict[str, Any]]] = (
        *((name, name, {}) for name in ("../x", "../../x.json", "runs/../../../x", "/tmp/torture-x", "x", "runs/", "")),
        *(
            (name, name, {})
            for name in ("runs/a/b.json", "artifacts/..", "artifacts/.x", "plugins/x.py", "runs/x.json")
        ),
        ("a name of 5,000 letters", "artifacts/" + "x" * 5000, {}),
        ("a link", "artifacts/x.safetensors", link),
        ("a hard link", "artifacts/x", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"}),
        ("a device", "artifacts/x", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5}),
        ("a pipe", "checkpoints/x.safetensors", {"type": tarfile.FIFOTYPE}),
        ("a folder", "artifacts/x", {"type": tarfile.DIRTYPE}),
        ("a sparse file", "artifacts/x", {"type": tarfile.GNUTYPE_SPARSE}),
        ("a size of 8 GiB", "artifacts/x", {"pax_headers": {"size": str(8 << 30)}}),
        ("a size below zero", "artifacts/x", {"pax_headers": {"size": "-512"}}),
        ("a time that is none", "checkpoints/x.safetensors", {"pax_headers": {"mtime": "nan"}}),
        ("a zero in its name", "artifacts/x", {"pax_headers": {"path": "artifacts/x\0y"}}),
        ("a path in a header", "artifacts/x", {"pax_headers": {"path": "../../x"}}),
    )
    through = archive(("artifacts", link, b""), ("artifacts/x.safetensors", {}, b"x"))
    return [(name, archive((path, fields, b"x"))) for name, path, fields in kinds] + [
        ("a folder that is a link", through)
    ]


@cache
def bombs() -> list[Named]:
    """A record of two gigabytes, packed small; the end is that of an archive."""
    member = tarfile.TarInfo("runs/paper-0123456789abcdef.json")
    member.size = 2 << 30
    head, block, end = member.tobuf(tarfile.PAX_FORMAT), bytes(1 << 24), bytes(1024)
    packers = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}
    # Packed streams one after the other stand for what is in them, one after the other.
    return [(f"a bomb of {name}", pack(head) + pack(block) * 128 + pack(end) + end) for name, pack in packers.items()]


def yaml(folder: Path) -> list[tuple[str, str]]:
    """Tags that make objects, and aliases that multiply."""
    made = folder / SENTINEL
    tags = (
        f'!!python/object/apply:os.system ["touch {made}"]',
        f"!!python/object/apply:builtins.open ['{made}', 'w']",
        f"!!python/object/new:os.system ['touch {made}']",
        f"!!python/object/apply:subprocess.check_call [['touch', '{made}']]",
        "!!python/name:os.system",
        "!!python/module:os",
        "!!python/tuple [1]",
        "!!js/function x",
    )
    bomb = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    return [
        *((tag.split()[0], TINY.replace("table: tiny", f"table: {tag}")) for tag in tags),
        *((f"{tag.split()[0]} as a method", TINY.replace("method: vanilla", f"method: {tag}")) for tag in tags),
        ("aliases that multiply", bomb),
        ("aliases that multiply in a label", TINY.replace("label: KD", "label: *i").replace("rows:", f"{bomb}rows:")),
        ("an alias of itself", "table: &a [*a]\n"),
        ("lists 20,000 deep", "[" * 20_000),
        ("merges of itself", "table: other\na: &a {<<: *a}\n"),
        ("2 MB of one line", "table: " + "x" * 2_000_000),
        ("bytes that are no UTF-8", "table: \udcff\udcfe"),
        ("two documents", f"{TINY}---\n{TINY}"),
        ("nothing", ""),
    ]


def vectors() -> list[Named]:
    """Word vectors that are none."""
    return [
        ("a count of 1e18", b"1000000000000000000 300\nairplane " + bytes(1200)),
        ("a size of 1e18", b"1 1000000000000000000\nairplane " + bytes(1200)),
        ("a size below zero", b"1 -300\nairplane " + bytes(1200)),
        ("a head of 5,000 digits", b"9" * 5000 + b" 300\n"),
        ("30 MB without a space", b"10 300\n" + b"x" * 30_000_000),
        ("30 MB without a line", b"x" * 30_000_000),
        ("zeros", bytes(10_000)),
        ("numbers that are none", b"1 3\nairplane nan inf 1e999\n"),
        ("nothing", b""),
    ]


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return path


def _folder(path: Path) -> None:
    """A folder."""
    _made(path).mkdir()


def _full(path: Path) -> None:
    """A folder with a file."""
    _made(path).mkdir()
    (path / "x").write_text("x")


def _pipe(path: Path) -> None:
    """A pipe."""
    os.mkfifo(_made(path))


def _dangling(path: Path) -> None:
    """A link to nothing."""
    _made(path).symlink_to("nowhere/at/all")


def _loop(path: Path) -> None:
    """A link to itself."""
    _made(path).symlink_to(path.name)


def _endless(path: Path) -> None:
    """A link to /dev/zero."""
    _made(path).symlink_to("/dev/zero")


NO_FILES = (_folder, _full, _pipe, _pipe, _dangling, _loop, _endless)
