"""The gunicorn worker's own part: who is taken in, and when no longer."""

from __future__ import annotations

import subprocess
import sys

CALLERS = 7

# In a process of its own: gevent leaves nothing of the one it is imported in as it was.
CLOSES = f"""
import socket, gevent
from gevent.pool import Pool
from gevent.socket import socket as gevent_socket
from guarita.worker import Acceptor

plain = socket.create_server(("127.0.0.1", 0))
listener = gevent_socket(fileno=plain.detach())
answered = []
acceptor = Acceptor(listener, handle=lambda client, _: answered.append(client), spawn=Pool(100))
callers = [socket.create_connection(listener.getsockname()) for _ in range({CALLERS})]
acceptor.close()
gevent.sleep(0.01)
print(len(answered))
"""


def test_a_worker_that_closes_takes_in_whom_the_kernel_has_let_in() -> None:
    told = subprocess.run([sys.executable, "-c", CLOSES], capture_output=True, text=True)
    assert told.stdout == f"{CALLERS}\n", told.stderr
