"""Malformed requests, made at random from a good one.

A case is the bytes of one exchange and how it is framed. ANSWERED: whole as HTTP, so the server must answer (4xx) and
may keep the connection. PERHAPS: the same, and it may by chance be good. ABANDONED: it leaves the server waiting, or
its framing is broken; whoever sends it ends his side, and the server must answer or close. Cases come from a seed, so
that what was found can be found again.
"""

import json
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

ANSWERED, PERHAPS, ABANDONED = "answered", "perhaps", "abandoned"
BAD_SIZES: list[Any] = [-1, -(2**31), 2**31, 2**32, 2**62, 2**63, 2**64, 10**30, 1.5, 1e300, "1", None, [1], {}, True]
DATATYPES = ["BYTES", "UINT16", "UINT64", "BF16", "fp32", "", "FP3", "FP32 ", "FP64", "INT8", 7, None, ["FP32"], {}]
PLACES = [
    *("/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//v2", "/v2/", "/v2/models/%00", "/v2/models/../x", "/."),
    *("/v2/models//infer", "/v2/models/%ff%fe/infer", "/v2/models/%E2%80%AE", "/v2/health/ready/../..", "/docs"),
    *("/openapi.json", "/.git/config", "/v2/models/%252e%252e", "/V2", "/v2/models/x/versions/1/infer"),
]
JUNK: list[Any] = [None, 7, -1, 1.5, True, "x", [], {}, [[]], [None], {"a": {}}]


@dataclass(frozen=True)
class Input:
    name: str
    datatype: str
    shape: tuple[int, ...]
    itemsize: int

    @property
    def elements(self) -> int:
        count = 1
        for size in self.shape:
            count *= size
        return count

    def facts(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "datatype": self.datatype,
            "shape": list(self.shape),
            "parameters": {"binary_data_size": self.elements * self.itemsize},
        }


@dataclass(frozen=True)
class Target:
    """A model of a server. inputs: those of one good request."""

    host: str
    port: int
    model: str
    inputs: tuple[Input, ...]

    @property
    def path(self) -> str:
        return f"/v2/models/{self.model}/infer"

    def header(self) -> dict[str, Any]:
        return {"inputs": [one.facts() for one in self.inputs], "parameters": {"binary_data_output": True}}

    def tail(self) -> bytes:
        return bytes(sum(one.elements * one.itemsize for one in self.inputs))


Random = random.Random
Case = tuple[str, bytes]
Generator = Callable[[Random, Target], Case]


def http(
    target: Target, body: bytes, *fields: tuple[str, Any], path: str | None = None, method: str = "POST"
) -> bytes:
    given = {name.lower() for name, _ in fields}
    lines = [f"{method} {path or target.path} HTTP/1.1", "Host: x"]
    if not given & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in fields]
    return "\r\n".join([*lines, "", ""]).encode("latin1", "replace") + body


def binary(target: Target, header: Any, tail: bytes, *, said: Any = None) -> bytes:
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    return http(target, head + tail, ("Inference-Header-Content-Length", len(head) if said is None else said))


def good(target: Target) -> bytes:
    return binary(target, target.header(), target.tail())


def bad_field(draw: Random, target: Target) -> Case:
    """One field of the header is not what it must be."""
    header = target.header()
    one = draw.choice(header["inputs"])
    what = draw.randrange(9)
    if what == 0:
        one["shape"][draw.randrange(len(one["shape"]))] = draw.choice(BAD_SIZES[:-1])
    elif what == 1:
        one["parameters"]["binary_data_size"] = draw.choice([*BAD_SIZES[:11], "8", [8], {}, True, False])
    elif what == 2:
        one["datatype"] = draw.choice([value for value in DATATYPES if value != one["datatype"]])
    elif what == 3:
        one["shape"] = draw.choice(
            [None, 7, "x", {}, [], [1] * 100, [2**31, 2**32], [0, 2**62], [2**32] * 4, one["shape"] * 2]
        )
    elif what == 4:
        one["name"] = draw.choice(
            [None, 7, [], "", "x" * draw.randrange(1, 5000), one["name"] + "\0", "../../etc", "é" * 300]
        )
    elif what == 5:
        del one[draw.choice(["name", "datatype", "shape"])]
    elif what == 6:
        header[draw.choice(["inputs", "outputs"])] = draw.choice([None, 7, "x", {}, [7], [[]], [None], [{"name": 7}]])
    elif what == 7:
        header["id"] = draw.choice([None, 7, 1.5, [], {}, True, "i" * draw.randrange(1025, 9000)])
    else:
        one["parameters"] = draw.choice([None, 7, "x", [], {}, {"binary_data_size": None}])
    return ANSWERED, binary(target, header, target.tail())


def bad_set(draw: Random, target: Target) -> Case:
    """The tensors do not belong together: one twice, one too many, one missing, hundreds."""
    header = target.header()
    tensors, extra = header["inputs"], target.inputs[0].facts()
    what = draw.randrange(5)
    if what == 0:
        tensors.append(extra)
        return ANSWERED, binary(target, header, target.tail() * 2)
    if what == 1:
        tensors.append(extra | {"name": "other", "shape": [0], "parameters": {"binary_data_size": 0}})
    elif what == 2:
        tensors.pop()
        return ANSWERED, binary(target, header, b"" if not tensors else target.tail())
    elif what == 3:
        empty = {"datatype": "FP32", "shape": [0], "parameters": {"binary_data_size": 0}}
        tensors += [empty | {"name": str(number)} for number in range(draw.randrange(1, 600))]
    else:
        header["outputs"] = [{"name": f"none{number}"} for number in range(draw.randrange(1, 600))]
    return ANSWERED, binary(target, header, target.tail())


def bad_length(draw: Random, target: Target) -> Case:
    """The header's length, or the number of bytes behind it, is another."""
    header, tail = json.dumps(target.header()).encode(), target.tail()
    what = draw.randrange(3)
    if what == 0:
        said = draw.choice(
            ["-1", "0", "1e3", "+9", " 9 9", "0x10", "9" * 5000, "²", "", "NaN", str(2**63), "1", "nine"]
        )
        return ANSWERED, binary(target, header, tail, said=said)
    if what == 1:
        wrong = draw.choice([*range(len(header)), *range(len(header) + 1, len(header) + len(tail) + 9)])
        return ANSWERED, binary(target, header, tail, said=wrong)
    cut = draw.randrange(len(tail)) if tail else 0
    return ANSWERED, binary(target, header, tail[:cut] if draw.random() < 0.5 else tail + bytes(1 + cut))


def bad_json(draw: Random, target: Target) -> Case:
    """Bytes that are no JSON, or JSON of another form, with or without a length in front."""
    text = json.dumps(target.header())
    depth = draw.randrange(1, 20_000)
    broken = [
        text[: draw.randrange(len(text))].encode(),
        text.encode() + draw.choice([b"}", b"x", b"\0", b"{}", b"[]"]),
        text.replace('"', "'").encode(),
        text.replace(":", draw.choice(["=", "::", ""]), 1).encode(),
        text.encode("utf-16"),
        text.encode().replace(b"name", bytes([draw.randrange(128, 256)]) + b"ame", 1),
        b"[" * depth,
        b'{"inputs":' * (depth % 3000),
        b'{"inputs":' + b"[" * depth + b"]" * depth + b"}",
        json.dumps(draw.choice(JUNK)).encode(),
        b"",
        draw.choice([b"NaN", b"Infinity", b"-", b"1e999", b'"', b'"\\ud800"', b"\xef\xbb\xbf{}", b"9" * 5000]),
        bytes(draw.randrange(256) for _ in range(draw.randrange(1, 200))),
    ]
    body = draw.choice(broken)
    return ANSWERED, binary(target, body, b"") if draw.random() < 0.5 else http(target, body)


def bad_numbers(draw: Random, target: Target) -> Case:
    """Tensors as JSON whose numbers are none, too many, too few, too large, or nested unevenly."""
    header = target.header()
    for one, facts in zip(target.inputs, header["inputs"], strict=True):
        facts["data"], facts["parameters"] = [0] * one.elements, {}
    index = draw.randrange(len(target.inputs))
    count, facts = target.inputs[index].elements, header["inputs"][index]
    spoilt = draw.choice([None, "0", {}, [[]], 10**30, 1e308, [0, 0], "NaN"])
    at = draw.randrange(count)
    raw = draw.choice(["NaN", "Infinity", "-Infinity", "1e999", "01", "0x1", "+1", "'0'", "9" * 3000, "1.", "--1"])
    facts["data"] = draw.choice(
        [
            [0] * at + [spoilt] + [0] * (count - at - 1),
            [0] * (count + draw.choice([-1, 1, 7])),
            [],
            None,
            "x",
            7,
            {"0": 0},
            [[0] * count, [0]],
        ]
    )
    if draw.random() < 0.3:
        facts["data"] = ["@"] + [0] * (count - 1)
        return ANSWERED, http(target, json.dumps(header).replace('"@"', raw).encode())
    return ANSWERED, http(target, json.dumps(header).encode())


def bad_place(draw: Random, target: Target) -> Case:
    """Paths and methods that are none of ours."""
    model = f"/v2/models/{target.model}"
    long = ["/?" + "a=b&" * 200, "/" + "x" * draw.randrange(1, 4000), f"{model}/versions/{'9' * 40}"]
    tricks = [*PLACES, *long, f"{target.path}/..", f"{target.path}%2f", f"{target.path}/", f"{model}//infer"]
    if draw.random() < 0.3:
        method = draw.choice(["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "GET", "PROPFIND", "PURGE"])
        return ANSWERED, http(target, b"", method=method)
    return ANSWERED, http(target, b"", path=draw.choice(tricks), method=draw.choice(["GET", "POST"]))


def bad_encoding(draw: Random, target: Target) -> Case:
    """Whole as HTTP, by the wrong means: compressed, in chunks that hold too little, with an upgrade."""
    body = good(target).partition(b"\r\n\r\n")[2]
    length = ("Inference-Header-Content-Length", len(json.dumps(target.header()).encode()))
    what = draw.randrange(3)
    if what == 0:
        encoding = draw.choice(["gzip", "deflate", "br", "zstd", "identity, gzip", "x" * 200])
        return ANSWERED, http(target, body, length, ("Content-Encoding", encoding))
    size = draw.choice([1, 2, 7, 100])
    cut = body[: draw.randrange(len(body) - 1)]
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(cut[at : at + size]), cut[at : at + size]) for at in range(0, len(cut), size)
    )
    extension = draw.choice([b"", b";a=b", b";" + b"x" * 500])
    chunks = chunks.replace(b"\r\n", extension + b"\r\n", 1) if cut else chunks
    trailer = draw.choice([b"", b"", b"X: y\r\n" * draw.randrange(1, 50)])
    return ANSWERED, http(target, chunks + b"0\r\n" + trailer + b"\r\n", length, ("Transfer-Encoding", "chunked"))


VERSIONS = [b" HTTP/9.9", b" HTTP/2.0", b" http/1.1", b"", b" HTTP/1.1 x"]
METHODS = [b"BREW", b"P\0ST", b"", b"post", b"\x80OST", b"G" * 500]
FIELDS = [b"no colon", b": empty", b"a b: c", b"a: b\0c", b"a: b\r\n folded", b"a\r\nb"]
LENGTHS = [b"-1", b"+5", b"5x", b"0x5", b"9" * 40, b" ", b"5, 5", b"1e3"]
ENCODINGS = [b"chunked, gzip", b"xchunked", b"chunked\x0b", b"identity"]
CHUNKS = [b"-1\r\n", b"f" * 17 + b"\r\n", b"zz\r\n", b"5\r\nhelloworld\r\n", b"5;", b"\r\n"]


def broken_http(draw: Random, target: Target) -> Case:
    """Not HTTP/1.1, or not whole."""
    start = b"POST " + target.path.encode()
    line = start + b" HTTP/1.1\r\nHost: x\r\n"
    chunked = line + b"Transfer-Encoding: chunked\r\n\r\n"
    long = draw.randrange(40_000, 200_000)
    broken = [
        start + draw.choice(VERSIONS) + b"\r\n\r\n",
        draw.choice(METHODS) + b" / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + draw.randbytes(200),
        b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v2/\xc3\xa9\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n" + draw.randbytes(20),
        line + draw.choice(FIELDS) + b"\r\n\r\n",
        line + b"A: " + b"x" * long,
        line + b"x" * long,
        line + b"A: b\r\n" * draw.randrange(101, 3000) + b"\r\n",
        b"GET /" + b"x" * long,
        line + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhellohello",
        line + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        line + b"Content-Length: " + draw.choice(LENGTHS) + b"\r\n\r\nhello",
        line + b"Content-Length: " + str(draw.randrange(6, 2**62)).encode() + b"\r\n\r\nhello",
        line + b"Transfer-Encoding: " + draw.choice(ENCODINGS) + b"\r\n\r\n0\r\n\r\n",
        chunked + draw.choice(CHUNKS),
        chunked + b"0\r\n" + b"T: u\r\n" * draw.randrange(101, 5000) + b"\r\n",
        line + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        line + b"Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n" + draw.randbytes(30),
        line + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n" + draw.randbytes(30),
        b"\r\n" * draw.randrange(1, 3000),
        draw.randbytes(draw.randrange(1, 2000)),
    ]
    return ABANDONED, draw.choice(broken)


def damaged(draw: Random, target: Target) -> Case:
    """A good request's bytes, some of them flipped, cut out, doubled or overwritten: in the head or in the JSON."""
    whole = draw.random() < 0.5
    data = bytearray(json.dumps(target.header()).encode() if whole else good(target))
    end = len(data) - (0 if whole else len(target.tail()))
    for _ in range(draw.randrange(1, 6)):
        at = draw.randrange(end)
        what = draw.randrange(4)
        if what == 0:
            data[at] ^= 1 << draw.randrange(8)
        elif what == 1:
            del data[at : at + draw.randrange(1, 40)]
        elif what == 2:
            data[at:at] = data[at : at + draw.randrange(1, 40)]
        else:
            data[at : at + 4] = struct.pack("<i", draw.choice([-1, 0, 2**31 - 1, -(2**31)]))
        end = min(end, len(data))
    return (PERHAPS, binary(target, bytes(data), target.tail())) if whole else (ABANDONED, bytes(data))


ONES: Sequence[Generator] = (bad_field, bad_set, bad_length, bad_json, bad_numbers, bad_place, bad_encoding)
KINDS: Sequence[tuple[Generator, int]] = (*((one, 3) for one in ONES), (broken_http, 3), (damaged, 2))


def cases(seed: int, target: Target, count: int) -> Iterator[tuple[str, str, list[bytes]]]:
    """(kind, framing, messages): where several messages go in one piece, each is answered in turn."""
    draw = random.Random(seed)
    generators, weights = zip(*KINDS, strict=True)
    while count > 0:
        (chosen,) = draw.choices(generators, weights)
        framing, data = chosen(draw, target)
        messages = [data]
        if framing == ANSWERED and draw.random() < 0.05:  # sent ahead of the answers
            messages += [draw.choice(ONES)(draw, target)[1] for _ in range(draw.randrange(1, 8))]
        count -= len(messages)
        yield chosen.__name__, framing, messages
