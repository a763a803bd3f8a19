"""Blobs in a bucket, on MinIO."""

from __future__ import annotations

import asyncio
import io
import itertools
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from botocore.exceptions import ClientError
from PIL import Image

from marketplace_core._runtime.pools import ThreadPool
from marketplace_core.adapters.s3.blobs import S3Blobs
from marketplace_core.adapters.s3.client import Address, Bucket
from marketplace_core.adapters.s3.kind import S3Settings
from marketplace_core.adapters.s3.lifecycle import RULES
from marketplace_core.adapters.s3.native import EmbeddedMinio
from marketplace_core.adapters.s3.opening import S3Server
from marketplace_core.adapters.s3.opening import blobs as blobs_of
from marketplace_core.errors import Unavailable
from marketplace_core.http.egress import Egress
from marketplace_core.http.routing import Upload
from marketplace_core.pictures import Pictures, PictureSizes
from marketplace_core.ports import Blobs
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.contracts.blobs import BlobsContract

pytestmark = pytest.mark.xdist_group("minio")

_numbers = itertools.count(1)
Opened = Callable[..., S3Server]


@pytest.fixture
def address(minio_server: EmbeddedMinio) -> str:
    """Of a bucket that is not there."""
    return minio_server.url(f"bucket-{next(_numbers)}")


@pytest.fixture
async def opened(address: str) -> AsyncIterator[Opened]:
    servers: list[S3Server] = []

    def open_server(url: str = address, **settings: Any) -> S3Server:
        servers.append(S3Server("files", url, S3Settings(**settings)))
        return servers[-1]

    yield open_server
    for each in servers:
        await each.close()


@pytest.fixture
async def server(opened: Opened) -> S3Server:
    made = opened()
    await blobs_of(made).prepare()
    return made


@pytest.fixture
def blobs(server: S3Server) -> S3Blobs:
    return blobs_of(server)


class TestS3Blobs(BlobsContract):
    pass


class Requests:
    """What a client sends, by operation, and the most that were under way at once."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.most = self._now = 0
        self._lock = threading.Lock()

    async def watch(self, bucket: Bucket) -> None:
        def watch(client: Any) -> None:
            client.meta.events.register("before-send.s3", self._sent)
            client.meta.events.register("response-received.s3", self._answered)

        await bucket.call(watch)

    def _sent(self, event_name: str, **_: Any) -> None:
        with self._lock:
            self.counts[event_name.rpartition(".")[2]] += 1
            self._now += 1
            self.most = max(self.most, self._now)

    def _answered(self, **_: Any) -> None:
        with self._lock:
            self._now -= 1


async def test_a_batch_is_a_request_each_and_they_go_side_by_side(server: S3Server, blobs: S3Blobs) -> None:
    requests = Requests()
    await requests.watch(server.connection)
    items: dict[str, Any] = {f"p/{n:03}.webp": os.urandom(30_000) for n in range(100)}
    items |= {f"uploads/p/{n:03}": io.BytesIO(os.urandom(300_000)) for n in range(10)}
    await blobs.put(items, None)
    assert requests.counts.total() <= 1.1 * len(items)
    assert 4 <= requests.most <= 8
    requests.counts.clear()
    await asyncio.gather(*(blobs.get(key) for key in items))
    assert requests.counts.total() <= 1.1 * len(items)
    requests.counts.clear()
    assert len(await blobs.list()) == len(items)
    await blobs.delete(list(items))
    assert requests.counts == {"ListObjectsV2": 1, "DeleteObjects": 1}
    assert await blobs.list() == []


async def test_pictures_pass_by_as_often_as_they_must(server: S3Server, blobs: S3Blobs) -> None:
    requests, pool = Requests(), ThreadPool("pictures", 2)
    await requests.watch(server.connection)
    pictures = Pictures("catalog", blobs, pool, lambda: Egress("catalog"), PictureSizes())
    files = [Upload("file", f"{n}.png", "", file, 1) for n in range(10) if (file := _png(n))]
    records, _ = pictures.accept(await pictures.keep(files), room=10)
    made = await pictures.make(records)
    assert [record.status for record in made] == ["ready"] * 10
    kept = len(await blobs.list("catalog/"))
    assert kept >= 20
    assert requests.counts.total() - 1 <= 1.1 * (10 + 10 + kept), "each is put, what came is got once, and each size is put"
    requests.counts.clear()

    async def referred(keys: Sequence[str]) -> set[str]:
        return {key for key in keys if made[0].key == key}

    assert await pictures.sweep(referred) == 0, "a moment ago is too young"
    assert await pictures.sweep(referred, timedelta(seconds=-60)) == 10 + kept - 1
    assert requests.counts.total() <= 10
    assert [entry.key for entry in await blobs.list()] == [made[0].key]
    await pool.close()


def _png(n: int) -> io.BytesIO:
    file = io.BytesIO()
    Image.new("RGB", (200, 200), (20 * n, 90, 120)).save(file, "PNG")
    return file


async def test_each_says_what_it_is_and_has_a_checksum(server: S3Server, blobs: S3Blobs) -> None:
    await blobs.put({"p/1.webp": b"picture", "p/page.html": io.BytesIO(b"<script>")})
    told = [
        await server.connection.call(
            lambda client, key=key: client.head_object(Bucket=server.connection.name, Key=key, ChecksumMode="ENABLED")
        )
        for key in ("p/1.webp", "p/page.html")
    ]
    assert [each["ContentType"] for each in told] == ["image/webp", "application/octet-stream"]
    assert all(each["CacheControl"] == "public, max-age=31536000, immutable" and each["ChecksumSHA256"] for each in told)


async def test_what_is_damaged_on_its_way_is_not_taken(server: S3Server, blobs: S3Blobs) -> None:
    def damage(request: Any, **_: Any) -> None:
        request.headers.replace_header("x-amz-checksum-sha256", "A" * 43 + "=")

    await server.connection.call(lambda client: client.meta.events.register("before-sign.s3.PutObject", damage))
    with pytest.raises(ClientError, match="Checksum"):
        await blobs.put({"a": b"1", "b": b"2"})
    assert await blobs.list() == []


async def test_after_one_that_fails_no_other_is_begun_and_none_is_under_way(server: S3Server, blobs: S3Blobs) -> None:
    begun: list[int] = []
    ended: list[int] = []

    def act(_: Any, n: int) -> None:
        begun.append(n)
        if n == 3:
            raise KeyError(n)
        time.sleep(0.05)
        ended.append(n)

    with pytest.raises(KeyError):
        await server.connection.each(act, range(200))
    assert len(begun) < 30 and len(ended) == len(begun) - 1


# ── as browsers see them ─────────────────────────────────────────────────────────────────────────────────────


async def test_an_address_is_signed_once_for_half_of_the_time_that_it_lasts(server: S3Server, blobs: S3Blobs) -> None:
    requests = Requests()
    await requests.watch(server.connection)
    first = await blobs.link("p/1.webp")
    assert first is not None and first.seconds == 150
    assert await blobs.link("p/1.webp") == first
    assert not requests.counts, "no server is asked"
    blobs._signed["p/1.webp"] = 0.0, first.url
    assert await blobs.link("p/1.webp") is not None
    assert blobs._signed["p/1.webp"][0] > time.monotonic() + 299


async def test_an_address_is_of_the_host_that_browsers_reach(address: str, opened: Opened) -> None:
    assert await blobs_of(opened(address, media="edge")).link("p/1.webp") is None, "we give it ourselves"
    link = await blobs_of(opened(address, public="https://files.example/", media_seconds=3600)).link("p/1.webp")
    assert link is not None and link.url.startswith(f"https://files.example/{Address.of(address).bucket}/p/1.webp?")
    assert "X-Amz-Expires=3600" in link.url


async def test_a_signed_address_gives_the_picture_and_a_bare_one_does_not(blobs: S3Blobs) -> None:
    await blobs.put({"p/1.webp": b"picture"})
    link = await blobs.link("p/1.webp")
    assert link is not None
    async with aiohttp.ClientSession() as client:
        async with client.get(link.url) as answer:
            assert (answer.status, answer.content_type, await answer.read()) == (200, "image/webp", b"picture")
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        async with client.get(link.url.partition("?")[0]) as answer:
            assert answer.status == 403


# ── set up ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_bucket_is_made_with_its_rules_beside_those_of_others(opened: Opened) -> None:
    server = opened()
    blobs, bucket = blobs_of(server), server.connection
    told = [step.name for step in await blobs.missing()]
    assert told == [f"bucket {bucket.name}", f"lifecycle of {bucket.name}"]
    await asyncio.gather(blobs.prepare(), blobs_of(opened()).prepare())
    assert await blobs.missing() == await blobs.prepare() == ()

    other = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 1}}
    changed = {**RULES[0], "Expiration": {"Days": 1}}
    await bucket.call(
        lambda client: client.put_bucket_lifecycle_configuration(
            Bucket=bucket.name, LifecycleConfiguration={"Rules": [other, changed]}
        )
    )
    assert await blobs_of(opened(lifecycle=False)).missing() == ()
    assert [step.number for step in await blobs.prepare()] == [2]
    rules = await bucket.call(lambda client: client.get_bucket_lifecycle_configuration(Bucket=bucket.name)["Rules"])
    assert {rule["ID"]: rule.get("Expiration", {}).get("Days") for rule in rules} == {
        "theirs": 1,
        "marketplace-uploads": 30,
        "marketplace-versions": None,
    }


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("s3://files", Address("files")),
        ("s3://KEY:a%2Fb@files", Address("files", None, "KEY", "a/b")),
        ("s3+https://files.example/shop", Address("shop", "https://files.example")),
        ("s3+http://k:s@[::1]:9000/shop/", Address("shop", "http://[::1]:9000", "k", "s")),
    ],
)
def test_an_address_names_a_bucket(url: str, address: Address) -> None:
    assert Address.of(url) == address


@pytest.mark.parametrize("url", ["s3://", "s3://files/below", "s3+https://files.example", "s3+https://h/a/b"])
def test_an_address_without_a_bucket_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="s3://BUCKET"):
        Address.of(url)


# ── away ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_bucket_that_is_not_there_is_no_missing_blob(opened: Opened) -> None:
    server = opened()
    with pytest.raises(ClientError, match="NoSuchBucket"):
        await blobs_of(server).get("a")
    with pytest.raises(ClientError, match="404"):
        await server.ready()


async def test_a_server_that_is_silent_costs_no_more_than_two_answers_and_is_back_at_once(
    minio_server: EmbeddedMinio, server: S3Server, blobs: S3Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = minio_server.child
    assert child is not None
    monkeypatch.setattr("marketplace_core.adapters.s3.client.ANSWERING", 0.5)
    server = S3Server("files", minio_server.url(server.connection.name))
    other = blobs_of(server)
    await server.ready()
    child.send(signal.SIGSTOP)
    began = time.monotonic()
    try:
        await eventually(lambda: psutil.Process(child.pid).status() == psutil.STATUS_STOPPED)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await server.ready()
        assert server.connection.in_use == 0, "who asks takes none of those who work"
        with pytest.raises(Unavailable):
            await other.put({f"p/{n}": b"1" for n in range(200)})
        assert server.connection.in_use == 0
        assert time.monotonic() - began < 6, "not each of them waited"
        assert await other.link("p/1") is not None
    finally:
        child.send(signal.SIGCONT)
    await server.ready()
    await other.put({"p/1": b"1"})
    assert await blobs.get("p/1") == b"1"
    await server.close()


async def test_a_server_that_was_killed_is_found_again(short_folder: Path) -> None:
    minio = EmbeddedMinio(short_folder / "d")
    await minio.start()
    server = S3Server("files", minio.url("files"))
    blobs: Blobs = blobs_of(server)
    await blobs.prepare()
    await blobs.put({f"p/{n}": b"1" for n in range(20)})
    minio.kill()
    assert minio.child is not None
    await minio.child.wait()
    for act in (blobs.get("p/1"), blobs.put({"p/2": b"2"}), blobs.list(), blobs.delete(["p/1"]), server.ready()):
        with pytest.raises(Unavailable):
            await act
    await minio.start()
    await server.ready()
    assert len(await blobs.list()) == 20
    await server.close()
    await minio.stop()
