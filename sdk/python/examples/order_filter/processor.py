"""Passes orders of at least `minimum`, in wanted currencies: plugins/order-filter in Python."""

from flowctl_sdk import Processor, Reject, exports
from order import Order


class OrderFilter(Processor):
    input = Order
    output = Order

    def configure(self, config):
        self.config = config

    def process(self, order, out):
        if not order.currency:
            raise Reject("it has no currency")
        currencies = self.config.currencies
        is_wanted = not currencies or order.currency in currencies
        if is_wanted and order.total_cents >= self.config.minimum:
            out.forward()


Handler, Config = exports(OrderFilter)
