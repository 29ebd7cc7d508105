// Batches as columns: the events of an input, and the output as it is made.

import { Writer } from "./bytes.js";

const encoder = new TextEncoder();

/** The slice of `data` that belongs to event `index`. */
export function slice(ends, data, index) {
  return data.subarray(index === 0 ? 0 : ends[index - 1], ends[index]);
}

/** The output of one call. Nothing of an event that was refused stays. */
export class Output {
  #events = [];
  #data = new Writer();
  #keys = new Writer();
  #mark = { events: 0, data: 0, keys: 0 };

  mark() {
    this.#mark = { events: this.#events.length, data: this.#data.length, keys: this.#keys.length };
  }

  rollBack() {
    this.#events.length = this.#mark.events;
    this.#data.length = this.#mark.data;
    this.#keys.length = this.#mark.keys;
  }

  /** Adds one event whose payload `write` appends. One that fails leaves nothing behind. */
  add(origin, timestamp, key, write) {
    const keyBytes = asKey(key);
    if (typeof timestamp !== "bigint" || BigInt.asUintN(64, timestamp) !== timestamp) {
      throw new TypeError("`timestamp` is no bigint of nanoseconds since the Unix epoch");
    }
    const start = this.#data.length;
    try {
      write(this.#data);
    } catch (error) {
      this.#data.length = start;
      throw error;
    }
    this.#keys.put(keyBytes);
    this.#events.push({ origin, timestamp, end: this.#data.length, keyEnd: this.#keys.length });
  }

  /** The output as batches: watermark and attributes are those of the input. */
  batches({ watermark, attributes }) {
    const events = this.#events;
    if (events.length === 0 && watermark === undefined) return [];
    const hasKeys = this.#keys.length > 0;
    return [
      {
        kind: 0,
        timestamps: BigUint64Array.from(events, (event) => event.timestamp),
        ends: Uint32Array.from(events, (event) => event.end),
        data: this.#data.written,
        keyEnds: hasKeys ? Uint32Array.from(events, (event) => event.keyEnd) : new Uint32Array(),
        keys: hasKeys ? this.#keys.written : new Uint8Array(),
        origins: Uint32Array.from(events, (event) => event.origin),
        watermark,
        attributes: events.length === 0 ? [] : attributes,
      },
    ];
  }
}

function asKey(key) {
  if (typeof key === "string") return encoder.encode(key);
  if (key instanceof Uint8Array) return key;
  throw new TypeError("`key` is neither a string nor a Uint8Array");
}
