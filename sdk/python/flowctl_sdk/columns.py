"""Batches as columns: the events of an input, and the output as it is made."""

from types import SimpleNamespace

from .codec import _integer, _of, u64


def piece(ends, data, index):
    """The slice of `data` that belongs to event `index`."""
    return data[ends[index - 1] if index else 0 : ends[index]]


class Output:
    """The output of one call. Nothing of an event that was refused stays."""

    def __init__(self):
        self.timestamps, self.ends, self.key_ends, self.origins = [], [], [], []
        self.data, self.keys = bytearray(), bytearray()

    def mark(self):
        """What `roll_back` goes back to."""
        return len(self.ends), len(self.data), len(self.keys)

    def roll_back(self, mark):
        n_events, n_bytes, n_key_bytes = mark
        for column in (self.timestamps, self.ends, self.key_ends, self.origins):
            del column[n_events:]
        del self.data[n_bytes:]
        del self.keys[n_key_bytes:]

    def add(self, origin, timestamp, key, write):
        """Adds one event whose payload `write` appends. One that fails leaves nothing behind."""
        timestamp = _integer(timestamp, 0, u64.maximum)
        key = _of(key.encode() if isinstance(key, str) else key, (bytes, bytearray), "key")
        n_bytes = len(self.data)
        try:
            write(self.data)
        except BaseException:
            del self.data[n_bytes:]
            raise
        self.keys += key
        self.timestamps.append(timestamp)
        self.ends.append(len(self.data))
        self.key_ends.append(len(self.keys))
        self.origins.append(origin)

    def batches(self, events, batch=SimpleNamespace):
        """The output as batches: watermark and attributes are those of the input."""
        if not self.ends and events.watermark is None:
            return []
        columns = batch(
            kind=0,
            timestamps=self.timestamps,
            ends=self.ends,
            data=bytes(self.data),
            key_ends=self.key_ends if self.keys else [],
            keys=bytes(self.keys),
            origins=self.origins,
            watermark=events.watermark,
            attributes=events.attributes if self.ends else [],
        )
        return [columns]
