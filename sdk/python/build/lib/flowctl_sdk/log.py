"""Lines for the operator: the node's log in a component, stderr elsewhere."""

from .host import log as _write


def debug(message):
    _write("debug", str(message))


def info(message):
    _write("info", str(message))


def warn(message):
    _write("warn", str(message))


def error(message):
    _write("error", str(message))
