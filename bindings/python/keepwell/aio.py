"""The same for asyncio: calls run in worker threads, so the event loop never waits for the disk.

    store = await aio.run(keepwell.Store.open, "records", app="demo", device="laptop")
    async for event in aio.events(session.observe("Patient?gender=female")):
        ...
"""

import asyncio
import functools
from typing import Any, AsyncIterator, Callable, TypeVar

from ._store import Feed

_T = TypeVar("_T")


async def run(call: Callable[..., _T], *arguments: Any, **named: Any) -> _T:
    """Makes a call of this package in a worker thread."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, functools.partial(call, *arguments, **named))


async def events(feed: Feed) -> "AsyncIterator[dict[str, Any]]":
    """What a feed tells, one by one, until the iteration is left; the feed is closed then."""
    try:
        while True:
            for event in await run(feed.next, 0.5):
                yield event
    finally:
        feed.close()
