"""Conditions are data: what is typed is read by the type of the column, or refused."""

from __future__ import annotations

import pytest
from hrembed.errors import ConfigError
from hrembed.index.conditions import Condition, parse_condition, protected

FILTERS = {
    "seniority": "text",
    "years": "whole number",
    "pay": "number",
    "permit": "yes or no",
    "city": "text",
    "languages": "texts",
}


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("seniority=senior", Condition("seniority", "=", ("senior",))),
        ("city=DE,AT", Condition("city", "=", ("DE", "AT"))),
        ('city="Frankfurt, Main", Berlin', Condition("city", "=", ("Frankfurt, Main", "Berlin"))),
        ("years>=3", Condition("years", ">=", (3,))),
        ("years < -2", Condition("years", "<", (-2,))),
        ("pay<=2.5e3", Condition("pay", "<=", (2500.0,))),
        ("permit=Yes", Condition("permit", "=", (True,))),
        ("permit=false", Condition("permit", "=", (False,))),
        ("languages=de,en", Condition("languages", "=", ("de", "en"))),
        ("city=x' or 1=1", Condition("city", "=", ("x' or 1=1",))),  # a text, and nothing else
        ("city=a=b", Condition("city", "=", ("a=b",))),
    ],
)
def test_conditions_are_read_by_the_type_of_their_column(typed: str, read: Condition) -> None:
    found = parse_condition(typed, FILTERS)
    assert found == read
    assert [type(value) for value in found.values] == [type(value) for value in read.values]
    assert parse_condition(str(found), FILTERS) == found


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("seniority", "has no column and operator"),
        ("=senior", "has no column and operator"),
        ("1=1", "the index has no filter '1'"),
        ("senority=x", "did you mean 'seniority'"),
        ("seniority' or '1'='1", "the index has no filter"),
        ("id = 'c1' or 1=1", "the index has no filter 'id'"),
        ("years>=3 or 1=1", "'years' holds whole numbers, and '3 or 1=1' is none"),
        ("years=3; drop table rows", "holds whole numbers"),
        ("years>=3.5", "holds whole numbers"),
        ("years>=3,4", "compares with one number"),
        ("years=٣", "holds whole numbers"),
        ("pay>=nan", "holds numbers, and 'nan' is none"),
        ("pay<inf", "holds numbers"),
        ("pay<1e999", "holds numbers"),
        ("permit=maybe", "holds true or false, and 'maybe' is none"),
        ("permit>=true", "`>=` compares numbers, but 'permit' holds true or false"),
        ("seniority>=senior", "`>=` compares numbers, but 'seniority' holds text"),
        ("seniority=", "has an empty value"),
        ("city=DE,,AT", "has an empty value"),
        ("city=a\nb", "contains control characters"),
        ('city="open', "unexpected end of data"),
        ("city=" + "x" * 300, "is too long"),
        ("city=\ud800", "contains control characters"),
        ("city=a\0b", "contains control characters"),
    ],
)
def test_what_is_no_condition_is_refused_with_one_message(typed: str, said: str) -> None:
    with pytest.raises(ConfigError) as err:
        parse_condition(typed, FILTERS)
    assert said in str(err.value)
    assert err.value.exit_code == 2
    assert "\n" not in str(err.value)


PROTECTED = (
    "sex,Gender,applicant_age,ageGroup,date_of_birth,DateOfBirth,race,nationality,religion,disability,marital_status,"
    "maritalStatus,Alter,Geschlecht,country of birth,sexual_orientation"
)
OTHERS = (
    "country,language,languages,seniority,work_permit,available_from,manager,stage,wage,essex_office,package,trace,"
    "brace,engagement,location,availability"
)


@pytest.mark.parametrize("column", PROTECTED.split(","))
def test_columns_named_like_protected_attributes_are_known(column: str) -> None:
    assert protected(column)


@pytest.mark.parametrize("column", OTHERS.split(","))
def test_columns_of_other_names_are_not(column: str) -> None:
    assert protected(column) is None
