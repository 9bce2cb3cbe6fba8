"""Reads on the event loop what a thread asks for: counters belong to the loop that raises them."""

from collections.abc import Callable
from concurrent.futures import Future

from protos.telemetry.instruments import Read, Reading
from protos.telemetry.limits import READ_MS

Soon = Callable[[Callable[[], None]], object]
"""Runs a function on the loop soon: trio's run_sync_soon, asyncio's call_soon_threadsafe."""


def on_the_loop(soon: Soon, read: Read) -> Read:
    """The same reading, for any other thread; it raises when the loop does not answer in time."""

    def crossed() -> list[Reading]:
        answer: Future[list[Reading]] = Future()

        def look() -> None:
            try:
                answer.set_result(read())
            except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
                answer.set_exception(error)

        soon(look)
        return answer.result(READ_MS / 1_000)

    return crossed
