// Raises an alert for each order of `minimum` or more: one event type in, another out.

import { codec, log, processor } from "flowctl-sdk";

import { order } from "../order.js";

const alert = codec.record({ order: codec.string, totalCents: codec.u64 });

let minimum;

export const { handler, config } = processor({
  input: order,
  output: alert,

  configure(settings) {
    if (settings.minimum === 0n) throw new Error("`minimum` is 0: every order would raise an alert");
    minimum = settings.minimum;
    log.info(`alerts from ${minimum} cents`);
  },

  process({ id, totalCents, status }, out) {
    // an error that is no Reject sets the event aside too, with the place where it was thrown
    if (id === "") throw new RangeError("an order has no id");
    if (status === "cancelled") return;
    if (totalCents >= minimum) out.emit({ order: id, totalCents });
  },
});
