"""A server that says what a test wants in the protocol of Redis, also what no server would."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from guarita.config import Address

REFUSED = b"-ERR this server says little\r\n"


def bulk(text: str) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text), text.encode())


def array(*words: str) -> bytes:
    return b"*%d\r\n%s" % (len(words), b"".join(map(bulk, words)))


@contextmanager
def speaking(answer: Callable[[str], bytes]) -> Iterator[Address]:
    """Its address; `answer` gets the words of each command in capitals, with a space between."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while count := self.rfile.readline():
                words = [self._word() for _ in range(int(count[1:]))]
                self.wfile.write(answer(" ".join(words).upper()))

        def _word(self) -> str:
            length = int(self.rfile.readline()[1:])
            return self.rfile.read(length + 2)[:-2].decode()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A caller that hangs up is no news."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Address("127.0.0.1", server.server_address[1])
        finally:
            server.shutdown()
            thread.join()
