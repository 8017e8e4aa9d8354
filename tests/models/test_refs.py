"""What a reference says about its model, before anything is opened."""

from __future__ import annotations

import pytest
from hrembed.errors import ConfigError
from hrembed.models.refs import ModelRef, parse_ref

# Reference, name in tables, and whether it: has weights, embeds any text, has vectors.
KINDS = [
    ("minilm", "minilm", True, True, True),
    ("hf:org/name@v1", "hf:org/name", True, True, True),
    ("path:/models/teams/nurse", "path:teams/nurse", True, True, True),
    ("run:20260301T101500Z-3f9c2a1b", "run:20260301T101500Z-3f9c2a1b", True, True, True),
    ("wordllama", "wordllama", False, True, True),
    ("openai:embed-3", "openai:embed-3", False, True, True),
    ("vectors:made/elsewhere.parquet", "vectors:made/elsewhere.parquet", False, False, True),
    ("trec:a/b/c.run", "trec:b/c.run", False, False, False),
    ("bm25", "bm25", False, False, False),
]


@pytest.mark.parametrize(("text", "name", "weights", "embeds", "vectors"), KINDS)
def test_what_a_reference_can_do(text, name, weights, embeds, vectors):
    ref = parse_ref(text)
    assert ref.short_name == name
    assert (ref.has_weights, ref.embeds_texts, ref.has_vectors) == (weights, embeds, vectors)


@pytest.mark.parametrize("text", [row[0] for row in KINDS])
def test_at_most_one_question_of_kind_is_answered_with_yes(text):
    ref = parse_ref(text)
    kinds = (ref.is_lexical, ref.is_endpoint, ref.is_run, ref.is_rankings, ref.is_vector_table)
    assert sum(kinds) == (ref.scheme in {"lexical", "openai", "run", "trec", "vectors"})


def test_a_revision_is_no_part_of_the_name():
    assert parse_ref("hf:org/name@v1") == ModelRef("hf", "org/name", "v1")


@pytest.mark.parametrize("text", ["hf", "path:", "ftp:x", "", ":x", "hf:name"])
def test_what_names_nothing_is_refused(text):
    with pytest.raises(ConfigError, match="model"):
        parse_ref(text)
