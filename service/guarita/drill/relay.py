"""`python -m guarita.drill.relay PORT HOST:PORT`: passes each connection on, byte by byte.

It stands inside of a cluster, so that a drill outside of it goes through a Service: each connection
is a new one to it, as those of users are.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

from guarita.config import Address

LINGER_S = 10.0  # once one side has ended


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until this side ends. What comes for one that takes nothing more is read all the same."""
    takes = True
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            if takes:
                try:
                    writer.write(data)
                    await writer.drain()
                except OSError:
                    takes = False
    _end(writer)


def _end(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.write_eof()


async def serve(port: int, to: Address) -> None:
    """Until it is killed.

    No caller is reset, whatever the other side does: `kubectl port-forward` takes one connection
    that is reset for the loss of the pod, and ends with all others.
    """

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(to.host, to.port)
        except OSError:
            _end(writer)
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(LINGER_S):
                    while await reader.read(65_536):
                        pass
            writer.close()
            return
        ways = [
            asyncio.ensure_future(_pass_on(reader, there_writer)),
            asyncio.ensure_future(_pass_on(there_reader, writer)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait(ways, timeout=LINGER_S)
        for way in ways:
            way.cancel()
        for each in (writer, there_writer):
            each.close()

    server = await asyncio.start_server(connected, None, port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Address.parse(sys.argv[2])))
