// Batches as columns: the events of an input, and the output as it is made.

import { Writer } from "./bytes.js";

/** The slice of `data` that belongs to event `index`. */
export function slice(ends, data, index) {
  return data.subarray(index === 0 ? 0 : ends[index - 1], ends[index]);
}

/** The output of one call. Nothing of an event that was refused stays. */
export class Output {
  #events = [];
  #data = new Writer();
  #keys = new Writer();
  #hasKeys = false;
  #mark = { events: 0, data: 0, keys: 0 };

  mark() {
    this.#mark = { events: this.#events.length, data: this.#data.length, keys: this.#keys.length };
  }

  rollBack() {
    this.#events.length = this.#mark.events;
    this.#data.length = this.#mark.data;
    this.#keys.length = this.#mark.keys;
  }

  /** Adds one event whose payload `write` appends. */
  add(origin, timestamp, key, write) {
    write(this.#data);
    this.#keys.put(key);
    this.#hasKeys ||= key.length > 0;
    this.#events.push({ origin, timestamp, end: this.#data.length, keyEnd: this.#keys.length });
  }

  /** The output as batches: watermark and attributes are those of the input. */
  batches({ watermark, attributes }) {
    const events = this.#events;
    if (events.length === 0 && watermark === undefined) return [];
    const hasKeys = this.#hasKeys;
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
