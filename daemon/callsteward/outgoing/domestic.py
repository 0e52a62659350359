"""Numbers of a region's plan that are not plainly domestic: another territory's, or a dear network's.

`phonenumbers` knows to which numbering plan a number belongs, not what a call costs: Abkhazia has codes of
Russia's plan, but calls are billed as calls abroad. The numbers listed here are not called by default;
`callback.allowed_prefixes` allows them again. Regions that `phonenumbers` itself tells apart (Kazakhstan
within +7, the Caribbean within +1, Jersey within +44, Svalbard within +47 …) need no line here.

The list is common knowledge of the national plans (Abkhazia's 840 and 940, Kosovo's ranges from before +383,
Northern Cyprus's 392, 533 and 542). It is not a tariff: other numbers that a provider bills at other prices
belong into `callback.denied_prefixes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

ELSEWHERE: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "AM": {"Nagorno-Karabakh": ("+37447", "+37497")},
        "AU": {"satellite": ("+61147",)},
        "CA": {"satellite and remote networks": ("+1600",)},
        "GB": {"Isle of Man": ("+447924",)},
        "GE": {"Abkhazia": ("+99544",), "South Ossetia": ("+99534",)},
        "ID": {"satellite": ("+62868",)},
        "IL": {"Palestinian networks": ("+97256", "+97259")},
        "IT": {"San Marino": ("+390549",)},
        "KZ": {"satellite and closed networks": ("+7760", "+7761", "+7762", "+7763", "+7764")},
        "MA": {"Western Sahara": ("+2125288", "+2125289")},
        "MC": {"Kosovo": ("+37744", "+37745")},
        "NF": {"Antarctica": ("+6721",)},
        "NZ": {"Antarctica": ("+64240",)},
        "RS": {"Kosovo": ("+38128", "+38129", "+38138", "+38139")},
        "RU": {"Abkhazia": ("+7840", "+7940"), "Baikonur": ("+733622",)},
        "SI": {"Kosovo": ("+38643", "+38649")},
        "TR": {"Northern Cyprus": ("+90392", "+905338", "+905428")},
    }
)
"""By region: territory or network, and the first digits of its numbers within the region's plan."""


def elsewhere(regions: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The first digits of these regions' numbers that are not called by default, by territory or network."""
    found: dict[str, tuple[str, ...]] = {}
    for region in sorted(regions):
        for name, beginnings in ELSEWHERE.get(region, {}).items():
            found[name] = (*found.get(name, ()), *beginnings)
    return found
