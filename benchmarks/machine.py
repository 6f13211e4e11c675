"""The machine and the versions that figures belong to."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from seedbed.stream import get_engine

_PACKAGES = (
    "numpy", "llvmlite", "cryptography", "fastapi", "starlette", "uvicorn", "uvloop", "httptools",
    "pydantic", "torch", "jax", "keras", "transformers", "safetensors",
)  # fmt: skip

_TOOLS = (("curl", "--version"), ("nginx", "-v"), ("wrk", "-v"))


def describe() -> str:
    """Processor, memory, system and versions, as a list."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    facts = {
        "Processor": f"{_processor()}; {len(os.sched_getaffinity(0))} cores usable",
        "Memory": f"{memory:.0f} GiB",
        "System": f"Linux {platform.release()}, Python {platform.python_version()}",
        "Seedbed": f"{version('seedbed')}, commit {_commit()}, engine {get_engine().name}",
        "Packages": ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
        "Tools": ", ".join(_tool(*tool) for tool in _TOOLS),
    }
    return "\n".join(f"- {name}: {text}" for name, text in facts.items())


def when() -> str:
    """The time, and how busy the machine was just before."""
    now = dt.datetime.now(dt.UTC)
    return f"{now:%Y-%m-%d %H:%M} UTC, load average before {os.getloadavg()[0]:.2f}"


def _processor() -> str:
    """As the kernel names it; with family and model, where a virtual machine hides the name."""
    text = Path("/proc/cpuinfo").read_text()
    found = dict(re.findall(r"^(model name|cpu family|model)\s*: (.*)$", text, re.MULTILINE))
    numbers = f"family {found.get('cpu family', '?')}, model {found.get('model', '?')}"
    return f"{found.get('model name', platform.machine())} ({numbers})"


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _tool(name: str, option: str) -> str:
    """Name and version, from whatever it says first."""
    if not shutil.which(name):
        return f"{name} missing"
    done = subprocess.run([name, option], capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+(\.\d+)?", done.stdout + done.stderr)
    return f"{name} {found[0] if found else 'unknown'}"
