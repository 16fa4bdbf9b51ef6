"""Ways to damage a file: its bytes, its JSON, or what a safetensors file says of itself."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

# A value that nobody would have written; one of another type, mostly.
ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        "",
        "x",
        "paper",
        [],
        {},
        [[]],
        [None],
        {"a": 1},
        -1,
        0,
        1,
        7,
        2**31,
        2**63,
        -(2**63),
        10**18,
        10**30,
    ),
    *(
        0.5,
        -0.0,
        1e-300,
        1e308,
        float("nan"),
        float("inf"),
        float("-inf"),
        "\x00",
        "../x",
        "9" * 5000,
        [[[[[[[[]]]]]]]],
    ),
)

Damaged = tuple[bytes, str]


def flip(data: bytes, random: Random) -> Damaged:
    """One bit."""
    at, bit = random.randrange(len(data)), random.randrange(8)
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :], f"bit {bit} of byte {at} flipped"


def truncate(data: bytes, random: Random) -> Damaged:
    size = random.choice((0, 1, 8, len(data) // 2, len(data) - 1, random.randrange(len(data))))
    return data[:size], f"cut to {size} of {len(data)} bytes"


def zero(data: bytes, random: Random) -> Damaged:
    """A block, as a power cut leaves it."""
    size = min(len(data), random.choice((16, 512, 4096)))
    at = random.randrange(0, len(data) - size + 1)
    return data[:at] + bytes(size) + data[at + size :], f"{size} bytes from {at} on zeroed"


def append(data: bytes, random: Random) -> Damaged:
    more = random.choice((b"\0", b"\n", b"x", bytes(1024), random.randbytes(100), data))
    return data + more, f"{len(more)} bytes appended"


def repeat(data: bytes, random: Random) -> Damaged:
    """A block written twice."""
    size = min(len(data), random.choice((1, 16, 512)))
    at = random.randrange(0, len(data) - size + 1)
    return data[: at + size] + data[at:], f"{size} bytes from {at} on doubled"


BYTES = (flip, flip, flip, truncate, zero, append, repeat)


def any_bytes(path: Path, random: Random) -> str:
    """One of them, to a file."""
    data, told = random.choice(BYTES)(path.read_bytes(), random)
    path.write_bytes(data)
    return told


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value in a JSON value, containers as well."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    own = [path] if path else []
    return own + [leaf for key, item in inner for leaf in leaves(item, (*path, key))]


def edit(value: Any, random: Random, where: Callable[[tuple[Any, ...], Any], bool] = lambda path, old: True) -> str:
    """Change one value in a JSON value, of those that are asked for, into another one."""
    ways = [path for path in leaves(value) if where(path, _at(value, path))]
    path = random.choice(ways)
    inner, old = _at(value, path[:-1]), _at(value, path)
    if isinstance(inner, dict) and random.random() < 0.15:
        del inner[path[-1]]
        return f"{_told(path)} deleted"
    new = random.choice([odd for odd in (*ODD, *_near(old)) if repr(odd) != repr(old)])
    inner[path[-1]] = new
    return f"{_told(path)} is {repr(new)[:40]}, was {repr(old)[:40]}"


def is_number(path: tuple[Any, ...], old: Any) -> bool:
    """Of values to edit: numbers."""
    return isinstance(old, int | float) and not isinstance(old, bool)


def _near(old: Any) -> tuple[Any, ...]:
    """Values that could have been."""
    if isinstance(old, int | float) and not isinstance(old, bool):
        return (old + 1, old - 1, old * 2, old / 2, str(old), [old]) * 4
    if isinstance(old, str):
        return (old + "x", old[::-1], old[:-1])
    return ()


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _told(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))


def opened(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file, and its tensors."""
    (size,) = struct.unpack("<Q", data[:8])
    header: dict[str, Any] = json.loads(data[8 : 8 + size])
    return header, data[8 + size :]


def closed(header: dict[str, Any] | str, tensors: bytes) -> bytes:
    """A safetensors file of a header and tensors."""
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + tensors


def forge_about(data: bytes, random: Random) -> Damaged:
    """Change one value of what a checkpoint says of itself."""
    header, tensors = opened(data)
    about = json.loads(header["__metadata__"]["about"])
    key = random.choice(
        ("epoch", "epoch", "epoch", "curve", "curve", "seconds", "threads", "taken", "id", "precision", "")
    )
    told = edit(about, random, lambda path, old: not key or path[0] == key)
    header["__metadata__"]["about"] = json.dumps(about)
    return closed(header, tensors), told


def forge_metadata(data: bytes, random: Random) -> Damaged:
    """Something that is no such JSON in place of all that it says of itself."""
    header, tensors = opened(data)
    about = random.choice(("", "null", "[]", "{}", "3", '"x"', "{", "[" * 10**5, '{"epoch": 1}'))
    header["__metadata__"]["about"] = about
    return closed(header, tensors), f"about is {about[:20]!r}"


def forge_tensors(data: bytes, random: Random) -> Damaged:
    """A tensor of another type or shape, none, one that is another's, or numbers that are none."""
    header, tensors = opened(data)
    name = random.choice([name for name in header if name != "__metadata__" and header[name]["dtype"] == "F32"])
    own = header[name]
    begin = own["data_offsets"][0]
    how = random.choice(("I32", "shape", "renamed", "swapped", "NaN", "doubled", "same bytes"))
    if how == "I32":
        own["dtype"] = how
    elif how == "shape":
        own["shape"] = [*own["shape"], 1]
    elif how == "renamed":
        header[f"{name}x"] = header.pop(name)
    elif how == "swapped":
        same = [key for key in header if key != "__metadata__" and header[key]["shape"] == own["shape"] and key != name]
        other = random.choice(same or [name])
        own["data_offsets"], header[other]["data_offsets"] = header[other]["data_offsets"], own["data_offsets"]
        how += f" with {other}"
    elif how == "NaN":
        tensors = tensors[:begin] + struct.pack("<f", float("nan")) + tensors[begin + 4 :]
    elif how == "doubled":
        text = json.dumps(header)
        return closed(text[:-1] + f", {json.dumps(name)}: {json.dumps(own)}}}", tensors), f"{name} is there twice"
    else:
        other = random.choice([key for key in header if key != "__metadata__" and key != name])
        own["data_offsets"] = header[other]["data_offsets"]
        how += f" as {other}"
    return closed(header, tensors), f"{name}: {how}"
