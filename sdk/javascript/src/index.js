// What an author of a processor imports.

export * as codec from "./codec.js";
export { DecodeError } from "./bytes.js";
export { Reject, Retry, processor } from "./processor.js";
export { log, metrics } from "./log.js";
