"""A sink of orders: appends each as a line of JSON to the file OUTPUT."""

import json
import os
import threading

import wire
from component import Component, say

EVENT_TYPE = "example.order.v1"


class Lines(Component):
    """The sink."""

    def __init__(self):
        super().__init__("CONSUMER", "order-sink-v1", "Order Sink", inputs=[EVENT_TYPE])
        self.output = open(os.environ["OUTPUT"], "a", encoding="utf-8")
        self.writing = threading.Lock()

    def Consume(self, events, _context):  # noqa: N802, the name is the wire's
        """Takes the orders, and answers when the disk has them."""
        n_consumed = 0
        for event in events:
            if event.type != EVENT_TYPE:
                say(f"skipped an event of type {event.type}")
                continue
            line = {
                "id": event.id,
                "type": event.type,
                "content_type": event.content_type,
                "metadata": dict(event.metadata),
                "order": json.loads(event.payload),
            }
            with self.writing:
                self.output.write(json.dumps(line) + "\n")
            n_consumed += 1
        with self.writing:
            self.output.flush()
            os.fsync(self.output.fileno())
        return wire.ConsumeResponse(events_consumed=n_consumed)


if __name__ == "__main__":
    Lines().run("ConsumerService")
