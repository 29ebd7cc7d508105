// Payload bytes: the postcard encoding of a WIT type, said in JavaScript.
//
// A codec has `read(reader)` and `write(writer, value)`. 64-bit integers are
// bigints, `list<u8>` is a Uint8Array, an enum is the name of its case, a variant
// or result is `{ tag, val }`, none is undefined: as componentize-js has them.

import { DecodeError, Reader, Writer } from "./bytes.js";

/** Encodes a value as a payload. */
export function encode(codec, value) {
  const writer = new Writer();
  codec.write(writer, value);
  return writer.written;
}

/** Decodes a payload, all of it; throws a DecodeError where it is no such value. */
export function decode(codec, bytes) {
  const reader = new Reader(bytes);
  const value = codec.read(reader);
  const left = reader.remaining;
  if (left > 0) throw new DecodeError(left === 1 ? "1 byte is left over" : `${left} bytes are left over`);
  return value;
}

export const bool = {
  read(reader) {
    const byte = reader.byte();
    if (byte > 1) throw new DecodeError(`\`${byte}\` is no bool`);
    return byte === 1;
  },
  write(writer, value) {
    if (typeof value !== "boolean") throw new TypeError(`${show(value)} is no bool`);
    writer.byte(value ? 1 : 0);
  },
};

export const u8 = {
  read: (reader) => reader.byte(),
  write: (writer, value) => writer.byte(integer(value, 0, 0xff)),
};
export const s8 = {
  read: (reader) => (reader.byte() << 24) >> 24,
  write: (writer, value) => writer.byte(integer(value, -0x80, 0x7f) & 0xff),
};
export const u16 = unsigned(0xffff);
export const u32 = unsigned(0xffff_ffff);
export const s16 = signed(0x7fff);
export const s32 = signed(0x7fff_ffff);
export const u64 = {
  read: (reader) => reader.bigVarint(),
  write: (writer, value) => writer.bigVarint(bigInteger(value, 0n, (1n << 64n) - 1n)),
};
export const s64 = {
  read(reader) {
    const zigzag = reader.bigVarint();
    return (zigzag >> 1n) ^ -(zigzag & 1n);
  },
  write(writer, value) {
    const checked = bigInteger(value, -(1n << 63n), (1n << 63n) - 1n);
    writer.bigVarint(checked < 0n ? -2n * checked - 1n : 2n * checked);
  },
};
export const f32 = float(4, "Float32");
export const f64 = float(8, "Float64");

export const string = {
  read: (reader) => reader.text(reader.length()),
  write(writer, value) {
    if (typeof value !== "string") throw new TypeError(`${show(value)} is no string`);
    writer.text(value);
  },
};

export const char = {
  read(reader) {
    const text = string.read(reader);
    if ([...text].length !== 1) throw new DecodeError("a char is not exactly one character");
    return text;
  },
  write(writer, value) {
    if (typeof value !== "string" || [...value].length !== 1) throw new TypeError(`${show(value)} is no single character`);
    writer.text(value);
  },
};

/** `list<u8>`: a copy, since the bytes below it are the batch's. */
export const bytes = {
  read: (reader) => reader.take(reader.length()).slice(),
  write(writer, value) {
    writer.varint(value.length);
    writer.put(value);
  },
};

export function list(element) {
  return {
    read(reader) {
      // an element takes a byte at least, so the length is bounded
      const values = [];
      for (let left = reader.length(); left > 0; left -= 1) values.push(element.read(reader));
      return values;
    },
    write(writer, values) {
      writer.varint(values.length);
      for (const value of values) element.write(writer, value);
    },
  };
}

export function option(some) {
  return {
    read(reader) {
      const tag = reader.byte();
      if (tag > 1) throw new DecodeError(`\`${tag}\` is neither none nor some`);
      return tag === 1 ? some.read(reader) : undefined;
    },
    write(writer, value) {
      const isSome = value !== undefined && value !== null;
      writer.byte(isSome ? 1 : 0);
      if (isSome) some.write(writer, value);
    },
  };
}

export function tuple(...elements) {
  return {
    read: (reader) => elements.map((element) => element.read(reader)),
    write(writer, values) {
      if (values.length !== elements.length) throw new TypeError(`a tuple has ${values.length} of ${elements.length} values`);
      elements.forEach((element, index) => element.write(writer, values[index]));
    },
  };
}

/** A record: its fields in the order of the WIT, by their names in camel case. */
export function record(fields) {
  const entries = Object.entries(fields);
  return {
    read(reader) {
      const value = {};
      for (const [name, codec] of entries) {
        try {
          value[name] = codec.read(reader);
        } catch (error) {
          throw error instanceof DecodeError ? error.inField(name) : error;
        }
      }
      return value;
    },
    write(writer, value) {
      for (const [name, codec] of entries) {
        try {
          codec.write(writer, value[name]);
        } catch (error) {
          throw new TypeError(`field \`${name}\`: ${error.message}`);
        }
      }
    },
  };
}

/** An enum: the names of its cases in the order of the WIT. */
export function enumeration(...cases) {
  return {
    read: (reader) => caseAt(cases, reader),
    write: (writer, value) => writer.varint(indexOf(cases, value)),
  };
}

/** A variant: `variant({ nothing: null, number: u64 })`, in the order of the WIT. */
export function variant(cases) {
  const names = Object.keys(cases);
  return {
    read(reader) {
      const tag = caseAt(names, reader);
      return cases[tag] ? { tag, val: cases[tag].read(reader) } : { tag };
    },
    write(writer, { tag, val }) {
      writer.varint(indexOf(names, tag));
      cases[tag]?.write(writer, val);
    },
  };
}

/** `result<ok, err>`; null stands for `_`. */
export const result = (ok, err) => variant({ ok, err });

/** A type that is an alias of `list<u8>`: the event's bytes as they stand. */
export const opaque = {
  read: (reader) => reader.take(reader.remaining).slice(),
  write: (writer, value) => writer.put(value),
};

function unsigned(max) {
  return {
    read: (reader) => reader.varint(max),
    write: (writer, value) => writer.varint(integer(value, 0, max)),
  };
}

function signed(max) {
  return {
    read(reader) {
      const zigzag = reader.varint(2 * max + 1);
      return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
    },
    write(writer, value) {
      const checked = integer(value, -max - 1, max);
      writer.varint(checked < 0 ? -2 * checked - 1 : 2 * checked);
    },
  };
}

function float(nBytes, kind) {
  const view = new DataView(new ArrayBuffer(nBytes));
  const scratch = new Uint8Array(view.buffer);
  return {
    read(reader) {
      scratch.set(reader.take(nBytes));
      return view[`get${kind}`](0, true);
    },
    write(writer, value) {
      if (typeof value !== "number") throw new TypeError(`${show(value)} is no number`);
      view[`set${kind}`](0, value, true);
      writer.put(scratch);
    },
  };
}

function integer(value, min, max) {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new TypeError(`${show(value)} is no integer from ${min} to ${max}`);
}

function bigInteger(value, min, max) {
  if (typeof value === "bigint" && value >= min && value <= max) return value;
  throw new TypeError(`${show(value)} is no bigint from ${min} to ${max}`);
}

function caseAt(names, reader) {
  const index = reader.varint(0xffff_ffff);
  if (index >= names.length) throw new DecodeError(`there is no case ${index} of ${names.join(", ")}`);
  return names[index];
}

function indexOf(names, name) {
  const index = names.indexOf(name);
  if (index < 0) throw new TypeError(`${show(name)} is none of ${names.join(", ")}`);
  return index;
}

function show(value) {
  return typeof value === "bigint" ? `${value}n` : (JSON.stringify(value) ?? String(value));
}
