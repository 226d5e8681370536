"""Faults that are no faults but upkeep, which callers must not notice."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

from guarita.drill.faults.base import Fault, Scene, Seconds, Undo
from guarita.drill.targets.base import Power, Target

PRIMARY_NAME = "guarita"


@dataclass(frozen=True, slots=True)
class CertificateChange(Fault):
    """Nodes and Sentinels get new certificates, and once all show these everybody is hung up on."""

    name: ClassVar[str] = "certificate-change"
    for_s: Seconds | None = 3.0

    def lacks(self, target: Target) -> str | None:
        return target.lacks(Power.CERTIFICATES)

    def inject(self, scene: Scene) -> Undo:
        target = scene.target
        scene.tell("there are new certificates for all nodes and Sentinels")
        began_s = time.monotonic()
        all_show_them = target.change_certificates()
        scene.time_until("renewed_s", all_show_them, since_s=began_s)

        def hang_up() -> None:
            scene.tell("everybody is hung up on")
            for node in target.nodes:
                target.command(node, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

        return hang_up


@dataclass(frozen=True, slots=True)
class PasswordChange(Fault):
    """The data nodes get a new password beside the old one; all move to it; the old one ends."""

    name: ClassVar[str] = "password-change"
    password: str = "of a drill, the second"  # noqa: S105 - of servers that end with it
    for_s: Seconds | None = 3.0

    def lacks(self, target: Target) -> str | None:
        return target.lacks(Power.PASSWORDS)

    def inject(self, scene: Scene) -> Undo:
        target = scene.target
        scene.tell("the new password is added, and everybody told it")
        for node in target.nodes:
            target.command(node, "ACL", "SETUSER", "default", f">{self.password}")
        for node in target.nodes:
            target.command(node, "CONFIG", "SET", "masterauth", self.password)
        for sentinel in target.sentinels:
            words = ("SENTINEL", "SET", PRIMARY_NAME, "auth-pass", self.password)
            target.command(sentinel, *words)
        target.change_password(self.password)

        def end_old() -> None:
            scene.tell("the old password ends, and everybody is hung up on")
            for node in target.nodes:
                target.command(node, "CONFIG", "SET", "requirepass", self.password)
                target.command(node, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

        return end_old
