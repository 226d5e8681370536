"""The faults of a drill, each one small class, by the names that a scenario in YAML uses."""

from __future__ import annotations

from guarita.drill.faults.base import Fault
from guarita.drill.faults.commands import Command
from guarita.drill.faults.data import DamagedAof, FullDisk, RestartEmpty, RestartWithoutTail
from guarita.drill.faults.links import Isolate, IsolatedRestart, LoseAnswers, LossyNetwork
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

_ALL: tuple[type[Fault], ...] = (
    Kill,
    KillSeveral,
    Terminate,
    Pause,
    PauseSeveral,
    PauseUntil,
    FreezeThenKill,
    RestartEmpty,
    RestartWithoutTail,
    DamagedAof,
    FullDisk,
    Isolate,
    IsolatedRestart,
    LossyNetwork,
    LoseAnswers,
    SpoilNames,
    SwapAddresses,
    ForcedFailover,
    Redirect,
    ResetThenKill,
    ScaleSentinels,
    RollingRestart,
    FullRestart,
    PasswordChange,
    CertificateChange,
    RollOut,
    Upgrade,
    Rotation,
    Command,
)

FAULTS: dict[str, type[Fault]] = {each.name: each for each in _ALL}
