"""Keeps the addresses of all nodes' names in a hosts file, so that nobody waits for a name.

A Sentinel stands still while it looks a name up, and it looks up every name that it is told,
several a second (github.com/redis/redis/issues/12184). Where a name server takes 0.2 s for an
answer, it is late with everything, and no failover is begun. What stands in the hosts file is found
at once: by Sentinels, by data nodes that connect to their primary, and by services.
"""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from guarita.config import Settings

EVERY_S = 2.0
_MARK = "# guarita"

Resolve = Callable[[str], list[str]]

_log = structlog.get_logger("guarita.hosts")


def keep(settings: Settings) -> None:
    """Keep `store.hosts_file` from now on, until this process ends; without one, do nothing."""
    path, names = settings.store.hosts_file, _names(settings)
    if path is None or not names:
        return
    hosts = Hosts(path, names, _resolver())
    threading.Thread(target=hosts.run, name="guarita-hosts", daemon=True).start()


class Hosts:
    """The lines of some names in a hosts file, which others may write as well.

    A name that cannot be resolved keeps the addresses it had last, also those that an earlier
    process wrote.
    """

    def __init__(self, path: Path, names: Iterable[str], resolve: Resolve) -> None:
        """`resolve` asks the name server itself. Raises `OSError` where it has no answer."""
        self._path = path
        self._names = sorted(names)
        self._resolve = resolve
        self._known: dict[str, list[str]] = {}
        self._lost: set[str] = set()
        self._told = ""

    def run(self) -> None:
        """Look again and again."""
        pause = threading.Event()
        while True:
            self.look()
            pause.wait(EVERY_S)

    def look(self) -> None:
        """Ask for each name once, and write what has changed."""
        for name in self._names:
            try:
                addresses = sorted(self._resolve(name))
            except OSError as exc:
                self._tell(name, str(exc))
                continue
            self._tell(name, None)
            if self._known.get(name) != addresses:
                self._known[name] = addresses
                self._write()
        self._write()

    def _write(self) -> None:
        """In one piece that never gets shorter: whoever reads meanwhile finds whole lines."""
        try:
            with self._path.open("r+", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # of other processes that keep it
                old = file.read()
                new = self._merged(old)
                if new == old.rstrip("\n") + "\n":
                    return
                file.seek(0)
                file.write(new.ljust(len(old), "\n"))
        except (OSError, ValueError) as exc:
            text = f"{self._path} cannot be written: {exc}"
            if text != self._told:
                _log.error(text)
            self._told = text

    def _merged(self, old: str) -> str:
        others = [
            line for line in old.rstrip("\n").splitlines() if _name_in(line) not in self._known
        ]
        own = [
            f"{address}\t{name} {_MARK}"
            for name, addresses in sorted(self._known.items())
            for address in addresses
        ]
        return "".join(f"{line}\n" for line in (*others, *own))

    def _tell(self, name: str, problem: str | None) -> None:
        """Once, that it cannot be resolved, and that it can again."""
        if problem and name not in self._lost:
            _log.warning(
                "a name cannot be resolved, it keeps its addresses", name=name, reason=problem
            )
            self._lost.add(name)
        elif not problem and name in self._lost:
            _log.info("a name can be resolved again", name=name)
            self._lost.discard(name)


def _name_in(line: str) -> str | None:
    """Of a line that some process keeps."""
    words = line.removesuffix(_MARK).split()
    return words[1] if line.endswith(_MARK) and len(words) == 2 else None


def _names(settings: Settings) -> set[str]:
    """All hosts of the installation that are not addresses."""
    store, node = settings.store, settings.node
    own = [node.announce] if node.announce else []
    known = [*store.sentinel.nodes, *store.data_nodes, *node.peers, *node.agents, *own]
    return {each.host for each in known if not _is_address(each.host)}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _resolver() -> Resolve:
    """Asks the servers of /etc/resolv.conf, past the hosts file.

    Some servers fail for IPv6 where they know IPv4 alone; that counts as none. The other way round
    it would be an address less.
    """
    from dns.exception import DNSException
    from dns.resolver import NoAnswer, Resolver

    def ask(name: str, family: int) -> list[str]:
        try:
            return [*Resolver().resolve_name(name, family, search=True).addresses()]
        except NoAnswer:
            return []
        except DNSException as exc:
            raise OSError(str(exc)) from exc

    def resolve(name: str) -> list[str]:
        found = ask(name, socket.AF_INET)
        try:
            found += ask(name, socket.AF_INET6)
        except OSError:
            if not found:
                raise
        if not found:
            raise OSError(f"{name} has no address")
        return found

    return resolve
