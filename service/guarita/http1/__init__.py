"""HTTP/1.1 over a socket for a WSGI application. Knows neither gunicorn, gevent nor Falcon."""

from guarita.http1.backlog import let_nobody_in, unaccepted
from guarita.http1.server import Refusal, Server, base_environ
from guarita.http1.wire import Limits

__all__ = ["Limits", "Refusal", "Server", "base_environ", "let_nobody_in", "unaccepted"]
