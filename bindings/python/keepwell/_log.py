"""What goes wrong, told to a logger of the program."""

import ctypes
import logging
from typing import Any, Optional

from . import _library as c
from ._errors import Actor
from ._library import call, library

_LEVELS = {Actor.CALLER: logging.INFO, Actor.PERSON: logging.INFO, Actor.SERVER: logging.WARNING,
           Actor.DEVICE: logging.WARNING, Actor.DEVELOPER: logging.ERROR}
#: The callback that the library has: it lives as long as that may call it.
_current: Any = None


def set_logger(logger: Optional[logging.Logger]) -> None:
    """Tells every call that fails to ``logger`` from now on, with its code and without patient data; None: nobody.

    Its handlers must not call this package.
    """
    global _current

    def tell(_: Any, code: int, actor: int, line: int, length: int) -> None:
        if logger is not None:
            logger.log(_LEVELS[Actor(actor)], "%d: %s", code, ctypes.string_at(line, length).decode())

    made = c.LOGGER(tell) if logger is not None else c.LOGGER()
    call(library.keepwell_set_logger, made, None)
    _current = made
