// What becomes of batches, of what an author throws, and of settings.

import assert from "node:assert/strict";
import { test } from "node:test";

import { codec, processor, Reject, Retry } from "../src/index.js";

function batch(texts, more = {}) {
  const parts = texts.map((text) => codec.encode(codec.string, text).slice());
  let end = 0;
  return {
    kind: 0,
    timestamps: BigUint64Array.from(parts, (_, index) => BigInt(index + 1)),
    ends: Uint32Array.from(parts, (part) => (end += part.length)),
    data: new Uint8Array(Buffer.concat(parts)),
    keyEnds: new Uint32Array(),
    keys: new Uint8Array(),
    origins: new Uint32Array(),
    watermark: undefined,
    attributes: [],
    ...more,
  };
}

/** What may be thrown and is no Error, and how it is told. */
const noErrors = [
  ["text", "text was thrown"],
  [null, "null was thrown"],
  [undefined, "undefined was thrown"],
  [Symbol("odd"), "Symbol(odd) was thrown"],
  [{ stack: 5 }, "[object Object] was thrown"],
  [Object.create(null), "a value without a text was thrown"],
];

const strings = (process) => processor({ input: codec.string, output: codec.string, process }).handler;
const texts = ({ ends, data }) =>
  [...ends].map((end, index) => codec.decode(codec.string, data.subarray(index ? ends[index - 1] : 0, end)));

test("output has the time, key and origin of its input, and the batch's watermark and attributes", () => {
  const handler = strings((text, out) => {
    if (text === "b") out.forward();
    if (text === "c") [text + 1, text + 2].forEach((made) => out.emit(made, { timestamp: 9n, key: "k" }));
  });
  const keys = { keyEnds: Uint32Array.of(1, 2, 3), keys: Uint8Array.of(65, 66, 67) };
  const more = { ...keys, watermark: 5n, attributes: [["network", "pubnet"]] };
  const { outputs, rejected } = handler.process(batch(["a", "b", "c"], more));
  const [made] = outputs;
  assert.deepEqual([outputs.length, rejected, texts(made)], [1, [], ["b", "c1", "c2"]]);
  assert.deepEqual([...made.timestamps, ...made.origins], [2n, 9n, 9n, 1, 2, 2]);
  assert.equal(Buffer.from(made.keys).toString(), "Bkk");
  assert.deepEqual([[...made.keyEnds], made.watermark, made.attributes], [[1, 2, 3], 5n, [["network", "pubnet"]]]);
});

test("a refused event leaves nothing behind, and no payload is a refusal too", () => {
  const handler = strings((text, out) => {
    out.emit(text);
    if (text === "bad") throw new Reject("it is bad");
  });
  const input = batch(["a", "bad", "c"]);
  input.data[1] = 0xff;
  const { outputs, rejected } = handler.process(input);
  assert.deepEqual(texts(outputs[0]), ["c"]);
  assert.deepEqual(rejected, [
    { index: 0, reason: "a string is not UTF-8" },
    { index: 1, reason: "it is bad" },
  ]);
});

test("an emit that fails leaves nothing behind, and the events after it are whole", () => {
  const pair = codec.record({ name: codec.string, count: codec.u8 });
  const failing = [
    [{ name: "half", count: 256 }, {}, /field `count`: 256 is no integer/],
    [{ name: "whole", count: 1 }, { key: 5 }, /`key` is neither/],
    [{ name: "whole", count: 1 }, { timestamp: 5 }, /`timestamp` is no bigint/],
    [{ name: "whole", count: 1 }, { timestamp: -1n }, /`timestamp` is no bigint/],
  ];
  for (const [event, more, message] of failing) {
    const process = (_text, out) => {
      assert.throws(() => out.emit(event, more), message);
      out.emit({ name: "after", count: 2 }, { key: "k" });
    };
    const { outputs } = processor({ input: codec.string, output: pair, process }).handler.process(batch(["a"]));
    const [made] = outputs;
    assert.deepEqual(codec.decode(pair, made.data), { name: "after", count: 2 });
    assert.deepEqual([[...made.ends], [...made.keyEnds], [...made.origins]], [[made.data.length], [1], [0]]);
  }
});

test("a refused event that had a key leaves no keys behind", () => {
  const handler = strings((text, out) => {
    out.emit(text, { key: text === "bad" ? "k" : "" });
    if (text === "bad") throw new Reject("it is bad");
  });
  const [made] = handler.process(batch(["bad", "b"])).outputs;
  assert.deepEqual([texts(made), [...made.keyEnds], [...made.keys]], [["b"], [], []]);
});

test("a watermark passes without events", () => {
  const { outputs } = strings(() => {}).process(batch([], { watermark: 7n }));
  assert.deepEqual([outputs.length, outputs[0].watermark, outputs[0].ends.length], [1, 7n, 0]);
  assert.deepEqual(strings(() => {}).process(batch(["a"])).outputs, []);
});

test("what else is thrown is a fault with message and place", () => {
  const fault = (error) => {
    try {
      strings(() => { throw error; }).process(batch(["a"]));
    } catch ({ payload }) {
      return payload;
    }
  };
  assert.deepEqual(fault(new Retry("not yet")), { tag: "retry", val: "not yet" });
  const { tag, val } = fault(new RangeError("too far"));
  assert.equal(tag, "fatal");
  assert.match(val, /^RangeError: too far \(.*processor\.test\.js.*\)$/);
  for (const [thrown, val] of noErrors) assert.deepEqual(fault(thrown), { tag: "fatal", val });
});

test("what configure throws refuses the settings with its message", () => {
  for (const [thrown, message] of [[new Error("`minimum` is missing"), "`minimum` is missing"], ...noErrors]) {
    const configure = () => { throw thrown; };
    const { config } = processor({ input: codec.string, output: codec.string, configure, process() {} });
    assert.throws(() => config.configure({}), ({ payload }) => payload === message, message);
  }
});
