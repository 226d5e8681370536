"""The API server, asked from within a pod as the pod's service account.

https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
"""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guarita.errors import TopologyError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
HOST = "kubernetes.default.svc"
PORT = 443
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any

    @property
    def message(self) -> str:
        """What the API server said was wrong."""
        return str(self.body.get("message", "")) if isinstance(self.body, dict) else ""


class Api:
    """Calls in one namespace. Each has a connection of its own: they are few."""

    def __init__(
        self,
        host: str = HOST,
        port: int = PORT,
        *,
        account: Path = ACCOUNT,
        timeout_s: float = 5.0,
    ) -> None:
        """`timeout_s`: to connect, and for each piece of an answer."""
        self._host = host
        self._port = port
        self._account = account
        self._timeout_s = timeout_s

    @property
    def namespace(self) -> str:
        """The pod's own. Raises `TopologyError` outside of a pod."""
        return self._read("namespace")

    def get(self, kind: str, name: str) -> Answer:
        return self._call("GET", f"{kind}/{name}")

    def create(self, kind: str, body: Any) -> Answer:
        return self._call("POST", kind, body)

    def replace(self, kind: str, name: str, body: Any) -> Answer:
        """The whole object; refused with 409 where it is not the one that `body` was read as."""
        return self._call("PUT", f"{kind}/{name}", body)

    def patch(self, kind: str, name: str, body: Any, how: str = MERGE) -> Answer:
        return self._call("PATCH", f"{kind}/{name}", body, how)

    def _call(
        self, method: str, path: str, body: Any = None, kind: str = "application/json"
    ) -> Answer:
        """Raises `TopologyError` where no answer comes: it may have been done all the same."""
        # The token is short-lived and replaced in its file: read for each call.
        headers = {"Authorization": f"Bearer {self._read('token')}", "Content-Type": kind}
        content = None if body is None else json.dumps(body)
        connection = http.client.HTTPSConnection(
            self._host, self._port, timeout=self._timeout_s, context=self._trust()
        )
        try:
            connection.request(
                method, f"/api/v1/namespaces/{self.namespace}/{path}", content, headers
            )
            answer = connection.getresponse()
            return Answer(answer.status, _json(answer.read()))
        except (OSError, http.client.HTTPException) as exc:
            raise TopologyError(
                f"the API server at {self._host}:{self._port} does not answer: {exc}"
            ) from exc
        finally:
            connection.close()

    def _trust(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=str(self._account / "ca.crt"))
        except OSError as exc:
            raise TopologyError(f"{self._account}/ca.crt: {exc.strerror}") from exc
        # Authorities of clusters lack extensions of RFC 5280, and from Python 3.13 on that is an
        # error: https://docs.python.org/3/library/ssl.html#ssl.create_default_context
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context

    def _read(self, name: str) -> str:
        try:
            return (self._account / name).read_text("utf-8").strip()
        except OSError as exc:
            raise TopologyError(
                f"{self._account / name}: {exc.strerror}: this needs a pod with a service account"
            ) from exc


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return {}
