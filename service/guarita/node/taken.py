"""Which servers take a password: asked of each by signing in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from redis.exceptions import RedisError

from guarita.clients import client
from guarita.config import Address, Credentials

ASK_S = 1.0


@dataclass(frozen=True, slots=True)
class Question:
    """One server, and one user with a password there."""

    server: Address
    username: str | None
    password: str


def refusals(questions: Iterable[Question]) -> list[str]:
    """Of each that is refused or not answered, the server and the user in words."""
    with ThreadPoolExecutor(8) as executor:
        return sorted(set(filter(None, executor.map(_refusal, questions))))


def _refusal(question: Question) -> str | None:
    as_whom = Credentials(username=question.username, password=question.password)
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
