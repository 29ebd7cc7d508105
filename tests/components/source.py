"""A source of orders: as many as COUNT says, as JSON of `example.order.v1`.

Each says in its metadata which `resume_token` goes on behind it. It serves one stream at
a time, as other sources do. Where STAY is `1`, the stream stays open behind the last.
"""

import json
import os
import threading

import grpc

import wire
from component import Component

EVENT_TYPE = "example.order.v1"
STATUSES = ("placed", "paid", "shipped", "cancelled")
FIRST_PLACED_AT = 1_764_000_000


def order(number):
    """The order of this number, counted from 1; the same one whenever it is asked for."""
    price, quantity = 100 + number, number % 3 + 1
    return {
        "id": f"order-{number}",
        "customer": f"customer-{number % 7}",
        "status": STATUSES[number % len(STATUSES)],
        "total_cents": price * quantity,
        "currency": "EUR",
        "items": [{"sku": f"sku-{number % 11}", "quantity": quantity, "price_cents": price}],
        "note": None if number % 5 else f"note of order {number}",
        "placed_at": FIRST_PLACED_AT + number,
    }


class Orders(Component):
    """The source."""

    def __init__(self):
        super().__init__("SOURCE", "order-source-v1", "Order Source", outputs=[EVENT_TYPE])
        self.count = int(os.environ.get("COUNT", "100"))
        self.is_streaming = threading.Lock()

    def StreamEvents(self, request, context):  # noqa: N802, the name is the wire's
        """Emits the orders behind the resume token, or all of them."""
        if not self.is_streaming.acquire(blocking=False):
            context.abort(grpc.StatusCode.UNKNOWN, "already streaming events")
        try:
            token = request.resume_token if request.resume else ""
            if token and not token.isdecimal():
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"no resume token: `{token}`")
            for number in range(int(token or 0) + 1, self.count + 1):
                event = wire.Event(
                    id=f"order-{number}",
                    type=EVENT_TYPE,
                    payload=json.dumps(order(number)).encode(),
                    metadata={"resume_token": str(number)},
                    source_component_id=self.info.id,
                    content_type="application/json",
                )
                event.timestamp.FromSeconds(FIRST_PLACED_AT + number)
                yield event
            if os.environ.get("STAY") == "1":
                is_over = threading.Event()
                if context.add_callback(is_over.set):
                    is_over.wait()
        finally:
            self.is_streaming.release()

    def GetState(self, _request, _context):  # noqa: N802
        """Has no state."""
        return wire.StateResponse()

    def SaveState(self, _request, _context):  # noqa: N802
        """Keeps no state."""
        return wire.Empty()


if __name__ == "__main__":
    Orders().run("SourceService")
