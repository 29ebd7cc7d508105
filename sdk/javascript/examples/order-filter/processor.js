// Passes orders of at least `minimum`, in wanted currencies: plugins/order-filter in JavaScript.

import { processor, Reject } from "flowctl-sdk";

import { order } from "../order.js";

let settings;

export const { handler, config } = processor({
  input: order,
  output: order,

  configure(given) {
    settings = given;
  },

  process({ currency, totalCents }, out) {
    if (currency === "") throw new Reject("it has no currency");
    const { minimum, currencies } = settings;
    const isWanted = currencies.length === 0 || currencies.includes(currency);
    if (isWanted && totalCents >= minimum) out.forward();
  },
});
