"""Raises an alert for each order of `minimum` or more: one event type in, another out."""

from flowctl_sdk import Processor, exports, log
from flowctl_sdk.codec import record, string, u64
from order import Order


@record
class Alert:
    order: string
    total_cents: u64


class OrderAlerts(Processor):
    input = Order
    output = Alert

    def configure(self, config):
        if config.minimum == 0:
            raise ValueError("`minimum` is 0: every order would raise an alert")
        self.minimum = config.minimum
        log.info(f"alerts from {self.minimum} cents")

    def process(self, order, out):
        # an error that is no Reject sets the event aside too, with the place where it was raised
        if not order.id:
            raise ValueError("an order has no id")
        if order.status != "cancelled" and order.total_cents >= self.minimum:
            out.emit(Alert(order.id, order.total_cents))


Handler, Config = exports(OrderAlerts)
