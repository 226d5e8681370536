"""The named configurations of the model: what each one bounds and what it must come to."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

# The bounds of every configuration that does not say otherwise: one service, one fault, one
# election, and histories of two writes (the create, and one more).
BOUNDS = MappingProxyType(
    {
        "Durability": '"balanced"',
        "Services": "{v1}",
        "MaxFaults": "1",
        "MaxResets": "0",
        "MaxEpoch": "1",
        "MaxLog": "2",
        "Late": "{}",
        "Apart": "FALSE",
        "Elected": '"no"',
        "Former": "{}",
        "Forgotten": "{}",
    }
)
MODEL_VALUES = ("n1", "n2", "n3", "s1", "s2", "s3", "v1", "v2", "x", "y")
# What the agent does beyond the boot rule. A single fault is survived without it.
NODE_RULES = ("promotable", "chosen")
STRICT = {"Durability": '"strict"'}
TWO_FAULTS = {"MaxFaults": "2"}
ONE_AFTER_ANOTHER = TWO_FAULTS | {"Apart": "TRUE"}
TWO_CRASHES = STRICT | TWO_FAULTS | {"OnlyRivals": "TRUE"}
TWO_RESETS = {"MaxResets": "2", "OnlyRivals": "TRUE"}
# n1 is struck, and two elections are behind.
TWO_ELECTED = {"OnlyRivals": "TRUE", "MaxEpoch": "2"}
TWO_PAUSED = TWO_ELECTED | {"Elected": '"paused"'}
TWO_DEAD = TWO_ELECTED | {"Elected": '"dead"'}
TWO_CUT_OFF = TWO_ELECTED | {"Elected": '"cut off"'}
# This replica was primary before n1, which was repaired long ago.
FORMERLY_N2 = {"OnlyRivals": "TRUE", "Former": "{n2}"}
FORMERLY_N3 = {"Former": "{n3}"}


@dataclass(frozen=True, slots=True)
class Configuration:
    """One run of the model checker.

    `kinds` are the faults that may happen (`link`: replication links may break at any time, at
    no cost). `cut` is "one | two": who is on either side; all others still reach both. `off`
    names rules that are switched off. `short`: part of the short set. `promises` are the
    invariants that are checked. In the larger ones (`OnlyRivals`; every one with a cut) only the
    scene of the two rivals is looked at: an acknowledged create is lost by the same steps as an
    acknowledged redeem.
    """

    name: str
    holds: bool
    kinds: str
    cut: str = ""
    off: tuple[str, ...] = NODE_RULES
    short: bool = True
    promises: str = "AtMostOnce NeverLost"
    bounds: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """The configuration as TLC reads it."""
        one, _, two = self.cut.partition("|")
        constants = {name: name for name in MODEL_VALUES} | {
            "Off": _strings(self.off),
            "Kinds": _strings(self.kinds.split()),
            "OnlyRivals": "TRUE" if self.cut else "FALSE",
            "SideOne": "{" + ", ".join(one.split()) + "}",
            "SideTwo": "{" + ", ".join(two.split()) + "}",
        }
        constants |= {**BOUNDS, **self.bounds}
        lines = [f"    {name} = {value}" for name, value in constants.items()]
        return "\n".join(
            [
                "SPECIFICATION Spec",
                "CONSTANTS",
                *lines,
                "CONSTRAINT Open",
                "SYMMETRY Symmetry",
                f"INVARIANTS {self.promises}",
                "CHECK_DEADLOCK FALSE\n",
            ]
        )


def _strings(words: tuple[str, ...] | list[str]) -> str:
    return "{" + ", ".join(f'"{word}"' for word in words) + "}"


def without(name: str, *rules: str, kinds: str, **rest: object) -> Configuration:
    """A configuration that must break because `rules` are switched off."""
    return Configuration(name, False, kinds, off=(*NODE_RULES, *rules), **rest)  # type: ignore[arg-type]


CLEAN = "n1 n2 s1 v1 | n3 s2 s3"  # a partition in two halves
PRIMARY_SIDE = "n1 n2 v1 | n3 s1 s2 s3"  # the service and one replica stay with the primary
TWO_SENTINELS = "n1 n3 | s1 s2"  # two Sentinels lose the primary and one replica
ALL_SENTINELS = "n1 n3 | s1 s2 s3"
ONE_REPLICA = "n1 n2 | n3 s1 s2 s3"  # the service still reaches everyone

CONFIGURATIONS = (
    # balanced, one fault
    Configuration("balanced-crash", True, "crash link"),
    Configuration("balanced-pause", True, "pause link"),
    Configuration("balanced-forced", True, "force link", bounds={"MaxLog": "3"}),
    Configuration("balanced-cut-halves", True, "cut link", CLEAN, short=False),
    Configuration("balanced-cut-two-sentinels", True, "cut link", TWO_SENTINELS, short=False),
    Configuration("balanced-cut-all-sentinels", True, "cut link", ALL_SENTINELS, short=False),
    Configuration("balanced-cut-primary", True, "cut link", "n1 | s1 s2 s3", short=False),
    Configuration("balanced-cut-primary-side", True, "cut", PRIMARY_SIDE),
    Configuration(
        "balanced-two-services",
        True,
        "cut",
        "n1 n2 v1 | n3 s1 s2 s3 v2",
        short=False,
        bounds={"Services": "{v1, v2}"},
    ),
    Configuration("balanced-pause-two-elected", True, "pause", short=False, bounds=TWO_PAUSED),
    Configuration("balanced-crash-two-elected", True, "crash", short=False, bounds=TWO_DEAD),
    Configuration(
        "balanced-cut-two-elected", True, "cut", "n1 | s1 s2 s3", short=False, bounds=TWO_CUT_OFF
    ),
    Configuration(
        "balanced-cut-chosen-two-elected",
        True,
        "cut",
        ALL_SENTINELS,
        short=False,
        bounds=TWO_CUT_OFF,
    ),
    Configuration("answers-with-one-paused", False, "pause", promises="NobodyLeftOut"),
    # each rule switched off
    without("off-sentinels", "sentinels", kinds="cut", cut=PRIMARY_SIDE),
    without("off-own-list", "own list", "fresh ping", kinds="cut", cut=TWO_SENTINELS, short=False),
    without("off-healthy", "healthy", kinds="cut link", cut=TWO_SENTINELS, short=False),
    without("off-two-readings", "two readings", kinds="cut link", cut=ALL_SENTINELS, short=False),
    without("off-fresh-ping", "fresh ping", kinds="cut link", cut=ALL_SENTINELS, short=False),
    without("off-two-voters", "two voters", kinds="cut link", cut=CLEAN),
    without(
        "off-named", "named", kinds="cut", cut=ONE_REPLICA, bounds={"Late": "{v1}"}, short=False
    ),
    without(
        "off-known-before",
        "known before",
        kinds="cut",
        cut=CLEAN,
        bounds={"MaxResets": "1"},
        short=False,
    ),
    without(
        "off-ends-on-recovery",
        "ends on recovery",
        kinds="pause",
        bounds=ONE_AFTER_ANOTHER,
        short=False,
    ),
    without(
        "unlisted-as-vote", "unlisted is no vote", kinds="pause", bounds=TWO_RESETS, short=False
    ),
    Configuration("priority-0-as-vote", False, "pause link", off=("priority 0 is no vote",)),
    without("off-former-alone", "former alone", kinds="pause", bounds=TWO_PAUSED, short=False),
    without(
        "off-last-former",
        "last former",
        "heard once",
        kinds="pause",
        bounds=TWO_PAUSED | FORMERLY_N3,
        short=False,
    ),
    without(
        "off-not-heard", "not heard", "heard once", kinds="pause", bounds=FORMERLY_N2, short=False
    ),
    without(
        "off-heard-once",
        "heard once",
        kinds="pause",
        bounds=FORMERLY_N2 | {"Forgotten": "{n2}"},
        short=False,
    ),
    without("off-boot", "boot", kinds="crash"),
    without("off-refusals", "refusals", kinds="pause"),
    Configuration("fast", False, "pause", bounds={"Durability": '"fast"'}),
    # the same scenes with the rule in force
    Configuration(
        "on-own-list", True, "cut", TWO_SENTINELS, (*NODE_RULES, "fresh ping"), short=False
    ),
    Configuration("on-named", True, "cut", ONE_REPLICA, short=False, bounds={"Late": "{v1}"}),
    Configuration("on-known-before", True, "cut", CLEAN, short=False, bounds={"MaxResets": "1"}),
    Configuration("on-unlisted", True, "pause", short=False, bounds=TWO_RESETS),
    Configuration(
        "on-heard-once",
        True,
        "pause",
        short=False,
        bounds=FORMERLY_N2 | {"Forgotten": "{n2}"},
    ),
    Configuration(
        "on-missed-switch",
        True,
        "pause",
        off=(*NODE_RULES, "last former"),
        short=False,
        bounds=TWO_PAUSED,
    ),
    Configuration("on-ends-on-recovery", True, "pause", short=False, bounds=ONE_AFTER_ANOTHER),
    # strict, and two faults
    Configuration("strict-crash", True, "crash link", bounds=STRICT),
    Configuration("strict-pause", True, "pause link", bounds=STRICT),
    Configuration("strict-forced", True, "force link", bounds=STRICT),
    Configuration("strict-cut", True, "cut link", CLEAN, short=False, bounds=STRICT),
    Configuration("strict-two-crashes", True, "crash", off=(), short=False, bounds=TWO_CRASHES),
    Configuration(
        "strict-off-chosen",
        False,
        "crash",
        off=("chosen",),
        short=False,
        bounds=TWO_CRASHES,
    ),
    Configuration(
        "strict-off-promotable",
        False,
        "crash",
        off=("promotable",),
        short=False,
        bounds=TWO_CRASHES,
    ),
    Configuration("balanced-two-crashes", False, "crash", bounds=TWO_FAULTS, short=False),
)


def every_cut() -> Iterator[Configuration]:
    """One balanced configuration for each cut, leaving out those that differ in names only."""
    classes = (("n1",), ("n2", "n3"), ("s1", "s2", "s3"), ("v1",))
    ways = (itertools.combinations_with_replacement((0, 1, 2), len(names)) for names in classes)
    names = list(itertools.chain(*classes))
    for way in itertools.product(*ways):
        sides = dict(zip(names, itertools.chain(*way), strict=True))
        one, two = (" ".join(n for n in names if sides[n] == side) for side in (1, 2))
        if one and two and sides["n1"] != 2:
            yield Configuration(f"cut {one} | {two}", True, "cut", f"{one} | {two}", short=False)
