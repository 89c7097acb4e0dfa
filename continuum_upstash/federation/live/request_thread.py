"""The thread in which Django runs the sync code of an async request.

Django keeps it until the end of the response, and with it the request's database connections. A
stream would hold them for minutes, although it needs neither.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from asgiref.sync import SyncToAsync, sync_to_async
from django.db import connections


async def release_thread() -> None:
    """Close the database connections of this request's thread, and end it.

    Sync code that runs later in the request, such as the receivers of `request_finished`, has a new
    thread. Does nothing where the request has no thread of its own.
    """
    context = SyncToAsync.thread_sensitive_context.get(None)
    if context is None or getattr(context, "_executor", None) is not None:
        return  # a server has given its own executor, which it uses again
    executor = SyncToAsync.context_to_thread_executor.get(context)
    if isinstance(executor, ThreadPoolExecutor):
        await sync_to_async(connections.close_all)()
        SyncToAsync.context_to_thread_executor.pop(context, None)
        executor.shutdown(wait=False)
