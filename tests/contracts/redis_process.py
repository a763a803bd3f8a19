"""A writer, or a relay, in a process of its own that dies by SIGKILL at points chosen by a seed.

Arguments: the server's URL, the plugin's name, ``write`` or ``relay``, and ``seed:mean``.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys

from marketplace_core._runtime import failpoints
from marketplace_core.adapters.arq import ArqQueue
from marketplace_core.adapters.redis.bus import RedisBus
from marketplace_core.adapters.redis.outbox import RedisOutbox
from marketplace_core.adapters.redis.server import connect
from marketplace_core.adapters.redis.units import RedisUnits
from marketplace_core.outbox import Relay
from marketplace_core.testing.contracts import Happened
from marketplace_core.testing.contracts.bus import GROUPS, LEASE
from marketplace_core.values import SystemClock

SCRIPT = """
redis.call('INCR', 'plugin:kept:' .. ARGV[1])
emit('contract.happened', ARGV[1], {thing = ARGV[1]})
"""


async def main(url: str, name: str, part: str, plan: str) -> None:
    seed, mean = (int(number) for number in plan.split(":"))
    redis = connect(url)
    if part == "relay":
        failpoints.arm(seed, mean)
        bus = RedisBus(redis, groups=GROUPS, lease=LEASE)
        await Relay(name, RedisOutbox(redis, name), bus, ArqQueue(url, "jobs"), frozenset({Happened.topic})).run()
    script = RedisUnits(redis, SystemClock(), name).script(SCRIPT, [Happened])
    chance = random.Random(seed)
    for number in itertools.count():
        key = chance.choice("ab")
        await script([key])
        print(key, flush=True)
        if number == 20:
            failpoints.arm(seed, mean)
        failpoints.hit("written")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
