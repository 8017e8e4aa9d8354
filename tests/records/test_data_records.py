"""What the data commands say is read back from JSON as it was."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hrembed.errors import DataError
from hrembed.records.base import as_json, read_record
from hrembed.records.commands import RECORDS as RECORDS_OF
from hrembed.records.commands import record_of
from hrembed.records.data import (
    DataAnonymiseRecord,
    DataCheckRecord,
    DataImportEscoRecord,
    DataImportOnetRecord,
    DataImportTableRecord,
    DataRestoreRecord,
    DataSplitRecord,
    KindCounts,
    Leak,
    NegativeCounts,
    PersonalCounts,
    PersonalTypeCounts,
    SideCounts,
    TaskSize,
)

LEAK = Leak(total=8, occur=1, share=0.125, by={"exact": 1, "id": 0, "near": 0, "group": 0}, rows=2)
TYPES = {"email": PersonalTypeCounts(count=2, rows=1, first_rows=(7,))}
SIDE = SideCounts(pairs=3, groups=2, families=1, kinds={"title": 3})
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
    DataCheckRecord(rows=3, tasks={}, false_negatives={}, verdict="no limit of the config is passed"),
    DataSplitRecord(
        sides={"train": SIDE, "dev": SIDE, "test": SIDE},
        dropped_from_train=1,
        tasks={"dev/title": TaskSize(queries=2, documents=1, judgements=2)},
    ),
    DataImportOnetRecord(kinds=KINDS, pairs=3, counts={"titles read": 4}),
    DataImportEscoRecord(kinds=KINDS, pairs=3, counts={"skills": 2}),
    DataImportTableRecord(rows=7, pairs=3, repeated=1, rejected=3),
    DataAnonymiseRecord(file="t.csv", fields=("text",), rows=3, rows_with_any=1, findings=2, types=TYPES),
    DataRestoreRecord(file="t.csv", placeholders_known=2),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.command)
def test_a_record_is_read_back_as_it_was(record):
    text = json.dumps(as_json(record), allow_nan=False)
    assert read_record(type(record), text, "metrics.json") == record


def test_every_data_command_has_a_record_of_its_name():
    names = [name for name in RECORDS_OF if name.startswith("data-")]
    assert [record_of(name).command for name in names] == names


def test_a_share_of_no_negatives_is_null_in_the_file():
    none = NegativeCounts(false=0, all=0, share=np.nan)
    assert as_json(none)["share"] is None
    assert np.isnan(NegativeCounts.model_validate(as_json(none)).share)


def test_an_unknown_kind_of_leak_is_refused():
    content = as_json(RECORDS[0])
    content["tasks"]["ward"]["answers"] = content["tasks"]["ward"].pop("pairs")
    with pytest.raises(DataError, match=r"is not what `data-check` writes: tasks\.ward\.answers"):
        read_record(DataCheckRecord, json.dumps(content), "metrics.json")
