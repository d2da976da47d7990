"""How this process gives memory back while it works on large tensors."""

import ctypes
import sys

#: glibc's parameters (malloc.h).
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
#: The largest threshold that glibc takes; and what is freed stays with the process up to so many bytes.
_MAPPED_BYTES, _KEPT_BYTES, _GROWTH_BYTES = 2**25, 2**29, 2**26


def keep_freed() -> None:
    """Let the next tensor have the memory of the one that was freed; elsewhere than on glibc nothing happens.

    By default every tensor of some megabytes is given back at once, and its pages are made anew, zeroed, for the next
    one: on tensors of 800,000 elements that took more time than a convolution and its ReLU.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    mallopt(_M_TOP_PAD, _GROWTH_BYTES)
