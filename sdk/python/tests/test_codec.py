"""The codecs against vectors that flowctl writes: values of every kind of type."""

import base64
import dataclasses
import json
import math
import unittest
from pathlib import Path

from flowctl_sdk import DecodeError, codec
from flowctl_sdk.codec import (
    Case, blob, boolean, char, enumeration, f32, f64, option, product, record, result, s8, s16, s32, s64, sequence,
    string, u8, u16, u32, u64, variant,
)


@record
class Nested:
    name: string
    amounts: sequence(s64)


@record
class Shapes:
    flag: boolean
    small: product(u8, s8)
    unsigned: product(u16, u32, u64)
    signed: product(s16, s32, s64)
    floats: product(f32, f64)
    letter: char
    text: string
    bytes: blob
    texts: sequence(string)
    maybe: option(string)
    answer: result(u32, None)
    choice: variant(nothing=None, number=u64, text=string, pair=product(u32, string))
    colour: enumeration("red", "green")
    nested: sequence(Nested)
    type: option(sequence(blob))


VECTORS = Path(__file__).parents[2] / "vectors" / "shapes.jsonl"


def vectors():
    for line in VECTORS.read_text(encoding="utf-8").splitlines():
        vector = json.loads(line)
        yield bytes.fromhex(vector["payload"]), vector["value"]


def json_form(value):
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Case):
        # a result is an object even where its case has no value
        has_value = value.val is not None or value.tag == "err"
        return {value.tag: json_form(value.val)} if has_value else value.tag
    if isinstance(value, (list, tuple)):
        return [json_form(part) for part in value]
    if dataclasses.is_dataclass(value):
        return {field.name: json_form(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


class Codecs(unittest.TestCase):
    def test_payloads_of_the_host_decode_to_its_values_and_encode_to_the_same_bytes(self):
        valid = [(payload, value) for payload, value in vectors() if value is not None]
        self.assertEqual(len(valid), 3)
        for payload, value in valid:
            decoded = codec.decode(Shapes, payload)
            self.assertEqual(json_form(decoded), value)
            self.assertEqual(codec.encode(Shapes, decoded), payload)

    def test_what_the_host_refuses_as_a_payload_is_a_decode_error(self):
        broken = [payload for payload, value in vectors() if value is None]
        self.assertGreater(len(broken), 10)
        for payload in broken:
            with self.assertRaises(DecodeError, msg=payload.hex()):
                codec.decode(Shapes, payload)

    def test_errors_name_the_field_and_the_reason(self):
        for payload, message in [
            ([5, 97], "the bytes end too early, in field `name`"),
            ([1, 0xFF, 0], "a string is not UTF-8, in field `name`"),
            ([0, 1, *[0xFF] * 9, 2], "an integer is too large for its type, in field `amounts`"),
            ([0, 0, 0], "1 byte is left over"),
        ]:
            with self.assertRaises(DecodeError) as raised:
                codec.decode(Nested, bytes(payload))
            self.assertEqual(str(raised.exception), message)
        with self.assertRaisesRegex(ValueError, "field `amounts`: 'x' is no integer"):
            codec.encode(Nested, Nested("n", ["x"]))

    def test_values_beyond_their_type_are_refused(self):
        cases = [(u8, 256), (s8, -129), (u16, 1.5), (u32, 1 << 32), (s32, 1 << 31), (u64, 1 << 64), (u64, True)]
        cases += [(s64, 1 << 63), (boolean, 1), (string, 1), (char, "ab"), (enumeration("a"), "b")]
        for type_, value in cases:
            with self.assertRaises((TypeError, ValueError), msg=repr(value)):
                codec.encode(type_, value)


if __name__ == "__main__":
    unittest.main()
