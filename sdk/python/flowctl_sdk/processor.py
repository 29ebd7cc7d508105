"""What a component exports, made from an author's class.

Invariant: nothing that an author raises leaves as a trap. A `Reject` or a payload
that is none refuses its event, a `Retry` asks the host to call again, and anything
else is a fault with its message and its place.
"""

import traceback

from . import codec
from .columns import Output, piece
from .host import Batch, Err, Fault_Fatal, Fault_Retry, Outcome, Rejection


class Reject(Exception):
    """Refuses one event: it goes to the dead letters with this reason, and the stream goes on."""


class Retry(Exception):
    """Something outside is not ready: the host calls again with the whole batch after a pause."""


class Processor:
    """A processor: `input` and `output` are the codecs of the event types."""

    input = None
    output = None

    def configure(self, config):
        """Takes the settings, before the first event. What it raises refuses them."""

    def process(self, event, out):
        """Takes one event. `out.emit(event)` and `out.forward()` give events, as many as it likes."""
        raise NotImplementedError


class Emitter:
    """Takes the events that `process` makes of one event. They inherit its time and key."""

    __slots__ = ("_made", "_output", "_origin", "_payload", "attributes", "key", "timestamp")

    def __init__(self, made, output, events, index, payload):
        self._made, self._output, self._origin, self._payload = made, output, index, payload
        self.timestamp = events.timestamps[index]
        self.key = piece(events.key_ends, events.keys, index) if events.key_ends else b""
        self.attributes = events.attributes

    def emit(self, event, *, timestamp=None, key=None):
        """Gives an event; `timestamp` is in nanoseconds since the Unix epoch."""
        timestamp = self.timestamp if timestamp is None else timestamp
        key = self.key if key is None else key
        self._made.add(self._origin, timestamp, key, lambda data: self._output.write(data, event))

    def forward(self):
        """Gives the input event as it came; for outputs of the same type."""
        self._made.add(self._origin, self.timestamp, self.key, lambda data: data.extend(self._payload))


def exports(processor_type):
    """The classes `Handler` and `Config` of a component: `Handler, Config = exports(MyProcessor)`."""
    processor = processor_type()

    class Handler:
        def process(self, events):
            try:
                return _process(processor, events)
            except Retry as retry:
                raise Err(Fault_Retry(str(retry))) from retry
            except (Exception, SystemExit) as error:
                frame = traceback.extract_tb(error.__traceback__)[-1]
                place = f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}"
                raise Err(Fault_Fatal(f"{type(error).__name__}: {error} ({place})")) from error

    class Config:
        def configure(self, config):
            try:
                processor.configure(config)
            except (Exception, SystemExit) as error:
                raise Err(str(error)) from error

    return Handler, Config


def _process(processor, events):
    made, rejected = Output(), []
    for index in range(len(events.ends)):
        payload = piece(events.ends, events.data, index)
        mark = made.mark()
        try:
            event = codec.decode(processor.input, payload)
            processor.process(event, Emitter(made, processor.output, events, index, payload))
        except (Reject, codec.DecodeError) as refused:
            made.roll_back(mark)
            rejected.append(Rejection(index=index, reason=str(refused)))
    return Outcome(outputs=made.batches(events, Batch), rejected=rejected)
