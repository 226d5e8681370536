"""Every kind of trouble that the doctor knows: how serious, why it matters, what to do.

docs/doctor.md is written from these. In an advice, `{cli}` is a `redis-cli` that speaks to the
node, `{name}` the primary's name; other words in braces come from the finding.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, unique

from guarita.config import Address
from guarita.doctor.finding import Finding, Severity, Words


def _error(what: str, why: str, advice: str) -> Words:
    return Words(Severity.ERROR, what, why, advice)


def _warning(what: str, why: str, advice: str) -> Words:
    return Words(Severity.WARNING, what, why, advice)


def _note(what: str, why: str, advice: str) -> Words:
    return Words(Severity.NOTE, what, why, advice)


_IN_DOCUMENTS = {
    "cli": "redis-cli -h HOST -p PORT",
    "host": "PRIMARY-HOST",
    "port": "PRIMARY-PORT",
}


class _Placeholders(dict[str, str]):
    """A word that nobody filled in stands in capitals, as documents write it."""

    def __missing__(self, key: str) -> str:
        return key.upper()


@unique
class Kind(Enum):
    """The kinds by subject; each one's code is its name in small letters, with hyphens."""

    # The primary and its replicas

    NO_MAJORITY = _error(
        "No majority of the configured Sentinels names one primary.",
        "Without a majority nobody is primary for the service, and no failover can happen.",
        "Start the Sentinels that do not answer, or mend the network between them and here.",
    )
    TWO_PRIMARIES = _error(
        "A data node says that it is primary beside the named one.",
        "Writes that reach the wrong one are lost when it is made a replica.",
        "During a failover wait 20 s. If it stays, make the wrong one follow: "
        "`{cli} REPLICAOF {host} {port}`.",
    )
    NAMED_IS_REPLICA = _error(
        "The data node that the Sentinels name as primary is a replica.",
        "Nobody takes writes; with a short down-after, Sentinel alone never promotes anybody, "
        "since it refuses replicas whose link was down for too long.",
        "During a failover wait 20 s. If it stays, promote the named node, unless another one has "
        "more history (`{cli} INFO replication`): `{cli} REPLICAOF NO ONE`.",
    )
    NAMED_UNREACHABLE = _error(
        "The named primary cannot be asked.",
        "All requests wait for it until the Sentinels replace it.",
        "A failover should follow within down-after and a few seconds. If the Sentinels can reach "
        "it, mend the network from here to it.",
    )
    PRIMARY_NOT_WRITABLE = _error(
        "The primary refuses writes: NOREPLICAS, MISCONF or OOM.",
        "Each write is refused. Requests wait until their deadline, reads too; with OOM they are "
        "refused at once, and reads go on.",
        "See to the cause: replicas that are detached (`{cli} INFO replication`), a disk that is "
        "full, memory that is full.",
    )
    FAILOVER_UNDER_WAY = _warning(
        "A Sentinel is replacing the primary.",
        "Until it ends, requests wait and roles may contradict each other.",
        "Ask again in 20 s; if it stays, look at the Sentinels' logs.",
    )
    ALONE = _error(
        "No replica is attached to the primary.",
        "With durability balanced or strict nothing is acknowledged, and nobody could take over.",
        "Start the replicas and look at their links: `{cli} INFO replication`.",
    )
    REPLICA_OF_REPLICA = _error(
        "A replica follows another replica.",
        "What it follows may lag or be cut off, and the primary does not count it.",
        "Sentinel puts it right after its failover-timeout. If it stays: "
        "`{cli} REPLICAOF {host} {port}`.",
    )
    REPLICA_OF_DEAD = _error(
        "A replica follows an address that does not answer.",
        "Its data grows old, while it may look like a replica that can be promoted.",
        "Sentinel puts it right after its failover-timeout. If it stays: "
        "`{cli} REPLICAOF {host} {port}`.",
    )
    REPLICA_OF_OTHER = _error(
        "A replica follows a primary that is not the named one.",
        "It has another history than the installation, and drops its own when it is put right.",
        "Find out who told it so, then: `{cli} REPLICAOF {host} {port}`.",
    )
    LINK_DOWN = _error(
        "A replica has lost its primary.",
        "It misses every write, and `balanced` waits until the Sentinels agree that it is down.",
        "Its log says why: wrong `masterauth` or `masteruser`, TLS, a network that is cut, or a "
        "primary that is loading.",
    )
    SYNCING = _warning(
        "A replica is copying all data of its primary.",
        "Until it has copied everything it can neither acknowledge nor be promoted.",
        "Wait. If it happens again and again, raise `repl-backlog-size` and the `replica` part of "
        "`client-output-buffer-limit` on the primary.",
    )
    REPLICA_BEHIND = _warning(
        "A replica reports late, or lacks more than 4 MiB of writes.",
        "Every write waits for the slowest replica that could be promoted.",
        "Look at its processor, its disk and the network to it: `{cli} INFO replication`, "
        "`{cli} --latency`.",
    )
    LOADING = _error(
        "A data node is loading its data from disk.",
        "It is alive, but answers nothing until its data is in memory.",
        "Wait, and do not restart it: it would begin anew. `{cli} INFO persistence` has "
        "`loading_eta_seconds`.",
    )
    DATA_NODES_MISMATCH = _error(
        "An address in `store.data_nodes` is not one that the servers use.",
        "With durability balanced and strict each write waits for every node of the setting, "
        "exactly as written.",
        "Write `store.data_nodes` as the servers announce themselves, or start the node that is "
        "missing.",
    )

    # Sentinels

    SENTINEL_SILENT = _error(
        "A configured Sentinel does not answer.",
        "One more may fail, and then no majority is left that could replace the primary.",
        "Start it, or take it out of `store.sentinel.nodes` on every instance.",
    )
    SENTINELS_DISAGREE = _error(
        "Sentinels name different primaries.",
        "Writes may go to two nodes, and one side's are lost in the end.",
        "Wait 60 s after a failover. If it stays, compare `{cli} SENTINEL MASTER {name}` on each; "
        "the highest config-epoch is right. Mend the network between Sentinels.",
    )
    PRIMARY_NAME_UNKNOWN = _error(
        "A Sentinel does not know the primary's name.",
        "It neither votes for nor watches this installation.",
        "Correct `store.sentinel.primary_name`, or have it watch: `{cli} SENTINEL MONITOR {name} "
        "HOST PORT QUORUM`, then set auth-pass and the time limits.",
    )
    TILT = _error(
        "A Sentinel is in TILT mode.",
        "It was paused or its clock jumped, and it decides nothing: for five times "
        "`node.down_after_ms` under its agent, and 30 s at most.",
        "Wait for so long. If it comes again, give its machine processor time and a steady clock.",
    )
    NO_QUORUM = _error(
        "A Sentinel says that a failover could not be agreed (CKQUORUM).",
        "If the primary died now, nobody would be promoted.",
        "Start the Sentinels that are missing, then ask again: `{cli} SENTINEL CKQUORUM {name}`.",
    )
    PRIMARY_SEEN_DOWN = _error(
        "A Sentinel takes a primary for down that answers here.",
        "A failover may be near, although the primary answers here.",
        "Look at the network between the two and at the Sentinel's user and password: "
        "`{cli} SENTINEL SET {name} auth-pass PASSWORD`.",
    )
    SEEN_DOWN = _warning(
        "A Sentinel takes a replica or Sentinel for down that answers here.",
        "This Sentinel would not promote it, nor count it.",
        "If the node answers elsewhere, look at the network between the two and at the "
        "Sentinel's user and password: `{cli} SENTINEL SET {name} auth-pass PASSWORD`.",
    )
    LISTS_NOBODY = _error(
        "A Sentinel lists no replica.",
        "After a RESET or a first start it learns replicas from the primary alone: if that dies "
        "now, nobody is promoted.",
        "Wait 10 s while the primary is up. If the primary is dead: promote the best replica by "
        "hand, then `SENTINEL REMOVE {name}` and `SENTINEL MONITOR {name}` with its address.",
    )
    REPLICA_NOT_LISTED = _error(
        "A Sentinel does not list a replica that is attached to the primary.",
        "This Sentinel could not promote it.",
        "Wait 10 s. If it stays, look at `replica-announce-ip` and `replica-announce-port` of the "
        "replica, and whether its link is up.",
    )
    SENTINEL_NOT_LISTED = _error(
        "A Sentinel does not list another configured one.",
        "The two do not know each other, so their votes do not add up.",
        "Wait 10 s: they meet through the primary. If it stays, look at `sentinel announce-ip`, at "
        "equal `sentinel myid` in two files, and at the Sentinel user's channel permissions.",
    )
    DEAD_SENTINEL_COUNTED = _error(
        "A Sentinel lists one that is down and not configured.",
        "The majority is counted with it: with too many dead ones no failover is ever allowed.",
        "If it is gone for good, on this Sentinel: `{cli} SENTINEL RESET {name}`, while the "
        "primary is up, then wait 30 s before the next Sentinel.",
    )
    DEAD_REPLICA_LISTED = _error(
        "A Sentinel lists a replica that is down and not in `store.data_nodes`.",
        "The Sentinels go on asking it, and it is counted as a replica that is down.",
        "Start it. If it is gone for good, on this Sentinel: `{cli} SENTINEL RESET {name}`, while "
        "the primary is up, then wait 30 s before the next Sentinel.",
    )
    FOREIGN_NODE = _error(
        "A Sentinel knows a living data node that is not in `store.data_nodes`.",
        "Two installations are mixed up, or a node was added: a foreign node could be promoted, "
        "with other data.",
        "If it is yours, add it to `store.data_nodes`. If not, give each installation a primary "
        "name and passwords of its own, then reset the Sentinels one by one.",
    )
    FOREIGN_SENTINEL = _error(
        "A Sentinel lists a living one that is not in `store.sentinel.nodes`.",
        "It has a vote: two installations are mixed up, or `store.sentinel.nodes` is incomplete "
        "and the service counts another majority.",
        "If it is yours, add it to `store.sentinel.nodes`. If not, give each installation a "
        "primary name and passwords of its own, then reset the Sentinels one by one.",
    )
    FOREIGN_WATCHER = _error(
        "A Sentinel that none of ours knows watches a data node.",
        "Sentinels of another installation may order this node about.",
        "Find it by `{cli} CLIENT LIST TYPE pubsub`; have it forget the node with `SENTINEL "
        "REMOVE`, or add it to `store.sentinel.nodes`.",
    )
    NAME_SHARED = _error(
        "A Sentinel watches the primary's address under two names.",
        "Two names for one primary are two judges: each fails it over by itself.",
        "Keep one: `{cli} SENTINEL REMOVE OTHER-NAME`.",
    )
    WRONG_KIND = _error(
        "A data node answers where a Sentinel should, or the reverse.",
        "The address leads to a server of another kind.",
        "Correct the address: Sentinels listen on 26379 by default, data nodes on 6379.",
    )
    SENTINELS_FEW = _warning(
        "There are fewer than three Sentinels.",
        "With fewer than three, no failover survives the loss of a machine.",
        "Run three Sentinels on three machines.",
    )
    SENTINELS_EVEN = _warning(
        "The number of Sentinels is even.",
        "A network that is cut in two halves leaves no majority; the extra one adds nothing.",
        "Run an odd number of Sentinels.",
    )
    QUORUM_UNSAFE = _warning(
        "A Sentinel's quorum is not the majority of the configured ones.",
        "With less, too few opinions begin a failover; with more, one dead Sentinel prevents it.",
        "Set a majority on every Sentinel: `{cli} SENTINEL SET {name} quorum {majority}`.",
    )
    SENTINEL_SETTINGS_DIFFER = _warning(
        "Sentinels have different settings for the primary.",
        "What happens depends on which Sentinel leads the failover.",
        "Set the same on every Sentinel: `{cli} SENTINEL SET {name} {setting} VALUE`.",
    )

    # Reaching servers

    NODE_SILENT = _error(
        "A data node does not answer.",
        "While it is away, there is one replica less that has all writes.",
        "Start it. If it does not start, its log says why; a damaged AOF is looked at with "
        "`redis-check-aof`. If it was taken away for good, reset the Sentinels one by one.",
    )
    NAME_UNRESOLVED = _error(
        "A host name does not resolve from here.",
        "Whoever uses the name reaches nobody; Sentinels take its node for dead.",
        "Mend the name service or the name, or use addresses.",
    )
    NAME_SLOW = _warning(
        "A host name takes more than 0.2 s to resolve from here.",
        "A Sentinel stands still while it resolves names, and so does a request that reconnects.",
        "Mend the name service, set `store.hosts_file` (with Sentinels), or use addresses.",
    )
    NETWORK_SLOW = _warning(
        "A round trip from here to a data node takes more than 20 ms.",
        "Each write takes a round trip to the primary, and with durability balanced or strict one "
        "more from there to the replicas.",
        "Run services and data nodes in one place, and mend the network between them: "
        "`{cli} --latency`. If the node itself is slow, `{cli} SLOWLOG GET` says what it does.",
    )
    ANSWER_NOT_UNDERSTOOD = _error(
        "A server's answer is not understood.",
        "Nothing that it says is judged here, and the service may not understand it either.",
        "Look whether the address leads to Redis or Valkey, of a version that is supported: "
        "`{cli} INFO server`. If so, please report it with this finding.",
    )
    PASSWORD_MISSING = _error(
        "A server asks for a password (NOAUTH).",
        "The server wants a password and none is configured, so the service cannot work.",
        "Set `password_file` (and `username`) under `store.data` or `store.sentinel`.",
    )
    PASSWORD_WRONG = _error(
        "A server refuses the user or password (WRONGPASS).",
        "The service cannot sign in.",
        "Compare user and password under `store.data` or `store.sentinel` with the server's: "
        "`ACL GETUSER {user}`.",
    )
    PASSWORD_UNWANTED = _error(
        "A password is configured, and the server has none.",
        "The server has no password and refuses one, so the service cannot sign in; and anybody "
        "may use the server.",
        "Set `requirepass` (and `masterauth`) on every data node, or on the Sentinel.",
    )
    PERMISSION_MISSING = _error(
        "The service's user may not use a command that it needs (NOPERM).",
        "The service needs it: requests fail or wait in vain.",
        "Grant it: `ACL SETUSER {user} {rules}` on every node, and save it (`ACL SAVE`, or "
        "`CONFIG REWRITE`).",
    )
    NOT_SEEN = _note(
        "The configured user may not ask some of what doctor judges.",
        "What it would have told is not judged here.",
        "Give doctor a user that may ask, in a configuration of its own, to have all of it judged.",
    )
    REFUSED_BY_ACL = _warning(
        "A server refused somebody in the last minute (ACL LOG).",
        "Somebody works with a wrong password or too few rights: perhaps a Sentinel, a replica or "
        "the service.",
        "`{cli} ACL LOG` names the client. Grant what it needs, or correct its password; "
        "https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/ lists what "
        "Sentinels and replicas need.",
    )
    OPEN_TO_ALL = _warning(
        "A server that others can reach asks for no password.",
        "Whoever reaches the port can read, redeem and delete all tickets.",
        "Set `requirepass` and `masterauth`, or switch the default user off and use ACL users.",
    )
    CERTIFICATE_EXPIRED = _error(
        "A server's certificate has expired.",
        "No client that checks it can connect.",
        "Renew it and load it: `CONFIG SET tls-cert-file FILE tls-key-file FILE` on the server.",
    )
    CERTIFICATE_ENDS_SOON = _warning(
        "A server's certificate expires within 30 days.",
        "From then on no client that checks it can connect.",
        "Renew it and load it: `{cli} CONFIG SET tls-cert-file FILE tls-key-file FILE`.",
    )
    CERTIFICATE_NAME = _error(
        "A server's certificate has another name.",
        "It was made for another name than the one that is dialled, so it is refused.",
        "Make it for the name or address under which Sentinels and services reach the server, or "
        "set `tls.verify_names: false`.",
    )
    CERTIFICATE_UNTRUSTED = _error(
        "A server's certificate is not trusted.",
        "The authority that signed it is not trusted here, so it is refused.",
        "Set `tls.ca_file` to the authority that signed the server's certificate.",
    )
    TLS_FAILED = _error(
        "TLS to a server failed.",
        "One side speaks TLS in a way that the other does not take.",
        "Compare `tls.enabled`, `cert_file` and `key_file` with the server's `tls-port` and "
        "`tls-auth-clients`.",
    )
    AGENT_SILENT = _error(
        "A node agent does not answer, or answers that its server does not run.",
        "Without its agent a node is not restarted, rejoined or fenced quickly.",
        "Start it, or correct its address.",
    )
    AGENT_NOT_READY = _warning(
        "A node agent answers that its node is not ready.",
        "The agent lives, but its node does not serve.",
        "Its log says why it waits.",
    )

    # Data on disk and in memory

    AOF_FAILING = _error(
        "A data node cannot write its AOF.",
        "The last write to it failed: the node refuses writes (MISCONF) until the disk takes them.",
        "Free the disk (`df -h`) or mend it; the node goes on by itself. `{cli} INFO persistence` "
        "has `aof_last_write_status`.",
    )
    SNAPSHOT_FAILING = _error(
        "A data node's last snapshot failed.",
        "The last snapshot failed; with `stop-writes-on-bgsave-error yes` and save points the node "
        "refuses writes (MISCONF), and replicas that need a copy may not get one.",
        "Free the disk and memory for the fork, then `{cli} BGSAVE`.",
    )
    REWRITE_FAILING = _warning(
        "A data node's last rewrite of its AOF failed.",
        "The AOF grows until the disk is full.",
        "Free the disk and memory for the fork, then `{cli} BGREWRITEAOF`.",
    )
    MEMORY_FULL = _warning(
        "A data node uses more than 90 % of its `maxmemory`.",
        "At the limit new tickets are refused (OOM).",
        "Raise it: `{cli} CONFIG SET maxmemory BYTES`, or lower `sessions.max_sessions`.",
    )
    EVICTS = _warning(
        "A data node evicts keys when memory is full.",
        "When memory is full the server throws tickets and sessions away that were acknowledged.",
        "`{cli} CONFIG SET maxmemory-policy noeviction`",
    )
    PERSISTENCE_OFF = _warning(
        "A data node keeps no AOF.",
        "A primary that is restarted before the Sentinels notice comes back empty, and its "
        "replicas drop everything as well.",
        "`{cli} CONFIG SET appendonly yes`, and `CONFIG REWRITE`.",
    )
    FSYNC_LOOSE = _warning(
        "`appendfsync` is weaker than `store.durability` asks for.",
        "A machine that loses power loses acknowledged writes of that time.",
        "`{cli} CONFIG SET appendfsync {wanted}`, and `CONFIG REWRITE`.",
    )

    # Settings outside the safe range

    DOWN_AFTER_SHORT = _warning(
        "`down-after-milliseconds` is below 3000, and more than one data node has no node agent "
        "that is known.",
        "Where no node agent runs, a primary that comes back as a replica may never be healed: "
        "Sentinel refuses replicas whose link was down for ten times this.",
        "Run `guarita node` and name all agents (`node.agents`), or on every Sentinel: "
        "`{cli} SENTINEL SET {name} down-after-milliseconds 3000`.",
    )
    DOWN_AFTER_LONG = _warning(
        "`down-after-milliseconds` is too long for `store.deadline_s`.",
        "A failover takes about twice this and 4 s for a write, longer than `store.deadline_s`: "
        "requests fail where they could have waited.",
        "Raise `store.deadline_s`, or on every Sentinel: "
        "`{cli} SENTINEL SET {name} down-after-milliseconds {wanted}`.",
    )
    FAILOVER_TIMEOUT_LONG = _warning(
        "`failover-timeout` is over 60 s.",
        "A failover that fails is tried again only after twice this.",
        "On every Sentinel: `{cli} SENTINEL SET {name} failover-timeout 3000`.",
    )
    PARALLEL_SYNCS_NONE = _error(
        "`parallel-syncs` is 0.",
        "After a failover no replica is told to follow the new primary.",
        "On every Sentinel: `{cli} SENTINEL SET {name} parallel-syncs 2`.",
    )
    PARALLEL_SYNCS_FEW = _note(
        "`parallel-syncs` is smaller than the number of replicas.",
        "After a failover replicas follow one after the other, and writes wait for the last one.",
        "On every Sentinel: `{cli} SENTINEL SET {name} parallel-syncs {wanted}`.",
    )
    NOBODY_PROMOTABLE = _error(
        "All replicas have priority 0.",
        "Every replica has priority 0: if the primary dies, nobody is promoted.",
        "`{cli} CONFIG SET replica-priority 100`; a node agent does it once the node caught up.",
    )
    HELD_BACK = _note(
        "A replica has priority 0 where node agents run.",
        "It is not to be promoted just now: its agent holds it back until it has caught up with "
        "its primary.",
        "Wait some seconds. If it stays, look at its link and its offset (`{cli} INFO "
        "replication`) and at its agent's log, where `promotable` says that it has caught up; a "
        "node without an agent: `{cli} CONFIG SET replica-priority 100`.",
    )
    PRIORITIES_UNEQUAL = _warning(
        "Data nodes have different priorities.",
        "Sentinel promotes by priority before it looks at who has the most writes.",
        "`{cli} CONFIG SET replica-priority 100` on every data node.",
    )
    UNFENCED = _warning(
        "`min-replicas-to-write` is 0.",
        "A primary that is cut off goes on taking writes that are lost afterwards.",
        "`{cli} CONFIG SET min-replicas-to-write 1 min-replicas-max-lag 2`, and `CONFIG REWRITE`.",
    )
    FENCED_LATE = _warning(
        "`min-replicas-max-lag` is longer than a failover may take.",
        "A primary that is cut off still takes writes when another one is promoted already.",
        "`{cli} CONFIG SET min-replicas-max-lag {wanted}`, and `CONFIG REWRITE`.",
    )
    FROZEN_REPLICA_KEPT = _warning(
        "`repl-timeout` is longer than `store.deadline_s`, and more than one data node has no node "
        "agent that is known.",
        "Where no node agent runs, a frozen replica stays attached for this long, and every write "
        "waits for it beyond `store.deadline_s`.",
        "Run `guarita node` and name all agents (`node.agents`), or: "
        "`{cli} CONFIG SET repl-ping-replica-period 1 repl-timeout {wanted}`.",
    )

    # Machines

    VERSION_OLD = _error(
        "A server is too old.",
        "Guarita needs Redis 7.0, Valkey 7.2 or newer.",
        "Upgrade replicas first, then fail over, then the old primary.",
    )
    VERSIONS_DIFFER = _warning(
        "Servers have different versions.",
        "An older node may not be able to read what a newer primary sends it.",
        "Bring all to one version, replicas first; during an upgrade this is expected.",
    )
    CLOCK_OFF = _warning(
        "A clock differs from the others by more than 1 s.",
        "Tickets expire by the primary's clock: after a failover they live longer or shorter.",
        "Run an NTP client on every machine: `chronyc tracking`, `timedatectl`.",
    )
    CLOCK_FAR_OFF = _error(
        "A clock differs from the others by more than 5 s.",
        "Tickets expire by the primary's clock: after a failover they end at once or live on.",
        "Run an NTP client on every machine: `chronyc tracking`, `timedatectl`.",
    )

    # Cluster

    CLUSTER_DOWN = _error(
        "A node says that the Cluster is down.",
        "Slots without a primary refuse their tickets.",
        "`redis-cli --cluster check HOST:PORT` names the slots; start the nodes that have them.",
    )
    CLUSTER_NODE_FAILED = _error(
        "A node of the Cluster is taken for failed.",
        "The others take it for dead, and its primary or replicas stand alone.",
        "Start it, or if it is gone for good: `CLUSTER FORGET` on every node.",
    )
    CLUSTER_WITHOUT_REPLICA = _error(
        "A primary of the Cluster has no replica.",
        "If it dies its slots are gone, and `balanced` acknowledges nothing there.",
        "Add one: `redis-cli --cluster add-node NEW:PORT HOST:PORT --cluster-slave`.",
    )
    CLUSTER_REPLICA_ADDRESS = _error(
        "A primary of the Cluster lists a replica by an address that the Cluster does not know.",
        "The service cannot tell that this replica has a write, and with durability balanced and "
        "strict acknowledges none there.",
        "On the replica set `replica-announce-ip` and `replica-announce-port` to what its "
        "`cluster-announce-ip` and `cluster-announce-port` are.",
    )

    # The store in memory

    NOTHING_TO_ASK = _note(
        "The store is in memory.",
        "With `store.topology: memory` tickets live in the service's own process, which no other "
        "program can ask.",
        "Ask the service: `guarita health --deep`.",
    )

    @property
    def code(self) -> str:
        return self.name.lower().replace("_", "-")

    @property
    def words(self) -> Words:
        value: Words = self.value
        return value

    def at(self, node: Address | str, seen: str, **words: str) -> Finding:
        """A finding: what was `seen` (a sentence) and why it matters."""
        if isinstance(node, Address):
            words.setdefault("cli", f"redis-cli -h {node.host} -p {node.port}")
        text = f"{seen} {self.words.why}"
        return Finding(self.words.severity, self.code, str(node), text, self.advice(words))

    def advice(self, words: Mapping[str, str]) -> str:
        """What to do; words that are not given stand in capitals."""
        known = {**_IN_DOCUMENTS, **words}
        return self.words.advice.format_map(_Placeholders(known))
