"""Three data nodes and three Sentinels, each under its agent, and the service."""

from __future__ import annotations

from collections import Counter
from typing import Any

import redis

from guarita.errors import TopologyError
from guarita.processes import wait_until
from guarita.testing.document import PRIMARY_NAME
from guarita.testing.installation import Installation

_SWITCHED_S = 30.0


class SentinelInstallation(Installation):
    """The smallest highly available installation."""

    topology = "sentinel"
    data_nodes = 3
    sentinel_nodes = 3

    def primary(self) -> str:
        votes: Counter[str] = Counter()
        for name in self.sentinels:
            try:
                with self.connect(name, timeout_s=0.5) as client:
                    address: Any = client.sentinel_get_master_addr_by_name(PRIMARY_NAME)
            except redis.RedisError:
                continue
            if address and (named := self.named(address[0])):
                votes[named] += 1
        for named, count in votes.items():
            if count > len(self.sentinels) // 2:
                return named
        raise TopologyError(f"no majority of the {len(self.sentinels)} Sentinels names one primary")

    def switchover(self) -> str:
        old = self.primary()
        if not wait_until(lambda: self._is_told(old), timeout_s=_SWITCHED_S, pause_s=0.5):
            raise TopologyError(f"no Sentinel began a failover within {_SWITCHED_S:g} s")
        return self.wait_new_primary(old)

    def _is_told(self, old: str) -> bool:
        """Refused while an earlier failover is not over for that Sentinel."""
        for name in self.sentinels:
            try:
                with self.connect(name) as client:
                    client.execute_command("SENTINEL", "FAILOVER", PRIMARY_NAME)
            except redis.RedisError:
                continue
            return True
        return self.primary() != old

    def problem(self) -> str | None:
        primary = self.primary()
        for name in self.sentinels:
            if unseen := self._not_seen_by(name, primary):
                return unseen
        for name in self.nodes:
            if name != primary and not self._follows(name, primary):
                return f"{name} does not follow {primary} yet"
        with self.connect(primary) as client:
            info = client.info("replication")
        wanted, linked = len(self.nodes) - 1, int(info.get("min_slaves_good_slaves", 0))
        if info["role"] != "master" or linked < wanted:
            return f"primary {primary} is {info['role']} with {linked} of {wanted} replicas in sync"
        return None

    def _follows(self, name: str, primary: str) -> bool:
        with self.connect(name) as client:
            info = client.info("replication")
        return (
            info["role"] == "slave"
            and self.named(info["master_host"]) == primary
            and info["master_link_status"] == "up"
            and int(info["master_sync_in_progress"]) == 0
        )

    def _not_seen_by(self, sentinel: str, primary: str) -> str | None:
        with self.connect(sentinel) as client:
            named: dict[str, Any] = client.sentinel_master(PRIMARY_NAME)
            replicas: list[dict[str, Any]] = client.sentinel_slaves(PRIMARY_NAME)
            others: list[dict[str, Any]] = client.sentinel_sentinels(PRIMARY_NAME)
        if (self.named(named["ip"]), named["flags"]) != (primary, "master"):
            return f"{sentinel} sees {named['ip']} as {named['flags']}"
        good = sum(each["flags"] == "slave" for each in replicas)
        linked = sum(each["master-link-status"] == "ok" for each in replicas)
        met = sum(each["flags"] == "sentinel" for each in others)
        if min(good, linked) < len(self.nodes) - 1 or met < len(self.sentinels) - 1:
            return f"{sentinel} sees {min(good, linked)} linked replicas and {met} other Sentinels"
        return None
