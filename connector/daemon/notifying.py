"""Tells systemd that the daemon is ready, lives, or stops (sd_notify(3)). Elsewhere it tells nobody.

It never fails: a daemon does not end because nobody hears that it lives.
"""

import contextlib
import os
import socket
from collections.abc import Callable

READY, STOPPING, WATCHDOG = "READY=1", "STOPPING=1", "WATCHDOG=1"

Notify = Callable[[str], None]


def silent(_: str) -> None:
    """Tell nobody."""


def to_systemd(state: str) -> None:
    """Send one state to the socket that systemd named, if it did."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    family = getattr(socket, "AF_UNIX", None)
    if not address or family is None:
        return
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as to:
        # unix(7): a name that begins with @ stands for one in the abstract name space.
        to.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
