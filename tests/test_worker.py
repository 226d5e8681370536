"""The gunicorn worker's own part: who is taken in, and when no longer."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from serving import MEMORY, serving

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


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can keep them out")
def test_a_stop_lets_nobody_in_whom_no_worker_would_take_in(tmp_path: Path) -> None:
    with serving(tmp_path, store=MEMORY) as service, ExitStack() as open_ones:
        [worker] = service.workers()
        os.kill(worker, signal.SIGSTOP)  # its arbiter is quicker
        here = ("127.0.0.1", service.port)
        let_in = [open_ones.enter_context(socket.create_connection(here))]
        service.process.send_signal(signal.SIGTERM)
        with suppress(ConnectionRefusedError):
            while True:  # the signal is on its way
                let_in.append(open_ones.enter_context(socket.create_connection(here, timeout=5)))
        os.kill(worker, signal.SIGCONT)
        for caller in let_in:
            caller.settimeout(30)
            caller.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
            assert caller.recv(12) == b"HTTP/1.1 200"
        assert service.process.wait(timeout=30) == 0
