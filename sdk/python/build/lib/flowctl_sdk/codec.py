"""Payload bytes: the postcard encoding of a WIT type, said in Python.

A codec has `read(reader)` and `write(out, value)`. `list<u8>` is `bytes`, an enum is
the name of its case, a variant or result is a `Case`, none is `None`.

Invariant: reading ends in a value or a `DecodeError`, whatever the bytes are.
"""

import struct
from dataclasses import dataclass
from typing import Any, NamedTuple


class DecodeError(Exception):
    """Why bytes are not a value of a type, and in which field."""

    def __init__(self, reason, fields=()):
        self.reason, self.fields = reason, tuple(fields)
        super().__init__(f"{reason}, in field `{'.'.join(self.fields)}`" if self.fields else reason)


class Case(NamedTuple):
    """A case of a variant or result, with its value where it has one."""

    tag: str
    val: Any = None


class Reader:
    """Bytes still to be decoded."""

    __slots__ = ("at", "payload")

    def __init__(self, payload):
        self.payload, self.at = payload, 0

    @property
    def remaining(self):
        return len(self.payload) - self.at

    def byte(self):
        if self.at >= len(self.payload):
            raise DecodeError("the bytes end too early")
        self.at += 1
        return self.payload[self.at - 1]

    def take(self, n_bytes):
        if n_bytes > self.remaining:
            raise DecodeError("the bytes end too early")
        self.at += n_bytes
        return self.payload[self.at - n_bytes : self.at]

    def varint(self, n_bits):
        value = shift = 0
        while shift < n_bits:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if value >> n_bits:
                break
            if byte < 0x80:
                return value
            shift += 7
        raise DecodeError("an integer is too large for its type")

    def length(self):
        """A length: no list or string is longer than the bytes that are left."""
        length = self.varint(64)
        if length > self.remaining:
            raise DecodeError("the bytes end too early")
        return length


def encode(codec, value):
    """Encodes a value as a payload."""
    out = bytearray()
    codec.write(out, value)
    return bytes(out)


def decode(codec, payload):
    """Decodes a payload, all of it; raises a `DecodeError` where it is no such value."""
    reader = Reader(payload)
    value = codec.read(reader)
    if left := reader.remaining:
        raise DecodeError("1 byte is left over" if left == 1 else f"{left} bytes are left over")
    return value


def write_varint(out, value):
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


class _Bool:
    def read(self, reader):
        byte = reader.byte()
        if byte > 1:
            raise DecodeError(f"`{byte}` is no bool")
        return byte == 1

    def write(self, out, value):
        out.append(1 if _of(value, bool, "bool") else 0)


class _Byte:
    def __init__(self, minimum):
        self.minimum = minimum

    def read(self, reader):
        byte = reader.byte()
        return byte - 256 if byte >= 256 + self.minimum else byte

    def write(self, out, value):
        out.append(_integer(value, self.minimum, self.minimum + 255) & 0xFF)


class _Unsigned:
    def __init__(self, n_bits):
        self.n_bits, self.maximum = n_bits, (1 << n_bits) - 1

    def read(self, reader):
        return reader.varint(self.n_bits)

    def write(self, out, value):
        write_varint(out, _integer(value, 0, self.maximum))


class _Signed:
    def __init__(self, n_bits):
        self.n_bits, self.maximum = n_bits, (1 << (n_bits - 1)) - 1

    def read(self, reader):
        zigzag = reader.varint(self.n_bits)
        return (zigzag >> 1) ^ -(zigzag & 1)

    def write(self, out, value):
        value = _integer(value, -self.maximum - 1, self.maximum)
        write_varint(out, -2 * value - 1 if value < 0 else 2 * value)


class _Float:
    def __init__(self, layout):
        self.layout = struct.Struct(layout)

    def read(self, reader):
        return self.layout.unpack(reader.take(self.layout.size))[0]

    def write(self, out, value):
        out += self.layout.pack(value)


class _String:
    def read(self, reader):
        try:
            return str(reader.take(reader.length()), "utf-8")
        except UnicodeDecodeError:
            raise DecodeError("a string is not UTF-8") from None

    def write(self, out, value):
        encoded = _of(value, str, "string").encode()
        write_varint(out, len(encoded))
        out += encoded


class _Char:
    def read(self, reader):
        text = string.read(reader)
        if len(text) != 1:
            raise DecodeError("a char is not exactly one character")
        return text

    def write(self, out, value):
        if len(_of(value, str, "character")) != 1:
            raise ValueError(f"{value!r} is no single character")
        string.write(out, value)


class _Bytes:
    def read(self, reader):
        return bytes(reader.take(reader.length()))

    def write(self, out, value):
        write_varint(out, len(value))
        out += value


class _Opaque:
    """A type that is an alias of `list<u8>`: the event's bytes as they stand."""

    def read(self, reader):
        return bytes(reader.take(reader.remaining))

    def write(self, out, value):
        out += value


boolean = _Bool()
u8, s8 = _Byte(0), _Byte(-128)
u16, u32, u64 = _Unsigned(16), _Unsigned(32), _Unsigned(64)
s16, s32, s64 = _Signed(16), _Signed(32), _Signed(64)
f32, f64 = _Float("<f"), _Float("<d")
string, char = _String(), _Char()
blob, opaque = _Bytes(), _Opaque()


class sequence:
    """`list<T>`; `list<u8>` is `blob`."""

    def __init__(self, element):
        self.element = element

    def read(self, reader):
        # an element takes a byte at least, so the length is bounded
        read = self.element.read
        return [read(reader) for _ in range(reader.length())]

    def write(self, out, values):
        write_varint(out, len(values))
        for value in values:
            self.element.write(out, value)


class option:
    """`option<T>`."""

    def __init__(self, some):
        self.some = some

    def read(self, reader):
        tag = reader.byte()
        if tag > 1:
            raise DecodeError(f"`{tag}` is neither none nor some")
        return self.some.read(reader) if tag else None

    def write(self, out, value):
        out.append(0 if value is None else 1)
        if value is not None:
            self.some.write(out, value)


class product:
    """`tuple<…>`."""

    def __init__(self, *elements):
        self.elements = elements

    def read(self, reader):
        return tuple(element.read(reader) for element in self.elements)

    def write(self, out, values):
        for element, value in zip(self.elements, values, strict=True):
            element.write(out, value)


class enumeration:
    """An enum: the names of its cases in the order of the WIT."""

    def __init__(self, *cases):
        self.cases = cases

    def read(self, reader):
        return _case_at(self.cases, reader)

    def write(self, out, value):
        write_varint(out, _index(self.cases, value))


class variant:
    """A variant: `variant(nothing=None, number=u64)`, in the order of the WIT."""

    def __init__(self, **cases):
        self.cases, self.names = cases, tuple(cases)

    def read(self, reader):
        tag = _case_at(self.names, reader)
        codec = self.cases[tag]
        return Case(tag, codec.read(reader) if codec else None)

    def write(self, out, value):
        tag, val = value
        write_varint(out, _index(self.names, tag))
        if codec := self.cases[tag]:
            codec.write(out, val)


def result(ok=None, err=None):
    """`result<ok, err>`; `None` stands for `_`."""
    return variant(ok=ok, err=err)


def record(cls):
    """Makes a dataclass of a class whose annotations are codecs, in the order of the WIT.

    The class is a codec too: `sequence(Item)` is a list of it.
    """
    fields = tuple(cls.__annotations__.items())
    cls = dataclass(slots=True)(cls)

    def read(reader):
        values = []
        for name, codec in fields:
            try:
                values.append(codec.read(reader))
            except DecodeError as error:
                raise DecodeError(error.reason, (name, *error.fields)) from None
        return cls(*values)

    def write(out, value):
        for name, codec in fields:
            try:
                codec.write(out, getattr(value, name))
            except (AttributeError, TypeError, ValueError, struct.error, OverflowError) as error:
                raise ValueError(f"field `{name}`: {error}") from error

    cls.read, cls.write = staticmethod(read), staticmethod(write)
    return cls


def _of(value, kind, name):
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {name}")
    return value


def _integer(value, minimum, maximum):
    if type(value) is int and minimum <= value <= maximum:
        return value
    raise ValueError(f"{value!r} is no integer from {minimum} to {maximum}")


def _case_at(names, reader):
    index = reader.varint(32)
    if index >= len(names):
        raise DecodeError(f"there is no case {index} of {', '.join(names)}")
    return names[index]


def _index(names, name):
    if name not in names:
        raise ValueError(f"{name!r} is none of {', '.join(names)}")
    return names.index(name)
