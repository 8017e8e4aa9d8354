"""Break hrembed in the naive way for each trap of encoding, indexes and search, and see that a test fails.

    python tools/break_traps.py                  (all; the longest takes minutes)
    python tools/break_traps.py 4 12 18          (these)

Each break is made in a copy of the last commit, so that nothing of the checkout is touched; the tests are those of the
copy. Prints a line for each, and ends with 1 where a test did not notice. What each trap is, `TRAPS` says.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]

TRAPS = {
    1: "a stopped run leaves half a file under its final name",
    2: "a file that exists counts as done",
    3: "the input changed under the same name",
    4: "engine or workers decide bytes or order",
    5: "processes of a killed run stay",
    6: "Ray leaves its folder, or a token in the home folder",
    7: "double, empty, NaN and zero rows pass without a word, and cannot be found",
    8: "another model of the same dimension is searched, and scores look plausible",
    9: "vectors that were cut are not divided by their length",
    10: "the engine's distance has two scales",
    11: "recall falls under a condition that depends on the subject",
    12: "a condition after the search leaves fewer than k rows",
    13: "no index on a filter column",
    14: "rows that were added stand in no index",
    15: "erased rows stay on the disk, in versions, caches and shards",
    16: "a search for traces that is blind, and a delete that does nothing",
    17: "two writers double ids",
    18: "a condition is read as SQL",
    19: "codes of eight bits decide the order",
    20: "a forgotten person comes back with an old export",
    21: "a server gives other vectors",
    22: "reasons do not add up, or name sentences that carried nothing",
    23: "a query of NaN gives no rows and no error",
    24: "heavy packages are imported by `--help`",
}

_ENGINES = "tests/commands/encode/test_engines.py"
_ENCODE = "tests/commands/encode/test_encode.py"
_FORGET = "tests/commands/index/test_forget.py"
_UPDATE = "tests/commands/index/test_update.py"
_BUILD = "tests/commands/index/test_build.py"
_MATCH = "tests/commands/match/test_match.py"
_WHY = "tests/commands/match/test_why.py"
_SERVE = "tests/commands/serve_check/test_serve_check.py"
_TRAPS = "tests/index/test_traps.py"
_LANCE = "tests/index/test_lance.py"
_SAME_BYTES = f"{_ENGINES}::test_engines_write_the_same_bytes_and_ray_leaves_nothing"
_FORGOTTEN = f"{_FORGET}::test_a_person_is_found_before_and_nowhere_after"
_HELP = "tests/contract/test_contracts.py::test_help_imports_nothing_heavy"


class Edit(NamedTuple):
    """A change of one file below `hrembed`: what stands there once, and what stands there when it is broken."""

    file: str
    old: str
    new: str


class Break(NamedTuple):
    """A naive way.

    Attributes:
        trap: Its number.
        naive: The way, in words.
        edits: What is changed.
        tests: What has to fail: every one of these.
    """

    trap: int
    naive: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


# Otherwise rows that are missing would be noticed, and all rows compared.
_UNNOTICED = Edit("index/lance.py", "        if len(hits.ids) < expected:\n            return True\n", "")

BREAKS = (
    Break(
        1,
        "write under the final name",
        (
            Edit(
                "shards/folder.py",
                'self.path / f"{name}.{socket.gethostname()}-{os.getpid()}{_PART}"',
                "self.path / name",
            ),
        ),
        (f"{_ENCODE}::test_a_kill_in_the_midst_of_a_file_leaves_no_shard",),
    ),
    Break(
        1,
        "leave the manifest of before",
        (
            Edit("commands/encode/run.py", "        folder.remove(MANIFEST)\n        out = ", "        out = "),
            Edit(
                "commands/encode/run.py",
                "        folder.remove(MANIFEST)  # what is planned",
                "        pass  # what is planned",
            ),
        ),
        (f"{_ENCODE}::test_the_plan_stands_before_and_the_manifest_after",),
    ),
    Break(
        1,
        "leave what killed writers left",
        (Edit("shards/folder.py", "            part.unlink(missing_ok=True)\n", "            pass\n"),),
        (f"{_ENCODE}::test_a_kill_in_the_midst_of_a_file_leaves_no_shard",),
    ),
    Break(
        2,
        "look whether a file opens",
        (
            Edit(
                "shards/plan.py", "not _is_planned(footer, plan, shard) or not content_matches(table, footer)", "False"
            ),
        ),
        tuple(
            f"tests/shards/test_shards.py::test_a_shard_is_done_when_it_holds_what_was_planned[{what}]"
            for what in ("swapped", "other id", "other cell", "other text", "other vector")
        ),
    ),
    Break(
        3,
        "keep the plan of files of the same names",
        (
            Edit(
                "commands/encode/planning.py",
                "known == [(source.name, source.sha256()) for source in sources]",
                "[name for name, _ in known] == [source.name for source in sources]",
            ),
        ),
        (f"{_ENCODE}::test_a_changed_text_costs_its_own_shard_alone",),
    ),
    Break(
        4,
        "cut shards by the number of workers",
        (
            Edit(
                "commands/encode/planning.py",
                "_Cutter(config.rows_per_shard,",
                "_Cutter(config.rows_per_shard // (config.workers or 1),",
            ),
        ),
        (_SAME_BYTES,),
    ),
    Break(
        4,
        "let Ray order the rows of a shard",
        (
            Edit(
                "commands/encode/on_ray.py",
                "            receipt: Receipt = self._worker.encode(shard)\n",
                "            read = self._worker.read\n"
                "            self._worker.read = lambda each: sorted(read(each), key=lambda item: item.text)\n"
                "            receipt: Receipt = self._worker.encode(shard)\n",
            ),
        ),
        (_SAME_BYTES,),
    ),
    Break(
        5,
        "let workers wait for whoever takes what they made",
        (
            Edit(
                "commands/encode/local.py", "    threading.Thread(target=_die_with_parent, daemon=True).start()\n", ""
            ),
            Edit(
                "commands/encode/local.py",
                "            pipe.send(worker.encode(shard))\n",
                "            try:\n                pipe.send(worker.encode(shard))\n"
                "            except OSError:\n                threading.Event().wait(300)\n",
            ),
        ),
        (f"{_ENGINES}::test_a_killed_run_goes_on_and_its_survivors_do_no_harm[local-2-30]",),
    ),
    Break(
        6,
        "leave Ray's folder",
        (
            Edit(
                "commands/encode/on_ray.py",
                "        if place is not None:\n            shutil.rmtree(place, ignore_errors=True)\n",
                "",
            ),
        ),
        (_SAME_BYTES,),
    ),
    Break(
        6,
        "let Ray make its token",
        (Edit("commands/encode/on_ray.py", ", RAY_AUTH_TOKEN=secrets.token_hex(32)", ""),),
        (_SAME_BYTES,),
    ),
    Break(
        7,
        "encode double ids",
        (Edit("commands/encode/planning.py", "found = list(repeats.found())", "found = []"),),
        (f"{_ENCODE}::test_repeated_ids_are_refused_with_both_rows",),
    ),
    Break(
        7,
        "encode NaN",
        (
            Edit(
                "models/dense.py",
                "        if bad:\n            raise NotFiniteError(",
                "        if False:\n            raise NotFiniteError(",
            ),
        ),
        (f"{_ENCODE}::test_a_vector_that_is_not_finite_is_refused_with_its_id",),
    ),
    Break(
        7,
        "index double ids and NaN",
        (
            Edit("index/sources.py", "            if document in seen:", "            if False:"),
            Edit("index/sources.py", "        if not finite.all():", "        if False:"),
        ),
        (f"{_BUILD}::test_vectors_that_cannot_be_indexed_are_refused",),
    ),
    Break(
        7,
        "leave zero vectors to the engine",
        (Edit("index/lance.py", "if self.generation.zero_vectors and hits.scores[-1] <= 0:", "if False:"), _UNNOTICED),
        (f"{_LANCE}::test_zero_vectors_are_found_where_nothing_is_closer",),
    ),
    Break(
        8,
        "compare dimensions of queries",
        (Edit("index/identity.py", "    if identity == space.identity:\n", "    if True:\n"),),
        (
            f"{_TRAPS}::test_queries_of_another_model_are_refused_with_both_hashes",
            f"{_MATCH}::test_bad_requests_get_one_message[other prompt]",
        ),
    ),
    Break(
        8,
        "compare dimensions of documents",
        (
            Edit("index/identity.py", "manifest.identity == space.identity and manifest.dim", "manifest.dim"),
            Edit("index/sources.py", 'shards.manifest.side != "document"', "False"),
        ),
        (f"{_UPDATE}::test_vectors_of_another_model_are_refused",),
    ),
    Break(
        9,
        "cut vectors",
        (
            Edit(
                "models/dense.py",
                "return unit_rows(vectors[:, : self._dimensions])",
                "return vectors[:, : self._dimensions]",
            ),
        ),
        (f"{_ENCODE}::test_truncated_vectors_have_length_one",),
    ),
    Break(
        10,
        "take the engine's distance",
        (
            Edit(
                "index/lance.py",
                "            return self._compared(query[None], k, where)[0]\n        return hits\n",
                "            return self._compared(query[None], k, where)[0]\n"
                "        given = dict(zip(found['id'].to_pylist(), found['_distance'].to_pylist(), strict=True))\n"
                "        own = np.array([1 - given[each] for each in hits.ids], dtype=np.float32)\n"
                "        return hits._replace(scores=own)\n",
            ),
        ),
        (f"{_UPDATE}::test_the_score_of_a_pair_stays_the_same_when_rows_come",),
    ),
    Break(
        11,
        "read one partition",
        (
            Edit("index/lance.py", "return partitions if where else self.generation.probes or partitions", "return 1"),
            _UNNOTICED,
        ),
        (f"{_TRAPS}::test_recall_holds_under_filters_that_depend_on_the_subject",),
    ),
    Break(
        12,
        "filter what was found",
        (Edit("index/lance.py", "prefilter=True", "prefilter=False"),),
        (f"{_TRAPS}::test_as_many_rows_as_match_are_given",),
    ),
    Break(
        12,
        "filter the ten best of all rows",
        (
            Edit(
                "index/exact.py",
                "        return rank_blocks(rows, k, self.blocks(where))\n",
                "        met = set(self.ids(where))\n"
                "        best = rank_blocks(rows, k, self.blocks())\n"
                "        kept = [[each in met for each in hits.ids] for hits in best]\n"
                "        found = lambda hits: [each for each in hits.ids if each in met]\n"
                "        return [type(hits)(found(hits), hits.scores[rows], hits.vectors[rows])\n"
                "                for hits, rows in zip(best, kept, strict=True)]\n",
            ),
        ),
        ("tests/scoring/test_search_pipeline.py::test_a_list_is_never_short_where_enough_meet_the_conditions[exact]",),
    ),
    Break(
        13,
        "index no filter column",
        (
            Edit(
                "index/lance_table.py",
                '        table.create_scalar_index(name, _SCALAR[kind], name=f"filter {name}")\n',
                "        pass\n",
            ),
        ),
        (f"{_LANCE}::test_each_filter_is_answered_by_its_index",),
    ),
    Break(
        14,
        "add rows",
        (Edit("index/lance_table.py", "    table.optimize.optimize_indices(num_indices_to_merge=_ALL)\n", ""),),
        (f"{_UPDATE}::test_a_delta_adds_changes_and_removes[lancedb]",),
    ),
    Break(
        15,
        "compact as the engine does",
        (Edit("index/lance_table.py", ", materialize_deletions=True, materialize_deletions_threshold=0.0", ""),),
        (f"{_LANCE}::test_a_purge_rewrites_a_file_for_the_sake_of_one_row",),
    ),
    Break(
        15,
        "keep versions",
        (Edit("index/lance_table.py", "    table.cleanup_old_versions(timedelta(0), delete_unverified=True)\n", ""),),
        (f"{_FORGOTTEN}[lancedb]",),
    ),
    Break(
        15,
        "keep what a killed writer left",
        (Edit("index/lance_table.py", "(timedelta(0), delete_unverified=True)", "(timedelta(0))"),),
        (f"{_FORGET}::test_a_temporary_file_of_a_killed_writer_goes_as_well",),
    ),
    Break(
        15,
        "keep cached vectors",
        (Edit("commands/index/forget.py", "files = forget_keys(cache, self._keys)", "files = {}"),),
        (_FORGOTTEN,),
    ),
    Break(
        15,
        "keep shards",
        (Edit("commands/index/forget.py", "return [*erased, *self._vectors()]", "return erased"),),
        (_FORGOTTEN,),
    ),
    Break(
        15,
        "erase rows before what is found through them",
        (
            Edit(
                "commands/index/forget.py",
                "        erased += [self._cache(cache) for cache in self._caches if cache.is_dir()]\n",
                "",
            ),
            Edit(
                "commands/index/forget.py",
                "        return [*erased, *self._vectors()]\n",
                "        erased += self._vectors()\n"
                "        return [*erased, *[self._cache(cache) for cache in self._caches if cache.is_dir()]]\n",
            ),
        ),
        (
            f"{_FORGET}::test_after_a_kill_in_its_midst_the_same_command_finishes_it[lancedb-hrembed.commands.index.forget.forget_keys]",
        ),
    ),
    Break(
        16,
        "delete nothing",
        (
            Edit(
                "index/lance_table.py", "        table.delete(f\"{quoted('id')} IN ({literals})\")\n", "        pass\n"
            ),
        ),
        (f"{_FORGOTTEN}[lancedb]",),
    ),
    Break(
        16,
        "search the bytes of files",
        (
            Edit(
                "index/erase.py",
                "        if file.suffix in _LANCE:\n",
                "        if True:\n            found += _in_bytes(file.read_bytes(), ids)\n"
                "        elif file.suffix in _LANCE:\n",
            ),
            Edit("index/erase.py", 'sum(_orphaned_codes(table, gone) for table in place.glob(f"v*/{TABLE}"))', "0"),
        ),
        (f"{_FORGOTTEN}[exact]",),
    ),
    Break(
        17,
        "take no lock",
        (Edit("index/lock.py", "        lock.acquire()\n", "        pass\n"),),
        (f"{_UPDATE}::test_a_second_writer_is_refused_with_the_holder_and_its_age",),
    ),
    Break(
        18,
        "put typed text into the filter",
        (
            Edit(
                "index/lance.py",
                "return as_sql(where, self.generation.filters) if where else None",
                "return ' AND '.join(f\"{each.column} = '{each.values[0]}'\" for each in where) if where else None",
            ),
        ),
        (f"{_TRAPS}::test_a_condition_is_never_read_as_sql",),
    ),
    Break(
        18,
        "take any column",
        (
            Edit("index/conditions.py", "    if column not in filters:\n", "    if False:\n"),
            Edit("index/conditions.py", "    kind = filters[column]\n", '    kind = filters.get(column, "text")\n'),
        ),
        (
            f"{_MATCH}::test_bad_requests_get_one_message[sql column]",
            f"{_MATCH}::test_bad_requests_get_one_message[unknown column]",
        ),
    ),
    Break(
        19,
        "take the engine's order",
        (
            Edit(
                "index/lance.py",
                'ranked(found["id"].to_pylist(), vectors, query, k)',
                'ranked(found["id"].to_pylist()[:k], vectors[:k], query, k)',
            ),
        ),
        (f"{_BUILD}::test_int8_is_refined_from_the_stored_vectors_and_gives_their_exact_order",),
    ),
    Break(
        20,
        "remember nobody",
        (
            Edit(
                "index/tombstones.py",
                "return bool(self._hashes) and self.hash(document) in self._hashes",
                "return False",
            ),
        ),
        (f"{_FORGET}::test_a_forgotten_person_does_not_come_back_with_an_old_export",),
    ),
    Break(
        21,
        "compare no vectors, no lengths, no order",
        (
            Edit(
                "commands/serve_check/checks.py",
                "    if cosines is not None and cosines.min() >= config.min_cosine:\n        findings.add(check",
                "    if cosines is not None:\n        findings.add(check",
            ),
            Edit(
                "commands/serve_check/checks.py",
                "    elif np.allclose(found, own, rtol=_LENGTHS):\n",
                "    elif True:\n",
            ),
            Edit("commands/serve_check/checks.py", "    if swapped:\n", "    if False:\n"),
        ),
        (
            f"{_SERVE}::test_another_way_to_run_the_model_is_named",
            f"{_SERVE}::test_vectors_that_are_not_normalised_fail_for_their_length_alone",
            f"{_SERVE}::test_another_order_is_named_and_nothing_else_is_blamed",
        ),
    ),
    Break(
        21,
        "try no model without its Dense module",
        (Edit("commands/serve_check/model.py", "    if body.has_dense:\n", "    if False:\n"),),
        (f"{_SERVE}::test_another_way_to_run_the_model_is_named[without Dense]",),
    ),
    Break(
        22,
        "add up parts of another length",
        (
            Edit(
                "models/dense.py",
                "whole += [_unit_sum(part, self._dimensions) for part in parts]",
                "whole += list(parts)",
            ),
        ),
        (f"{_WHY}::test_shares_add_up_to_the_cosine",),
    ),
    Break(
        22,
        "show reasons whatever was measured",
        (Edit("scoring/why.py", "passes=bool(share.value >= needed)", "passes=True"),),
        (f"{_WHY}::test_a_model_that_does_not_pass_shows_nothing_and_says_so",),
    ),
    Break(
        23,
        "ask the engine for NaN",
        (Edit("index/ranking.py", "    if bad:\n", "    if False:\n"),),
        (
            f"{_LANCE}::test_a_query_that_is_not_finite_is_an_error",
            "tests/index/test_exact.py::test_a_query_that_is_not_finite_is_an_error_and_not_an_empty_answer",
        ),
    ),
    Break(
        23,
        "embed a job as NaN",
        (
            Edit(
                "models/dense.py",
                "        if bad:\n            raise NotFiniteError(",
                "        if False:\n            raise NotFiniteError(",
            ),
        ),
        (f"{_MATCH}::test_a_vector_that_is_not_finite_is_refused",),
    ),
    Break(
        24,
        "import Ray and LanceDB at the top",
        (
            Edit("cli/encode.py", "from pathlib import Path\n", "from pathlib import Path\n\nimport ray\n"),
            Edit("cli/index.py", "from pathlib import Path\n", "from pathlib import Path\n\nimport lance\n"),
        ),
        (_HELP,),
    ),
)


_OUT_OF_TIME = re.compile(r"^E +(subprocess\.TimeoutExpired|Failed: Timeout)", re.MULTILINE)


def broken(edit: Edit, root: Path) -> str:
    """What the file holds when it is broken.

    Raises:
        ValueError: What is to be changed does not stand there exactly once.
    """
    text = (root / "hrembed" / edit.file).read_text(encoding="utf-8")
    if text.count(edit.old) != 1:
        raise ValueError(f"hrembed/{edit.file} holds this {text.count(edit.old)} times: {edit.old!r}")
    return text.replace(edit.old, edit.new)


def _unnoticed(each: Break, copy: Path) -> list[str]:
    """Tests that pass although the product is broken; what is broken is mended again."""
    before = {edit.file: (copy / "hrembed" / edit.file).read_text(encoding="utf-8") for edit in each.edits}
    try:
        for edit in each.edits:
            content = broken(edit, copy)
            (copy / "hrembed" / edit.file).write_text(content, encoding="utf-8")
        return [test for test in each.tests if _passes(test, copy)]
    finally:
        for file, content in before.items():
            (copy / "hrembed" / file).write_text(content, encoding="utf-8")


def _passes(test: str, copy: Path) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=copy, env=environment)
    if done.returncode not in {0, 1} or _OUT_OF_TIME.search(
        done.stdout
    ):  # which a machine under load is, broken or not
        raise RuntimeError(f"{test} was not decided:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 0


def main() -> int:
    """Break what is asked for, one way after the other."""
    wanted = {int(word) for word in sys.argv[1:]} or set(TRAPS)
    missed = 0
    with tempfile.TemporaryDirectory(prefix="hrembed-traps-") as folder:
        copy = Path(folder) / "copy"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", copy, "HEAD"], cwd=ROOT, check=True)
        try:
            for each in (each for each in BREAKS if each.trap in wanted):
                began = time.monotonic()
                left = _unnoticed(each, copy)
                missed += bool(left)
                outcome = f"NOT NOTICED by {', '.join(left)}" if left else "red"
                seconds = time.monotonic() - began
                print(f"{each.trap:2}  {TRAPS[each.trap]}: {each.naive}: {outcome} ({seconds:.0f} s)", flush=True)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", copy], cwd=ROOT, check=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
