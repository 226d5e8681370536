"""`guarita serve`: several processes behind one address, under gunicorn or granian.

Here is what both share; `gunicorn.py` and `granian.py` know their server. What reads metrics,
speaks Falcon or opens the store is imported in the workers: gevent has to patch the standard
library first, and prometheus-client decides at its import how it counts.
"""

from __future__ import annotations

import gc
import math
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from typing import NoReturn

from guarita import hosts, logs
from guarita.config import Settings
from guarita.errors import ConfigError
from guarita.server.address import check_address
from guarita.server.counts import metrics_dir
from guarita.wsgi import Service, secret_of

BACKLOG = 4096  # as many as Linux allows unless net.core.somaxconn is changed
GRACE_S = 5  # beyond the deadline of the last request, before a worker that stops is killed
KEEP_ALIVE_S = 5
SPARE_CONNECTIONS = 1024  # for probes and metrics while everyone else waits for the store


def serve(settings: Settings) -> NoReturn:
    """Serve until SIGTERM or SIGINT, then end the process with status 0.

    Raises `ConfigError` when a log file cannot be written or the server is not installed, and
    `TopologyError` when the address is taken.
    """
    run = _runner(settings)
    hosts.check(settings)
    logs.configure(settings)
    check_address(settings.server.bind)
    _allow_open_files(connections(settings))
    secret = secret_of(settings)
    with metrics_dir() as directory:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
        run(Service(settings, secret, directory))
    raise SystemExit(0)


def connections(settings: Settings) -> int:
    """Per worker: all who may wait for the store, and room for those who do not."""
    return settings.store.max_waiting + SPARE_CONNECTIONS


def stop_s(settings: Settings) -> int:
    """Seconds that a worker has to finish what it was asked, before it is killed."""
    return math.ceil(settings.store.deadline_s) + GRACE_S


def settle() -> None:
    """To be called when a worker has made what lives as long as it does.

    The collector looks at that no more: a look at it all stops every request for 35 ms.
    """
    gc.collect()
    gc.freeze()
    gc.enable()


@contextmanager
def patching() -> Iterator[None]:
    """To be put around gevent's patching of a worker, which then starts in half the time.

    gevent asks for its plugins 25 times while it patches, and each time all installed packages are
    read. Nothing is collected from here until `settle`: what a worker loads, it keeps. Afterwards
    no greenlet gives way to another while it counts for the metrics: gevent's lock costs more than
    the count.
    """
    gc.disable()
    ask, found = metadata.entry_points, metadata.entry_points()
    metadata.entry_points = lambda **chosen: found.select(**chosen)  # type: ignore[assignment]
    try:
        yield
    finally:
        metadata.entry_points = ask
    from gevent import monkey
    from prometheus_client import values

    values.Lock = monkey.get_original("_thread", "allocate_lock")  # type: ignore[attr-defined]


def _runner(settings: Settings) -> Callable[[Service], None]:
    """The chosen server, loaded. Raises `ConfigError`."""
    if settings.server.kind == "gunicorn":
        from guarita.server import gunicorn

        return gunicorn.run
    try:
        from guarita.server import granian
    except ModuleNotFoundError as exc:
        if exc.name != "granian":
            raise
        text = "server.kind: granian needs the extra: pip install 'guarita[granian]'"
        raise ConfigError([text]) from exc
    return granian.run


def _allow_open_files(wanted: int) -> None:
    """Raise the soft limit: 1024 is usual, and every caller who waits holds a socket."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = wanted + SPARE_CONNECTIONS
    if hard != resource.RLIM_INFINITY:
        target = min(target, hard)
    if soft != resource.RLIM_INFINITY and soft < target:
        with suppress(ValueError, OSError):  # macOS has a lower limit that it does not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
