// `example.order.v1`: the record of wit/events/example-order/event.wit.

import { codec } from "flowctl-sdk";

const item = codec.record({ sku: codec.string, quantity: codec.u32, priceCents: codec.u64 });

export const order = codec.record({
  id: codec.string,
  customer: codec.string,
  status: codec.enumeration("placed", "paid", "shipped", "cancelled"),
  totalCents: codec.u64,
  currency: codec.string,
  items: codec.list(item),
  note: codec.option(codec.string),
  placedAt: codec.u64,
});
