"""The numbers that the daemon may dial by this configuration, in words: a region is not a tariff zone."""

from __future__ import annotations

import phonenumbers
from phonenumbers import PhoneNumberType

from callsteward.config import Config
from callsteward.outgoing.domestic import elsewhere
from callsteward.outgoing.guard import Guard
from callsteward.terminal.result import Result, ok, warning

_CHECK = "callable"
_TYPES = {"mobile": PhoneNumberType.MOBILE, "fixed_line": PhoneNumberType.FIXED_LINE}


def callable_numbers(config: Config) -> Result:
    """Regions, types and exceptions; a warning if the site's own numbers cannot be called."""
    settings = config.callback
    regions = settings.regions or (config.site.region,)
    told = ", ".join(f"{region} (+{phonenumbers.country_code_for_region(region)})" for region in regions)
    found = f"{' and '.join(settings.types)} numbers of {told}"
    if settings.allowed_prefixes:
        found += f", and {', '.join(settings.allowed_prefixes)}"
    left_out = [f"{name} ({', '.join(starts)})" for name, starts in elsewhere(regions).items()]
    if settings.denied_prefixes:
        left_out.append(", ".join(settings.denied_prefixes))
    if left_out:
        found += f"; without {', '.join(left_out)}"
    refused = [
        f"{kind} numbers such as {number} are refused ({refusal})"
        for region in regions
        for kind, number, refusal in _refused(config, region)
    ]
    if not refused:
        return ok(_CHECK, found)
    return warning(
        _CHECK,
        f"{found}; {', '.join(refused)}",
        "territories may share a plan (Åland's mobiles are Finland's): name both in"
        " callback.regions, or the first digits of the numbers in callback.allowed_prefixes",
    )


def _refused(config: Config, region: str) -> list[tuple[str, str, str]]:
    """Example numbers of a region, of allowed types, that are refused all the same, with the reason."""
    guard = Guard(config)
    found: list[tuple[str, str, str]] = []
    for kind in config.callback.types:
        example = phonenumbers.example_number_for_type(region, _TYPES.get(kind, PhoneNumberType.UNKNOWN))
        if example is None:
            continue
        number = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
        refusal = guard.check(number).refusal
        if refusal is not None:
            found.append((kind, number, refusal.value))
    return found
