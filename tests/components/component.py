"""What every component does beside its own service.

It listens on PORT, answers HTTP health on HEALTH_PORT, and where ENABLE_FLOWCTL is `true`
registers at FLOWCTL_ENDPOINT, says each FLOWCTL_HEARTBEAT_INTERVAL that it lives, and
unregisters when it is told to end. On stdout it says where it listens and what it is
registered as, one line each.
"""

import http.server
import os
import re
import signal
import sys
import threading
from concurrent import futures

import grpc

import wire

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "": 1}


def say(line):
    """Writes a line to stdout that a reader sees at once."""
    print(line, flush=True)


def port(name):
    """The port that a variable names, in one of the forms `50051`, `:50051` and `0.0.0.0:50051`; 0 takes a free one."""
    return int(os.environ.get(name, "0").rpartition(":")[2])


def interval():
    """Seconds between heartbeats: FLOWCTL_HEARTBEAT_INTERVAL, such as `10s` or `500ms`."""
    text = os.environ.get("FLOWCTL_HEARTBEAT_INTERVAL", "10s")
    found = re.fullmatch(r"([0-9.]+)(ms|s|m|h|)", text)
    if not found:
        sys.exit(f"FLOWCTL_HEARTBEAT_INTERVAL is no duration: `{text}`")
    return float(found[1]) * _SECONDS[found[2]]


class _Health(http.server.BaseHTTPRequestHandler):
    """Answers `/health`."""

    def do_GET(self):  # noqa: N802, the name is the base class's
        """Says that all is well."""
        is_known = self.path == "/health"
        self.send_response(200 if is_known else 404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"status": "healthy"}' if is_known else b"{}")

    def log_message(self, *_):
        """Keeps the requests out of stderr."""


class Component:
    """A component: its description, and the two methods that every service has."""

    def __init__(self, kind, component_id, name, inputs=(), outputs=()):
        self.info = wire.ComponentInfo(
            id=os.environ.get("COMPONENT_ID", component_id),
            name=name,
            description="Written in Python, for tests",
            version="1.0.0",
            type=wire.COMPONENT_TYPE[kind],
            input_event_types=inputs,
            output_event_types=outputs,
            metadata={"language": "python"},
        )

    def GetInfo(self, _request, _context):  # noqa: N802, the name is the wire's
        """Describes the component."""
        return self.info

    def HealthCheck(self, _request, _context):  # noqa: N802
        """Says that all is well."""
        return wire.HealthCheckResponse(status=wire.HEALTH["HEALTHY"], message=f"{self.info.id} is healthy")

    def run(self, service):
        """Serves `service` until the process is told to end."""
        is_over = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: is_over.set())
        _end_with_parent()
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
        server.add_generic_rpc_handlers([wire.handler(service, self)])
        listened = server.add_insecure_port(f"127.0.0.1:{port('PORT')}")
        self.info.endpoint = f":{listened}"
        health = http.server.ThreadingHTTPServer(("127.0.0.1", port("HEALTH_PORT")), _Health)
        threading.Thread(target=health.serve_forever, daemon=True).start()
        server.start()
        say(f"listening on :{listened}, health on :{health.server_port}")
        if os.environ.get("ENABLE_FLOWCTL") == "true":
            self._live(is_over)
        else:
            is_over.wait()
        health.shutdown()
        # no grace: a stream that is open may be without end
        server.stop(None).wait()

    def _live(self, is_over):
        """Is registered until `is_over`."""
        with grpc.insecure_channel(os.environ["FLOWCTL_ENDPOINT"]) as channel:
            control_plane = wire.Stub(channel, "ControlPlaneService")
            request = wire.RegisterRequest(
                component=self.info, component_id=os.environ.get("FLOWCTL_COMPONENT_ID", "")
            )
            service_id = control_plane.RegisterComponent(request, wait_for_ready=True).service_id
            say(f"registered as {service_id}")
            beat = wire.HeartbeatRequest(service_id=service_id, status=wire.HEALTH["HEALTHY"])
            while not is_over.wait(interval()):
                try:
                    control_plane.Heartbeat(beat)
                except grpc.RpcError as error:
                    say(f"no heartbeat: {error.code().name}")
            try:
                control_plane.UnregisterComponent(wire.UnregisterRequest(service_id=service_id), timeout=5)
                say(f"unregistered {service_id}")
            except grpc.RpcError as error:
                say(f"not unregistered: {error.code().name}")


def _end_with_parent():
    """Ends the process when stdin does, where whoever started it holds the other end."""
    if os.environ.get("FLOWCTL_TEST_LEASH"):

        def wait():
            while sys.stdin.buffer.raw.read(1024):
                pass
            os._exit(1)

        threading.Thread(target=wait, daemon=True).start()
