"""Runs inside a container, in the network of the service: callers who create until it is gone.

Prints "busy" once all have been answered, and in the end one line of JSON.
"""

import collections
import http.client
import json
import os
import threading

CALLERS = 32
AFTER = 20  # answers for each, and they are busy

headers = {"Authorization": f"Bearer {os.environ.get('API_KEY')}"}
lock = threading.Lock()
counts = collections.Counter()
statuses = collections.Counter()
busy = threading.Barrier(CALLERS, action=lambda: print("busy", flush=True))


def call(connection, is_new):
    """What became of one request; False when nobody listens any more."""
    try:
        connection.connect() if is_new else None
    except OSError:
        return False
    try:
        connection.request("POST", "/auth/create-session", headers=headers)
        answer = connection.getresponse()
    except OSError:  # http.client.RemoteDisconnected too
        # A server may close an idle connection at any time (RFC 9112, 9.3.1): not a byte came.
        return failed(connection, "lost" if is_new else "not_taken")
    except http.client.HTTPException:
        return failed(connection, "in_pieces")
    try:
        answer.read()
    except (http.client.HTTPException, OSError):
        return failed(connection, "in_pieces")
    with lock:
        counts["answered"] += 1
        statuses[answer.status] += 1
    return True


def failed(connection, how):
    """Counts it; the next request needs a new connection."""
    connection.close()
    with lock:
        counts[how] += 1
    return True


def caller():
    connection, is_new, told = http.client.HTTPConnection("127.0.0.1", 8000, timeout=30), True, 0
    while call(connection, is_new):
        told += 1
        if told == AFTER:
            busy.wait()
        is_new = connection.sock is None
        if is_new:
            connection.close()


if __name__ == "__main__":
    threads = [threading.Thread(target=caller) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = ("answered", "in_pieces", "lost", "not_taken")
    print(json.dumps({name: counts[name] for name in names} | {"statuses": statuses}))
