"""Changed texts: what changes, how much, and what must not."""

from __future__ import annotations

import re
import subprocess
import sys
import unicodedata
from collections import Counter

import pytest
from hrembed.errors import ConfigError
from hrembed.evaluation.abbreviations import BOTH_WAYS, ONLY_SHORTENED
from hrembed.evaluation.perturb import CHANGES, perturb
from hypothesis import example, given, settings
from hypothesis import strategies as st

AD = (
    "Position: Sr. Nurse (nights). Write to jane.doe+jobs@example.org or see https://example.org/Jobs?id=7, please. "
    "We look for somebody who keeps calm, counts stock, and drives. Call 0123 456789. No cover letter needed."
)
WORDS = [
    "nurse",
    "Ward",
    "a",
    "of",
    "driver's",
    "CNC",
    "5-axis",
    "Cat6",
    "Zürich",
    "naïve",
    "manager",
    "warehouse",
    "ESL",
]
EMOJI = "\U0001f469\u200d\U0001f527"  # a woman and a spanner make a mechanic
OTHERS = [
    "R&D",
    "jane@example.org",
    "看護師",
    "नर्स",
    EMOJI,
    "e\u0301tude",
    "a\u200bb",
    "(on call)",
    "Sr.",
    "-",
    ",",
    ".",
    "\n",
]

anything = st.text(st.characters(exclude_categories=()), max_size=60)  # halves of surrogate pairs too
pieces = st.lists(st.sampled_from(WORDS + OTHERS), max_size=20).map(" ".join)
plain = st.lists(st.sampled_from(WORDS), min_size=1, max_size=40).map(" ".join)
seeds = st.integers(0, 5)
fast = settings(max_examples=60)


@pytest.mark.parametrize("change", CHANGES)
@given(text=anything | pieces, seed=seeds)
@fast
@example(text="half a pair \ud83d", seed=0)
def test_any_text_can_be_changed_and_always_in_the_same_way(change, text, seed):
    changed = perturb(text, change, seed)
    perturb("another text", change, seed)
    assert perturb(text, change, seed) == changed


@pytest.mark.parametrize("change", ["typos", "case", "word-order"])
def test_the_seed_and_the_text_decide(change):
    assert len({perturb(AD, change, seed) for seed in range(20)}) >= 3
    # The same first word in two texts is not always mistyped in the same way.
    ends = [(perturb(f"{word} one", change, 0), perturb(f"{word} two", change, 0)) for word in ("planner", "Painter")]
    assert any(first[:-3] != second[:-3] for first, second in ends)


def test_another_process_changes_in_the_same_way():
    code = "import sys; from hrembed.evaluation.perturb import perturb; print(ascii(perturb(sys.argv[1], 'typos', 3)))"
    out = subprocess.run([sys.executable, "-c", code, AD], capture_output=True, text=True, check=True).stdout
    assert out.strip() == ascii(perturb(AD, "typos", 3))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    "text",
    ["", "  \n ", "-", EMOJI, "2024", "प्रशिक्षक", "看護師募集中", "jane@example.org", "www.x.org/Senior"],
)
def test_what_cannot_be_changed_stays(change, text):
    assert perturb(text, change, 0) == text


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    "address",
    [
        "jane.doe@example.org",
        "JaneDoe@EXAMPLE.ORG",
        "https://Intranet/Jobs",
        "https://example.org/?",
        "hr@manager-senior.example",
        "https://example.org/Senior-Manager?hr=1",
        "www.Example.org",
        "careers.example.co.uk/senior",
    ],
)
def test_addresses_are_left_alone(change, address):
    for seed in range(40):
        assert address in perturb(f"Senior nurse wanted, write to {address}, or HR at {address}", change, seed)
        assert address in perturb(f"Mgr ({address}) or RN", change, seed)


def test_an_unknown_change_is_named():
    with pytest.raises(ConfigError, match=r"unknown change 'typo'.*'typos'"):
        perturb("nurse", "typo", 0)


# --- typos ------------------------------------------------------------------------------------------------------------
# Where the keys are, in widths of a key.
KEYS = {
    letter: (column + shift, row)
    for row, (keys, shift) in enumerate([("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75)])
    for column, letter in enumerate(keys)
}


def kind_of(word: str, typed: str) -> tuple[str, int]:
    """Which error was made where; the word has no letter twice in a row."""
    at = next((n for n, (a, b) in enumerate(zip(word, typed, strict=False)) if a != b), min(len(word), len(typed)))
    if len(typed) > len(word):
        assert typed[at] == typed[at - 1] == word[at - 1]
        assert typed == word[:at] + word[at - 1] + word[at:]
        return "double", at - 1
    if len(typed) < len(word):
        assert typed == word[:at] + word[at + 1 :]
        return "drop", at
    if typed[at + 1 :] == word[at + 1 :]:
        (x, y), (u, v) = KEYS[word[at].lower()], KEYS[typed[at].lower()]
        assert 0 < (x - u) ** 2 + (y - v) ** 2 < 1.6
        assert word[at].isupper() == typed[at].isupper()
        return "key", at
    assert typed == word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return "swap", at


@pytest.mark.parametrize("word", ["machinist", "PLUMBER"])
def test_the_four_errors_are_as_frequent_and_hit_every_letter_but_the_first(word):
    found = [kind_of(word, perturb(word, "typos", seed)) for seed in range(2000)]
    shares = Counter(kind for kind, _ in found)
    # A quarter of 2,000 +- 4 standard errors.
    assert all(abs(shares[kind] - 500) < 78 for kind in ("swap", "drop", "double", "key")), shares
    for kind in ("drop", "double", "key"):
        assert {at for found_kind, at in found if found_kind == kind} == set(range(1, len(word)))
    assert {at for kind, at in found if kind == "swap"} == set(range(1, len(word) - 1))


def test_equal_neighbours_are_not_swapped():
    assert all(perturb("llll", "typos", seed) != "llll" for seed in range(100))


@given(plain, seeds)
@fast
@example("nurse", 0)
@example(" ".join(WORDS * 3), 0)
@example(" ".join(WORDS * 3), 1)
def test_one_error_in_about_eight_words_each_in_another_word(text, seed):
    from rapidfuzz.distance import OSA

    before, after = text.split(), perturb(text, "typos", seed).split()
    assert len(before) == len(after)
    touched = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    long_words = [word for word in before if re.search(r"[^\W\d_]{4,}", word)]
    assert len(touched) == min(len(long_words), max(1, round(len(before) / 8)))
    for old, new in touched:
        assert old not in {"a", "of", "CNC", "ESL", "Cat6"}
        assert OSA.distance(old, new) == 1
        assert old[0] == new[0]
        assert re.findall(r"\d|'s?", old) == re.findall(r"\d|'s?", new)


def test_letters_beside_digits_are_no_word():
    for text in ("Cat6abcdef 9abcdef", "abcd5 x_abcde abcde_"):
        assert all(perturb(text, "typos", seed) == text for seed in range(30))


letters = st.text("aeoAErst\u0301\u0308\u200dñ界\u0627 🙂", max_size=30)


def clusters(text: str) -> list[str]:
    return re.findall(r"[^\u0301\u0308\u200d\s]?[\u0301\u0308\u200d]*", text)


@given(letters, seeds)
@settings(max_examples=200)
@example("re\u0301sume\u0301", 0)
def test_a_letter_keeps_its_combining_marks(text, seed):
    own = set(clusters(text))
    for change in ("typos", "word-order", "abbreviations"):
        new = [found for found in clusters(perturb(text, change, seed)) if found not in own]
        assert all(found.isascii() and len(found) == 1 for found in new), change  # a neighbouring key


def test_decomposed_letters_move_as_one():
    word = unicodedata.normalize("NFD", "géomètre")
    found = {unicodedata.normalize("NFC", perturb(word, "typos", seed)) for seed in range(300)}
    assert {"goémètre", "gomètre", "géomtère", "géomèètre"} <= found
    # A mark that had lost its letter would not be composed.
    assert not any(map(unicodedata.combining, "".join(found)))


# --- case -------------------------------------------------------------------------------------------------------------
def test_each_case_is_drawn_and_one_that_changes_nothing_is_not():
    text = "Nurse's aide (nights), 2nd shift/on-call at ÉCOLE"
    lower = "nurse's aide (nights), 2nd shift/on-call at école"
    upper = "NURSE'S AIDE (NIGHTS), 2ND SHIFT/ON-CALL AT ÉCOLE"
    title = "Nurse's Aide (Nights), 2nd Shift/On-Call At École"
    drawn = Counter(perturb(text, "case", seed) for seed in range(600))
    assert drawn.keys() == {lower, upper, title}
    assert min(drawn.values()) > 200 - 4 * 12  # a third of 600 - 4 standard errors
    assert {perturb("\u01c6em", "case", seed) for seed in range(40)} == {"\u01c5em", "\u01c4EM"}  # one letter, dž
    for same in (lower, upper, title):
        assert {perturb(same, "case", seed) for seed in range(40)} == {lower, upper, title} - {same}


@given(pieces, seeds)
@fast
def test_only_the_case_changes_and_always_where_there_is_one(text, seed):
    changed = perturb(text, "case", seed)
    assert changed.casefold() == text.casefold()
    free = text.replace("jane@example.org", "")
    assert (changed != text) == (free.lower() != free.upper())


# --- abbreviations ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("Senior Manager, Human Resources", "Sr Mgr, HR"),
        ("senior manager", "sr mgr"),
        ("SENIOR MANAGER", "SR MGR"),
        ("Registered nurse, 3 years of experience, full-time", "RN, 3 YOE, FT"),
        ("Registered nurses: health & safety", "RNs: H&S"),
        ("Bachelor\u2019s degree or Bachelor of Science", "BA/BS or BSc"),
        ("part time or Monday to Friday", "PT or Mon to Fri"),
        ("human resources business partner", "HRBP"),
        # A long form decides, so short ones stay.
        ("Sr Project Manager, HR", "Sr PM, HR"),
        # The other way.
        ("Sr. Analyst", "Senior Analyst"),
        ("Azure Data Eng.", "Azure Data Engineer"),
        ("our sr. nurse and our rep.", "our senior nurse and our representative."),
        ("our Sr. nurse", "our Senior nurse"),
        ("CCTV", "Closed-Circuit Television"),
        ("HR Advisor", "Human Resources Advisor"),
        ("hr advisor", "human resources advisor"),
        ("HR ADVISOR", "HUMAN RESOURCES ADVISOR"),
        ("RN", "Registered Nurse"),
        ("RN, PhD", "Registered Nurse, Doctor of Philosophy"),
        ("Women in our R&D lead teams", "Women in our research and development lead teams"),
        ("HR supports them", "Human resources supports them"),
        ("Care Home: CNA needed for nights", "Care Home: Certified nursing assistant needed for nights"),
        ("IT helps", "Information technology helps"),
        ("Ortho PA", "Orthopedic PA"),
        # Neither.
        ("It helps if it is yours", None),
        ("$20/hr or 20 hr or 30-hr, per hr", None),
        ("AMT, ENV", None),
        ("PT, OT or PA", None),
        ("managerial seniority of engineered mgrx", None),
        ("sr\u0301 cafe\u0301sr", None),
        ("x_sr hr@example.org", None),
    ],
)
def test_by_hand(text, changed):
    assert perturb(text, "abbreviations", 0) == (changed or text)


def spaced(form: str) -> str:
    return form.replace("-", " ")


@pytest.mark.parametrize("frame", ["we need one {} here", "{}", "({}), nights"])
def test_one_to_one_forms_go_there_and_back(frame):
    for long, short in BOTH_WAYS.items():
        text, shortened = frame.format(long), frame.format(short)
        assert perturb(text, "abbreviations", 0) == shortened
        assert perturb(shortened, "abbreviations", 0).lower() == text.lower()
        if short.islower():
            assert perturb(frame.format(long.capitalize()), "abbreviations", 0) == frame.format(short.capitalize())


def test_forms_that_may_mean_several_things_are_only_shortened():
    both = {short.lower() for short in BOTH_WAYS.values()}
    for long, short in ONLY_SHORTENED.items():
        assert perturb(f"one {long} here", "abbreviations", 0) == f"one {short} here"
        if short.lower() not in both:
            assert perturb(f"one {short} here", "abbreviations", 0) == f"one {short} here"


def test_the_table_has_no_repeats_and_no_chains():
    longs = [spaced(form).lower() for form in (*BOTH_WAYS, *ONLY_SHORTENED)]
    shorts = [form.lower() for form in BOTH_WAYS.values()]
    assert len(BOTH_WAYS) >= 120
    assert len(set(longs)) == len(longs)
    assert len(set(shorts)) == len(shorts)
    every_short = {form.lower() for form in (*shorts, *ONLY_SHORTENED.values())}
    # Nor does a long form hold a short one as a word: what was written out would be written out again.
    assert not every_short & {word for form in longs for word in (form, *form.split())} - {"or"}
    for form, short in {**BOTH_WAYS, **ONLY_SHORTENED}.items():
        assert len(short) < len(form)
        assert form == form.strip()
        assert form.islower() or form[0].isupper()


# --- word order -------------------------------------------------------------------------------------------------------
@given(st.lists(st.sampled_from(WORDS), max_size=12), seeds)
@fast
@example(["nurse", "nurse", "Ward"], 0)
def test_up_to_twelve_words_are_shuffled_and_one_moves(words, seed):
    text = " ".join(words)
    moved = perturb(text, "word-order", seed)
    assert sorted(moved.split(" ")) == sorted(text.split(" "))
    assert (moved != text) == (len(set(words)) > 1)


def test_every_order_comes_up():
    assert {perturb("x x y", "word-order", seed) for seed in range(40)} == {"x y x", "y x x"}
    found = Counter(perturb("one two three", "word-order", seed) for seed in range(600))
    assert len(found) == 5
    assert min(found.values()) > 50


def test_punctuation_and_signs_stay_and_brackets_move_as_one():
    for seed in range(50):
        moved = perturb("Nurse / Carer, Flats (late nights) & Homes.", "word-order", seed)
        assert re.fullmatch(r"\S[^/]* / [^,]+, .+ & [^&.]+\.", moved)
        found = re.findall(r"\([^)]*\)|\w+", moved)
        assert sorted(found) == ["(late nights)", "Carer", "Flats", "Homes", "Nurse"]


def test_sentences_of_a_longer_text_move_whole():
    sentences = [
        "We look for a Sr. Nurse for nights etc. in Rome!",
        "Can you drive?",
        "Write to J. Miller.",
        "No. 3 is 2.5 km away.",
    ]
    lines = ["Flats are near", "Trains too"]
    text = "  " + "\n".join([" ".join(sentences), *lines])
    found = set()
    for seed in range(100):
        moved = perturb(text, "word-order", seed)
        assert moved != text
        assert moved.startswith("  ")
        assert len(moved) == len(text)
        for sentence in (*sentences, *lines):
            assert sentence in moved
        found.add(moved)
    assert len(found) > 50
    assert {moved[2:8] for moved in found} == {piece[:6] for piece in (*sentences, *lines)}


def test_a_long_sentence_is_moved_between_its_commas():
    text = "putting air or water in new pipes, proving that they do not leak, and signing."
    parts = ["putting air or water in new pipes", "proving that they do not leak", "and signing"]
    found = {perturb(text, "word-order", seed) for seed in range(60)}
    assert len(found) == 5
    assert all(sorted(moved[:-1].split(", ")) == sorted(parts) and moved.endswith(".") for moved in found)
    assert perturb("看護師、募集。経験者優遇。", "word-order", 0) == "経験者優遇。看護師、募集。"
    assert perturb("看護師、准看護師", "word-order", 0) == "准看護師、看護師"


def test_thirteen_words_without_a_comma_stay():
    twelve = "putting air or water in new pipes to prove they are tight"
    assert perturb(twelve, "word-order", 0) != twelve
    assert perturb(f"{twelve} now", "word-order", 0) == f"{twelve} now"
