"""The wire of flowctl.v1, written down a second time.

Message classes are built at run time from the tables below, stubs and handlers from the
table of services. Nothing here comes from flowctl's own protocol files: what speaks
through this module is a witness of the wire, not an echo of them.
"""

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, empty_pb2, message_factory, timestamp_pb2

PACKAGE = "flowctl.v1"

# Name: the fields, each as number, name and type; `*` after the type repeats it.
MESSAGES = {
    "Event": "1 id string, 2 type string, 3 payload bytes, 4 metadata map, 5 timestamp Timestamp, "
    "6 source_component_id string, 7 content_type string, 8 stellar_cursor StellarCursor",
    "StellarCursor": "1 ledger_sequence uint64, 2 index_in_ledger uint32",
    "ComponentInfo": "1 id string, 2 name string, 3 description string, 4 version string, 5 type ComponentType, "
    "6 input_event_types string*, 7 output_event_types string*, 8 endpoint string, 9 metadata map",
    "HealthCheckRequest": "1 include_details bool",
    "HealthCheckResponse": "1 status HealthStatus, 2 metrics map, 3 components ComponentHealth*, 4 message string",
    "ComponentHealth": "1 component_name string, 2 status HealthStatus, 3 message string",
    "RegisterRequest": "1 component ComponentInfo, 2 component_id string",
    "RegisterResponse": "1 service_id string, 2 assigned_topics string*, 3 connection_info map",
    "UnregisterRequest": "1 service_id string",
    "DiscoveryRequest": "1 type ComponentType, 2 event_types string*, 3 metadata_filters map",
    "DiscoveryResponse": "1 components ComponentInfo*",
    "HeartbeatRequest": "1 service_id string, 2 status HealthStatus, 3 metrics map",
    "ComponentStatusRequest": "1 service_id string",
    "ComponentStatusResponse": "1 component ComponentInfo, 2 status HealthStatus, 3 last_heartbeat Timestamp, "
    "4 metrics map, 5 registered_at Timestamp",
    "ListComponentsRequest": "1 type_filter ComponentType, 2 include_unhealthy bool",
    "ListComponentsResponse": "1 components ComponentStatusResponse*",
    "StreamRequest": "1 params map, 2 resume bool, 3 resume_token string",
    "StateRequest": "1 key string",
    "StateResponse": "1 state map, 2 resume_token string, 3 last_updated_unix int64",
    "SaveStateRequest": "1 state map, 2 key string",
    "ConsumeResponse": "1 events_consumed int64, 2 events_failed int64, 3 errors string*",
}

# Name: the values from 0 on, without the prefix that they all have.
ENUMS = {
    "ComponentType": ("COMPONENT_TYPE_", "UNSPECIFIED SOURCE PROCESSOR CONSUMER"),
    "HealthStatus": ("HEALTH_STATUS_", "UNKNOWN STARTING HEALTHY DEGRADED UNHEALTHY STOPPING"),
}

# Service: its methods, each as name, request and response; `*` after either streams it.
SERVICES = {
    "ControlPlaneService": "RegisterComponent RegisterRequest RegisterResponse, "
    "UnregisterComponent UnregisterRequest Empty, DiscoverComponents DiscoveryRequest DiscoveryResponse, "
    "Heartbeat HeartbeatRequest Empty, GetComponentStatus ComponentStatusRequest ComponentStatusResponse, "
    "ListComponents ListComponentsRequest ListComponentsResponse",
    "SourceService": "GetInfo Empty ComponentInfo, HealthCheck HealthCheckRequest HealthCheckResponse, "
    "StreamEvents StreamRequest Event*, GetState StateRequest StateResponse, SaveState SaveStateRequest Empty",
    "ProcessorService": "GetInfo Empty ComponentInfo, HealthCheck HealthCheckRequest HealthCheckResponse, "
    "Process Event* Event*",
    "ConsumerService": "GetInfo Empty ComponentInfo, HealthCheck HealthCheckRequest HealthCheckResponse, "
    "Consume Event* ConsumeResponse",
}

RAW_LEDGER = {"RawLedger": "1 sequence uint32, 2 ledger_close_meta_xdr bytes, 3 network string, 4 closed_at int64"}

_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _FIELD.TYPE_STRING,
    "bytes": _FIELD.TYPE_BYTES,
    "bool": _FIELD.TYPE_BOOL,
    "uint32": _FIELD.TYPE_UINT32,
    "uint64": _FIELD.TYPE_UINT64,
    "int64": _FIELD.TYPE_INT64,
}


def _add_map_entry(message, field_name):
    """Adds what a `map<string, string>` is on the wire: a message of key and value."""
    name = "".join(part.title() for part in field_name.split("_")) + "Entry"
    entry = message.nested_type.add(name=name)
    entry.options.map_entry = True
    for number, part in enumerate(("key", "value"), start=1):
        entry.field.add(name=part, number=number, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_OPTIONAL)
    return name


def _add_message(file, name, fields):
    message = file.message_type.add(name=name)
    for field in fields.split(","):
        number, field_name, kind = field.split()
        is_repeated = kind.endswith("*") or kind == "map"
        kind = kind.rstrip("*")
        made = message.field.add(name=field_name, number=int(number))
        made.label = _FIELD.LABEL_REPEATED if is_repeated else _FIELD.LABEL_OPTIONAL
        if kind in _SCALARS:
            made.type = _SCALARS[kind]
        elif kind in ENUMS:
            made.type, made.type_name = _FIELD.TYPE_ENUM, f".{file.package}.{kind}"
        elif kind == "map":
            entry = _add_map_entry(message, field_name)
            made.type, made.type_name = _FIELD.TYPE_MESSAGE, f".{file.package}.{name}.{entry}"
        elif kind == "Timestamp":
            made.type, made.type_name = _FIELD.TYPE_MESSAGE, ".google.protobuf.Timestamp"
        else:
            made.type, made.type_name = _FIELD.TYPE_MESSAGE, f".{file.package}.{kind}"


def _classes(package, messages, enums):
    """The message classes of a package, by name."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.table", package=package, syntax="proto3", dependency=[timestamp_pb2.DESCRIPTOR.name]
    )
    for name, (prefix, values) in enums.items():
        enum = file.enum_type.add(name=name)
        for number, value in enumerate(values.split()):
            enum.value.add(name=prefix + value, number=number)
    for name, fields in messages.items():
        _add_message(file, name, fields)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    named = {name: pool.FindMessageTypeByName(f"{package}.{name}") for name in messages}
    return {name: message_factory.GetMessageClass(descriptor) for name, descriptor in named.items()}


def _constants(name):
    """The values of an enum, by name without prefix."""
    return {value: number for number, value in enumerate(ENUMS[name][1].split())}


_CLASSES = {"Empty": empty_pb2.Empty, **_classes(PACKAGE, MESSAGES, ENUMS)}
globals().update(_CLASSES)

RawLedger = _classes("stellar.v1", RAW_LEDGER, {})["RawLedger"]
COMPONENT_TYPE = _constants("ComponentType")
HEALTH = _constants("HealthStatus")


def _methods(service):
    """Name, request class, whether requests stream, response class, whether responses stream."""
    for method in SERVICES[service].split(","):
        name, request, response = method.split()
        yield (
            name,
            _CLASSES[request.rstrip("*")],
            request.endswith("*"),
            _CLASSES[response.rstrip("*")],
            response.endswith("*"),
        )


class Stub:
    """A client of one service: each of its methods is an attribute to call."""

    def __init__(self, channel, service):
        kinds = {
            (False, False): channel.unary_unary,
            (False, True): channel.unary_stream,
            (True, False): channel.stream_unary,
            (True, True): channel.stream_stream,
        }
        for name, request, is_request_stream, response, is_response_stream in _methods(service):
            call = kinds[is_request_stream, is_response_stream](
                f"/{PACKAGE}.{service}/{name}",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )
            setattr(self, name, call)


def handler(service, servant):
    """What serves one service: the methods of `servant` that have its methods' names."""
    kinds = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    handlers = {
        name: kinds[is_request_stream, is_response_stream](
            getattr(servant, name),
            request_deserializer=request.FromString,
            response_serializer=response.SerializeToString,
        )
        for name, request, is_request_stream, response, is_response_stream in _methods(service)
        if hasattr(servant, name)
    }
    return grpc.method_handlers_generic_handler(f"{PACKAGE}.{service}", handlers)
