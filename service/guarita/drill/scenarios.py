"""The scenarios, as a table of data; `guarita.drill.own` reads more of them from YAML."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from guarita.config import Durability
from guarita.drill.faults.base import Fault
from guarita.drill.faults.data import DamagedAof, FullDisk, RestartEmpty, RestartWithoutTail
from guarita.drill.faults.links import CUT_S, Isolate, IsolatedRestart, LoseAnswers, LossyNetwork
from guarita.drill.faults.names import SpoilNames, SwapAddresses
from guarita.drill.faults.passwords import CertificateChange, PasswordChange
from guarita.drill.faults.release import RollOut, Rotation, Upgrade
from guarita.drill.faults.roles import (
    ForcedFailover,
    FullRestart,
    PauseUntil,
    Redirect,
    ResetThenKill,
    ScaleSentinels,
)
from guarita.drill.faults.stops import (
    FreezeThenKill,
    Kill,
    KillSeveral,
    Pause,
    PauseSeveral,
    RollingRestart,
    Terminate,
)
from guarita.drill.sampler import EVERY_S
from guarita.drill.targets.base import Breakage, Shape

DOWN_AFTER_S = 1.0
PLANNED_S = 1.0  # that writes may pause in a planned change
_USUAL = Shape()
_BALANCED = ("balanced",)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is played, and what it may cost. Nothing lost and nothing double, always."""

    id: str
    title: str
    must_hold: str
    faults: tuple[Fault, ...] = ()
    pause_s: float | None = None  # at most, without a successful write; None: no bound
    failed: int | None = 0  # requests at most; None: no bound
    at_most: Mapping[str, float] = field(default_factory=dict)  # of what its faults measure
    durabilities: tuple[str, ...] = ("balanced", "strict")
    shape: Shape = _USUAL
    control: str | None = None  # a negative control, and why it must come out invalid
    fresh: bool = False  # leaves an installation that no other scenario can use
    not_here: str | None = None  # why it cannot be played on processes of this machine
    reported_as: str = ""
    """Where others met it in public."""
    planned: bool = False  # nobody has to notice a failure, however long that takes on a target
    turns: tuple[Scenario, ...] = ()  # instead of faults: these, one after another

    @property
    def parts(self) -> tuple[Scenario, ...]:
        """What is played under one load."""
        return self.turns or (self,)


_NOTHING_LOST = "nothing lost"
_SWITCHED = {"not_switched": 0}
_APART = {"not_asked": 0, "foreign_keys": 0, "lost_keys": 0, "strangers": 0}
_CLUSTER = Shape(topology="cluster", sentinels=0, agents=False)
_FAST = Shape(durability=Durability.FAST)
_NAMES = Shape(names=True)
_NEIGHBOUR = Shape(names=True, neighbour=True)

_ALL = (
    Scenario(
        "D1",
        "SIGTERM to the primary",
        "no request fails; writes pause for a second at most; there is another primary before it "
        "ends, and never two",
        (Terminate(),),
        pause_s=PLANNED_S,
        planned=True,
        durabilities=_BALANCED,  # strict stands still while a node is stopped
        at_most={"stopped_s": 40.0, "not_handed_over": 0, "two_writable_s": EVERY_S},
        reported_as="bitnami/charts#5418, #12598, #36305; CloudPirates#1411",
    ),
    Scenario(
        "D2",
        "kill -9 the primary, started at once with its data",
        _NOTHING_LOST,
        (Kill(),),
        pause_s=3.5,
        reported_as="bitnami/charts#26114",
    ),
    Scenario(
        "D2-server",
        "kill -9 the primary's server alone: its agent starts it again",
        _NOTHING_LOST,
        (Kill(server_only=True),),
        pause_s=3.5,
    ),
    Scenario(
        "D2-lost",
        "kill -9 the primary for good, as when its machine is gone",
        "writes pause for 6 seconds at most",
        (Kill(for_s=None),),
        pause_s=6.0,
        durabilities=_BALANCED,  # strict stands still while a node is dead
    ),
    Scenario(
        "D3",
        "kill -9 the primary, started at once with an empty directory",
        "the replicas' data survives; the empty node never serves as primary",
        (RestartEmpty(),),
        at_most={"as_primary": 0},
        reported_as="kubeblocks#10753; spotahome#97",
    ),
    Scenario(
        "D4",
        "SIGSTOP the primary for longer than a failover takes, then SIGCONT",
        "the old primary acknowledges nothing afterwards, and follows within a second",
        (Pause(),),
        pause_s=6.0,
        at_most={"rejoined_s": 1.0, "not_switched": 0},
        durabilities=_BALANCED,
        reported_as="kubeblocks#5107; spotahome#299",
    ),
    Scenario(
        "D5a",
        "the primary reaches nobody but the services",
        "nothing lost, nothing double on either side; writes go on within 6 seconds of the heal",
        (Isolate(),),
        pause_s=CUT_S + 6.0,
        failed=None,
        at_most=_SWITCHED,
        reported_as="kubeblocks#5107",
    ),
    Scenario(
        "D5b",
        "the primary and the Sentinels do not reach each other",
        "nothing lost, nothing double on either side; writes go on within 6 seconds of the heal",
        (Isolate(others=("sentinels",)),),
        pause_s=CUT_S + 6.0,
        failed=None,
        at_most=_SWITCHED,
        reported_as="kubeblocks#5107",
    ),
    Scenario(
        "D5c",
        "the primary, a replica and a service are cut off from all others",
        "nothing lost, nothing double on either side; writes go on within 6 seconds of the heal",
        (
            Isolate(
                some=("primary", "replica 1", "service-1"),
                others=("replica 2", "service-2", "sentinels"),
            ),
        ),
        pause_s=CUT_S + 6.0,
        failed=None,
        at_most=_SWITCHED,
        reported_as="kubeblocks#5107",
    ),
    Scenario(
        "D5d",
        "the primary and a replica do not reach two of the Sentinels, and then do",
        "nothing lost, nothing double on either side; writes go on within 6 seconds of the heal",
        (Isolate(some=("primary", "replica 2"), others=("sentinel 1", "sentinel 2")),),
        pause_s=CUT_S + 6.0,
        failed=None,
        at_most=_SWITCHED,
    ),
    Scenario(
        "D6",
        "a node is restarted while it reaches nobody",
        "it takes no writes, and says why",
        (IsolatedRestart(),),
        failed=None,
        at_most={"writes_taken": 0, "silent": 0},
        reported_as="helm/charts#9488",
    ),
    Scenario(
        "D7",
        "the named primary is a replica, and no link is up",
        "a primary again within 15 seconds",
        (Redirect(),),
        failed=None,
        at_most={"primary_s": 15.0},
        reported_as="DandyDeveloper/charts#412; OT#1777",
    ),
    Scenario(
        "D8",
        "SENTINEL RESET on all Sentinels, then kill -9 the primary",
        "a primary again within 30 seconds",
        (ResetThenKill(),),
        failed=None,
        at_most={"primary_s": 30.0},
        reported_as="OT#1883",
    ),
    Scenario(
        "D9",
        "everything is stopped, the newest writer last, and started in the worst order",
        "the last acknowledged ticket is there; all Sentinels agree within 60 seconds",
        (FullRestart(),),
        failed=None,
        at_most={"agree_s": 60.0},
        durabilities=_BALANCED,
        reported_as="valkey#1322; valkey-helm#234; OT#1158",
    ),
    Scenario(
        "D10",
        "Sentinels 5 -> 3, then kill -9 the primary",
        "a failover happens; nobody counts the dead",
        (ScaleSentinels(),),
        failed=None,
        at_most={"forgotten_s": 90.0, "failover_s": 6.0},
        durabilities=_BALANCED,
        shape=Shape(sentinels=5),
        fresh=True,
        reported_as="redis#1972; helm/charts#9111",
    ),
    *(
        Scenario(
            f"D11{letter}",
            f"kill -9 {whose} of two installations, started with each other's addresses{how}",
            "key spaces stay apart, and neither installation names a node of the other",
            (fault,),
            failed=failed,
            at_most=_APART,
            durabilities=_BALANCED,
            shape=_NEIGHBOUR,
            fresh=True,
            reported_as="bitnami/charts#8224; spotahome#550",
        )
        for letter, whose, how, fault, failed in (
            ("a", "the primaries", "", SwapAddresses(), 0),
            ("b", "the primaries", ", of which nobody hears", SwapAddresses(stale_s=10.0), 0),
            ("c", "all nodes and Sentinels", "", SwapAddresses(("nodes", "sentinels")), None),
        )
    ),
    *(
        Scenario(
            f"D12{letter}",
            f"{how}, then kill -9 the primary",
            "a failover within down-after and 10 seconds",
            (fault,),
            pause_s=6.0,
            at_most={"failover_s": DOWN_AFTER_S + 10.0},
            durabilities=_BALANCED,
            shape=_NAMES,
            reported_as="redis#12184; bitnami/charts#9689",
        )
        for letter, how, fault in (
            ("a", "the primary's name is gone", SpoilNames(gone=("primary",))),
            ("b", "no name resolves", SpoilNames(gone=("nodes", "sentinels"))),
            ("c", "names resolve 200 ms late", SpoilNames(late_ms=200)),
            ("d", "no question for a name is answered", SpoilNames(silent=True)),
        )
    ),
    Scenario(
        "D13",
        "a replica follows a replica",
        "put right within 60 seconds",
        (Redirect(who="replica 2", to="replica 1"),),
        failed=None,
        at_most={"put_right_s": 60.0},
        reported_as="redis#3837",
    ),
    Scenario(
        "D14",
        "a replica follows an address where nobody is, while writes go on",
        "put right within 60 seconds",
        (Redirect(who="replica 1", to=""),),
        failed=None,
        at_most={"put_right_s": 60.0},
        reported_as="OT#1779",
    ),
    Scenario(
        "D15",
        "every node is restarted, one after another",
        "no request fails; writes pause for a second at most",
        (RollingRestart(),),
        pause_s=PLANNED_S,
        planned=True,
        durabilities=_BALANCED,  # strict stands still while a node is stopped
        at_most={"restarted_s": 300.0},
        reported_as="bitnami/charts#12598; CloudPirates#781",
    ),
    Scenario(
        "D15-strict",
        "every node is restarted, one after another",
        "no request fails",
        (RollingRestart(),),
        durabilities=("strict",),
        at_most={"restarted_s": 300.0},
    ),
    Scenario(
        "D16",
        "the password of the data nodes is changed",
        "no request fails; writes pause for a second at most",
        (PasswordChange(),),
        pause_s=PLANNED_S,
        planned=True,
        fresh=True,
        reported_as="bitnami/charts#24547",
    ),
    Scenario(
        "D17",
        "the certificates of nodes and Sentinels are changed",
        "no request fails; writes pause for a second at most; all show the new ones in a minute",
        (CertificateChange(),),
        pause_s=PLANNED_S,
        planned=True,
        at_most={"renewed_s": 60.0},
        shape=Shape(tls=True),
        fresh=True,
        reported_as="redis#12028; OT#838",
    ),
    Scenario(
        "D18",
        "kill -9 the primary where the default user is off and each role has the least rights",
        "the failover works",
        (Kill(for_s=None),),
        pause_s=6.0,
        at_most=_SWITCHED,
        durabilities=_BALANCED,
        shape=Shape(users=True),
        reported_as="redis#11063; CloudPirates#1665",
    ),
    Scenario(
        "D19a",
        "kill -9 a replica, started with a damaged AOF",
        "it heals itself",
        (DamagedAof(),),
        at_most={"copies_gone": 0},
        failed=None,
        durabilities=_BALANCED,
        fresh=True,
        reported_as="bitnami/charts#4597",
    ),
    Scenario(
        "D19b",
        "kill -9 the primary, started with a damaged AOF",
        "the data survives on the replicas; no copy is thrown away before it is replaced",
        (DamagedAof(who="primary"),),
        at_most={"copies_gone": 0},
        failed=None,
        durabilities=_BALANCED,
        fresh=True,
        reported_as="bitnami/charts#4597",
    ),
    Scenario(
        "D20",
        "kill -9 a primary that takes long to load its data",
        "another one takes over; who loads is alive, and not primary",
        (Kill(for_s=0.0),),
        at_most={"not_switched": 0, "never_loading": 0},
        durabilities=_BALANCED,
        shape=Shape(load_key_us=3000),
        fresh=True,  # what it loads must not be of an earlier repetition as well
        reported_as="DandyDeveloper/charts#399",
    ),
    Scenario(
        "D21a",
        "kill -9 two of three data nodes, started again 12 seconds later",
        "writes wait or fail with 503, and all is well afterwards",
        (KillSeveral(),),
        failed=None,
        at_most={"unclear": 0},
        reported_as="DandyDeveloper/charts#52",
    ),
    Scenario(
        "D21b",
        "kill -9 two of three Sentinels, then the primary",
        "writes wait or fail with 503, and all is well afterwards",
        (KillSeveral(who=("sentinel 1", "sentinel 2", "primary")),),
        failed=None,
        at_most={"unclear": 0},
        reported_as="bitnami/charts#10081",
    ),
    Scenario(
        "D22a",
        "Cluster: kill -9 a primary, started with its data 6 seconds later",
        "no request fails; its replica takes over within 6 seconds",
        (Kill(for_s=6.0),),
        pause_s=6.0,
        at_most=_SWITCHED,
        durabilities=_BALANCED,
        shape=_CLUSTER,
        reported_as="OT#1722; redis#15136",
    ),
    Scenario(
        "D22b",
        "Cluster: all nodes are killed and started",
        "nothing lost; all is well within 60 seconds",
        (KillSeveral(who=("nodes",), for_s=2.0),),
        failed=None,
        at_most={"well_s": 60.0},
        durabilities=_BALANCED,
        shape=_CLUSTER,
        reported_as="OT#1722; redis#15136",
    ),
    Scenario(
        "D23a",
        "the primary's disk is full",
        "nothing lost",
        (FullDisk(),),
        failed=None,
        shape=Shape(small_disk=True),
        fresh=True,
        reported_as="redis aof.c",
    ),
    Scenario(
        "D23b",
        "a replica's disk is full",
        "nothing lost",
        (FullDisk(who="replica"),),
        failed=None,
        shape=Shape(small_disk=True),
        fresh=True,
        reported_as="redis aof.c",
    ),
    Scenario(
        "D24",
        "SIGSTOP two Sentinels for 3 seconds, then kill -9 the primary",
        # An election that is lost meanwhile is tried again after 6 seconds.
        "writes go on within 22 seconds: five down-afters of TILT, and an election that is lost",
        (PauseSeveral(), Kill(for_s=None)),
        pause_s=22.0,
        failed=None,
        at_most={"no_tilt": 0, "not_switched": 0},
        durabilities=_BALANCED,
    ),
    Scenario(
        "D25",
        "a slow and lossy network between services and nodes",
        "nothing double",
        (LossyNetwork(),),
        failed=None,
        at_most={"no_packet_lost": 0},
    ),
    Scenario(
        "D26",
        "answers are lost between store and service, and between service and page",
        "one admission, and the same result for who asks again",
        (LoseAnswers(),),
        failed=None,
        at_most={"no_answer_lost": 0, "no_hang_up": 0},
        reported_as="redis-py#3554",
    ),
    Scenario(
        "D27",
        "a region is cut off",
        "its tickets get 503, new ones are made elsewhere, nothing double",
        not_here="a local installation is one region",
        reported_as="keycloak-redis-cache#55",
    ),
    Scenario(
        "D28",
        "SIGSTOP a replica for 5 seconds, then kill -9",
        "no request fails; writes pause for down-after and 2.5 seconds at most",
        (FreezeThenKill(),),
        pause_s=DOWN_AFTER_S + 2.5,
        durabilities=_BALANCED,
    ),
    Scenario(
        "D29",
        "SIGSTOP the primary, SIGCONT while the failover is under way",
        "no request fails; writes pause for 6 seconds at most",
        (PauseUntil(),),
        pause_s=6.0,
        at_most={"untold": 0},
    ),
    Scenario(
        "D30",
        "kill -9 the primary, started at once without the tail of its AOF",
        "it does not start as primary",
        (RestartWithoutTail(),),
        at_most={"as_primary": 0},
    ),
    *(
        Scenario(
            f"K{number}",
            what,
            "no request fails; writes pause for a second at most",
            (fault,),
            pause_s=PLANNED_S,
            planned=True,
            durabilities=_BALANCED,
            reported_as=reported_as,
        )
        for number, (what, fault, reported_as) in enumerate(
            (
                (
                    "data nodes, Sentinels and service are restarted by a rollout",
                    RollOut(),
                    "valkey-helm#234; bitnami/charts#12598; CloudPirates#781",
                ),
                (
                    "helm upgrade with another setting of data nodes, Sentinels and service",
                    Upgrade({"sentinels.downAfterMs": 1900, "sessions.maxSessions": 200_000}),
                    "",
                ),
                ("data nodes 3 -> 5 -> 3 by helm upgrade", Upgrade({"nodes.replicas": 5}), ""),
                ("Sentinels 3 -> 5 -> 3 by helm upgrade", Upgrade({"sentinels.replicas": 5}), ""),
                ("all passwords are changed by helm upgrade", Rotation(), "bitnami/charts#24547"),
            ),
            1,
        )
    ),
    Scenario(
        "N1",
        "durability fast under a forced failover",
        "must be invalid: nobody waits for replicas",
        (ForcedFailover(),),
        control="writes are acknowledged that no replica has",
        shape=_FAST,
    ),
    Scenario(
        "N2",
        "AOF everysec on a slow disk, the primary killed and started at once, no agents",
        "must be invalid: the primary comes back without its last writes",
        (Kill(unwritten_s=0.5),),
        control="a primary that lost its tail makes its replicas lose it",
        shape=Shape(agents=False, fsync_s=1.5),
    ),
    Scenario(
        "N3",
        "a redeem that does not wait for replicas, under D5a",
        "must be invalid",
        (Isolate(),),
        control="admissions are acknowledged that no replica has",
        shape=Shape(breakage=Breakage.NO_WAIT),
    ),
    Scenario(
        "N4",
        "a redeem that looks first and writes then",
        "must be invalid",
        (Kill(),),
        control="rivals are admitted at the same time",
        shape=Shape(breakage=Breakage.NOT_ATOMIC),
    ),
    Scenario(
        "N5b",
        "a service that asks the primary who must have a write, under D5b",
        "must be invalid",
        (Isolate(others=("sentinels",)),),
        control="a primary that is being replaced acknowledges alone",
        shape=Shape(breakage=Breakage.TRUSTS_PRIMARY),
    ),
    Scenario(
        "N5c",
        "a service that asks the primary who must have a write, under D5c",
        "must be invalid",
        (
            Isolate(
                some=("primary", "replica 1", "service-1"),
                others=("replica 2", "service-2", "sentinels"),
            ),
        ),
        control="a primary that is being replaced acknowledges with the replica on its side",
        shape=Shape(breakage=Breakage.TRUSTS_PRIMARY),
    ),
    Scenario(
        "N6",
        "two installations with one password, under D11b",
        "must be invalid",
        (SwapAddresses(stale_s=10.0),),
        failed=None,
        control="the Sentinels of one make a node of the other follow theirs",
        shape=replace(_NEIGHBOUR, one_password=True),
    ),
)

SCENARIOS: dict[str, Scenario] = {each.id: each for each in _ALL}
SHORT = ("D1", "D2", "D4", "D5", "D7", "D9", "D26", "D28", "N1", "N4")

# What leaves an installation as it was within seconds: for many faults, one after another.
MANY = ("D1", "D2", "D2-server", "D2-lost", "D3", "D4", "D28", "D29", "D30")


def in_turns(scenarios: Sequence[Scenario], faults: int, seed: int) -> Scenario:
    """One drill of so many faults: each of these as often as the others, in an order by chance."""
    rng = random.Random(seed)  # noqa: S311 - nothing here is a secret
    turns: list[Scenario] = []
    while len(turns) < faults:
        turns += rng.sample(list(scenarios), len(scenarios))
    return Scenario(
        "many",
        f"{faults} faults, one after another",
        "nothing lost, nothing double, and the bounds of each",
        failed=0 if all(each.failed == 0 for each in scenarios) else None,
        turns=tuple(turns[:faults]),
    )


def why_not_in_turns(scenario: Scenario) -> str | None:
    """Why it cannot be one of many on an installation that the others use, in words."""
    if scenario.control:
        return "it is a negative control, which is to fail"
    if scenario.fresh or scenario.shape != Shape():
        return "it needs an installation of its own"
    return None


def named(word: str) -> list[Scenario]:
    """The scenario of this id, or all whose id begins with it and goes on with a letter."""
    if word in SCENARIOS:
        return [SCENARIOS[word]]
    return [each for each in _ALL if each.id[:-1] == word and each.id[-1].isalpha()]
