// What a component exports: `handler` and `config`, made from an author's functions.
//
// Invariant: nothing that an author throws leaves as a trap. A Reject or a
// payload that is none refuses its event, a Retry asks the host to call again, and
// anything else is a fault with its message and its place.

import { DecodeError } from "./bytes.js";
import { decode } from "./codec.js";
import { Output, slice } from "./columns.js";

const noKey = new Uint8Array();

/** Refuses one event: it goes to the dead letters with this reason, and the stream goes on. */
export class Reject extends Error {}

/** Something outside is not ready: the host calls again with the whole batch after a pause. */
export class Retry extends Error {}

/**
 * The exports of a processor.
 *
 * `input` and `output` are the codecs of the event types. `configure(settings)` is
 * called once, before the first event, if the world exports `config`; what it throws
 * refuses the settings. `process(event, out)` is called with each event: `out.emit(event)`
 * and `out.forward()` give events, as many as it likes.
 */
export function processor({ input, output, configure, process }) {
  return {
    handler: { process: (batch) => call(() => processBatch(batch, input, output, process)) },
    config: {
      configure(settings) {
        try {
          configure?.(settings);
        } catch (error) {
          throw failure(words(error));
        }
      },
    },
  };
}

function processBatch(batch, input, output, process) {
  const made = new Output();
  const rejected = [];
  for (let index = 0; index < batch.ends.length; index += 1) {
    const payload = slice(batch.ends, batch.data, index);
    made.mark();
    try {
      process(decode(input, payload), new Emitter(made, output, batch, index, payload));
    } catch (error) {
      made.rollBack();
      if (!(error instanceof Reject || error instanceof DecodeError)) throw error;
      rejected.push({ index, reason: error.message });
    }
  }
  return { outputs: made.batches(batch), rejected };
}

/** Takes the events that `process` makes of one event. They inherit its time and key. */
class Emitter {
  #made;
  #output;
  #index;
  #payload;

  constructor(made, output, batch, index, payload) {
    this.#made = made;
    this.#output = output;
    this.#index = index;
    this.#payload = payload;
    /** Event time in nanoseconds since the Unix epoch. */
    this.timestamp = batch.timestamps[index];
    /** The partition key; empty where events have none. */
    this.key = batch.keyEnds.length > 0 ? slice(batch.keyEnds, batch.keys, index) : noKey;
    /** Facts about the batch, as pairs of name and value. */
    this.attributes = batch.attributes;
  }

  /** Gives an event. */
  emit(event, { timestamp = this.timestamp, key = this.key } = {}) {
    this.#made.add(this.#index, timestamp, key, (data) => this.#output.write(data, event));
  }

  /** Gives the input event as it came; for outputs of the same type. */
  forward() {
    this.#made.add(this.#index, this.timestamp, this.key, (data) => data.put(this.#payload));
  }
}

function call(work) {
  try {
    return work();
  } catch (error) {
    if (error instanceof Retry) throw failure({ tag: "retry", val: error.message });
    if (!(error instanceof Error)) throw failure({ tag: "fatal", val: words(error) });
    const place = error.stack?.split("\n").find((line) => line.trim() !== "" && !line.includes(error.message));
    const text = `${error.name}: ${words(error)}`;
    throw failure({ tag: "fatal", val: place ? `${text} (${place.trim()})` : text });
  }
}

/** What was thrown, whatever it is. */
function words(error) {
  if (error instanceof Error) return error.message;
  try {
    return `${String(error)} was thrown`;
  } catch {
    return "a value without a text was thrown";
  }
}

/** The error of a `result`, as componentize-js takes it. */
function failure(payload) {
  return Object.assign(new Error("see the payload"), { payload });
}
