"""The host as a component sees it; in tests, where there is none, what stands in for it."""

import sys

try:
    from componentize_py_types import Err
    from wit_world.imports import log as _log
    from wit_world.imports.types import Batch, Fault_Fatal, Fault_Retry, Outcome, Rejection

    def log(level, message):
        _log.log(_log.Level[level.upper()], message)

except ImportError:
    from dataclasses import dataclass
    from types import SimpleNamespace
    from typing import Any

    Batch = Outcome = Rejection = SimpleNamespace

    @dataclass
    class Fault_Retry:
        value: str

    @dataclass
    class Fault_Fatal:
        value: str

    @dataclass
    class Err(Exception):
        value: Any

    def log(level, message):
        print(f"{level}: {message}", file=sys.stderr)
