"""HTTP/1.1 over a socket for a WSGI application. Knows neither gunicorn, gevent nor Falcon."""

from guarita.http1.backlog import unaccepted
from guarita.http1.server import Refusal, Server, base_environ
from guarita.http1.wire import Limits

__all__ = ["Limits", "Refusal", "Server", "base_environ", "unaccepted"]
