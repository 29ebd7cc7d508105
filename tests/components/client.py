"""Calls every method of the control plane at FLOWCTL_ENDPOINT, and prints what it saw.

Three components are registered, each named in one of the ways that components use: by
`component.id`, by `component.name` alone, and by `component_id` alone. Stdout is one JSON
object from the name of a step to what it gave: the fields of the response that are set,
or `{"code": …}`. Times are given as `true` where they are set. Components of others are
left out.
"""

import json
import os

import grpc
from google.protobuf import json_format

import wire

SOURCE, PROCESSOR, SINK = "witness-source", "witness-processor", "witness-sink"
RAW, DONE = "witness.raw.v1", "witness.done.v1"
TIMES = ("last_heartbeat", "registered_at")
TIMEOUT_S = 10


def seen(message):
    """The fields of a message that are set."""
    fields = json_format.MessageToDict(message, preserving_proto_field_name=True)
    if "components" in fields or isinstance(message, (wire.DiscoveryResponse, wire.ListComponentsResponse)):
        own = [told(component) for component in fields.get("components", ())]
        fields["components"] = sorted((component for component in own if is_own(component)), key=name)
    return told(fields)


def told(fields):
    """Fields whose times are told as being there."""
    return {field: True if field in TIMES else value for field, value in fields.items()}


def name(component):
    """What a component is known by, in a list or as the answer of a search."""
    info = component.get("component", component)
    return info.get("id") or info.get("name", "")


def is_own(component):
    """Whether this program registered the component."""
    return name(component).startswith("witness-")


class Witness:
    """A control plane, and what it answered so far."""

    def __init__(self, channel):
        self.stub = wire.Stub(channel, "ControlPlaneService")
        self.answers = {}

    def call(self, step, method, request):
        """Calls a method, and keeps what it gave under the name of the step."""
        try:
            response = getattr(self.stub, method)(request, timeout=TIMEOUT_S, wait_for_ready=True)
        except grpc.RpcError as error:
            self.answers[step] = {"code": error.code().name}
            return None
        self.answers[step] = seen(response)
        return response

    def register(self, step, info, component_id=""):
        """Registers a component, and answers what it is called from now on."""
        request = wire.RegisterRequest(component=info, component_id=component_id)
        response = self.call(step, "RegisterComponent", request)
        return response.service_id if response else ""

    def register_all(self):
        """Registers the three, and answers what each is called."""
        source = wire.ComponentInfo(
            id=SOURCE,
            name="Witness Source",
            description="Emits nothing",
            version="1.2.3",
            type=wire.COMPONENT_TYPE["SOURCE"],
            output_event_types=[RAW],
            endpoint="127.0.0.1:50071",
            metadata={"network": "testnet", "language": "python"},
        )
        processor = wire.ComponentInfo(
            name=PROCESSOR,
            type=wire.COMPONENT_TYPE["PROCESSOR"],
            input_event_types=[RAW],
            output_event_types=[DONE],
            endpoint=":50072",
            metadata={"language": "python"},
        )
        sink = wire.ComponentInfo(
            type=wire.COMPONENT_TYPE["CONSUMER"], input_event_types=[DONE], endpoint="0.0.0.0:50073"
        )
        return (
            self.register("register source", source),
            self.register("register processor by name", processor),
            self.register("register sink by component_id", sink, component_id=SINK),
        )

    def status(self, step, service_id):
        """Asks for one component."""
        self.call(step, "GetComponentStatus", wire.ComponentStatusRequest(service_id=service_id))

    def list(self, step, kind="UNSPECIFIED", include_unhealthy=False):
        """Lists components."""
        request = wire.ListComponentsRequest(
            type_filter=wire.COMPONENT_TYPE[kind], include_unhealthy=include_unhealthy
        )
        self.call(step, "ListComponents", request)

    def discover(self, step, kind="UNSPECIFIED", event_types=(), metadata=None):
        """Looks for components."""
        request = wire.DiscoveryRequest(
            type=wire.COMPONENT_TYPE[kind], event_types=event_types, metadata_filters=metadata or {}
        )
        self.call(step, "DiscoverComponents", request)

    def beat(self, step, service_id, health, metrics=None):
        """Says how a component is."""
        request = wire.HeartbeatRequest(
            service_id=service_id, status=wire.HEALTH[health], metrics=metrics or {}
        )
        self.call(step, "Heartbeat", request)

    def unregister(self, step, service_id):
        """Takes a component away."""
        self.call(step, "UnregisterComponent", wire.UnregisterRequest(service_id=service_id))


def visit(witness):
    """Goes through every method."""
    source, processor, sink = witness.register_all()
    witness.status("status of source", source)
    witness.status("status of processor", processor)
    witness.status("status of sink", sink)

    witness.list("list")
    witness.list("list processors", "PROCESSOR")
    witness.discover("discover")
    witness.discover("discover consumers", "CONSUMER")
    witness.discover("discover by type emitted or read", event_types=[RAW])
    witness.discover("discover by either of two types", event_types=[DONE, "witness.unknown.v1"])
    witness.discover("discover by metadata", metadata={"language": "python", "network": "testnet"})
    witness.discover("discover by other metadata", metadata={"network": "pubnet"})

    witness.beat("heartbeat", source, "DEGRADED", {"events": "7"})
    witness.status("status after heartbeat", source)
    witness.beat("heartbeat of unhealthy", processor, "UNHEALTHY")
    witness.list("list without unhealthy")
    witness.list("list with unhealthy", include_unhealthy=True)
    witness.discover("discover without unhealthy")

    witness.unregister("unregister sink", sink)
    witness.status("status after unregister", sink)
    witness.beat("heartbeat after unregister", sink, "HEALTHY")
    for step, call in (("status", witness.status), ("unregister", witness.unregister)):
        call(f"{step} of nobody", "witness-nobody")
    witness.beat("heartbeat of nobody", "witness-nobody", "HEALTHY")
    witness.register("register without component", None)
    witness.register("register without a name", wire.ComponentInfo(type=wire.COMPONENT_TYPE["SOURCE"]))
    unspecified = wire.ComponentInfo(id="witness-untyped", endpoint=":50074")
    witness.unregister("unregister untyped", witness.register("register without a type", unspecified))

    witness.unregister("unregister source", source)
    witness.unregister("unregister processor", processor)
    witness.list("list after all", include_unhealthy=True)


def main():
    """Prints the answers."""
    with grpc.insecure_channel(os.environ["FLOWCTL_ENDPOINT"]) as channel:
        witness = Witness(channel)
        visit(witness)
    print(json.dumps(witness.answers, indent=2))


if __name__ == "__main__":
    main()
