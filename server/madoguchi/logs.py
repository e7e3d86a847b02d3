"""Logging of every process: lines for people on a terminal, one JSON object a line elsewhere, on standard error.

Never content, tokens or bodies. Our own code logs ids and counts; what libraries log and what exceptions say can quote
a message or a row, so of those only the parts that the program itself wrote are kept (the format string, the class of
the exception and the places in the code).
"""

import logging
import sys
import threading
import traceback
import warnings
from types import TracebackType
from typing import Any, TextIO

# structlog loads these where they are installed, for tracebacks that we never print and threads that we don't have:
# 4 MB in every process.
_SPARED = [name for name in ("rich", "greenlet") if name not in sys.modules]
sys.modules.update(dict.fromkeys(_SPARED))  # type: ignore[arg-type]
import structlog

for _name in _SPARED:
    del sys.modules[_name]
from structlog.typing import EventDict, Processor, WrappedLogger

# Their texts come from us or from the operating system and never quote what people wrote.
_SPEAKING = (OSError, ImportError, KeyboardInterrupt, SystemExit, NotImplementedError)
_SPEAKING_MODULES = ("madoguchi.errors", "madoguchi.config", "madoguchi.up")


def setup(process: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Set up this process's logging. `process`: its name in each line; `level`: debug, info, warning or error."""
    stream = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if stream.isatty() else "iso", utc=not stream.isatty()),
        _name_process(process),
        _describe_exception,
    ]
    last: Processor = (
        structlog.dev.ConsoleRenderer(colors=True)
        if stream.isatty()
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            pass_foreign_args=True,
            foreign_pre_chain=[_only_the_template, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("aiohttp.access", "asyncio", "nio", "peewee", "linebot", "urllib3", "alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    # The access log would write user ids and query strings; requests are logged by web/dispatch.py.
    logging.getLogger("aiohttp.access").disabled = True
    warnings.showwarning = _log_warning
    # Python's own would print texts of exceptions, and what an object says of itself.
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda told: _log_uncaught(told.exc_type, told.exc_value, what="a thread failed")
    sys.unraisablehook = lambda told: _log_uncaught(told.exc_type, told.exc_value, what="an error met nobody")


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger for one module: `log = logs.get(__name__)`, then `log.info("what happened", key=value)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def bind(**values: Any) -> None:
    """Add fields (such as request_id) to every line of the current task from now on."""
    structlog.contextvars.bind_contextvars(**values)


def clear() -> None:
    """Forget what `bind` added in the current task."""
    structlog.contextvars.clear_contextvars()


def _name_process(process: str) -> Processor:
    def add(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    return add


def _only_the_template(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Of a library's line keep its format string, not what was filled in: nio, for one, quotes events."""
    record: logging.LogRecord = event["_record"]
    filled_in = event.pop("positional_args", None)
    template = record.msg if isinstance(record.msg, str) and filled_in else ""
    if template:
        event["event"] = template
    else:
        # No arguments: the text may have been put together beforehand, so only its place in the code is safe.
        event["event"] = f"{record.levelname.lower()} from {record.name}"
    event["at"] = f"{record.module}:{record.lineno}"
    return event


def _describe_exception(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["exception"] = describe(error)
    return event


def describe(error: BaseException) -> str:
    """An exception as "Class at file:line function < …", with its text only where that cannot quote content."""
    speaks = isinstance(error, _SPEAKING) or type(error).__module__.startswith(_SPEAKING_MODULES)
    text = f"{type(error).__name__}: {error}" if speaks else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    places = " < ".join(f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    whole = f"{text} at {places}" if places else text
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if isinstance(error, BaseExceptionGroup):
        whole += " [" + "; ".join(describe(inner) for inner in error.exceptions) + "]"
    return f"{whole}; caused by {describe(cause)}" if cause is not None else whole


def _short(filename: str) -> str:
    return "/".join(filename.split("/")[-2:])


def _log_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    get("warnings").warning(category.__name__, at=f"{_short(filename)}:{lineno}")


def _log_uncaught(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None = None,
    what: str = "stopped by an unexpected error",
) -> None:  # fmt: skip
    if not issubclass(kind, KeyboardInterrupt):
        get("madoguchi").critical(what, exc_info=error or kind())
