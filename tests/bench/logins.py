"""Login and refresh against argon2 alone, and refresh against the same SQL too, since it hashes nothing."""

from __future__ import annotations

import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
from argon2 import PasswordHasher, Type
from figures import Bench, Line, figure, pairs
from floor import Spec, floor, program
from load import CONNECTIONS, post_script, wrk
from market import Market
from marketplace_auth.config import AuthConfig
from reads import replayed
from watch import SqlLog, transactions

LOGIN, REFRESH = "/buyer/v1/auth/login", "/buyer/v1/auth/refresh"
SESSIONS = 64


@figure("login")
async def login(bench: Bench) -> list[Line]:
    """Login; the floor is argon2 alone with the same parameters."""
    async with bench.started() as market:
        url = market.url + LOGIN
        script = post_script([({}, msgspec.json.encode(market.accounts["buyer"]).decode())])
        bench.say("login")
        await wrk(url, 1, bench.folder, script=script)
        ours, bottom = await pairs(
            lambda: wrk(url, bench.seconds, bench.folder, script=script), lambda: _alone(bench), bench.runs
        )
    return [Line(name="login", unit="/s", ours=ours, floor=bottom, at_least=0.8)]


@figure("refresh")
async def refresh(bench: Bench) -> list[Line]:
    """Refresh of a session; the floors are argon2 alone, and a bare Quart route with the same SQL."""
    async with bench.started() as market:
        url, dsn = market.url + REFRESH, market.resource("main")
        (session,) = await _sessions(market, 1)
        bodies: list[bytes] = []

        async with market.client() as client:

            async def act() -> None:
                bodies.append(msgspec.json.encode(await client.post("/auth/refresh", {"refresh_token": session[1]})))

            with market.worker_stopped():
                async with SqlLog(market) as log:
                    found = transactions(await log.during(act))
        values = [{session[0]: other} for other, _ in await _sessions(market, SESSIONS)]
        spec = Spec(body=bodies[0], dsn=dsn, sql=await replayed(dsn, found), values=values)
        bench.say("refresh")

        async def rotate(url: str) -> float:  # the same script for both: it costs as much as the work
            tokens = [token for _, token in await _sessions(market, SESSIONS)]
            return await wrk(url, bench.seconds, bench.folder, script=_rotating(tokens))

        async with floor(spec, bench.folder) as bare:
            await rotate(bare)
            ours, bottom = await pairs(lambda: rotate(url), lambda: rotate(bare), bench.runs)
        hashing = [await _alone(bench) for _ in range(bench.runs)]
    note = f"{sum(len(each.statements) for each in found)} statements"
    return [
        Line(name="refresh", unit="/s", ours=ours, floor=hashing, at_least=0.8),
        Line(name="refresh, beside the same SQL", unit="/s", ours=ours, floor=bottom, note=note),
    ]


async def _alone(bench: Bench) -> float:
    """Verifications per second of argon2 alone, in a pool of as many threads."""
    async with program(bench.folder, "logins", str(bench.seconds)) as line:
        return float(line)


async def _sessions(market: Market, count: int) -> list[tuple[str, str]]:
    """Ids and refresh tokens of new sessions."""
    async with market.client() as client:
        made = await asyncio.gather(*(client.post("/auth/login", market.accounts["buyer"]) for _ in range(count)))
    tokens = [each["session"] for each in made]
    return [(_session_id(each["access_token"]), each["refresh_token"]) for each in tokens]


def _session_id(token: str) -> str:
    import jwt  # noqa: PLC0415

    claims = jwt.decode(token, options={"verify_signature": False})
    found: str = claims["sid"]
    return found


def _rotating(tokens: list[str]) -> str:
    """A wrk script in which each token is used once, and what it brings afterwards."""
    listed = ", ".join(f'"{token}"' for token in tokens)
    return f"""
local tokens, first, last = {{{listed}}}, 1, {len(tokens)}
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
function request()
  local token = tokens[first]
  tokens[first], first = nil, first + 1
  return wrk.format(nil, nil, nil, '{{"refresh_token": "' .. token .. '"}}')
end
function response(status, headers, body)
  last = last + 1
  tokens[last] = string.match(body, '"refresh_token":"([^"]+)"')
end
"""


# ── the program: argon2 alone ────────────────────────────────────────────────────────────────────────────────


async def _verify(seconds: float) -> float:
    config = AuthConfig()
    hasher = PasswordHasher(
        time_cost=config.hash_time,
        memory_cost=config.hash_memory * 1024,
        parallelism=config.hash_parallelism,
        type=Type.ID,
    )
    hashed = hasher.hash("correct horse battery")
    threads = ThreadPoolExecutor(config.hash_threads)
    began = time.perf_counter()
    done = 0

    async def one() -> None:
        nonlocal done
        while time.perf_counter() - began < seconds:
            await asyncio.get_running_loop().run_in_executor(threads, hasher.verify, hashed, "correct horse battery")
            done += 1

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return done / (time.perf_counter() - began)


if __name__ == "__main__":
    import uvloop

    print(uvloop.run(_verify(float(sys.argv[1]))), flush=True)
