"""What stands between the daemon and the stage: a mistake in the stage's code says what it is and where.

Without it, an exception or a value of a wrong type ends the component where nobody can see why.
"""

import builtins
import dataclasses
import datetime
import enum
import io
import os
import sys
import time
import typing
from importlib.machinery import BuiltinImporter, FrozenImporter

from componentize_py_types import Err
from wit_world.imports import logging
from wit_world.imports.types import Description, Outcome

CLOCKS = (
    *("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep"),
    *("process_time", "process_time_ns", "thread_time", "thread_time_ns", "get_clock_info"),
)
# Functions of `time` that take the present if they are not given another moment, and after how many arguments.
PRESENT = {"gmtime": 0, "localtime": 0, "ctime": 0, "asctime": 0, "strftime": 1}
# Functions of `os` that ask for files. While the modules are loaded there are some.
FILES = (
    *("access", "chdir", "fstat", "link", "listdir", "lstat", "mkdir", "open", "readlink", "remove", "rename", "replace"),
    *("rmdir", "scandir", "stat", "statvfs", "symlink", "truncate", "unlink", "utime", "write", "isatty"),
)
# What else a stage has not: the module, if it is loaded, the place in it, and what there is none of.
LACKING = (
    ("socket", "socket.__init__", "network"),
    ("socket", "getaddrinfo", "network"),
    ("socket", "gethostbyname", "network"),
    ("select", "select", "network"),
    ("select", "poll", "network"),
    ("asyncio.events", "new_event_loop", "event loop"),
    ("asyncio", "new_event_loop", "event loop"),
    ("threading", "Thread.start", "other threads"),
    ("threading", "Condition.wait", "other threads to wait for"),
    ("os", "times", "clock"),
    ("os", "abort", "process of its own"),
    ("os", "_exit", "process of its own"),
)

# Whether a call has begun; before, modules are loaded.
called = False

# Calls within each other, fewer than the daemon's stack has room for.
DEPTH = 150


def stage(cls):
    """Make a stage of a class."""

    class Guarded(cls):
        def describe(self):
            return _call("describe", super().describe, (), Description)

        def validate_settings(self, settings):
            return _call("validate_settings", super().validate_settings, (settings,), None)

        def process(self, settings, container, host, services):
            count = len(services)
            outcome = _call("process", super().process, (settings, container, host, services), Outcome)
            if len(outcome.verdicts) != count:
                wanted = f"process: verdicts: wanted is one for each of {count} services"
                raise Err(f"{wanted}, not {len(outcome.verdicts)}")
            return outcome

    Guarded.__name__ = cls.__name__
    sys.setrecursionlimit(DEPTH)
    sys.stdin, sys.stdout, sys.stderr = None, _Lines(logging.Level.INFO), _Lines(logging.Level.WARN)
    # Of what was loaded, the parts that would ask the system.
    for module, path, what in LACKING:
        *way, name = path.split(".")
        owner = sys.modules.get(module)
        for part in way:
            owner = getattr(owner, part, None)
        if owner is not None and hasattr(owner, name):
            setattr(owner, name, _without(f"{module}.{path}", what))
    if "random" in sys.modules:
        _seeded(sys.modules["random"])
    return Guarded


def _call(name, function, arguments, wanted):
    global called
    called = True
    # What is imported while the component is built is looked for as ever.
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter, _NoImports]
    try:
        answer = function(*arguments)
        fault = _fault(answer, wanted, name) if wanted else None
        if fault:
            raise TypeError(fault)
        return answer
    except Err as error:
        kind = list[str] if name == "validate_settings" else str
        fault = _fault(error.value, kind, f"{name}: Err")
        if fault is None:
            raise
        reason = f"TypeError: {fault}"
    except BaseException as error:
        reason = _reason(error)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    if name == "describe":
        raise RuntimeError(reason)
    raise Err([reason] if name == "validate_settings" else reason)


def _reason(error):
    """Type, text, file and line; the whole traceback goes to the log."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename != __file__:
            frames.append((code.co_filename, trace.tb_lineno, code.co_name))
        trace = trace.tb_next
    text = f"{type(error).__name__}: {error}"
    shown = frames if len(frames) <= 20 else frames[:10] + frames[-10:]
    lines = [f'  File "{file}", line {line}, in {function}' for file, line, function in shown]
    logging.log(logging.Level.ERROR, "\n".join(["Traceback (most recent call last):", *lines, text]))
    if not frames:
        return text
    # The author's own, rather than that of a package which was called wrongly.
    own = [frame for frame in frames if frame[0].startswith(__file__.rsplit("/", 1)[0] + "/")]
    file, line, function = (own or frames)[-1]
    return f"{text} ({file.rsplit('/', 1)[-1]}:{line} in {function})"


def _fault(value, wanted, path):
    """What is wrong with a value of the contract; None if nothing is."""
    origin, parts = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is typing.Union:
        if value is None and type(None) in parts:
            return None
        choices = [part for part in parts if part is not type(None)]
        if len(choices) == 1:
            return _fault(value, choices[0], path)
        for choice in choices:
            if type(value) is choice:
                return _fault(value, choice, path)
        return f"{path}: wanted is {' or '.join(one.__name__ for one in choices)}, not {_shown(value)}"
    if origin is list:
        if not isinstance(value, list):
            return f"{path}: wanted is a list, not {_shown(value)}"
        faults = (_fault(item, parts[0], f"{path}[{n}]") for n, item in enumerate(value))
        return next(filter(None, faults), None)
    if wanted is int:
        good = isinstance(value, int) and not isinstance(value, bool)
        if good and path.endswith(".port") and not 0 <= value <= 65535:
            return f"{path}: wanted is a number from 0 to 65535, not {value}"
        if good and not 0 <= value < 1 << 32:
            return f"{path}: wanted is a number from 0 to 4294967295, not {value}"
    else:
        good = isinstance(value, wanted)
    if not good:
        return f"{path}: wanted is {wanted.__name__}, not {_shown(value)}"
    if isinstance(value, enum.Enum) or not dataclasses.is_dataclass(value):
        return None
    faults = (_fault(getattr(value, one.name), one.type, f"{path}.{one.name}") for one in dataclasses.fields(value))
    return next(filter(None, faults), None)


def _shown(value):
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:60] + '…'}" if value is not None else "None"


def _without(name, what):
    def refuse(*_, **__):
        raise RuntimeError(f"{name}: a stage has no {what}")

    return refuse


def _seeded(random):
    """Who wants random numbers in a call has to say from which seed."""
    real = random.Random.seed

    def seed(self, a=None, version=2):
        if called and a is None:
            raise RuntimeError("random.seed: a stage has no random numbers but those from a seed that it gives")
        real(self, a, version)

    random.Random.seed = seed
    random.seed = random._inst.seed


class _WhileLoading:
    """A function that does as ever while the modules are loaded, and in a call says what a stage has not."""

    def __init__(self, name, real, what, given=None):
        self.name, self.real, self.what, self.given = name, real, what, given

    def __call__(self, *arguments, **named):
        if called and (self.given is None or len(arguments) + len(named) <= self.given):
            raise RuntimeError(f"{self.name}: a stage has no {self.what}")
        return self.real(*arguments, **named)


class _NoImports:
    """The last one to be asked for a module: in a call there are no files that it could be in."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        raise ModuleNotFoundError(f"{name}: there is no such module in the component; import it at the top of a file")


class _Lines:
    """Where `print` writes: a message for each line."""

    encoding = "utf-8"

    def __init__(self, level):
        self.level, self.line = level, ""

    def write(self, text):
        *lines, self.line = (self.line + text).split("\n")
        for line in lines:
            logging.log(self.level, line)
        return len(text)

    def flush(self):
        if self.line:
            logging.log(self.level, self.line)
            self.line = ""

    def isatty(self):
        return False


class _Timeless(type):
    """Of `datetime` and `date` without a clock: what is one of the real ones is one of these."""

    def __instancecheck__(cls, value):
        real = cls.__dict__.get("_real")
        return isinstance(value, real) if real else super().__instancecheck__(value)

    def __subclasscheck__(cls, other):
        real = cls.__dict__.get("_real")
        return issubclass(other, real) if real else super().__subclasscheck__(other)


class _DateTime(datetime.datetime, metaclass=_Timeless):
    _real = datetime.datetime
    now = staticmethod(_without("datetime.now", "clock"))
    utcnow = staticmethod(_without("datetime.utcnow", "clock"))
    today = staticmethod(_without("datetime.today", "clock"))


class _Date(datetime.date, metaclass=_Timeless):
    _real = datetime.date
    today = staticmethod(_without("date.today", "clock"))


# Before the modules of the stage are loaded, which take these names from where they are.
datetime.datetime, datetime.date = _DateTime, _Date
os.urandom = _without("os.urandom", "random numbers")
builtins.open = io.open = _WhileLoading("open", io.open, "files")
for _name in FILES:
    if hasattr(os, _name):
        setattr(os, _name, _WhileLoading(f"os.{_name}", getattr(os, _name), "files"))
for _name in CLOCKS:
    if hasattr(time, _name):
        setattr(time, _name, _WhileLoading(f"time.{_name}", getattr(time, _name), "clock: no time passes within a call"))
for _name, _given in PRESENT.items():
    setattr(time, _name, _WhileLoading(f"time.{_name}", getattr(time, _name), "clock", _given))
