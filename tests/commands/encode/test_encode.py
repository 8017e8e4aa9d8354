"""`hrembed encode`: what is planned, resumed, refused and counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoding import encode, hashes, profiles, table
from hrembed.config.encode import EncodeConfig
from hrembed.config.load import load_source
from hrembed.config.source import Source
from hrembed.errors import ConfigError, DataError, HrembedError, ModelError
from hrembed.runs.workspace import Workspace
from hrembed.shards.plan import MANIFEST, PLAN
from hrembed.shards.reading import open_shards

from conftest import jsonl


@pytest.fixture(autouse=True)
def _same_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker limits the threads of its process, which here is that of the tests."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
        monkeypatch.setenv(name, "1")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Encode rows (25 by default) with settings."""

    def start(rows: list[dict[str, Any]] | None = None, **settings: Any) -> Any:
        source = jsonl(tmp_path / "in.jsonl", profiles(25) if rows is None else rows)
        return encode(tmp_path, monkeypatch, **({"input": str(source)} | settings))

    return start


def vectors_of(texts: list[str], **settings: Any) -> Any:
    from hrembed.config.parts import ModelSection
    from hrembed.scoring.encoders import open_encoder

    section = ModelSection.model_validate({"ref": "wordllama"} | settings)
    return open_encoder(section, Workspace(Path("runs"))).vectors(texts, "document")


def test_the_folder_holds_the_vectors_that_the_encoder_gives(tmp_path: Path, run: Any):
    result = run(keep=("country", "years"))
    shards = open_shards(tmp_path / "out")
    rows = profiles(25)
    assert shards.ids() == [row["id"] for row in rows]
    np.testing.assert_array_equal(shards.vectors(), vectors_of([row["text"] for row in rows]))
    assert shards.table(["country", "years"]).to_pylist() == [{k: r[k] for k in ("country", "years")} for r in rows]
    assert shards.manifest.columns == {"country": "string", "years": "int64"}
    assert (result.metrics.rows, result.metrics.shards, result.metrics.reused, result.metrics.dim) == (25, 3, 0, 256)
    assert shards.manifest.text_column is None
    assert shards.manifest.model["ref"] == "wordllama"
    assert [entry.rows for entry in shards.manifest.shards] == [10, 10, 5]
    manifest = json.loads((tmp_path / "runs/encode").glob("*/manifest.json").__next__().read_text())
    assert manifest["inputs"][str(tmp_path / "in.jsonl")]["sha256"]
    assert manifest["models"]["model"]["identity"] == shards.manifest.identity


def test_no_text_stands_in_a_run_or_a_folder_that_keeps_none(tmp_path: Path, run: Any):
    rows = [*profiles(3), {"id": "m", "text": "zyxmarker was here", "country": "DE", "years": 1}]
    run(rows)
    for file in [*(tmp_path / "runs").rglob("*"), *(tmp_path / "out").rglob("*")]:
        assert not file.is_file() or b"zyxmarker" not in file.read_bytes()


def test_the_plan_stands_before_and_the_manifest_after(tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch):
    from hrembed.commands.encode import run as command

    seen = []

    def broken(job: Any, shards: Any, workers: int) -> Any:
        seen.append(sorted(file.name for file in (tmp_path / "out").iterdir() if not file.name.startswith(".")))
        raise HrembedError("stopped")
        yield

    run()
    whole = hashes(tmp_path / "out")
    (tmp_path / "out/shard-000001.parquet").unlink()
    start = command.run_encode
    monkeypatch.setattr(command, "encode_locally", broken)
    with pytest.raises(HrembedError, match="stopped"):
        start(_config(tmp_path), Workspace(tmp_path / "runs"))
    assert seen == [[PLAN, "shard-000000.parquet", "shard-000002.parquet"]]
    with pytest.raises(DataError, match="is incomplete"):
        open_shards(tmp_path / "out")
    result = run()
    assert result.metrics.reused == 2
    assert hashes(tmp_path / "out") == whole


def _config(path: Path, **settings: Any) -> EncodeConfig:
    given = {"input": str(path / "in.jsonl"), "model": "wordllama", "rows_per_shard": 10, "out": str(path / "out")}
    return EncodeConfig.model_validate({**given, "workers": 1, **settings})


def test_a_second_run_writes_nothing_and_says_the_same(tmp_path: Path, run: Any):
    first = run()
    before = {file.name: (file.stat().st_mtime_ns, file.stat().st_ino) for file in (tmp_path / "out").glob("shard-*")}
    again = run()
    assert (again.metrics.reused, again.metrics.content) == (3, first.metrics.content)
    after = {file.name: (file.stat().st_mtime_ns, file.stat().st_ino) for file in (tmp_path / "out").glob("shard-*")}
    assert before == after


def test_a_changed_text_costs_its_own_shard_alone(tmp_path: Path, run: Any):
    run()
    whole = hashes(tmp_path / "out")
    (tmp_path / "out/shard-000002.parquet").unlink()  # as if the first run had been killed
    rows = profiles(25)
    rows[3]["text"] = "another text"
    result = run(rows)
    assert result.metrics.reused == 1
    now = hashes(tmp_path / "out")
    assert [name for name in whole if whole[name] != now[name]] == ["shard-000000.parquet"]
    expected = vectors_of(["another text"])[0]
    np.testing.assert_array_equal(open_shards(tmp_path / "out").vectors()[3], expected)


def test_fewer_rows_leave_no_shard_behind(tmp_path: Path, run: Any):
    run()
    run(profiles(25)[:12])
    assert sorted(hashes(tmp_path / "out")) == ["shard-000000.parquet", "shard-000001.parquet"]
    assert len(open_shards(tmp_path / "out")) == 12


def test_input_that_changes_while_it_is_encoded_is_noticed(tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch):
    from hrembed.commands.encode import run as command

    planned = command.make_plan

    def change(*given: Any) -> Any:
        plan = planned(*given)
        rows = profiles(25)
        rows[12]["text"] = rows[12]["text"][::-1]
        jsonl(tmp_path / "in.jsonl", rows)
        return plan

    monkeypatch.setattr(command, "make_plan", change)
    with pytest.raises(DataError, match=r"changed while it was being encoded \(shard 1\)"):
        run()
    with pytest.raises(DataError, match="is incomplete"):
        open_shards(tmp_path / "out")


@pytest.mark.parametrize("dimensions", [16, 64])
def test_truncated_vectors_have_length_one(tmp_path: Path, run: Any, dimensions: int):
    run(model={"ref": "wordllama", "dimensions": dimensions})
    vectors = open_shards(tmp_path / "out").vectors()
    assert vectors.shape == (25, dimensions)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    whole = vectors_of([row["text"] for row in profiles(25)])[:, :dimensions]
    # The naive way, numbers cut off and left as they are, gives other scores and another order.
    naive, ours = whole @ whole.T, vectors @ vectors.T
    encoder = vectors_of([row["text"] for row in profiles(25)], dimensions=dimensions)
    np.testing.assert_allclose(ours, encoder @ encoder.T, atol=1e-6)
    assert np.abs(naive - ours).max() > 0.05


@pytest.mark.parametrize(("dtype", "most", "said"), [("float16", 3e-4, "about 1e-4"), ("int8", 8e-3, "about 2e-3")])
def test_smaller_numbers_say_what_they_cost(tmp_path: Path, run: Any, dtype: str, most: float, said: str):
    result = run(dtype=dtype)
    vectors, exact = open_shards(tmp_path / "out").vectors(), vectors_of([row["text"] for row in profiles(25)])
    moved = np.abs(vectors @ vectors.T - exact @ exact.T).max()
    assert 0 < moved < most
    assert said in result.notice
    assert run(dtype=dtype).metrics.reused == 3


def test_empty_texts_and_zero_vectors_are_counted(tmp_path: Path, run: Any):
    rows = [
        {"id": "a", "text": ""},
        {"id": "b", "text": "   "},
        {"id": "c", "text": None},
        {"id": "d", "text": "nurse"},
    ]
    result = run(rows)
    assert (result.metrics.rows, result.metrics.empty_texts, result.metrics.zero_vectors) == (4, 3, 3)
    assert result.metrics.distinct_texts == 2
    assert "3 rows without a vector will never be found by a search." in result.notice


def test_repeated_ids_are_refused_with_both_rows(tmp_path: Path, run: Any):
    rows = [*profiles(25), profiles(25)[4], profiles(25)[7]]
    with pytest.raises(DataError, match=r"in.jsonl:26 has the id of .*in.jsonl:5 \(2 repeated ids in total\)"):
        run(rows)
    assert not (tmp_path / "out" / PLAN).exists()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "a"}, r"in.jsonl:3: column 'id': expected an id, got nothing"),
        ({"id": "", "text": "a"}, r"in.jsonl:3: column 'id': expected an id, got nothing"),
        ({"id": "nan", "text": "a"}, r"in.jsonl:3: column 'id': expected an id, got nothing"),
        ({"id": ["x"], "text": "a"}, r"in.jsonl:3: column 'id': expected text or an integer, got list"),
        ({"id": "x", "text": 7}, r"in.jsonl:3: column 'text': expected non-empty text, got int"),
        ({"id": "x", "text": "a", "country": {"a": 1}}, r"in.jsonl:3: column 'country': expected text, a number"),
        ({"id": "x", "text": "a\ud800"}, r"in.jsonl:3: column 'text'"),
        ({"id": "x", "text": "a", "country": 7}, r"column 'country' contains string \(row 1\) and int64 \(row 3\)"),
        ({"id": "x", "text": "a", "country": 2**70}, r"is a number with more than 64 bits"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, run: Any, row: dict[str, Any], said: str):
    with pytest.raises(DataError, match=said):
        run([*profiles(2), row], keep=("country",))


def test_a_vector_that_is_not_finite_is_refused_with_its_id(tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch):
    from hrembed.models.static import StaticTable

    embed = StaticTable.embed

    def broken(self: StaticTable, texts: Any, side: Any, prompt: str) -> Any:
        rows = embed(self, texts, side, prompt)
        rows[[text == "poison" for text in texts]] = np.nan
        return rows

    monkeypatch.setattr(StaticTable, "embed", broken)
    rows = profiles(25)
    rows[17]["text"] = "poison"
    with pytest.raises(ModelError, match=r"returned NaN or infinite values .*; the first is that of id 'c17'"):
        run(rows)
    assert sorted(hashes(tmp_path / "out")) == ["shard-000000.parquet"]


def test_types_of_kept_columns_are_recognised_or_given(tmp_path: Path, run: Any):
    rows = [
        {"id": 1, "text": "a", "n": "4", "x": 1, "b": "yes", "l": ["a"], "z": "01"},
        {"id": 2, "text": "b", "n": "n/a", "x": 2.5, "b": "0", "l": [], "z": "02"},
        {"id": 3, "text": "c", "n": None, "x": None, "b": None, "l": None},
    ]
    run(rows, keep=("n:int", "x", "b:bool", "l", "z", "text"))
    shards = open_shards(tmp_path / "out")
    assert shards.manifest.columns == {
        "n": "int64", "x": "double", "b": "bool", "l": "strings", "z": "string", "text": "string",
    }  # fmt: skip
    assert shards.table(["id", "n", "x", "b", "l", "z", "text"]).to_pylist() == [
        {"id": "1", "n": 4, "x": 1.0, "b": True, "l": ["a"], "z": "01", "text": "a"},
        {"id": "2", "n": None, "x": 2.5, "b": False, "l": [], "z": "02", "text": "b"},
        {"id": "3", "n": None, "x": None, "b": None, "l": None, "z": None, "text": "c"},
    ]
    assert run(rows, keep=("n:int", "x", "b:bool", "l", "z", "text")).metrics.reused == 1
    with pytest.raises(DataError, match=r"in.jsonl:1: column 'z': cannot be read as bool"):
        run(rows, keep=("z:bool",), out=str(tmp_path / "other"))
    with pytest.raises(DataError, match=r"no row has a column 'q'"):
        run(rows, keep=("q",), out=str(tmp_path / "other"))


def test_a_folder_of_other_settings_is_refused(tmp_path: Path, run: Any):
    run()
    before = hashes(tmp_path / "out")
    with pytest.raises(ModelError, match=r"holds vectors of another model or of other settings of it \(wordllama, "):
        run(model={"ref": "wordllama", "document_prompt": "profile: "})
    with pytest.raises(ModelError, match="holds vectors of another model"):
        run(model={"ref": "wordllama", "dimensions": 64})
    for settings, field in (
        ({"side": "query"}, "side"),
        ({"dtype": "int8"}, "dtype"),
        ({"rows_per_shard": 7}, "rows_per_shard"),
        ({"keep": ("country",)}, "columns"),
        ({"anonymise": True}, "redaction"),
    ):
        with pytest.raises(DataError, match=f"was begun with another `{field}`"):
            run(**settings)
    with pytest.raises(DataError, match=r"holds vectors of '.*in.jsonl', not of '.*other.jsonl'"):
        run(input=str(table(tmp_path / "other.jsonl")))
    assert hashes(tmp_path / "out") == before
    assert (tmp_path / "out" / MANIFEST).exists()


def test_personal_data_is_replaced_before_embedding(tmp_path: Path, run: Any):
    rows = [
        {
            "id": "a",
            "text": "Nurse on the ward. Write to jane.roe@example.org or call +44 20 7946 0958.",
            "who": "Jane Roe",
        },
        {"id": "b", "text": "Mechanic. Ask Jane Roe for brakes.", "who": "Jane Roe"},
        {"id": "c", "text": "Baker for bread and cakes", "who": ""},
    ]
    result = run(rows, anonymise=True, keep=("text",), name_columns=("who",))
    shards = open_shards(tmp_path / "out")
    texts = [row["text"] for row in shards.table(["text"]).to_pylist()]
    assert texts[0] == "Nurse on the ward. Write to [EMAIL] or call [PHONE]."
    assert texts[1] == "Mechanic. Ask [NAME] for brakes."
    np.testing.assert_array_equal(shards.vectors(), vectors_of(texts))
    assert result.metrics.replaced == {"email": 1, "name": 1, "phone": 1}
    assert shards.manifest.anonymised
    assert "This does not guarantee anonymity" in result.notice
    assert "Ids are kept unchanged." in result.notice
    rows[1]["who"] = "Jane Brakes"  # what is replaced changes with the name
    assert run(rows, anonymise=True, keep=("text",), name_columns=("who",)).metrics.reused == 0


def test_an_incremental_folder_holds_what_is_new_or_changed(tmp_path: Path, run: Any):
    keep = ("country", "years")
    run(keep=keep, out=str(tmp_path / "november"))
    rows = profiles(25)
    rows[3]["text"] = "another text"
    rows[14]["country"] = "FR"
    del rows[20]
    rows.append({"id": "new", "text": "bread and cakes", "country": "DE", "years": 3})
    result = run(rows, keep=keep, base=str(tmp_path / "november"), out=str(tmp_path / "december"))
    shards = open_shards(tmp_path / "december")
    assert shards.ids() == ["c3", "c14", "new"]
    assert shards.manifest.removed_ids == ("c20",)
    assert shards.manifest.base is not None
    assert shards.manifest.base.folder == str(tmp_path / "november")
    assert (result.metrics.rows, result.metrics.changed, result.metrics.unchanged, result.metrics.removed) == (
        3,
        2,
        22,
        1,
    )
    np.testing.assert_allclose(
        shards.vectors(), vectors_of(["another text", rows[14]["text"], "bread and cakes"]), atol=1e-6
    )
    again = run(rows, keep=keep, base=str(tmp_path / "november"), out=str(tmp_path / "december"))
    assert again.metrics.reused == 1
    # A third one, on top of both: nothing has changed but one row that went.
    rows = [row for row in rows if row["id"] != "new"]
    run(rows, keep=keep, base=str(tmp_path / "december"), out=str(tmp_path / "january"))
    last = open_shards(tmp_path / "january")
    assert (last.ids(), last.manifest.removed_ids) == ([], ("new",))
    with pytest.raises(ModelError, match="holds vectors of another model or of other settings"):
        run(
            rows,
            keep=keep,
            base=str(tmp_path / "december"),
            out=str(tmp_path / "x"),
            model={"ref": "wordllama", "dimensions": 9},
        )
    with pytest.raises(DataError, match="was encoded with another `dtype`: float32, here int8"):
        run(rows, keep=keep, base=str(tmp_path / "december"), out=str(tmp_path / "x"), dtype="int8")
    with pytest.raises(
        DataError, match=r"keeps \{'country': 'string', 'years': 'int64'\}, here \{'country': 'string'\}"
    ):
        run(rows, keep=("country",), base=str(tmp_path / "december"), out=str(tmp_path / "x"))


def test_a_dry_run_counts_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from hrembed.commands.encode.estimate import run_dry

    jsonl(tmp_path / "in.jsonl", profiles(60))
    result = run_dry(_config(tmp_path, workers=4), Workspace(tmp_path / "runs"))
    assert (result.metrics.rows, result.metrics.shards, result.metrics.dim) == (60, 6, 256)
    assert result.metrics.sample == 40  # four shards of ten
    assert 60 * 700 < result.metrics.bytes < 60 * 2_000
    assert not (tmp_path / "out").exists()
    timings = json.loads(next((tmp_path / "runs/encode-dry-run").glob("*/timings.json")).read_text())
    assert timings["workers"] == 4
    assert timings["texts_per_second"] > 0


@pytest.mark.parametrize("keep", [(), ("text",)])
def test_a_folder_is_verified(tmp_path: Path, run: Any, keep: tuple[str, ...], monkeypatch: pytest.MonkeyPatch):
    from hrembed.commands.encode.verify import run_verify
    from hrembed.models.static import StaticTable

    def verify() -> Any:
        return run_verify(EncodeConfig(), Workspace(tmp_path / "runs"), folder=str(tmp_path / "out"))

    run(keep=keep)
    record = verify().metrics
    assert (record.rows, record.shards, record.sample) == (25, 3, 25)
    assert record.lowest_cosine > 0.999999
    with monkeypatch.context() as patch:
        embed = StaticTable.embed
        patch.setattr(StaticTable, "embed", lambda *given: embed(*given) + np.float32(0.3))
        with pytest.raises(ModelError, match="has a cosine of"):
            verify()
    jsonl(tmp_path / "in.jsonl", profiles(25, seed=1))
    if keep:
        assert verify().metrics.sample == 25
    else:
        with pytest.raises(DataError, match="has changed, and its texts were not kept"):
            verify()
    path = tmp_path / "out/shard-000001.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"shard-000001.parquet' is damaged"):
        verify()


def test_a_kill_in_the_midst_of_a_file_leaves_no_shard(tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch):
    from killing import KilledError

    replace = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if self.name.startswith("shard-"):
            raise KilledError
        return replace(self, target)

    run()
    whole = hashes(tmp_path / "out")
    path = tmp_path / "out/shard-000001.parquet"
    path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", killed)
        with pytest.raises(KilledError):
            run()
    assert sorted(hashes(tmp_path / "out")) == ["shard-000000.parquet", "shard-000002.parquet"]
    left = list((tmp_path / "out").glob("*.part"))
    assert len(left) == 1  # whole, and yet under no final name
    left[0].rename(left[0].with_name("shard-000001.parquet.elsewhere-1.part"))  # as of another process
    run()
    assert hashes(tmp_path / "out") == whole
    assert not list((tmp_path / "out").glob("*.part"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": "bm25"}, "`bm25` has no vectors to keep"),
        ({"keep": ["id"]}, "`id` cannot be kept under this name"),
        ({"keep": ["a:date"]}, "unknown type `date`"),
        ({"keep": ["a", "a:int"]}, "`a` appears twice"),
        ({"input": "sqlite:///x.db"}, "a database needs a `query`"),
        ({"out": "ftp://me:pw@host/x"}, "`out` contains a password"),
        ({"query": "SELECT 1"}, "`query` is for a database"),
        ({"subset": "x"}, "`subset` is for a dataset of the Hub"),
        ({"ray": {"address": "auto"}}, "`ray` has no effect without `engine: ray`"),
        ({"name_columns": ["who"]}, "`name_columns` requires `anonymise`"),
        ({"columns": {"profile": "x"}}, "unknown column 'profile'"),
        ({"model": {"ref": "minilm", "score": {"lexical": 0.5}}}, "`score` has no effect"),
        (
            {"model": {"ref": "openai:x", "endpoint": {"requests_per_minute": 9}}, "workers": 2},
            "holds for each worker",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        load_source(Source("given.yaml", settings, {}), EncodeConfig)


def test_a_password_in_a_url_is_refused_and_not_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    from hrembed.cli.app import main

    for url in ("postgresql://me:hunter2@db/x", "postgresql://me@db/x?password=hunter2"):
        assert main(["encode", url, "--query", "SELECT 1", "--runs-dir", str(tmp_path / "runs")]) == 2
        said = capsys.readouterr()
        assert "`input` contains a password" in said.err
        assert "hunter2" not in said.err + said.out
    assert not (tmp_path / "runs").exists()


def test_missing_input_and_no_rows_are_said(tmp_path: Path, run: Any):
    with pytest.raises(DataError, match="does not exist"):
        run(input=str(tmp_path / "none.jsonl"))
    with pytest.raises(DataError, match="contains no rows"):
        run([])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="contains no tables"):
        run(input=str(tmp_path / "empty"))


def test_engine_ray_without_ray_says_what_to_install(tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="`engine: ray` requires Ray") as caught:
        run(engine="ray")
    assert caught.value.hint == "`pip install 'hrembed[ray]'`"


@pytest.mark.torch
def test_texts_longer_than_the_model_are_counted(tmp_path: Path, run: Any, tiny_model: Path):
    rows = [{"id": "a", "text": "abc"}, {"id": "b", "text": "abcdefghij" * 10}, {"id": "c", "text": "a" * 62}]
    result = run(rows, model=f"path:{tiny_model}")  # 64 tokens, two of them marks
    assert result.metrics.truncated_texts == 1
    assert "1 text longer than the model reads" in result.notice
