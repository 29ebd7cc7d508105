"""A processor of orders: passes those with an even number, and doubles what they cost."""

import json

import wire
from component import Component, say

EVENT_TYPE = "example.order.v1"


class EvenOrders(Component):
    """The processor."""

    def __init__(self):
        super().__init__("PROCESSOR", "even-orders-v1", "Even Orders", inputs=[EVENT_TYPE], outputs=[EVENT_TYPE])

    def Process(self, events, _context):  # noqa: N802, the name is the wire's
        """Answers each order that passes when it comes."""
        for event in events:
            if event.type != EVENT_TYPE:
                say(f"no handler for {event.type}")
                continue
            order = json.loads(event.payload)
            if int(order["id"].rpartition("-")[2]) % 2:
                continue
            order["total_cents"] *= 2
            doubled = wire.Event()
            doubled.CopyFrom(event)
            doubled.id = f"{event.id}-doubled"
            doubled.payload = json.dumps(order).encode()
            doubled.source_component_id = self.info.id
            yield doubled


if __name__ == "__main__":
    EvenOrders().run("ProcessorService")
