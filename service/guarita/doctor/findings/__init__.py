"""What is wrong with what was seen: pure functions, a small one for each kind of trouble."""

from __future__ import annotations

from guarita.doctor.finding import Finding, Severity
from guarita.doctor.findings import (
    access,
    cluster,
    keeping,
    machines,
    primary,
    safety,
    sentinels,
    strangers,
)
from guarita.doctor.seen import Seen

_SUBJECTS = (primary, sentinels, strangers, access, keeping, safety, machines, cluster)
_ORDER = list(Severity)


def findings(seen: Seen) -> tuple[Finding, ...]:
    """All that is wrong, most serious first; of one severity, what stops the service first."""
    found = [each for subject in _SUBJECTS for find in subject.ALL for each in find(seen)]
    return tuple(sorted(found, key=lambda each: _ORDER.index(each.severity)))
