"""Keeps the addresses of all nodes' names in a hosts file, so that nobody waits for a name.

A Sentinel stands still while it looks a name up, and it looks up every name that it is told,
several a second (github.com/redis/redis/issues/12184). Where a name server takes 0.2 s for an
answer, it is late with everything, and no failover is begun. What stands in the hosts file is found
at once: by Sentinels, by data nodes that connect to their primary, and by services.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import threading
from collections.abc import Callable, Iterable
from itertools import takewhile
from pathlib import Path

import structlog

from guarita.config import Settings
from guarita.config.addresses import is_ip
from guarita.errors import ConfigError

EVERY_S = 2.0
_MARK = b"# guarita"
_FAMILIES = (socket.AF_INET, socket.AF_INET6)

Resolve = Callable[[str, int], list[str]]
Line = tuple[str, str]  # a name and one of its addresses

_log = structlog.get_logger("guarita.hosts")


def check(settings: Settings) -> None:
    """Raises `ConfigError` where `store.hosts_file` cannot be written."""
    path = settings.store.hosts_file
    if path is not None and not os.access(path, os.R_OK | os.W_OK):
        reason = "may not be written by this user" if path.exists() else "no such file"
        raise ConfigError([f"store.hosts_file: {path}: {reason}"])


def keep(settings: Settings) -> None:
    """Keep `store.hosts_file` from now on, until this process ends; without one, do nothing."""
    path, names = settings.store.hosts_file, _names(settings)
    if path is None or not names:
        return
    hosts = Hosts(path, names, _ask_server)
    threading.Thread(target=hosts.run, name="guarita-hosts", daemon=True).start()


class Hosts:
    """The lines of some names in a hosts file, which others may write as well.

    What cannot be resolved keeps the addresses it had last, also those that an earlier process
    wrote. Names that somebody else has written there are his.
    """

    def __init__(self, path: Path, names: Iterable[str], resolve: Resolve) -> None:
        """`resolve` asks the name server itself for one family of addresses; none is an empty list.
        Raises `OSError` where it has no answer."""
        self._path = path
        self._names = sorted({name.lower() for name in names})
        self._resolve = resolve
        self._known: dict[tuple[str, int], list[str]] = {}
        self._lost: set[str] = set()
        self._told = ""

    def run(self) -> None:
        """Look again and again."""
        pause = threading.Event()
        while True:
            try:
                self.look()
            except Exception:  # noqa: BLE001 - addresses would grow old without a word
                _log.exception("a look at the names failed")
            pause.wait(EVERY_S)

    def look(self) -> None:
        """Ask for all names, all at once, and write what has changed."""
        asking = [
            threading.Thread(target=self._ask, args=(name,), daemon=True) for name in self._names
        ]
        for each in asking:
            each.start()
        for each in asking:
            each.join()
        self._write()

    def _ask(self, name: str) -> None:
        problem, found = None, dict[int, list[str]]()
        for family in _FAMILIES:
            try:
                found[family] = sorted(self._resolve(name, family))
            except OSError as exc:
                problem = problem or str(exc)
        if any(found.values()):
            self._known |= {(name, family): each for family, each in found.items()}
            self._tell(name, None)
        else:
            self._tell(name, problem or "it has no address")

    def _write(self) -> None:
        """In its place, and never shorter: it may be mounted, and somebody may be reading it."""
        try:
            with self._path.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # waiting would stop a service
                old = file.read()
                new = self._merged(old).ljust(len(old), b"\n")
                if new != old:
                    pairs = zip(old, new, strict=False)
                    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
                    _write_all(file.fileno(), old[same:], new[same:], same)
            self._told = ""
        except BlockingIOError:
            pass  # another process writes it; the next look comes soon
        except OSError as exc:
            text = f"{self._path} cannot be written: {exc}"
            if text != self._told:
                _log.error(text)
            self._told = text

    def _merged(self, old: bytes) -> bytes:
        """All lines of others as they stand, and then the kept ones in an order of their own."""
        lines = old.rstrip(b"\n").split(b"\n")
        others = [line for line in lines if _kept_in(line) is None]
        kept = {each for line in lines if (each := _kept_in(line)) is not None}
        earlier: dict[tuple[str, int], list[str]] = {}
        for name, address in sorted(kept):
            key = (name, _family_of(address))
            if name in self._names and key not in self._known:
                earlier.setdefault(key, []).append(address)
        self._known |= earlier
        taken = {word.lower() for line in others for word in _words(line)[1:]}
        own = {(name, each) for (name, _), known in self._known.items() for each in known}
        foreign = {each for each in kept if each[0] not in self._names}
        wanted = sorted(each for each in own | foreign if each[0] not in taken)
        return b"".join(
            line + b"\n"
            for line in (
                *others,
                *(f"{address}\t{name} ".encode() + _MARK for name, address in wanted),
            )
        )

    def _tell(self, name: str, problem: str | None) -> None:
        """Once, that it cannot be resolved, and that it can again."""
        if problem and name not in self._lost:
            text = "a name cannot be resolved, it keeps its addresses"
            _log.warning(text, name=name, reason=problem)
            self._lost.add(name)
        elif not problem and name in self._lost:
            _log.info("a name can be resolved again", name=name)
            self._lost.discard(name)


def _write_all(file: int, old: bytes, new: bytes, place: int) -> None:
    """Or nothing: half a line would be one of somebody else. Raises `OSError`."""
    written = os.pwrite(file, new, place)
    if written < len(new):
        os.pwrite(file, old[:written].ljust(written, b"\n"), place)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _kept_in(line: bytes) -> Line | None:
    """Of a line that some process keeps."""
    words = _words(line)
    if not line.rstrip().endswith(_MARK) or len(words) != 2:
        return None
    return words[1].lower(), words[0]


def _words(line: bytes) -> list[str]:
    return line.partition(b"#")[0].decode("utf-8", "replace").split()


def _family_of(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _names(settings: Settings) -> set[str]:
    """All hosts of the installation that are not addresses."""
    store, node = settings.store, settings.node
    own = [node.announce] if node.announce else []
    known = [*store.sentinel.nodes, *store.data_nodes, *node.peers, *node.agents, *own]
    return {each.host for each in known if not is_ip(each.host)}


def _ask_server(name: str, family: int) -> list[str]:
    """The servers of /etc/resolv.conf, past the hosts file."""
    from dns.exception import DNSException
    from dns.resolver import NoAnswer, Resolver

    try:
        return [*Resolver().resolve_name(name, family, search=True).addresses()]
    except NoAnswer:
        return []
    except (DNSException, ValueError) as exc:  # the latter: of a file that is half written
        raise OSError(str(exc)) from exc
