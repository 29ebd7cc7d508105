// The codecs against vectors that flowctl writes: values of every kind of type.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { codec, DecodeError } from "../src/index.js";

const { bool, bytes, char, enumeration, f32, f64, list, option, record, result, string, tuple, variant } = codec;
const { s16, s32, s64, s8, u16, u32, u64, u8 } = codec;

const shapes = record({
  flag: bool,
  small: tuple(u8, s8),
  unsigned: tuple(u16, u32, u64),
  signed: tuple(s16, s32, s64),
  floats: tuple(f32, f64),
  letter: char,
  text: string,
  bytes,
  texts: list(string),
  maybe: option(string),
  answer: result(u32, null),
  choice: variant({ nothing: null, number: u64, text: string, pair: tuple(u32, string) }),
  colour: enumeration("red", "green"),
  nested: list(record({ name: string, amounts: list(s64) })),
  type: option(list(bytes)),
});

const lines = readFileSync(new URL("../../vectors/shapes.jsonl", import.meta.url), "utf8").trimEnd().split("\n");
// integers that a number cannot hold stand as text
const vectors = lines.map((line) => JSON.parse(line.replace(/(?<=[[:,])-?\d{16,}(?=[\],}])/g, '"$&"')));
const payload = ({ payload }) => new Uint8Array(Buffer.from(payload, "hex"));

test("payloads of the host decode to its values, and encode to the same bytes", () => {
  const valid = vectors.filter(({ value }) => value !== null);
  assert.equal(valid.length, 3);
  for (const vector of valid) {
    const value = codec.decode(shapes, payload(vector));
    assert.deepEqual(json(value), vector.value);
    assert.deepEqual(codec.encode(shapes, value), payload(vector));
  }
});

test("what the host refuses as a payload is a DecodeError", () => {
  const broken = vectors.filter(({ value }) => value === null);
  assert.ok(broken.length > 10);
  for (const vector of broken) {
    assert.throws(() => codec.decode(shapes, payload(vector)), DecodeError, vector.payload);
  }
});

test("errors name the field and the reason", () => {
  const order = record({ id: string, items: record({ quantity: u32 }) });
  const decode = (...bytes) => codec.decode(order, Uint8Array.from(bytes));
  assert.throws(() => decode(5, 97), { message: "the bytes end too early, in field `id`" });
  assert.throws(() => decode(1, 0xff, 0), { message: "a string is not UTF-8, in field `id`" });
  const tooLarge = { message: "an integer is too large for its type, in field `items.quantity`" };
  assert.throws(() => decode(0, 0xff, 0xff, 0xff, 0xff, 0x1f), tooLarge);
  assert.throws(() => decode(0, 0, 0), { message: "1 byte is left over" });
  const wrong = { id: "", items: { quantity: -1 } };
  const text = "field `items`: field `quantity`: -1 is no integer from 0 to 4294967295";
  assert.throws(() => codec.encode(order, wrong), { message: text });
});

test("values beyond their type are refused", () => {
  const cases = [[u8, 256], [s8, -129], [u16, 1.5], [u32, 2 ** 32], [s32, 2 ** 31], [u64, 1], [u64, 1n << 64n]];
  cases.push([s64, 1n << 63n], [bool, 1], [string, 1], [char, "ab"], [enumeration("a"), "b"], [f64, "1"]);
  for (const [type, value] of cases) assert.throws(() => codec.encode(type, value), TypeError, String(value));
});

/** The JSON form of a value. */
function json(value) {
  if (typeof value === "bigint") return /\d{16,}/.test(value) ? String(value) : Number(value);
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (value === undefined) return null;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (Array.isArray(value)) return value.map(json);
  if (typeof value !== "object") return value;
  // a result is an object even where its case has no value
  if (value.tag === "err" || value.val !== undefined) return { [value.tag]: json(value.val) };
  if ("tag" in value) return value.tag;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, json(part)]));
}
