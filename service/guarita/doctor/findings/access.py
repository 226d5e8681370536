"""Reaching servers: names, passwords, permissions, certificates, agents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from guarita.config import Address
from guarita.doctor.finding import Finding
from guarita.doctor.kinds import Kind
from guarita.doctor.seen import Cause, Seen, is_local

_SLOW_S = 0.2
_SLOW_TRIP_S = 0.02
_RECENT_S = 60
_SOON_DAYS = 30
_DAY_S = 86_400

_KINDS = {
    Cause.PASSWORD_MISSING: Kind.PASSWORD_MISSING,
    Cause.PASSWORD_WRONG: Kind.PASSWORD_WRONG,
    Cause.PASSWORD_UNWANTED: Kind.PASSWORD_UNWANTED,
    Cause.CERTIFICATE_EXPIRED: Kind.CERTIFICATE_EXPIRED,
    Cause.CERTIFICATE_NAME: Kind.CERTIFICATE_NAME,
    Cause.CERTIFICATE_UNTRUSTED: Kind.CERTIFICATE_UNTRUSTED,
    Cause.TLS: Kind.TLS_FAILED,
    Cause.NOT_UNDERSTOOD: Kind.ANSWER_NOT_UNDERSTOOD,
}
# What doctor asks, and the rule that allows it.
_RULES = {
    "named": "+sentinel|get-master-addr-by-name",
    "master": "+sentinel|master",
    "replicas": "+sentinel|replicas",
    "sentinels": "+sentinel|sentinels",
    "ckquorum": "+sentinel|ckquorum",
    "myid": "+sentinel|myid",
    "masters": "+sentinel|masters",
    "config": "+config|get",
    "client list": "+client|list",
    "acl log": "+acl|log",
    "script load": "+script|load",
    "cluster nodes": "+cluster|nodes",
    "cluster info": "+cluster|info",
}
_SERVICE_ASKS_SENTINELS = ("named", "master", "replicas")
_SERVICE_ASKS = (*_SERVICE_ASKS_SENTINELS, "script load", "cluster nodes")
# What ACL LOG has of a doctor whose user may not ask everything, which is told elsewhere.
_DOCTOR_ASKS = {
    rule.removeprefix("+") for name, rule in _RULES.items() if name not in _SERVICE_ASKS
}


def silent(seen: Seen) -> Iterator[Finding]:
    """Servers that could not be asked, by cause; a name that does not resolve is told as such."""
    sentinels = {sentinel.address for sentinel in seen.sentinels}
    for server in seen.servers:
        failure = server.failure
        if failure is None or failure.cause is Cause.UNRESOLVED:
            continue
        text = f"It cannot be asked: {failure.text.rstrip('.')}."
        kind = _KINDS.get(failure.cause)
        if kind:
            yield kind.at(server.address, f"As user {server.user}: {text}", user=server.user)
        elif server.address in sentinels:
            yield Kind.SENTINEL_SILENT.at(server.address, text)
        elif not seen.named or not seen.is_same(server.address, seen.named):
            yield Kind.NODE_SILENT.at(server.address, text)


def wrong_kind(seen: Seen) -> Iterator[Finding]:
    for sentinel in seen.sentinels:
        mode = sentinel.server.info.get("redis_mode", "sentinel")
        if mode != "sentinel":
            yield Kind.WRONG_KIND.at(sentinel.address, f"A Sentinel was expected, it is {mode}.")
    for node in seen.answering:
        if node.info.get("redis_mode") == "sentinel":
            yield Kind.WRONG_KIND.at(node.address, "A data node was expected, it is a Sentinel.")


def names(seen: Seen) -> Iterator[Finding]:
    for name in seen.names:
        if name.failure:
            text = f"The name does not resolve from here: {name.failure}."
            yield Kind.NAME_UNRESOLVED.at(name.host, text)
        elif name.took_s > _SLOW_S:
            text = f"The name took {name.took_s:.2f} s to resolve from here."
            yield Kind.NAME_SLOW.at(name.host, text)


def network_slow(seen: Seen) -> Iterator[Finding]:
    for node in seen.answering:
        trip_s = 2 * node.server.unsure_s
        if trip_s > _SLOW_TRIP_S:
            text = f"A round trip from here takes {trip_s * 1000:.0f} ms."
            yield Kind.NETWORK_SLOW.at(node.address, text)


def permission_missing(seen: Seen) -> Iterator[Finding]:
    """What the service's own user may not do, on data nodes and on Sentinels."""
    lacking = [(node.server, node.lacks) for node in seen.answering]
    for each in seen.sentinels:
        denied = tuple(name for name in each.server.denied if name in _SERVICE_ASKS_SENTINELS)
        lacking.append((each.server, denied))
    for server, lacks in lacking:
        if lacks:
            rules = " ".join(_RULES.get(name, f"+{name}") for name in lacks)
            text = f"The service's user {server.user} lacks {rules} (NOPERM), or its keys."
            yield Kind.PERMISSION_MISSING.at(server.address, text, user=server.user, rules=rules)


def not_seen(seen: Seen) -> Iterator[Finding]:
    for server in seen.servers:
        needed = [name for name in server.denied if name not in _SERVICE_ASKS_SENTINELS]
        rules = " ".join(_RULES[name] for name in needed if name in _RULES)
        if rules:
            text = f"The user {server.user} may not ask everything here; it lacks {rules}."
            yield Kind.NOT_SEEN.at(server.address, text)


def refused_by_acl(seen: Seen) -> Iterator[Finding]:
    for server in seen.servers:
        counts: Counter[tuple[str, str]] = Counter()
        for each in server.refusals:
            if each.age_s <= _RECENT_S and each.object not in _DOCTOR_ASKS:
                what = "a key" if each.reason == "key" else f"{each.reason} {each.object}"
                counts[each.user, what] += each.times
        for (user, what), times in counts.items():
            text = f"The user {user} was refused {what} in the last minute, {times} times."
            yield Kind.REFUSED_BY_ACL.at(server.address, text)


def open_to_all(seen: Seen) -> Iterator[Finding]:
    for server in seen.servers:
        if server.open and not is_local(server.address):
            text = "It answers clients without a password, at an address that others can reach."
            yield Kind.OPEN_TO_ALL.at(server.address, text)


def certificate_ends_soon(seen: Seen) -> Iterator[Finding]:
    for server in seen.servers:
        if server.certificate_ends_s is None:
            continue
        days = (server.certificate_ends_s - seen.now_s) / _DAY_S
        if days <= _SOON_DAYS:
            text = f"Its certificate expires in {days:.1f} days."
            yield Kind.CERTIFICATE_ENDS_SOON.at(server.address, text)


def agents(seen: Seen) -> Iterator[Finding]:
    for agent in seen.agents:
        place: Address = agent.address
        if not agent.alive:
            text = f"The node agent is not alive: {agent.trouble.rstrip('.')}."
            yield Kind.AGENT_SILENT.at(place, text)
        elif not agent.ready:
            text = f"The node agent is not ready: {agent.trouble.rstrip('.')}."
            yield Kind.AGENT_NOT_READY.at(place, text)


ALL = (
    silent,
    wrong_kind,
    names,
    network_slow,
    permission_missing,
    not_seen,
    refused_by_acl,
    open_to_all,
    certificate_ends_soon,
    agents,
)
