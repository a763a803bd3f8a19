"""Builds a wheel of every distribution, installs them in a fresh environment, and buys something there.

What is installed from wheels alone is what a user gets: no file of the repository may be needed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DISTRIBUTIONS = [ROOT, ROOT / "examples" / "simulators", *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]


def run(*command: str | Path, **options: object) -> None:
    subprocess.run([str(part) for part in command], check=True, **options)  # type: ignore[call-overload]


def build(folder: Path) -> list[Path]:
    for distribution in DISTRIBUTIONS:
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, distribution)
    return sorted(folder.glob("*.whl"))


def install(environment: Path, wheels: list[Path]) -> Path:
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    core = next(wheel for wheel in wheels if wheel.name.startswith("marketplace_core-"))
    others = [wheel for wheel in wheels if wheel != core]
    run(python, "-m", "pip", "install", "--quiet", f"marketplace-core[embedded,dbos] @ file://{core}", *others)
    return python


def buy(python: Path, folder: Path) -> dict[str, object]:
    """``up --demo`` out of the wheels, in a folder that has nothing of the repository, and one order."""
    marketplace = python.with_name("marketplace")
    command = [str(marketplace), "up", "--demo", "--json", "--port", "8741", "--data", str(folder / "data")]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as up:
        try:
            started = json.loads(up.stdout.readline()) if up.stdout else {}
            answer = subprocess.run(
                [str(python), str(ROOT / "scripts" / "purchase.py"), json.dumps(started)],
                cwd=folder,
                check=True,
                capture_output=True,
                text=True,
            )
            order: dict[str, object] = json.loads(answer.stdout)
            return order
        finally:
            up.terminate()


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="mp-wheels-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        wheels = build(folder / "wheels")
        print(f"{len(wheels)} wheels built")
        python = install(folder / "environment", wheels)
        order = buy(python, folder)
        print(f"order {order['number']} is {order['status']}")
        return 0 if order["status"] == "confirmed" else 1


if __name__ == "__main__":
    sys.exit(main())
