// Lines and figures for the operator: the node's log and its counters in a
// component, the console elsewhere.

import { counter, log as write } from "#host";

const at = (level) => (message) => write(level, String(message));

/** Writes a line of this level to the node's log. */
export const log = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };

export const metrics = {
  /** Adds to a counter of the node; its name is `[a-z][a-z0-9_]*`. */
  counter: (name, by = 1) => counter(name, BigInt(by)),
};
