"""What counts as personal data, example by example; and that replacing can be undone exactly."""

# ruff: noqa: RUF001  (labels in other scripts)
from __future__ import annotations

import csv
import io
import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from hrembed.data.layout import Form
from hrembed.data.person_names import NamesOf, Vocabulary
from hrembed.data.personal import TYPES, Finder, Finding, replaced
from hrembed.data.redact import Placeholders, Reader, numbers_in_use, redact, restore
from hrembed.errors import ConfigError, DataError
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

ORDINARY = Vocabulary()
ORDINARY.add(
    "registered nurse candidate profile senior java developer team hunter page manager experienced summary period "
    "applicant baker data engineer the of case loan officer reached worked"
)
FINDER = Finder(TYPES, ("US", "GB"), ORDINARY, frozenset({"grace", "latoya", "case"}))

# The text with the piece that must be found between ⟦ and ⟧.
HITS = {
    "email": [
        "⟦jane.doe@example.org⟧",
        "Mail: ⟦Jane.Doe+cv@mail.example.co.uk⟧.",
        "mailto:⟦jane@example.org⟧",
        "<⟦jane_doe-88@sub.host.museum⟧>",
        "⟦jürgen.groß@müller-söhne.de⟧",
        "('⟦o'brien@example.ie⟧')",
        "⟦jane (at) host (dot) com⟧",
        "⟦j.doe[at]uni-bonn[dot]de⟧, gern per Mail",
        "⟦jane {at} example.org⟧",
        "⟦jane.doe @ example.org⟧",
        "write to ⟦jane.doe@ example.org⟧",
        "⟦jane AT example DOT org⟧",
        "⟦jane dot doe at gmail dot com⟧",
        "reach me: ⟦jdoe at gmail dot com⟧",
        "⟦jane@xn--mller-kva.de⟧",
        "⟦mette.lund@example.net⟧4470112233",
        "⟦mette&#64;example.net⟧",
        "⟦mette&#x40;example&period;net⟧",
        "⟦mette&amp;#64;example.net⟧",
        "⟦mette&#8203;@example.net⟧",
        "⟦mettel&nbsp;@&nbsp;example.net⟧",
        "⟦mette@@example.net⟧",
        "⟦mette at example dot net⟧",
        "⟦mette @\nexample.net⟧",
        "⟦mette&commat;example.net⟧",
        "⟦mette%40example%2Enet⟧",
        "⟦mette=40example.net⟧",
        "⟦mette\u200b@\u2060example.net⟧",
        "⟦met\u00adte@example.net⟧",
        "⟦mette\uff20example\uff0enet⟧",
        "⟦mettel @ aol . com⟧ please",
        "⟦mette@gmail .com⟧",
        "⟦mette.l@\nexample.net⟧",
        "⟦mette.l@example.\nnet⟧",
        "⟦mette.l@exam-\nple.net⟧",
        "⟦mette.l\n@example.net⟧",
        "⟦mette(a)example.net⟧",
        "⟦mette_at_example.net⟧",
        "⟦mette\\[at\\]example\\[dot\\]net⟧",
        "write to ⟦mette@<b>example</b>.net⟧",
        "E-mail: ⟦mette at example.net⟧",
        "contact: ⟦Mette.L at Example.net⟧",
        "Email me at ⟦nurse at example.net⟧",
        "today ⟦mette.lund at example.net⟧ or",
        "write to ⟦latoya at example.net⟧",
        "⟦mette.l@exam\nple.net⟧",
        "⟦mette85@gmail⟧, Leeds",
    ],
    "phone": [
        "⟦(202) 555-0123⟧",
        "⟦202.555.0147⟧",
        "⟦202-555-0147 ext. 12⟧, mornings",
        "⟦+1 (202) 555-0147⟧",
        "⟦2025550147⟧ or none",
        "⟦020 7946 0958⟧ 2015-2019",
        "⟦07700 900123⟧",
        "⟦07700900123⟧",
        "⟦+44 (0)20 7946 0958⟧",
        "⟦0044 20 7946 0958⟧",
        "⟦+49 30 901820⟧",
        "⟦030 / 901820⟧",
        "⟦(030) 901820⟧",
        "⟦0171 1234567⟧ 12.03.1987",
        "⟦+33 6 12 34 56 78⟧",
        "⟦06.12.34.56.78⟧",
        "⟦+91 98765 43210⟧",
        "Mobile: ⟦98765 43210⟧",
        "Phone: ⟦555-0123⟧",
        "Tel ⟦555 0123⟧ 2015-2019",
        "Telefon (privat): ⟦901820⟧",
        "☎ ⟦90 18 20⟧",
        "M: ⟦07700 900123⟧ | E: none",
        "call me on ⟦555-0123⟧",
        "Mob. ⟦98765-43210⟧",
        "rents of £7,000. ⟦06 07 79 98 21⟧",
        "Contact: ⟦9876543210⟧",
        "Contact No. ⟦9123406789⟧",
        "Contact Numbers - ⟦9123406789⟧",
        "Contact Details: ⟦9123406789⟧",
        "Contact (M): ⟦9123406789⟧",
        "Alternate No: ⟦9123406789⟧",
        "Reach out on ⟦9123406789⟧",
        "Kontaktnummer: ⟦21436587⟧",
        "联系方式：⟦13912340088⟧",
        "my contact number is ⟦617 555 01 32⟧, evenings",
        "Emergency contact: ⟦9123406789⟧",
        "Phone No.(R): ⟦2345 6712⟧",
        "Mobile⟦9123406789⟧",
        "Mobile:\n⟦91234 06789⟧",
        "Tlf.: ⟦21 43 65 87⟧",
        "Telefon komórkowy: ⟦602 345 178⟧",
        "Puhelin: ⟦0401 23 9987⟧",
        "Телефон: ⟦8 (913) 456-70-12⟧",
        "Моб. тел.: ⟦913 456 70 12⟧",
        "هاتف: ⟦٠٥٠٧٧١٢٣٤٥⟧",
        "电话：⟦139 1234 0088⟧",
        "手机⟦13912340088⟧",
        "携帯: ⟦090-1234-0011⟧",
        "전화번호: ⟦010-1234-0011⟧",
        "मोबाइल नंबर: ⟦९१२३४ ०६७८९⟧",
        "phone：⟦５５５－０１３２⟧",
        "<td>Phone</td><td>⟦9123406789⟧</td>",
        "⟦+44 7700\n900132⟧ by day",
        "⟦07700900132⟧Email by day",
        "Tel. ⟦01223 849 320⟧. 21 years of practice",
        "Leeds ⟦(555) 123-4567⟧",
        "Leeds ⟦123-456-7890⟧ nurse",
        "Leeds ⟦+1 555.123.4567⟧",
    ],
    "link": [
        "⟦https://www.linkedin.com/in/jane-doe-12345678/⟧.",
        "(⟦https://example.org/wiki/Doe_(cook)⟧)",
        "[LinkedIn](⟦https://linkedin.com/in/janedoe⟧)",
        "<a href=\"⟦http://example.org/?a=1&b=2⟧\">",
        "⟦www.janedoe.com⟧, updated weekly",
        "⟦linkedin.com/in/janedoe⟧",
        "⟦de.linkedin.com/in/janedoe⟧",
        "code: ⟦github.com/jdoe⟧!",
        "⟦xing.com/profile/Jane_Doe⟧",
        "⟦x.com/jdoe⟧",
        "⟦stackoverflow.com/users/1234/jdoe⟧",
        "⟦medium.com/@jdoe⟧",
        "⟦bit.ly/3xYz⟧",
        "⟦orcid.org/0000-0002-1825-0097⟧",
        "ORCID iD: ⟦0000-0002-1825-0097⟧",
        "⟦janedoe.github.io⟧ shows more",
        "Portfolio: ⟦janedoe.design⟧",
        "Website: ⟦jane-doe.co.uk/work⟧",
        "Homepage - ⟦janedoe.com⟧",
        "Twitter: ⟦@jdoe⟧",
        "LinkedIn: ⟦/in/jane-doe⟧",
    ],
    "birth-date": [
        "DOB: ⟦12/03/1987⟧",
        "D.O.B. ⟦12.3.87⟧",
        "Date of birth (dd/mm/yyyy): ⟦12/03/1987⟧",
        "Date of birth\n⟦12 March 1987⟧",
        "Date and place of birth: Leeds, ⟦12 March 1987⟧",
        "Born on ⟦March 12th, 1987⟧ in Leeds",
        "Born: ⟦1987-03-12⟧",
        "born in Leeds on ⟦the 12th of March 1987⟧".replace("⟦the ", "the ⟦"),
        "Birthday \u2013 ⟦Mar 12, 1987⟧",
        "geb. ⟦12.03.1987⟧",
        "geboren am ⟦12. März 1987⟧ in Köln",
        "Geburtsdatum: ⟦12.03.1987⟧",
        "né le ⟦12 mars 1987⟧",
        "née le ⟦1er avril 1990⟧",
        "Date de naissance : ⟦12/03/1987⟧",
        "fecha de nacimiento: ⟦12 de marzo de 1987⟧",
        "Year of birth: ⟦1987⟧",
    ],
    "name": [
        "Name: ⟦Jane Miller⟧",
        "**Full name:** ⟦Jane Miller⟧\nNurse",
        "full name: ⟦jane miller⟧",
        "Name: ⟦Priya⟧",
        "About\nName: ⟦Jane Miller⟧, Leeds",
        "Name: ⟦Jane Miller⟧ Email: none",
        "Candidate: ⟦Priya Raman⟧",
        "⟦Priya Raman⟧\nNurse with",
        "\n\n  ⟦Siobhán O\u2019Neill⟧\nNurse",
        "⟦MR JOHN O'BRIEN⟧\nNurse",
        "⟦Dr. Anne-Marie van der Berg⟧, PhD\nNurse",
        "⟦J. Okafor⟧\nNurse",
        "⟦Jermaine T. McKay⟧\nNurse",
        "**⟦Jermaine McKay⟧**\n\nNurse",
        "# ⟦Priya Raman⟧\nNurse",
        "CV - ⟦Priya Raman⟧\nNurse",
        "**RESUME**\n\n**⟦Priya Raman⟧**\n\nNurse",
        "[Personal Information]\n\n⟦Priya Raman⟧\n\nNurse",
        "----------\n⟦Priya Raman⟧\n----------\nNurse",
        "⟦Grace Hunter⟧\nNurse",
        "⟦Mrs Emma Baker⟧\nNurse",
        "⟦Priya Raman⟧ | Leeds | 07700 900123",
        "⟦Priya Raman⟧ | Registered Nurse\nwith",
        "⟦Priya Raman⟧ – Registered Nurse\nwith",
        "⟦Priya Raman⟧ (she/her)\nwith",
        "⟦Priya Raman⟧, they/them, MSc\nwith",
        "⟦Raman, Priya⟧\nwith",
        "⟦RAMAN, PRIYA K.⟧\nwith",
        "Name: ⟦Raman, Priya⟧",
        "Name:\n⟦Priya Raman⟧\nwith",
        "| Name | ⟦Priya Raman⟧ |\nwith",
        "<h1 class='top'>⟦Priya Raman⟧</h1><p>Nurse with</p>",
        "<p><b>Name:</b> ⟦Priya Raman⟧<br>with</p>",
        "<tr><td>Name</td><td>⟦Priya Raman⟧</td></tr>",
        "Hello, my name is ⟦Priya Raman⟧ and",
        "with\nKind regards,\n⟦Priya Raman⟧",
        "with\nYours sincerely, ⟦Priya Raman⟧",
        "Candidate name - ⟦Priya Raman⟧\nNurse",
        "姓名：⟦李小龙⟧",
        "Имя: ⟦Ольга Иванова⟧",
        "Imię i nazwisko: ⟦Anna Nowak⟧",
        "Father's Name: ⟦Ram Raman⟧",
    ],
}  # fmt: skip

CLEAN = [
    # phone
    "2015-2019", "2015 \u2013 2019 and 2010-2012", "01/2015 - 03/2019", "01.02.2015 - 31.12.2019",
    "01.02.15 - 31.12.19",
    "$ 45,000 - 60,000", "EUR 50.000 - 65.000", "60 000 - 75 000 EUR", "£850,000 and 1 200 000", "grew by +15 000 000",
    "ISO 9001 27001", "ISO 13485:2016", "11-1011.00", "29-1141.00 and 29-1141.04", "24/7", "09.00-17.30 24/7",
    "C++11 2003 2011", "401(k), 29 CFR 1910.1200", "ISBN 978-3-16-148410-0", "Mobile 2015-2019", "phone 24/7",
    "Mobile 20 000 000 users", "call centre 2015-2019", "phone 100 000 customers", "SQL Server 2012 2016 2019",
    "room 101, 1,200 beds", "10.0.0.1 and 192.168.100.20", "012345678", "0.71 to 0.83", "2015 2016 2017",
    # link
    "ASP.NET, Node.js, .NET, socket.io, Vue.js", "Website: ASP.NET, Node.js", "and/or", "TCP/IP, CI/CD, PL/SQL",
    "Salesforce.com, Monday.com", "GitHub, GitLab and LinkedIn Recruiter", "i.e.the",
    # e-mail
    "Engineer @ Booking.com", "worked at amazon dot com", "the team at yahoo.com",
    "Team_Lead @ Booking.com", "Node.js at Amazon dot com",
    "node.js at booking.com", "asp.net at acme.com", "the team at example.net", "worked at example.net",
    "nurse.@\nwork", "version 10.12.1234", "Account 123-456-7890-12",
    "Engineer @booking.com", "worked AT booking.com", "rated @ 12.5",
    "@Component, @angular/core",
    # birth date
    "Born leader. Joined 12 March 2015", "joined 12/03/2015", "Born to lead since 12/2015", "a firm born in 2012",
    "DOB: [BIRTH_DATE]\nStarted 01/02/2015", "Date of birth: on request; employed since 2015",
    # name
    "Registered Nurse\nwith", "Anonymised Profile\nwith", "Curriculum Vitae\nwith", "Candidate: Experienced Nurse",
    "Candidate - Registered Nurse\nwith", "Thank you, team", "Senior Java Developer\nwith",
    "Case Manager\nwith", "Priya Raman", "Chief Executives", "{name}\nExp: 3 y.",
    "The nurse Jane Miller\nwith", "Project name: Big Thing", "iPhone Android\nwith", "[NAME]\nRegistered Nurse",
    "Leeds, England\nwith", "Austin, TX\nwith", "April May\nwith", "March, April\nwith", "Docker, Kubernetes\nwith",
    "Microsoft Azure | Cloud\nwith", "Google Analytics (advanced)\nwith", "Name | Title\nNurse | Cook",
    "Senior Java Developer - Data\nwith",
    # more that is no phone and no address
    "Order 0123456789", "order no. 0201234567", "Invoice 0301234567", "ticket #0401234567", "Bestellnummer 0501234567",
    "Ref. no. 0123456789", "Phone order no. 4711223", "Mobile users: 1234567", "contact lens 1234567",
    "Contact with 12 teams in 2015 2016", "Engineer\n@booking.com", "The (a)ctive.member list", "50%40 split",
    "<b>2015</b>-<b>2019</b>", "&lt;b&gt; 5 &amp; 6 &copy; 2019",
    "", " ", "\n\n", "\ud800 x",
]  # fmt: skip


def cases() -> list[tuple[str, str]]:
    return [(type_, text) for type_, texts in HITS.items() for text in texts]


@pytest.mark.parametrize(("type_", "marked"), cases())
def test_is_found_to_the_letter(type_, marked):
    before, rest = marked.split("⟦")
    piece, after = rest.split("⟧")
    text = before + piece + after
    expected = Finding(type_, len(before), len(before) + len(piece))
    assert expected in FINDER.find(text), FINDER.find(text)
    assert [f for f in FINDER.find(text) if f.type == type_] == [expected]


@pytest.mark.parametrize("text", CLEAN)
def test_is_left_alone(text):
    assert FINDER.find(text) == []


@pytest.mark.parametrize("type_", TYPES)
def test_only_the_types_asked_for_are_found(type_):
    finder = Finder([type_], ("US", "GB"), ORDINARY)
    text = " ".join(["Name: Priya Raman\n", *(t[0].replace("⟦", "").replace("⟧", "") for t in HITS.values())])
    assert {finding.type for finding in finder.find(text)} == {type_}


@pytest.mark.parametrize("glued", ["{}9123406789", "{} | 9123406789", "9123406789, {}", "{}+91 91234 06789"])
def test_a_number_beside_an_address_is_one_to_call_whatever_its_country(glued):
    text = glued.format("mette.lund@example.net")
    shown = replaced(text, FINDER.find(text), lambda finding, _: f"[{finding.type}]")
    assert "[email]" in shown
    assert not any(character.isdigit() for character in shown), shown


def test_every_number_of_a_list_behind_a_label_is_found():
    text = "Contact Numbers: 9123406789 / 9123406780, 91234 06781 and more"
    shown = replaced(text, FINDER.find(text), lambda finding, _: "#")
    assert shown == "Contact Numbers: # / #, # and more"


@pytest.mark.parametrize(
    ("values", "marked"),
    [
        (["Rose Marsh"], "⟦Rose⟧ grew a rose. MR ⟦MARSH⟧, ⟦rose marsh⟧, ⟦R. Marsh⟧; Rosemary, Marshal"),
        (["Marsh, Rose E."], "⟦Rose E. Marsh⟧ and Ms ⟦Marsh⟧'s"),
        (["José García-López"], "⟦Jose Garcia-Lopez⟧ or Sr. ⟦López⟧"),
        (["王小明"], "我叫⟦王小明⟧，是工程师"),
        (["Tove", "O'Hara"], "⟦Tove O\u2019Hara⟧; Ms ⟦Hara⟧"),
        (["Mr. Will May Jr."], "⟦Will⟧ will, Mr. ⟦May⟧ may, a Jr. clerk"),
        (["Tove Ek"], "<b>⟦To</b>ve⟧ has ⟦&Tove⟧".replace("&", "")),
        ([" ", "..."], "nothing ... here"),
    ],
)
def test_names_of_the_row_are_found_with_their_parts(values, marked):
    pieces = re.split("[⟦⟧]", marked)
    text = "".join(pieces)
    found = Finder(["email"]).find(text, NamesOf(values))
    assert [text[f.start : f.end] for f in found] == pieces[1::2]
    assert {f.type for f in found} <= {"name"}


def test_a_part_in_lower_case_is_found_unless_it_is_a_common_word():
    names = NamesOf(["Tove Hill"], common=frozenset({"hill"}))
    text = "tove went up a hill; Hill stayed"
    assert replaced(text, Finder(["name"]).find(text, names), lambda *_: "#") == "# went up a hill; # stayed"


def test_other_regions_bring_their_national_numbers():
    text = "98765 43210"
    assert Finder(["phone"], ("US",)).find(text) == []
    assert Finder(["phone"], ("in",)).find(text) == [Finding("phone", 0, 11)]


@pytest.mark.parametrize(("code", "guess"), [("UK", "'GB'"), ("USA", "'US'")])
def test_an_unknown_region_gets_the_nearest(code, guess):
    with pytest.raises(ConfigError, match=rf"unknown region '{code}' \(did you mean {guess}\?\)"):
        Finder(TYPES, (code,))


def test_of_two_that_overlap_the_first_names_the_type_and_covers_both():
    link = "linkedin.com/in/jane-202-555-0123"
    assert FINDER.find(link) == [Finding("link", 0, len(link))]
    glued = "07700 900123.jane@example.org"
    assert FINDER.find(glued) == [Finding("phone", 0, len(glued))]


def test_findings_are_sorted_and_apart():
    text = "Priya Raman\nDOB 12/03/1987, jane@example.org, 202-555-0123, github.com/jdoe"
    found = FINDER.find(text)
    assert [finding.type for finding in found] == ["name", "birth-date", "email", "phone", "link"]
    cleaned = replaced(text, found, lambda finding, original: f"[{finding.type}]")
    assert cleaned == "[name]\nDOB [birth-date], [email], [phone], [link]"


@pytest.mark.parametrize(("type_", "marked"), cases())
def test_nothing_is_found_in_what_was_replaced(type_, marked):
    text = marked.replace("⟦", "").replace("⟧", "")
    for placeholders in (Placeholders(), Placeholders({})):
        cleaned = replaced(text, FINDER.find(text), placeholders)
        assert FINDER.find(cleaned) == [], cleaned


def test_ordinary_words_are_learned_but_not_from_addresses():
    vocabulary = Vocabulary()
    vocabulary.add("A wonderful zymologist. jane.okafor@okafor.example, jane (at) okafor.org, okafor.de")
    vocabulary.add("see github.com/okafor or https://okafor.example/?of=jane")
    assert "zymologist" in vocabulary
    assert "jane" not in vocabulary
    assert "okafor" not in vocabulary
    finder = Finder(["name"], vocabulary=vocabulary)
    assert finder.find("Wonderful Zymologist\nx") == []
    assert finder.find("Jane Okafor\nx") == [Finding("name", 0, 11)]


@pytest.mark.parametrize(
    "address",
    ["tove.okafor&#64;okafor.net", "tove.okafor%40x.net", "tove\u200b@okafor.net", "okafor@<b>okafor</b>.net"],
)
def test_ordinary_words_are_not_learned_from_encoded_addresses(address):
    vocabulary = Vocabulary()
    vocabulary.add(f"writes code; {address}")
    assert "code" in vocabulary
    assert "tove" not in vocabulary
    assert "okafor" not in vocabulary


def test_a_name_in_lower_case_behind_its_label_stays_a_name():
    vocabulary = Vocabulary()
    vocabulary.add("works by hand\nName: jane okafor\nworks by heart")
    assert "heart" in vocabulary
    assert "okafor" not in vocabulary


def test_the_vocabulary_has_a_bound():
    vocabulary = Vocabulary(limit=100)
    for n in range(50):
        vocabulary.add(" ".join(f"word{chr(97 + n % 26)}{chr(97 + k)}{chr(97 + n // 26)}" for k in range(26)))
    assert len(vocabulary) == 100


HARD = [
    "<b>",
    "&#64;",
    "a.\n",
    "a @ b . ",
    "contact no ",
    "A, B ",
    "| ",
    "a",
    "1 ",
    "0",
    "12-",
    " ",
    "\n",
    "(",
    "at ",
    "a@",
    "a.",
    "+1 ",
    "Name: ",
    "dob ",
    "http://)",
    "Jane ",
]


@pytest.mark.parametrize("piece", HARD)
def test_the_time_grows_with_the_length_only(piece):
    """A quadratic rule would take 16 times as long on the longer text, and minutes on a cell of a megabyte."""

    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        start = time.process_time()
        FINDER.find(text)
        Vocabulary().add(text)
        return time.process_time() - start

    seconds(1_000)
    assert seconds(40_000) < 8 * max(seconds(10_000), 0.05)


# --- there and back ---------------------------------------------------------------------------------------------------
PIECES = st.sampled_from(
    [
        "jane@example.org", "josé@example.org", "Jane Miller", "\n", "\r\n", '"', "\\", ",", ";", "é", "😀",
        "\u2028", "[", "]",
        "[EMAIL_1]", "[EMAIL]", "[PHONE_3]", "[EMAIL_", "_2]", "DOB: 12/03/1987", "202-555-0123",
        "https://x.org/a", " ", "0",
        "Tel: ", "Name: ", "EMAIL_7", "\\u0041", "[LINK_0002]",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=5).filter(lambda t: "\0" not in t), max_size=8).map("".join)
ROWS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4)
THOROUGH = settings(max_examples=100)


def encodable(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text)


def there_and_back(source: Path) -> bytes:
    """Redact with a map, check the result, restore, and give what came back."""
    cleaned, back = source.with_name(f"cleaned-{source.name}"), source.with_name(f"back-{source.name}")
    placeholders = Placeholders(numbers_in_use(source))
    found = redact(source, cleaned, Reader(FINDER, ("text",)), placeholders, Form())
    again = redact(cleaned, back, Reader(FINDER, ("text",)), Placeholders(), Form())
    assert again.rows == found.rows
    restore(cleaned, back, placeholders.originals)
    return back.read_bytes()


@THOROUGH
@given(ROWS, st.booleans(), st.sampled_from(["\n", "\r\n", "\n\n"]), st.booleans())
def test_jsonl_comes_back_byte_for_byte(tmp_path, rows, ascii_only, end, last):
    lines = [json.dumps({"other": b, "text": a, "n": [1.50, {"text": b}]}, ensure_ascii=ascii_only) for a, b in rows]
    raw = (end.join(lines) + (end if last else "")).encode("utf-8", "surrogatepass" if ascii_only else "replace")
    source = tmp_path / "rows.jsonl"
    source.write_bytes(raw)
    assert there_and_back(source) == raw
    for line, cleaned in zip(rows_of(raw), rows_of((tmp_path / "cleaned-rows.jsonl").read_bytes()), strict=True):
        assert {**cleaned, "text": ""} == {**line, "text": ""}
        assert cleaned["text"] == line["text"] or FINDER.find(line["text"])


def rows_of(raw: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in raw.split(b"\n") if line.strip()]


@THOROUGH
@given(ROWS, st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]), st.sampled_from(["\n", "\r\n"]))
def test_csv_comes_back_byte_for_byte(tmp_path, rows, quoting, end):
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, quoting=quoting, lineterminator=end)
    writer.writerow(["other", "text"])
    # Python's writer leaves a lone carriage return unquoted, and no reader takes that.
    writer.writerows([(b.replace("\r", ""), a.replace("\r", "")) for a, b in rows])
    if not encodable(stream.getvalue()):
        return
    source = tmp_path / "rows.csv"
    source.write_bytes(stream.getvalue().encode())
    assert there_and_back(source) == source.read_bytes()
    before, after = (
        list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))
        for path in (source, tmp_path / "cleaned-rows.csv")
    )
    assert [row[:1] for row in before] == [row[:1] for row in after]


@THOROUGH
@given(ROWS)
def test_parquet_comes_back_value_for_value(tmp_path, rows):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [row for row in rows if encodable("".join(row))] or [("", "")]
    table = pa.table({"text": [a for a, _ in rows], "other": [b for _, b in rows], "n": [1.5] * len(rows)})
    source = tmp_path / "rows.parquet"
    pq.write_table(table, source)
    there_and_back(source)
    assert pq.read_table(tmp_path / "back-rows.parquet").equals(table)
    assert pq.read_table(tmp_path / "cleaned-rows.parquet").drop("text").equals(table.drop("text"))


def test_equal_values_get_equal_numbers_above_those_in_use():
    placeholders = Placeholders({"email": 4})
    email, phone = Finding("email", 0, 1), Finding("phone", 0, 1)
    given_out = [placeholders(email, "a"), placeholders(phone, "a"), placeholders(email, "b"), placeholders(email, "a")]
    assert given_out == ["[EMAIL_5]", "[PHONE_1]", "[EMAIL_6]", "[EMAIL_5]"]
    assert placeholders.originals == {"[EMAIL_5]": "a", "[PHONE_1]": "a", "[EMAIL_6]": "b"}
    assert Placeholders()(email, "a") == "[EMAIL]"


def test_a_number_too_long_to_count_on_from_is_refused(tmp_path):
    source = tmp_path / "rows.jsonl"
    source.write_text('{"text": "[EMAIL_1234567890]"}\n')
    with pytest.raises(DataError, match="placeholder for email with a number of 10 digits"):
        numbers_in_use(source)
