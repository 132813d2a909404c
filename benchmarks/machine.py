"""One line about where it was measured, without which no figure means anything."""

import os
import platform
import sqlite3
import statistics
import time
from pathlib import Path


def describe(root: Path) -> dict[str, str]:
    """Python, SQLite, processor, disk and its fsync, as short texts."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "cores": str(
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        ),
        "load": f"{os.getloadavg()[0]:.2f}",
        "disk": _disk_kind(root),
        "fsync_p50_us": f"{fsync_p50_us(root):.0f}",
        "durability": "full (PRAGMA synchronous=FULL, WAL) on every side",
    }


def busy() -> str | None:
    """A warning where other work runs beside: ratios of a disk that others use mean little."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load <= cores / 2:
        return None
    return (
        f"NOTE: the load was {load:.1f} on {cores} cores before anything was measured. Other work runs "
        "beside; take these figures as provisional and measure again when it is quiet."
    )


def line(machine: dict[str, str]) -> str:
    return (
        f"{machine['python']}, SQLite {machine['sqlite']}, {machine['cores']} cores "
        f"({machine['processor']}), load {machine['load']} at the start\n"
        f"disk {machine['disk']}, fsync p50 {machine['fsync_p50_us']} us; "
        f"durability {machine['durability']}"
    )


def fsync_p50_us(root: Path, tries: int = 200) -> float:
    """Median of a 4 KB append followed by fdatasync, in microseconds."""
    path = root / "fsync-probe"
    block = b"\0" * 4096
    took: list[float] = []
    synchronise = getattr(os, "fdatasync", os.fsync)
    with path.open("wb", buffering=0) as file:
        for _ in range(tries):
            file.write(block)
            started = time.perf_counter()
            synchronise(file.fileno())
            took.append(time.perf_counter() - started)
    path.unlink()
    return statistics.median(took) * 1e6


def _processor() -> str:
    try:
        for text in Path("/proc/cpuinfo").read_text().splitlines():
            if text.startswith("model name"):
                return text.partition(":")[2].strip()
    except OSError:
        pass  # not Linux: what the platform says must do
    return platform.processor() or "unknown"


def _disk_kind(root: Path) -> str:
    """Device and file system under `root`, where the system tells them (Linux)."""
    try:
        mounts = [text.split()[:3] for text in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    resolved = root.resolve()
    holding = [mount for mount in mounts if resolved.is_relative_to(mount[1])]
    if not holding:
        return "unknown"
    device, _, file_system = max(holding, key=lambda mount: len(mount[1]))
    rotates = Path(f"/sys/block/{Path(device).name}/queue/rotational")
    kind = ""
    if rotates.exists():
        kind = (
            ", rotating by its own word" if rotates.read_text().strip() == "1" else ", solid state"
        )
    return f"{device} ({file_system}{kind})"
