"""Where the command begins, before all that it needs is loaded."""

import os
import signal


def main() -> None:
    """The `guarita` command."""
    if os.getpid() == 1:
        # Of a container: a signal that its first process does not handle does nothing
        # (pid_namespaces(7)), and who stops it while it loads would wait for its grace period.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    from guarita.cli import main

    main()
