"""Codes that come from lists and not from shapes: ISO 3166-1 alpha-2 and ISO 4217, as the packages keep them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from iso3166 import countries_by_alpha2
from iso4217 import Currency as _Known
from msgspec import Meta

__all__ = ["COUNTRIES", "LISTS", "PLACES", "WITHOUT_POSTAL_CODES", "Country", "CountryText", "Currency", "CurrencyText"]

COUNTRIES = tuple(sorted(countries_by_alpha2))

#: Of each currency that one can pay in, how many decimal places its amounts have. Gold and test codes have none.
PLACES: dict[str, int] = {known.code: known.exponent for known in _Known if known.exponent is not None}

if TYPE_CHECKING:
    Country = str
    Currency = str
else:
    Country = Literal[COUNTRIES]
    Currency = Literal[tuple(sorted(PLACES))]

#: What a code that is in no list should be.
LISTS: dict[object, str] = {Country: "a country of ISO 3166-1, as DE", Currency: "a currency of ISO 4217, as EUR"}

#: As they are kept: what is stored stays readable when a country or a currency ends.
CountryText = Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")]
CurrencyText = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]

#: Countries whose addresses have no postal code, by Google's address data (which libaddressinput uses).
_WITHOUT = (
    "AE AG AO AQ AW BF BI BJ BO BQ BS BV BW BZ CD CF CG CI CK CM CW DJ DM ER FJ GA GD GH GM GQ GY HK JM KI KM KN LC LY ML "
    "MO MR MS MW NR NU PA PS QA RW SB SC SL SR SS ST SX SY TD TF TG TK TL TO TT TV UG VU WS YE ZW"
)
WITHOUT_POSTAL_CODES = frozenset(_WITHOUT.split())
