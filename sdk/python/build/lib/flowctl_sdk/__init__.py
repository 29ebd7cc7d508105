"""What an author of a processor imports."""

from . import codec, log
from .codec import DecodeError
from .processor import Processor, Reject, Retry, exports

__all__ = ["DecodeError", "Processor", "Reject", "Retry", "codec", "exports", "log"]
