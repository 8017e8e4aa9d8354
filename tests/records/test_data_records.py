"""What the data commands say is read back from JSON as it was."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hrembed.config.schema import SCHEMAS
from hrembed.errors import DataError
from hrembed.records.base import as_json, read_record
from hrembed.records.commands import record_of
from hrembed.records.data import (
    DataAnonymiseRecord,
    DataCheckRecord,
    DataImportEscoRecord,
    DataImportOnetRecord,
    DataImportTableRecord,
    DataInspectRecord,
    DataRestoreRecord,
    DataSplitRecord,
    GroupSizes,
    KindCounts,
    LanguageCounts,
    Leak,
    LengthCounts,
    Lengths,
    NegativeCounts,
    PairCounts,
    PersonalCounts,
    PersonalTypeCounts,
    RepeatCounts,
    RowsWithout,
    SideCounts,
    SideLengths,
    Spread,
    TaskCounts,
    TaskSize,
    TextsWithoutGroup,
)

LEAK = Leak(total=8, occur=1, share=0.125, by={"exact": 1, "id": 0, "near": 0, "group": 0}, rows=2)
TYPES = {"email": PersonalTypeCounts(count=2, rows=1, first_rows=(7,))}
SIDE = SideCounts(pairs=3, groups=2, families=1, kinds={"title": 3})
SPREAD = {"min": 1.0, "median": 2.0, "p95": 3.0, "max": 4.0}
LENGTHS = {**SPREAD, "texts": 5, "cut": 1, "cut_share": 0.2}
UNLIMITED = {**SPREAD, "texts": 5, "cut": None, "cut_share": np.nan}
LANGUAGES = LanguageCounts(long_enough=3, too_short=2, sample=3, languages={"en": 2, "unsure": 1})
KINDS = {"title": KindCounts(pairs=3, groups=2, largest_group=2)}
RECORDS = [
    DataCheckRecord(
        rows=3,
        tasks={"ward": {"documents": LEAK, "queries": LEAK, "pairs": LEAK}},
        false_negatives={"random batches": NegativeCounts(false=1, all=4, share=0.25)},
        personal=PersonalCounts(rows=3, rows_with_any=1, findings=2, types=TYPES),
        removed=2,
        verdict="1 of 8 relevant pairs",
    ),
    DataCheckRecord(rows=3, tasks={}, false_negatives={}, verdict="all limits are met"),
    DataSplitRecord(
        sides={"train": SIDE, "dev": SIDE, "test": SIDE},
        dropped_from_train=1,
        tasks={"dev/title": TaskSize(queries=2, documents=1, judgements=2)},
    ),
    DataImportOnetRecord(kinds=KINDS, pairs=3, counts={"titles read": 4}),
    DataImportEscoRecord(kinds=KINDS, pairs=3, counts={"skills": 2}),
    DataImportTableRecord(rows=7, pairs=3, repeated=1, rejected=3),
    DataInspectRecord(
        counts=PairCounts(
            rows=6,
            kinds={"title": 6},
            groups=3,
            families=1,
            distinct_anchors=5,
            distinct_positives=2,
            rows_without=RowsWithout(group=1, family=4, anchor_id=2, positive_id=1),
        ),
        lengths=Lengths(
            model="minilm",
            unit="tokens",
            limit=3,
            sides={"anchors": SideLengths(**LENGTHS, rows=9, kinds={"title": LengthCounts(**LENGTHS)})},
        ),
        duplicates={"repeated_rows": RepeatCounts(exact=1, same_words=3, of=6)},
        languages=LANGUAGES,
        group_sizes=GroupSizes(**SPREAD, groups=3, largest=1, largest_share=0.6),
    ),
    DataInspectRecord(
        counts=TaskCounts(
            queries=3,
            documents=4,
            groups=0,
            distinct_queries=2,
            distinct_documents=3,
            judgements=5,
            grades={"0": 1, "1": 4},
            relevant_per_query=Spread(**SPREAD),
            documents_never_judged=1,
            without_group=TextsWithoutGroup(queries=3, documents=4),
        ),
        lengths=Lengths(
            model="bm25", unit="words", limit=None, sides={"queries": SideLengths(**UNLIMITED, rows=5, kinds={})}
        ),
        duplicates={"repeated_queries": RepeatCounts(exact=1, same_words=2, of=3)},
        languages=LANGUAGES,
        group_sizes=GroupSizes(**dict.fromkeys(SPREAD, np.nan), groups=0, largest=0, largest_share=np.nan),
    ),
    DataAnonymiseRecord(file="t.csv", fields=("text",), rows=3, rows_with_any=1, findings=2, types=TYPES),
    DataRestoreRecord(file="t.csv", placeholders_known=2),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.command)
def test_a_record_is_read_back_as_it_was(record):
    text = json.dumps(as_json(record), allow_nan=False)
    assert read_record(type(record), text, "metrics.json") == record


def test_every_data_command_has_a_record_of_its_name():
    names = [name for name in SCHEMAS if name.startswith("data-")]
    assert [record_of(name).command for name in names] == names


def test_a_share_of_no_negatives_is_null_in_the_file():
    none = NegativeCounts(false=0, all=0, share=np.nan)
    assert as_json(none)["share"] is None
    assert np.isnan(NegativeCounts.model_validate(as_json(none)).share)


def test_an_unknown_kind_of_leak_is_refused():
    content = as_json(RECORDS[0])
    content["tasks"]["ward"]["answers"] = content["tasks"]["ward"].pop("pairs")
    with pytest.raises(DataError, match=r"does not have the format of `data-check`: tasks\.ward\.answers"):
        read_record(DataCheckRecord, json.dumps(content), "metrics.json")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (DataImportOnetRecord, "hrembed data import onet --config CONFIG"),
        (DataCheckRecord, "hrembed data check --config CONFIG"),
    ],
)
def test_a_run_of_another_version_says_how_to_repeat_it(kind, words):
    with pytest.raises(DataError, match="before records had a schema number") as caught:
        read_record(kind, "{}", "metrics.json")
    assert caught.value.hint == f"repeat the run with its `config.yaml`: {words}"
