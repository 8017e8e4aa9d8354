"""What an export says is read back from JSON as it was."""

from __future__ import annotations

import json

import pytest
from hrembed.records.base import as_json, read_record
from hrembed.records.export import Cosines, ExactExport, ExportRecord, QuantisedExport, RankingComparison
from hrembed.types import Estimate


@pytest.mark.parametrize("lowest", [0.9, float("nan")])
def test_both_kinds_of_exports_are_told_apart(lowest):
    score = Estimate(0.5, 0.4, 0.6, 10, "queries")
    ranking = RankingComparison(
        task="ward/test", metric="ndcg@10", source=score, export=score, difference=score, same_top_10=0.9
    )
    int8 = QuantisedExport(
        mb=1.5,
        cosine=Cosines(mean=0.99, lowest=lowest, vectors=4),
        lowest_cosine_alone_to_batch=lowest,
        ranking=ranking,
        kept=True,
    )
    record = ExportRecord(formats={"onnx": ExactExport(mb=2.5, difference=1e-6), "onnx-int8": int8})
    read = read_record(ExportRecord, json.dumps(as_json(record), allow_nan=False), "metrics.json")
    assert as_json(read) == as_json(record)
    assert [type(export) for export in read.formats.values()] == [ExactExport, QuantisedExport]
