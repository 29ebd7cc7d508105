// The bytes of payloads, read and written front to back.
//
// Invariant: reading ends in a value or a DecodeError, whatever the bytes are.

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** Why bytes are not a value of a type, and in which field. */
export class DecodeError extends Error {
  /** @param {string} reason @param {string[]} [fields] the path to the field, outermost first */
  constructor(reason, fields = []) {
    super(fields.length === 0 ? reason : `${reason}, in field \`${fields.join(".")}\``);
    this.name = "DecodeError";
    this.reason = reason;
    this.fields = fields;
  }

  /** The same error, one record further out. */
  inField(name) {
    return new DecodeError(this.reason, [name, ...this.fields]);
  }
}

/** Bytes still to be decoded. */
export class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  get remaining() {
    return this.bytes.length - this.at;
  }

  byte() {
    if (this.at >= this.bytes.length) throw new DecodeError("the bytes end too early");
    return this.bytes[this.at++];
  }

  take(nBytes) {
    if (nBytes > this.remaining) throw new DecodeError("the bytes end too early");
    return this.bytes.subarray(this.at, (this.at += nBytes));
  }

  text(nBytes) {
    try {
      return utf8.decode(this.take(nBytes));
    } catch (error) {
      throw error instanceof DecodeError ? error : new DecodeError("a string is not UTF-8");
    }
  }

  /** An unsigned varint of at most 53 bits that is no larger than `max`. */
  varint(max) {
    let [value, weight] = [0, 1];
    for (;;) {
      const byte = this.byte();
      value += (byte & 0x7f) * weight;
      if (value > max || weight > max) throw new DecodeError("an integer is too large for its type");
      if (byte < 0x80) return value;
      weight *= 128;
    }
  }

  /** An unsigned varint of 64 bits, as a bigint. */
  bigVarint() {
    let [low, weight] = [0, 1];
    // seven bytes fit into a number, which is several times as fast
    for (let count = 0; count < 7; count += 1) {
      const byte = this.byte();
      low += (byte & 0x7f) * weight;
      if (byte < 0x80) return BigInt(low);
      weight *= 128;
    }
    let value = BigInt(low);
    for (let shift = 49n; shift < 64n; shift += 7n) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (value >> 64n) break;
      if (byte < 0x80) return value;
    }
    throw new DecodeError("an integer is too large for its type");
  }

  /** A length: no list or string is longer than the bytes that are left. */
  length() {
    const length = this.varint(Number.MAX_SAFE_INTEGER);
    if (length > this.remaining) throw new DecodeError("the bytes end too early");
    return length;
  }
}

/** Bytes that grow at their end. */
export class Writer {
  constructor() {
    this.bytes = new Uint8Array(256);
    this.length = 0;
  }

  /** What was written, as a view that the next write may change. */
  get written() {
    return this.bytes.subarray(0, this.length);
  }

  reserve(nBytes) {
    const needed = this.length + nBytes;
    if (needed <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    larger.set(this.written);
    this.bytes = larger;
  }

  byte(byte) {
    this.reserve(1);
    this.bytes[this.length++] = byte;
  }

  put(bytes) {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  varint(value) {
    this.reserve(8);
    let rest = value;
    while (rest >= 0x80) {
      this.bytes[this.length++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.bytes[this.length++] = rest;
  }

  bigVarint(value) {
    let rest = value;
    while (rest > Number.MAX_SAFE_INTEGER) {
      this.byte(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    this.varint(Number(rest));
  }

  text(text) {
    const bytes = encoder.encode(text);
    this.varint(bytes.length);
    this.put(bytes);
  }
}
