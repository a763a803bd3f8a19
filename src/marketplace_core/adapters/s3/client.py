"""A bucket by boto3, which waits in threads: in so many of them, and never for long."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self, TypeVar
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from marketplace_core.adapters.s3.kind import S3Settings
from marketplace_core.errors import Unavailable

__all__ = ["Address", "Bucket"]

T = TypeVar("T")
K = TypeVar("K")

#: Seconds for a connection, and for each answer, of two tries at most. So long a free thread is waited for, too.
CONNECTING, ANSWERING, TRIES = 2.0, 5.0, 2
PATIENCE = 10.0
#: What the server says of itself, not of what it was asked.
_LATER = frozenset(("InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown", "SlowDownRead", "SlowDownWrite"))


class Address(Struct, frozen=True):
    """``endpoint``: None is AWS's. Without a key it is whatever AWS's own libraries find: a role, variables, a profile."""

    bucket: str
    endpoint: str | None = None
    key: str | None = None
    secret: str | None = None

    @classmethod
    def of(cls, url: str) -> Self:
        """``s3://[KEY:SECRET@]BUCKET`` of AWS, ``s3+https://[KEY:SECRET@]HOST[:PORT]/BUCKET`` of another.

        :raises ValueError: there is no bucket in it.
        """
        parts = urlsplit(url)
        where, path = parts.netloc.rpartition("@")[2], parts.path.strip("/")
        bucket = path if parts.scheme != "s3" else where
        if not bucket or "/" in bucket or (parts.scheme == "s3" and path):
            raise ValueError("an address is s3://BUCKET, or s3+https://HOST/BUCKET")
        endpoint = None if parts.scheme == "s3" else f"{parts.scheme.removeprefix('s3+')}://{where}"
        return cls(bucket, endpoint, *(None if part is None else unquote(part) for part in (parts.username, parts.password)))


class Bucket:
    """Making it opens nothing."""

    def __init__(self, address: Address, settings: S3Settings) -> None:
        self.name = address.bucket
        self.settings = settings
        self._address = address
        self._free = asyncio.Semaphore(settings.threads)
        self._threads = ThreadPoolExecutor(settings.threads + 1, thread_name_prefix="s3")  # one is for who asks if it is there
        self._making = threading.Lock()
        self._client: Any = None
        self._signing: Any = None
        self._probe: Future[Any] | None = None
        self.in_use = 0

    async def call(self, act: Callable[..., T], *args: Any) -> T:
        """``act(client, *args)`` in a thread. Who is cancelled leaves it to end there.

        :raises Unavailable: the server, or a free thread, is away. :raises botocore.exceptions.ClientError: it refuses.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                await self._free.acquire()
        except TimeoutError as error:
            raise Unavailable("The store of files is busy.") from error
        self.in_use += 1
        loop = asyncio.get_running_loop()
        future = self._threads.submit(self._run, act, *args)
        future.add_done_callback(lambda _: _tell(loop, self._let_go))
        return await asyncio.wrap_future(future)

    async def each(self, act: Callable[[Any, K], object], items: Iterable[K]) -> None:
        """``act(client, item)`` for all, as many at a time as there are threads.

        After one that fails no other is begun. Once this returns, or raises, none is under way.
        """
        left = deque(items)

        async def work() -> None:
            while left:
                await self.call(act, left.popleft())

        tasks = [asyncio.create_task(work()) for _ in range(min(len(left), self.settings.threads))]
        try:
            if tasks:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            left.clear()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error

    async def probe(self) -> None:
        """Returns if it is there and ours to read. Who asks while another does hears the same: threads do not pile up."""
        if self._probe is None or self._probe.done():
            self._probe = self._threads.submit(self._run, lambda client: client.head_bucket(Bucket=self.name))
        await asyncio.shield(asyncio.wrap_future(self._probe))

    async def close(self) -> None:
        """What is under way ends by itself, within the time that it may take."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            await asyncio.to_thread(self._client.close)

    def _let_go(self) -> None:
        self.in_use -= 1
        self._free.release()

    async def sign(self, key: str) -> str:
        """An address by which anybody can GET a key for ``media_seconds``. It waits for no server, nor for our threads."""
        return await asyncio.to_thread(self._sign, key)

    def _sign(self, key: str) -> str:
        settings, client = self.settings, self._made()
        if settings.public is not None:  # what is signed names the host
            with self._making:
                client = self._signing = self._signing or self._make(settings.public.rstrip("/"))
        asked = {"Bucket": self.name, "Key": key}
        url: str = client.generate_presigned_url("get_object", asked, ExpiresIn=settings.media_seconds)
        return url

    def _made(self) -> Any:
        with self._making:
            self._client = self._client or self._make(self._address.endpoint)
            return self._client

    def _run(self, act: Callable[..., T], *args: Any) -> T:
        try:
            return act(self._made(), *args)
        except Exception as error:
            if _is_away(error):
                raise Unavailable("The store of files does not answer.") from error
            raise

    def _make(self, endpoint: str | None) -> Any:
        """A client of boto3's; that takes a third of a second."""
        import boto3  # noqa: PLC0415 - 30 MB, and who only reads a deployment needs none of it
        from botocore.config import Config  # noqa: PLC0415

        session = boto3.session.Session(
            self._address.key, self._address.secret, region_name=self.settings.region or (endpoint and "us-east-1")
        )
        config = Config(
            signature_version="s3v4",
            connect_timeout=CONNECTING,
            read_timeout=ANSWERING,
            retries={"mode": "standard", "total_max_attempts": TRIES},
            max_pool_connections=self.settings.threads + 1,
            s3={"addressing_style": "path" if endpoint else "virtual"},
        )
        return session.client("s3", endpoint_url=endpoint, config=config)


def _tell(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits there any more
        loop.call_soon_threadsafe(act)


def _is_away(error: Exception) -> bool:
    """That it may be there at another moment."""
    from botocore import exceptions as known  # noqa: PLC0415

    if isinstance(error, known.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or status == 429 or error.response.get("Error", {}).get("Code") in _LATER
    broken = (known.ConnectionError, known.HTTPClientError, known.IncompleteReadError, known.FlexibleChecksumError)
    return isinstance(error, (*broken, known.CredentialRetrievalError, known.MetadataRetrievalError))
