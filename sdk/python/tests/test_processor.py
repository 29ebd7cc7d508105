"""What becomes of batches, of what an author raises, and of settings."""

import unittest
from types import SimpleNamespace

from flowctl_sdk import Processor, Reject, Retry, codec, exports
from flowctl_sdk.columns import piece
from flowctl_sdk.host import Err, Fault_Fatal, Fault_Retry


def batch(texts, **more):
    parts = [codec.encode(codec.string, text) for text in texts]
    ends = [sum(map(len, parts[: index + 1])) for index in range(len(parts))]
    empty = {"key_ends": [], "keys": b"", "origins": [], "watermark": None, "attributes": []}
    timestamps = list(range(1, len(parts) + 1))
    return SimpleNamespace(**{**empty, "kind": 0, "timestamps": timestamps, "ends": ends, "data": b"".join(parts), **more})


def texts(output):
    return [codec.decode(codec.string, piece(output.ends, output.data, index)) for index in range(len(output.ends))]


def handler(process):
    class Strings(Processor):
        input = output = codec.string

    Strings.process = process
    return exports(Strings)[0]()


class Processors(unittest.TestCase):
    def test_output_has_time_key_and_origin_of_its_input_and_the_facts_of_the_batch(self):
        def process(_self, text, out):
            if text == "b":
                out.forward()
            if text == "c":
                for number in "12":
                    out.emit(text + number, timestamp=9, key="k")

        facts = {"watermark": 5, "attributes": [("network", "pubnet")]}
        events = batch(["a", "b", "c"], key_ends=[1, 2, 3], keys=b"ABC", **facts)
        outcome = handler(process).process(events)
        (made,) = outcome.outputs
        self.assertEqual((outcome.rejected, texts(made)), ([], ["b", "c1", "c2"]))
        self.assertEqual((made.timestamps, made.origins), ([2, 9, 9], [1, 2, 2]))
        self.assertEqual((made.keys, made.key_ends), (b"Bkk", [1, 2, 3]))
        self.assertEqual((made.watermark, made.attributes), (5, [("network", "pubnet")]))

    def test_a_refused_event_leaves_nothing_behind_and_no_payload_is_a_refusal_too(self):
        def process(_self, text, out):
            out.emit(text)
            if text == "bad":
                raise Reject("it is bad")

        events = batch(["a", "bad", "c"])
        events.data = events.data[:1] + b"\xff" + events.data[2:]
        outcome = handler(process).process(events)
        self.assertEqual(texts(outcome.outputs[0]), ["c"])
        rejected = [(rejection.index, rejection.reason) for rejection in outcome.rejected]
        self.assertEqual(rejected, [(0, "a string is not UTF-8"), (1, "it is bad")])

    def test_an_emit_that_fails_leaves_nothing_behind_and_the_events_after_it_are_whole(self):
        @codec.record
        class Pair:
            name: codec.string
            count: codec.u8

        for event, more, message in [
            (Pair("half", 256), {}, "field `count`: 256 is no integer"),
            (Pair("whole", 1), {"key": 5}, "5 is no key"),
            (Pair("whole", 1), {"key": "\ud800"}, "surrogates not allowed"),
            (Pair("whole", 1), {"timestamp": 1.5}, "1.5 is no integer"),
            (Pair("whole", 1), {"timestamp": -1}, "-1 is no integer"),
        ]:
            class Pairs(Processor):
                input, output = codec.string, Pair

                def process(_self, _text, out):
                    with self.assertRaisesRegex((TypeError, ValueError), message):
                        out.emit(event, **more)
                    out.emit(Pair("after", 2), key="k")

            (made,) = exports(Pairs)[0]().process(batch(["a"])).outputs
            self.assertEqual(codec.decode(Pair, made.data), Pair("after", 2))
            self.assertEqual((made.ends, made.key_ends, made.origins), ([len(made.data)], [1], [0]))

    def test_a_watermark_passes_without_events(self):
        def process(_self, _text, _out):
            pass

        (made,) = handler(process).process(batch([], watermark=7)).outputs
        self.assertEqual((made.watermark, made.ends), (7, []))
        self.assertEqual(handler(process).process(batch(["a"])).outputs, [])

    def test_what_else_is_raised_is_a_fault_with_message_and_place(self):
        def fault(error):
            def process(_self, _text, _out):
                raise error

            with self.assertRaises(Err) as raised:
                handler(process).process(batch(["a"]))
            return raised.exception.value

        self.assertEqual(fault(Retry("not yet")), Fault_Retry("not yet"))
        fatal = fault(IndexError("too far"))
        self.assertIsInstance(fatal, Fault_Fatal)
        self.assertRegex(fatal.value, r"^IndexError: too far \(test_processor\.py:\d+\)$")
        self.assertRegex(fault(SystemExit(3)).value, r"^SystemExit: 3 \(test_processor\.py:\d+\)$")

    def test_a_timestamp_that_is_no_integer_is_a_fault(self):
        def process(_self, text, out):
            out.emit(text, timestamp=1.5)

        with self.assertRaises(Err) as raised:
            handler(process).process(batch(["a"]))
        self.assertRegex(raised.exception.value.value, r"^ValueError: 1\.5 is no integer")

    def test_what_configure_raises_refuses_the_settings_with_its_message(self):
        for error in (ValueError("`minimum` is missing"), SystemExit("`minimum` is missing")):
            class Strict(Processor):
                def configure(self, config):
                    raise error

            with self.assertRaises(Err) as raised:
                exports(Strict)[1]().configure(None)
            self.assertEqual(raised.exception.value, "`minimum` is missing")


if __name__ == "__main__":
    unittest.main()
