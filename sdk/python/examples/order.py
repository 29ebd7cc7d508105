"""`example.order.v1`: the record of wit/events/example-order/event.wit."""

from flowctl_sdk.codec import enumeration, option, record, sequence, string, u32, u64


@record
class Item:
    sku: string
    quantity: u32
    price_cents: u64


@record
class Order:
    id: string
    customer: string
    status: enumeration("placed", "paid", "shipped", "cancelled")
    total_cents: u64
    currency: string
    items: sequence(Item)
    note: option(string)
    placed_at: u64
