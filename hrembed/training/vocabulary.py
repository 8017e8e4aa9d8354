"""A WordPiece vocabulary that is learnt from texts: the same one each time, and without unknown characters."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

from hrembed.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_ALWAYS = string.ascii_lowercase + string.digits + string.punctuation
_AT_ONCE = 10_000  # texts tokenised at once


def train_tokenizer(texts: Sequence[str], *, size: int, max_tokens: int) -> Any:
    """Learn a tokenizer that knows every character of the texts, and those of ASCII, wherever in a word they stand.

    Text is read as uncased BERT reads it: lower case, no accents, punctuation and Chinese characters apart.

    Args:
        texts: What is learnt from; a text that is given twice counts twice.
        size: Most tokens; a token is only made of what occurs twice, so that few texts give fewer.
        max_tokens: Longest input, special tokens included.

    Returns:
        A `BertTokenizerFast`; the same texts in the same order give the same vocabulary.

    Raises:
        ConfigError: The characters alone need more room.

    Source:
        Wu et al. (2016), arXiv:1609.08144 (WordPiece); Devlin et al. (2019), arXiv:1810.04805 (how BERT reads text).
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from transformers import BertTokenizerFast

    reader = BertTokenizerFast().backend_tokenizer
    draft = Tokenizer(WordPiece(unk_token="[UNK]"))
    draft.normalizer, draft.pre_tokenizer = reader.normalizer, reader.pre_tokenizer
    # Not by file: transformers 5 ignores `vocab_file` without a word, and every token is unknown.
    return BertTokenizerFast(vocab=_learn(draft, texts, size), model_max_length=max_tokens)


def _learn(draft: Any, texts: Sequence[str], size: int) -> dict[str, int]:
    """Return tokens with their numbers, in order.

    The trainer numbers the inner forms of characters as its hash table happens to give them, and breaks ties by these
    numbers: without naming them first, every run would learn another vocabulary.
    """
    from tokenizers.trainers import WordPieceTrainer

    characters = _characters(draft, texts)
    named = [*SPECIAL, *(f"##{character}" for character in characters if _joins(draft, character))]
    needed = len(named) + len(characters)
    if needed > size:
        raise ConfigError(
            f"`method.vocabulary` is {size}, but the texts contain {len(characters)} different characters, "
            f"which need {needed} tokens"
        )
    trainer = WordPieceTrainer(
        vocab_size=size, min_frequency=2, show_progress=False, special_tokens=named, initial_alphabet=characters
    )
    draft.train_from_iterator(texts, trainer)
    return dict(sorted(draft.get_vocab().items(), key=lambda item: item[1]))


def _characters(draft: Any, texts: Sequence[str]) -> list[str]:
    """Characters of the texts as the tokenizer reads them, and of ASCII; sorted."""
    characters = set(_ALWAYS)
    for text in texts:
        characters.update(draft.normalizer.normalize_str(text))
    return sorted(character for character in characters if not character.isspace())


def _joins(draft: Any, character: str) -> bool:
    """Whether a word may go on with this character: punctuation and Chinese characters stand alone."""
    return len(draft.pre_tokenizer.pre_tokenize_str(draft.normalizer.normalize_str(f"a{character}"))) == 1


def unknown_share(tokenizer: Any, texts: Sequence[str]) -> float:
    """Share of the tokens of some texts that are `[UNK]`, special tokens left out; 0 without any token."""
    unknown = total = 0
    for start in range(0, len(texts), _AT_ONCE):
        part = list(texts[start : start + _AT_ONCE])
        tokens = tokenizer(part, add_special_tokens=False, verbose=False)["input_ids"]
        total += sum(len(ids) for ids in tokens)
        unknown += sum(ids.count(tokenizer.unk_token_id) for ids in tokens)
    return unknown / max(total, 1)
