"""Local processes and Ray: the same bytes, whoever is killed, and nothing left behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from encoding import encode, hashes, profiles
from hrembed.commands.encode import local, on_ray
from hrembed.config.encode import RaySection
from hrembed.errors import DataError, HrembedError
from hrembed.shards.reading import open_shards

from conftest import jsonl

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from hrembed.shards.plan import Receipt

ROOT = Path(__file__).resolve().parents[3]
MARKER = "zyxmarker"

# Looks into the folder of Ray before it is removed.
LOOKING = f"""
import shutil, sys
from pathlib import Path
from hrembed.cli.app import main
from hrembed.commands.encode import on_ray
remove = shutil.rmtree

def look(folder, **options):
    files = [file for file in Path(folder).rglob("*") if file.is_file() and not file.is_symlink()]
    found = [file.name for file in files if b"{MARKER}" in file.read_bytes()]
    print("LOOKED", len(files), *found, file=sys.stderr)
    remove(folder, **options)

if __name__ == "__main__":
    on_ray.shutil.rmtree = look
    sys.exit(main(sys.argv[1:]))
"""
# Two nodes of one machine, each with room for one worker.
TWO_NODES = """
import os, sys
from hrembed.cli.app import main
import ray
from ray.cluster_utils import Cluster

if __name__ == "__main__":
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 100_000_000})
    cluster.add_node(num_cpus=1, object_store_memory=100_000_000)
    cluster.wait_for_nodes()
    status = main([*sys.argv[1:], "--ray-address", cluster.address])
    ray.init(address=cluster.address, log_to_driver=False)
    print("NODES", sum(node["Alive"] for node in ray.nodes()), file=sys.stderr)
    ray.shutdown()
    cluster.shutdown()
    sys.exit(status)
"""


def words(path: Path, out: str, engine: str, workers: int | None, per_shard: int) -> list[str]:
    said = ["encode", str(path / "in.jsonl"), "--model", "wordllama", "--out", str(path / out), "--engine", engine]
    said += [] if workers is None else ["--workers", str(workers)]
    return [*said, "--set", f"rows_per_shard={per_shard}", "--runs-dir", str(path / "runs"), "--quiet"]


def environment(path: Path, **more: str) -> dict[str, str]:
    """A home folder of its own, to see what is left there."""
    (path / "home").mkdir(exist_ok=True)
    return {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(path / "home"), "OMP_NUM_THREADS": "1", **more}


def start(path: Path, *said: str, script: str | None = None, **more: str) -> subprocess.Popen[str]:
    if script is not None:
        (path / "script.py").write_text(script)
    command = [sys.executable, str(path / "script.py")] if script else [sys.executable, "-m", "hrembed"]
    return subprocess.Popen(
        [*command, *said], env=environment(path, **more), cwd=path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> str:
    try:
        _, said = process.communicate(timeout=300)
    finally:
        process.kill()  # nothing where it has ended; its workers end with it
    assert process.returncode == 0, said
    return said


def left_of(pid: int) -> list[Path]:
    return list(Path("/tmp").glob(f"hrembed-ray-{pid}-*"))


@pytest.mark.long
def test_engines_write_the_same_bytes_and_ray_leaves_nothing(tmp_path: Path):
    rows = profiles(60)
    rows[33]["text"] += f" {MARKER}"
    jsonl(tmp_path / "in.jsonl", rows)
    for out, workers in (("one", 1), ("two", 2)):
        finish(start(tmp_path, *words(tmp_path, out, "local", workers, 10)))
    process = start(tmp_path, *words(tmp_path, "ray", "ray", 2, 10), script=LOOKING)
    said = finish(process)
    assert len(hashes(tmp_path / "one")) == 6
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two") == hashes(tmp_path / "ray")
    looked = next(line.split() for line in said.splitlines() if line.startswith("LOOKED"))
    assert int(looked[1]) > 5  # it had files
    assert looked[2:] == []  # none with a text
    assert "token" not in said.lower()
    assert left_of(process.pid) == []
    assert list((tmp_path / "home").iterdir()) == []
    assert processes_of(tmp_path) == []


def processes_of(path: Path) -> list[str]:
    """Processes that were told of a folder, or started in it, as Ray's are."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd", "status"]):
        cells = [*(process.info["cmdline"] or []), process.info["cwd"] or ""]
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(str(path) in cell for cell in cells):
            found.append(" ".join(cells)[:200])
    return found


def until(ready: Callable[[], bool], seconds: float = 120) -> None:
    for _ in range(int(seconds * 50)):
        if ready():
            return
        time.sleep(0.02)
    raise TimeoutError


@pytest.mark.parametrize(
    ("engine", "kills", "at_most", "count"),  # of each start, most shards before it is killed; of all, shards there are
    [
        pytest.param("local", 2, 30, 150, marks=pytest.mark.long, id="local-2-30"),
        pytest.param("local", 20, 6, 600, marks=pytest.mark.slow, id="local-20-6"),
        pytest.param("ray", 2, 30, 150, marks=pytest.mark.slow, id="ray-2-30"),
    ],
)
@pytest.mark.timeout(900)  # minutes only where other work shares the machine
def test_a_killed_run_goes_on_and_its_survivors_do_no_harm(
    tmp_path: Path, engine: str, kills: int, at_most: int, count: int, monkeypatch: pytest.MonkeyPatch
):
    source = jsonl(tmp_path / "in.jsonl", profiles(40 * count))
    encode(tmp_path, monkeypatch, input=str(source), out=str(tmp_path / "whole"), rows_per_shard=40)
    whole, rng = hashes(tmp_path / "whole"), random.Random(1)
    assert len(whole) == count
    said, kept, killed = words(tmp_path, "out", engine, 2, 40), 0, list[int]()
    for _ in range(kills):
        process = start(tmp_path, *said)
        until(partial(has, tmp_path / "out", kept + rng.randint(1, at_most)))
        time.sleep(rng.random() / 50)  # at any moment of a shard
        process.send_signal(signal.SIGKILL)
        killed.append(process.pid)
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        kept = len(hashes_there(tmp_path / "out"))
        assert kept < count - at_most, "too late to be of use"
        with pytest.raises(DataError, match="is incomplete"):
            open_shards(tmp_path / "out")
        # Under a final name lies nothing but whole shards.
        assert hashes(tmp_path / "out").items() <= whole.items()
    finish(start(tmp_path, *said))  # at once: what the killed ones left may still be running
    assert hashes(tmp_path / "out") == whole
    assert open_shards(tmp_path / "out").ids() == [f"c{n}" for n in range(40 * count)]
    assert not list((tmp_path / "out").glob("*.part"))
    until(lambda: processes_of(tmp_path) == [], 60)
    assert [folder for pid in killed for folder in left_of(pid)] == []  # the last run removed it
    assert hashes(tmp_path / "out") == whole


def has(folder: Path, shards: int) -> bool:
    return len(hashes_there(folder)) >= shards


def hashes_there(folder: Path) -> list[Path]:
    return list(folder.glob("shard-*.parquet"))


@pytest.mark.long
def test_a_worker_that_dies_is_said_and_finished_shards_are_kept(tmp_path: Path):
    jsonl(tmp_path / "in.jsonl", profiles(6_000))
    process = start(tmp_path, *words(tmp_path, "out", "local", 1, 40))
    until(partial(has, tmp_path / "out", 5))
    for child in psutil.Process(process.pid).children(recursive=True):
        if "resource_tracker" not in " ".join(child.cmdline()):
            child.kill()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "a worker process died (exit code -9); a lack of memory is the usual reason" in said
    assert "finished shards are kept" in said
    assert len(hashes(tmp_path / "out")) >= 5


def test_a_worker_that_dies_between_two_shards_is_said_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its pipe then breaks where the next shard is written to it, not where a receipt is read."""
    receive = local._received

    def received_then_killed(pipe: Connection, process: BaseProcess) -> Receipt:
        receipt = receive(pipe, process)
        process.kill()
        process.join()
        return receipt

    monkeypatch.setattr(local, "_received", received_then_killed)
    source = jsonl(tmp_path / "in.jsonl", profiles(80))
    with pytest.raises(HrembedError, match=r"a worker process died \(exit code -9\)"):
        encode(tmp_path, input=str(source), out=str(tmp_path / "out"), rows_per_shard=40)
    assert len(hashes(tmp_path / "out")) == 1


@pytest.mark.slow
def test_two_nodes_write_what_one_process_does(tmp_path: Path):
    jsonl(tmp_path / "in.jsonl", profiles(200))
    finish(start(tmp_path, *words(tmp_path, "one", "local", 1, 10)))
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="nodes-") as short:  # what a cluster leaves
        more = {"RAY_AUTH_MODE": "disabled", "RAY_TMPDIR": short}
        said = finish(start(tmp_path, *words(tmp_path, "nodes", "ray", None, 10), script=TWO_NODES, **more))
    assert "NODES 2" in said
    assert hashes(tmp_path / "one") == hashes(tmp_path / "nodes")
    (timings,) = [file for file in (tmp_path / "runs/encode").glob("*/timings.json") if '"ray"' in file.read_text()]
    assert '"workers": 2' in timings.read_text()  # one processor a node, so one worker on each


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_transformer_gives_the_same_bytes_too(tmp_path: Path, tiny_model: Path):
    """Torch rounds by its number of threads, which is the same for every worker."""
    rows = [{"id": f"c{n}", "text": row["text"].replace(" ", "") * (1 + n % 5)} for n, row in enumerate(profiles(60))]
    jsonl(tmp_path / "in.jsonl", rows)
    model = ["--model", f"path:{tiny_model}"]
    for out, engine, workers in (("one", "local", 1), ("two", "local", 2), ("ray", "ray", 2)):
        finish(start(tmp_path, *words(tmp_path, out, engine, workers, 20), *model))
    assert len(hashes(tmp_path / "one")) == 3
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two") == hashes(tmp_path / "ray")
    manifest = open_shards(tmp_path / "one").manifest
    assert (manifest.dim, manifest.zero_vectors) == (32, 0)
    assert manifest.truncated_texts
    assert 0 < manifest.truncated_texts < 60


class SlowRay:
    """Ray on a machine under load: its own processes take longer than it waits for them."""

    def __init__(self, slow: int) -> None:
        self.slow, self.shutdowns = slow, 0

    def init(self, **settings: Any) -> None:
        assert settings["include_dashboard"] is settings["log_to_driver"] is False
        assert settings["num_cpus"] == 3  # two workers of one and a quarter each
        if self.shutdowns < self.slow:
            raise OSError("The current node timed out during startup. This could happen because ...")

    def shutdown(self) -> None:
        self.shutdowns += 1


def test_ray_is_started_again_where_it_waited_too_little(tmp_path: Path):
    section = RaySection(cpus_per_worker=1.25)
    slow = SlowRay(2)
    on_ray._start(slow, section, 2, tmp_path)
    assert slow.shutdowns == 2
    with pytest.raises(HrembedError, match="cannot start Ray: OSError: The current node timed out"):
        on_ray._start(SlowRay(3), section, 2, tmp_path)


def test_a_cluster_that_is_not_there_is_said(tmp_path: Path):
    jsonl(tmp_path / "in.jsonl", profiles(3))
    said: list[Any] = [*words(tmp_path, "out", "ray", None, 10), "--ray-address", "nowhere"]
    process = start(tmp_path, *said)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "cannot join the Ray cluster at 'nowhere'" in error
