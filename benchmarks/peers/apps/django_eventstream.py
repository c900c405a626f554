"""django-eventstream in one file: its view on two channels, and `send_event` from the process.

Without storage, as by default: it keeps at most 10 events for a subscriber, and drops what is more.
"""

import asyncio
import os

import aiohttp
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse

UPSTREAM = os.environ["UPSTREAM"]

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    SECRET_KEY="benchmark",
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django_eventstream"],
    MIDDLEWARE=[],
    LOGGING_CONFIG=None,
)
application = get_asgi_application()

from django.urls import include, path  # noqa: E402  # these need the settings
from django_eventstream import send_event, urls  # noqa: E402

broadcasts: set[asyncio.Task[None]] = set()


async def broadcast(query: str) -> None:
    timeout = aiohttp.ClientTimeout(total=None)
    url = f"{UPSTREAM}/ndjson?{query}"
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(url) as response,
    ):
        async for line in response.content:
            send_event("run", "chunk", line.decode().rstrip("\n"), json_encode=False)


async def start(request: HttpRequest) -> HttpResponse:
    task = asyncio.create_task(broadcast(request.META["QUERY_STRING"]))
    broadcasts.add(task)
    task.add_done_callback(broadcasts.discard)
    return HttpResponse("started\n", status=202)


async def ready(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ready\n")


urlpatterns = [
    path("ready", ready),
    path("watch", include(urls), {"channels": ["run"]}),
    path("first", include(urls), {"channels": ["silent"]}),
    path("start", start),
]
