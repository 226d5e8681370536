"""Logs: JSON in production, readable in a terminal, and never a secret in them.

Two streams: what the service does, and `guarita.security`, who was let in and who was not.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, TextIO

import orjson
import structlog
from pydantic import BaseModel, SecretStr
from structlog.typing import EventDict, WrappedLogger

from guarita.config import LogSettings, Settings
from guarita.errors import ConfigError
from guarita.redaction import HIDDEN, Redactor
from guarita.rotation import SharedRotatingFileHandler

__all__ = ["HIDDEN", "REQUEST_ID", "SECURITY", "Recorder", "Redactor", "configure", "secrets_of"]

SECURITY = "guarita.security"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request that this thread or greenlet answers; it stands in each of its lines."""


def configure(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Send all logs of this process where the settings say; may be called again.

    Raises `ConfigError` when a log file cannot be written.
    """
    logs = settings.logs
    redact = Redactor(secrets_of(settings))
    files = _open_files(logs)
    handlers: list[logging.Handler] = [_Lines(stream or sys.stderr)]
    handlers[0].setFormatter(_formatter(redact, as_json=_is_json(logs, stream or sys.stderr)))
    for handler in files.values():
        handler.setFormatter(_formatter(redact, as_json=logs.format != "text"))
    if main := files.get("file"):
        handlers.append(main)
    for handler in handlers:
        handler.setLevel(logs.level.upper())
    _replace_handlers(logging.getLogger(), handlers)
    _replace_handlers(logging.getLogger(SECURITY), [files[k] for k in files if k != "file"])
    logging.getLogger().setLevel(logs.level.upper())
    logging.getLogger(SECURITY).setLevel(logging.INFO)  # its own file gets everything
    _collect_less()
    security = [*handlers, *logging.getLogger(SECURITY).handlers]

    def writer(name: str = "") -> _Writer:
        return _Writer(name, security if name == SECURITY else handlers)

    level = min(handlers[0].level, logging.INFO)  # handlers have their own
    structlog.configure(
        processors=[with_request_id, _timed, _handed_on],
        logger_factory=cache(writer),
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )


def with_request_id(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor."""
    if request_id := REQUEST_ID.get():
        event["request_id"] = request_id
    return event


def _timed(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """ISO 8601 in UTC, in microseconds."""
    seconds, us = divmod(time.time_ns() // 1000, 1_000_000)
    event["timestamp"] = f"{_second(seconds)}.{us:06d}Z"
    return event


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _handed_on(
    _logger: WrappedLogger, _method: str, event: EventDict
) -> tuple[tuple[EventDict], dict[str, Any]]:
    """The event as one argument for `_Writer`."""
    return (event,), {}


class Recorder:
    """The log of what every request leaves behind, at the level of information.

    The line is as structlog's would be, without its chain of calls, which costs three times that.
    """

    __slots__ = ("_log", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._log = structlog.stdlib.get_logger(name)

    def __call__(self, event: str, **details: Any) -> None:
        writer = structlog.get_config()["logger_factory"](self._name)
        if isinstance(writer, _Writer):
            writer.record(event, details)
        else:  # nobody has called `configure`
            self._log.info(event, **details)


class _Lines(logging.StreamHandler[TextIO]):
    """To a stream that is buffered by lines at most, as standard error is: it needs no flush.

    A text stream takes a line whole, whoever else writes, so it needs no lock either.
    """

    def handle(self, record: logging.LogRecord) -> bool:
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.stream.write(f"{self.format(record)}\n")
        except Exception:  # noqa: BLE001 - as logging does: a log that fails fails nobody
            self.handleError(record)


class _Line:
    """As much of a `logging.LogRecord` as our handlers need, at a tenth of its cost."""

    __slots__ = ("levelname", "levelno", "msg")

    def __init__(self, levelname: str, levelno: int, msg: EventDict) -> None:
        self.levelname = levelname
        self.levelno = levelno
        self.msg = msg


class _Writer:
    """Hands the events of one logger to its handlers, past the standard library's loggers."""

    def __init__(self, name: str, handlers: list[logging.Handler]) -> None:
        self._name = name
        self._handlers = handlers
        self._least = min(handler.level for handler in handlers)
        self.debug = partial(self._write, "debug", logging.DEBUG)
        self.info = partial(self._write, "info", logging.INFO)
        self.warning = partial(self._write, "warning", logging.WARNING)
        self.error = partial(self._write, "error", logging.ERROR)
        self.critical = partial(self._write, "critical", logging.CRITICAL)

    def record(self, event: str, details: EventDict) -> None:
        """An event at the level of information that structlog has not seen."""
        if self._least > logging.INFO:
            return
        details["event"] = event
        with_request_id(None, "info", details)
        _timed(None, "info", details)
        self._write("info", logging.INFO, details)

    def _write(self, level: str, number: int, event: EventDict) -> None:
        event["level"], event["logger"] = level, self._name
        line: Any = _Line(level, number, event)
        for handler in self._handlers:
            if number >= handler.level:
                handler.handle(line)


def _visible(event: EventDict) -> EventDict:
    """A caller's words may stand in any value: no line end or terminal code may forge a line.

    JSON escapes them itself. A traceback keeps its lines.
    """
    for key, value in event.items():
        if isinstance(value, str) and key != "exception" and not value.isprintable():
            event[key] = _CONTROL.sub(lambda found: repr(found[0])[1:-1], value)
    return event


def _json_line(event: EventDict) -> str:
    """JSON leaves some line ends and terminal codes as they are; here they are escaped too."""
    try:
        text = orjson.dumps(event, default=str).decode()
    except TypeError:  # half a surrogate pair, a number of more than 64 bits
        text = json.dumps(event, default=str, ensure_ascii=False)
    if text.isascii() and "\x7f" not in text:
        return text
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def secrets_of(settings: Settings) -> list[str]:
    """Every secret in the settings, those in files included."""
    users = settings.node.users.by_role().values()
    credentials = (settings.store.data, settings.store.sentinel, *users)
    files = [settings.security.current_secret(), *(one.current_password() for one in credentials)]
    files += [tenant.current_key() for tenant in settings.security.tenants]
    return [*_secrets_in(settings), *(secret for secret in files if secret)]


def _secrets_in(model: BaseModel) -> Iterator[str]:
    for _, value in model:
        if isinstance(value, SecretStr):
            yield value.get_secret_value()
        elif isinstance(value, BaseModel):
            yield from _secrets_in(value)


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Renders our own events as they are; what others log is made an event first."""

    def __init__(self, redact: Redactor, render: Callable[[EventDict], str]) -> None:
        super().__init__(
            foreign_pre_chain=[
                with_request_id,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                _timed,
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                lambda _logger, _method, event: self._text(event),
            ],
        )
        self._redact = redact
        self._render = render

    def format(self, record: logging.LogRecord) -> str:
        if not isinstance(record.msg, dict):
            return super().format(record)
        return self._text({**record.msg})  # another handler renders it too

    def _text(self, event: EventDict) -> str:
        if "exc_info" in event:
            event = structlog.processors.format_exc_info(None, "", event)
        return self._render(self._redact(None, "", event))


def _formatter(redact: Redactor, *, as_json: bool) -> logging.Formatter:
    if as_json:
        return _Formatter(redact, _json_line)
    plain = structlog.dev.plain_traceback
    console = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=plain)
    return _Formatter(redact, lambda event: str(console(None, "", _visible(event))))


def _collect_less() -> None:
    """Nothing that our lines do not show (Python's logging HOWTO, Optimization): it is half the
    time that a line takes."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None


def _is_json(logs: LogSettings, stream: TextIO) -> bool:
    return logs.format == "json" or (logs.format == "auto" and not stream.isatty())


def _open_files(logs: LogSettings) -> dict[str, logging.Handler]:
    """The file handlers by setting. Raises `ConfigError`."""
    problems, files = [], {}
    for name, path in (("file", logs.file), ("security_file", logs.security_file)):
        if path is None:
            continue
        try:
            _check_writable(path)
        except OSError as exc:
            problems.append(f"logs.{name}: {path}: cannot be written: {exc.strerror}")
        files[name] = SharedRotatingFileHandler(path)
    if problems:
        raise ConfigError(problems)
    return dict(files)


def _check_writable(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a"):
        pass


def _replace_handlers(logger: logging.Logger, handlers: list[logging.Handler]) -> None:
    for old in [*logger.handlers]:
        if isinstance(old.formatter, structlog.stdlib.ProcessorFormatter):
            logger.removeHandler(old)
            old.close()
    for new in handlers:
        logger.addHandler(new)
