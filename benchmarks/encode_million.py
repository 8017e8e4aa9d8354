"""`hrembed encode` of a million composed profiles: Ray beside local processes, killed twice, and the bytes of both.

    .venv/bin/python benchmarks/encode_million.py [--rows 1000000] [--short]

Profiles are put together from the sentences of `hr-core`: one title and three sentences of an occupation, a fifth of
them with a sentence of another. The static model costs next to nothing, so what is measured is everything else.
Memory is summed over all processes of a command, those of Ray included, found by a variable of their environment. Exits
with 1 when a limit is exceeded (not with `--short`).
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from hrembed.files import json_text
from hrembed.shards.reading import open_shards

from measuring import HR_CORE, arguments, record

if TYPE_CHECKING:
    from collections.abc import Callable

MB = 1_000_000
PEAK_MB, OVERHEAD_SECONDS, OVERHEAD_CPU = 2_000, 10.0, 15.0
_VARIABLE = "HREMBED_BENCHMARK"
_EVERY = 0.1


def compose(file: Path, rows: int) -> None:
    """Write profiles as JSONL, the same ones each time."""
    rng = random.Random(13)
    with (HR_CORE / "occupations.csv").open(encoding="utf-8", newline="") as stream:
        titles = [next(iter(row.values())) for row in csv.DictReader(stream)]
    texts = [json.loads(line)["text"] for line in (HR_CORE / "test/ad-profile/corpus.jsonl").open(encoding="utf-8")]
    sentences = [[part.strip() for part in text.split(".") if part.strip()] for text in texts]
    with file.open("w", encoding="utf-8") as stream:
        for n in range(rows):
            own, other = rng.choice(sentences), rng.choice(sentences)
            chosen = rng.sample(own, min(3, len(own))) + ([rng.choice(other)] if rng.random() < 0.2 else [])
            text = f"{rng.choice(titles)}. {'. '.join(chosen)}. {n % 40} years"
            row = {"id": f"c{n}", "text": text, "country": rng.choice(["DE", "AT", "CH", "FR", "NL"]), "years": n % 40}
            stream.write(json.dumps(row) + "\n")


class Watched:
    """A command, with the memory and the processor time of everything that it started."""

    def __init__(self, words: list[str], folder: Path) -> None:
        self.token = uuid.uuid4().hex
        environment = {**os.environ, _VARIABLE: self.token, "OMP_NUM_THREADS": "1"}
        self._log = (folder / "log.txt").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hrembed", *words], env=environment, stdout=self._log, stderr=self._log
        )
        self.began = time.monotonic()
        self.rss = self.pss = self.seconds = 0.0
        self.most_processes = 0
        self._cpu: dict[int, float] = {}
        self._ours: dict[int, bool] = {}

    def living(self) -> list[psutil.Process]:
        """Processes of the command, orphans included."""
        found = []
        for process in psutil.process_iter():
            if process.pid not in self._ours:
                try:
                    self._ours[process.pid] = process.environ().get(_VARIABLE) == self.token
                except (psutil.Error, OSError):
                    continue
            if self._ours[process.pid]:
                found.append(process)
        return [process for process in found if _alive(process)]

    def look(self, *, shared: bool) -> None:
        """Take a sample; with `shared`, what processes share is counted once as well."""
        rss = pss = 0.0
        processes = self.living()
        for process in processes:
            try:
                rss += process.memory_info().rss
                pss += process.memory_full_info().pss if shared else 0
                times = process.cpu_times()
                self._cpu[process.pid] = max(self._cpu.get(process.pid, 0.0), times.user + times.system)
            except (psutil.Error, OSError):
                continue
        self.rss, self.pss = max(self.rss, rss / MB), max(self.pss, pss / MB)
        self.most_processes = max(self.most_processes, len(processes))

    def until(self, ready: Callable[[], bool]) -> None:
        """Watch until something is so, or the command has ended."""
        samples = 0
        while self.process.poll() is None and not ready():
            self.look(shared=samples % 10 == 0)
            samples += 1
            time.sleep(_EVERY)
        self.seconds = time.monotonic() - self.began

    def kill(self) -> None:
        """End the command as a lack of memory does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._log.close()

    def finished(self) -> dict[str, Any]:
        """Wait for the end, and say what it took.

        Raises:
            RuntimeError: The command failed.
        """
        self.until(lambda: False)
        self._log.close()
        if self.process.returncode:
            raise RuntimeError(Path(self._log.name).read_text(encoding="utf-8")[-2_000:])
        return {
            "wall_seconds": round(self.seconds, 2),
            "cpu_seconds": round(sum(self._cpu.values()), 2),
            "peak_rss_mb": round(self.rss),
            "peak_pss_mb": round(self.pss),
            "processes": self.most_processes,
        }


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def shards_of(folder: Path) -> list[Path]:
    """Files of finished shards."""
    return sorted(folder.glob("shard-*.parquet"))


def hash_of(folder: Path) -> str:
    """Hash of the names and the bytes of all shards."""
    lines = [f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in shards_of(folder)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def words_of(place: Path, out: str, engine: str, workers: int, per_shard: int) -> list[str]:
    """Arguments of `hrembed`."""
    words = ["encode", str(place / "profiles.jsonl"), "--model", "wordllama", "--out", str(place / out)]
    words += ["--keep", "country", "--keep", "years", "--engine", engine, "--workers", str(workers)]
    return [*words, "--set", f"rows_per_shard={per_shard}", "--runs-dir", str(place / "runs"), "--quiet"]


def killed_twice(place: Path, per_shard: int, shards: int) -> tuple[dict[str, Any], list[int]]:
    """Encode on Ray, killed after a third and two thirds of the shards, each time gone on with at once."""
    words = words_of(place, "killed", "ray", 2, per_shard)
    killed, tokens = [], []
    for part in (1, 2):
        watched = Watched(words, place)
        watched.until(lambda most=shards * part // 3: len(shards_of(place / "killed")) >= most)  # type: ignore[misc]
        watched.kill()
        killed.append(len(shards_of(place / "killed")))
        tokens.append(watched)
    last = Watched(words, place)
    took = last.finished()
    time.sleep(60)
    left = [process.pid for watched in [*tokens, last] for process in watched.living()]
    return {**took, "shards_at_the_kills": killed, "processes_left_after_a_minute": len(left)}, left


def main() -> int:
    """Measure, and write the rows."""
    options = arguments(__doc__ or "", rows={"type": int, "default": 1_000_000, "help": "profiles"})
    count, per_shard = (20_000, 500) if options.short else (options.rows, 10_000)
    shards = -(-count // per_shard)
    place = Path(tempfile.mkdtemp(prefix="encode-million-"))
    try:
        compose(place / "profiles.jsonl", count)
        size = (place / "profiles.jsonl").stat().st_size
        rows: list[dict[str, Any]] = []
        for engine, workers in (("local", 1), ("local", 2), ("ray", 2)):
            out = f"{engine}-{workers}"
            took = Watched(words_of(place, out, engine, workers, per_shard), place).finished()
            rows.append(
                {"what": "encode", "engine": engine, "workers": workers, **took, "sha256": hash_of(place / out)}
            )
        broken, left = killed_twice(place, per_shard, shards)
        ids = open_shards(place / "killed").ids()
        rows.append(
            {
                "what": "killed twice",
                "engine": "ray",
                "workers": 2,
                **broken,
                "sha256": hash_of(place / "killed"),
                "lost": count - len(set(ids)),
                "doubled": len(ids) - len(set(ids)),
                "in_order": ids == [f"c{n}" for n in range(count)],
            }
        )
        local, ray, killed = rows[1], rows[2], rows[3]
        per_million = 1_000_000 / count
        summary = {
            "what": "summary",
            "rows": count,
            "input_mb": round(size / MB),
            "shards": shards,
            "same_bytes": len({row["sha256"] for row in rows}) == 1,
            "ray_overhead_seconds": round(ray["wall_seconds"] - local["wall_seconds"], 2),
            "ray_overhead_cpu_seconds": round(ray["cpu_seconds"] - local["cpu_seconds"], 2),
            "ray_overhead_cpu_seconds_per_million": round((ray["cpu_seconds"] - local["cpu_seconds"]) * per_million, 2),
            "peak_rss_mb": max(row["peak_rss_mb"] for row in rows),
            "limits": {"peak_mb": PEAK_MB, "overhead_seconds": OVERHEAD_SECONDS, "overhead_cpu": OVERHEAD_CPU},
        }
        rows.append(summary)
        record("encode_million", options, rows)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    met = {
        "same bytes": summary["same_bytes"],
        "no row lost or doubled": killed["in_order"],
        "no process left": not left,
        "peak": options.short or summary["peak_rss_mb"] < PEAK_MB,
        "overhead": options.short or summary["ray_overhead_seconds"] <= OVERHEAD_SECONDS,
        "overhead of the processor": options.short or summary["ray_overhead_cpu_seconds_per_million"] <= OVERHEAD_CPU,
    }
    print(json_text(met))
    return 0 if all(met.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
