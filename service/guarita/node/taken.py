"""Which servers take a password: asked of each by signing in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from redis.exceptions import RedisError

from guarita.clients import client
from guarita.config import Address, Credentials, TlsSettings

ASK_S = 1.0


@dataclass(frozen=True, slots=True)
class Question:
    """One server, and one user with a password there."""

    server: Address
    username: str | None
    password: str


def refusals(questions: Iterable[Question], ca_file: Path | None = None) -> list[str]:
    """Of each that is refused or not answered, the server and the user in words.

    With `ca_file` the servers speak TLS, and this is their authority.
    """
    tls = TlsSettings(enabled=ca_file is not None, ca_file=ca_file)
    with ThreadPoolExecutor(8) as executor:
        found = executor.map(lambda question: _refusal(question, tls), questions)
        return sorted(set(filter(None, found)))


def _refusal(question: Question, tls: TlsSettings) -> str | None:
    as_whom = Credentials(username=question.username, password=question.password, tls=tls)
    where = (question.server.host, question.server.port)
    try:
        with client(where, as_whom, ASK_S, ASK_S) as asked:
            asked.execute_command("PING")
    except (RedisError, OSError):
        return f"{question.server} ({question.username or 'default'})"
    return None


def questions(
    servers: Iterable[Address], users: Iterable[tuple[str | None, str]]
) -> Iterator[Question]:
    """Every server, as every user."""
    users = list(users)
    for server in servers:
        for username, password in users:
            yield Question(server, username, password)
