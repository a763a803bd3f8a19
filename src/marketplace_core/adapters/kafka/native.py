"""Apache Kafka by Maven: one node that is broker and controller, on this machine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from marketplace_core._supervisor.ports import free_port
from marketplace_core.adapters.native.errors import EmbeddedError
from marketplace_core.adapters.native.installed import HOST, InstalledServer, listens
from marketplace_core.adapters.native.java import java
from marketplace_core.adapters.native.programs import Maven

__all__ = ["KAFKA", "EmbeddedKafka"]

_VERSION = "4.1.0"
KAFKA = Maven(
    "kafka",
    _VERSION,
    artifacts=(f"org.apache.kafka:kafka_2.13:{_VERSION}", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.1"),
)
_JAVA = 17
#: Names the log, not the data: any will do, and it must be the same at each start.
_CLUSTER = "bWFya2V0cGxhY2UtbmF0aQ"
#: Little memory, and up at once: a compiler that thinks less long is done sooner.
_OPTIONS = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # One who joins a group of one waits for nobody else.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    # What a killed publisher left open holds up its readers for no longer than it must.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "log.cleaner.dedupe.buffer.size": "8388608",
    "log.segment.bytes": "67108864",
    "controlled.shutdown.enable": "false",
}


class EmbeddedKafka(InstalledServer):
    """``url`` is for clients. An acknowledged record is in the kernel's hands: a crash of the machine may lose some."""

    _title, _process = "Kafka", "java"
    program, name = KAFKA, "kafka"

    @property
    def url(self) -> str:
        return f"kafka://{self.address}"

    def _command(self) -> Sequence[str | Path]:
        settings = self._files / "server.properties"
        controller = free_port(host=HOST)
        lines = {
            **_SETTINGS,
            "log.dirs": str(self._files / "log"),
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.quorum.voters": f"1@{HOST}:{controller}",
        }
        settings.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        logging = self._files / "log4j2.properties"
        logging.write_text(_LOGGING)
        run: list[str | Path] = [java(_JAVA), *_OPTIONS, f"-Dlog4j2.configurationFile={logging}", "-cp", KAFKA.classpath]
        if not (self._files / "log" / "meta.properties").exists():
            self._format(run, settings)
        return [*run, "kafka.Kafka", settings]

    def _format(self, run: Sequence[str | Path], settings: Path) -> None:
        shutil.rmtree(self._files / "log", ignore_errors=True)
        command = [*run, "kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", settings]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise EmbeddedError(f"Kafka cannot make its log: {done.stdout}{done.stderr}", f"see {settings}")

    async def _ready(self) -> bool:
        """It listens once it has read its log."""
        return await listens(self.port)


_LOGGING = """
rootLogger.level=WARN
rootLogger.appenderRef.out.ref=OUT
appender.out.type=Console
appender.out.name=OUT
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %m (%c)%n
"""
