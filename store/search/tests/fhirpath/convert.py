"""Index values of FHIR elements, written after the tables of R4 search.html and apart from the Rust of this crate.

A value is a tuple of a word and plain parts; see `plain` in main.rs for the other side.
"""

import datetime
import decimal
import re

from fhirpathpy.models import models

PARENTS = models["r4"]["type2Parent"]
TICKS = 10_000_000
EPOCH = datetime.datetime(1970, 1, 1)
FIRST, LAST = -62_135_596_800 * TICKS, 253_402_300_800 * TICKS
FAR = "far"

ID = r"[A-Za-z0-9.\-]{1,64}"
DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?)?)?)?$")

NAME_PARTS = ["text", "family", "given", "prefix", "suffix"]
ADDRESS_PARTS = ["text", "line", "city", "district", "state", "postalCode", "country"]

def listed(value):
    return value if isinstance(value, list) else [] if value is None else [value]

def is_resource_type(name):
    return PARENTS.get(name) in ("Resource", "DomainResource")

def token(element, kind):
    if kind == "Coding":
        yield from coding(element)
    elif kind == "CodeableConcept":
        for one in element.get("coding", []):
            yield from coding(one)
        if "text" in element:
            yield ("text", element["text"])
    elif kind == "Identifier":
        concept = element.get("type", {})
        for one in concept.get("coding", []):
            if "system" in one and "code" in one and "value" in element:
                yield ("typed", one["system"], one["code"], element["value"])
        if "text" in concept:
            yield ("text", concept["text"])
        if "system" in element or "value" in element:
            yield ("token", element.get("system", ""), element.get("value", ""))
    elif kind == "ContactPoint":
        if "value" in element:
            yield ("token", "", element["value"])
    elif isinstance(element, bool):
        yield ("token", "", "true" if element else "false")
    elif isinstance(element, str):
        yield ("token", "", element)

def coding(element):
    if "display" in element:
        yield ("text", element["display"])
    if "system" in element or "code" in element:
        yield ("token", element.get("system", ""), element.get("code", ""))

def string(element, kind):
    parts = {"HumanName": NAME_PARTS, "Address": ADDRESS_PARTS}.get(kind)
    if parts:
        for part in parts:
            for text in listed(element.get(part)):
                if text is not None:
                    yield ("string", text)
    elif isinstance(element, str):
        yield ("string", element)

def uri(element, kind):
    url, _, version = element.partition("|")
    yield ("uri", url, version)

def reference(element, kind):
    if kind == "Reference":
        if "reference" in element:
            yield literal(element["reference"])
        logical = element.get("identifier", {})
        if "value" in logical:
            yield ("logical", logical.get("system", ""), logical["value"])
    elif kind == "Attachment":
        if "url" in element:
            yield ("url", element["url"], "")
    elif isinstance(element, dict):
        # A resource in a Bundle.
        if "resourceType" in element and "id" in element:
            yield ("reference", f"{element['resourceType']}/{element['id']}", "")
    elif element.startswith("#"):
        yield ("opaque",)
    else:
        url, _, version = element.partition("|")
        yield ("url", url, version)

def literal(text):
    if text.startswith("#"):
        return ("opaque",)
    local = re.match(rf"(([A-Z]\w+)/{ID})(?:/_history/({ID}))?$", text)
    if local and is_resource_type(local[2]):
        return ("reference", local[1], local[3] or "")
    remote = re.match(rf"(.*/([A-Z]\w+)/{ID})/_history/({ID})$", text)
    if remote and "://" in text and is_resource_type(remote[2]):
        return ("url", remote[1], remote[3])
    if re.match(rf"{ID}$", text):
        return ("reference", f"/{text}", "")
    if "|" in text and not text.startswith("urn:uuid:"):
        url, _, version = text.partition("|")
        return ("url", url, version)
    return ("url", text, "")

def ticks(moment):
    return int((moment - EPOCH) // datetime.timedelta(microseconds=1)) * 10

def stretch(text):
    """The first tick of a date and the one behind its last."""
    match = DATE.match(text) if isinstance(text, str) else None
    if not match:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    if hour is None:
        low = datetime.datetime(int(year), int(month or 1), int(day or 1))
        if day:
            high = low + datetime.timedelta(days=1)
        elif month:
            high = low.replace(year=low.year + low.month // 12, month=low.month % 12 + 1)
        else:
            high = low.replace(year=low.year + 1)
        return ticks(low), ticks(high)
    moment = datetime.datetime(int(year), int(month), int(day), int(hour), int(minute), int(second))
    if zone and zone != "Z":
        offset = datetime.timedelta(hours=int(zone[1:3]), minutes=int(zone[4:]))
        moment -= offset if zone[0] == "+" else -offset
    if fraction is None:
        return ticks(moment), ticks(moment) + TICKS
    low = ticks(moment) + int(fraction.ljust(7, "0")[:7])
    return low, low + 1

def date(element, kind):
    found = None
    if kind == "Period":
        found = period(element)
    elif kind == "Timing":
        parts = [stretch(event) for event in element.get("event", [])]
        bounds = element.get("repeat", {}).get("boundsPeriod")
        parts += [period(bounds)] if bounds else []
        parts = [part for part in parts if part]
        if parts:
            found = (min(low for low, _ in parts), max(high for _, high in parts))
    elif isinstance(element, str):
        found = stretch(element)
    if found:
        yield ("date", found[0], found[1])

def period(element):
    start, end = stretch(element.get("start")), stretch(element.get("end"))
    if not start and not end:
        return None
    low, high = start[0] if start else FIRST, end[1] if end else LAST
    return low, max(high, low + 1)

def number(element, kind):
    if kind == "Range":
        low, high = element.get("low", {}).get("value"), element.get("high", {}).get("value")
        if low is not None or high is not None:
            yield ("number", "-" + FAR if low is None else float(low), FAR if high is None else float(high))
    elif not isinstance(element, (str, dict, bool)):
        yield ("number", float(element), float(element))

def quantity(element, kind):
    if kind == "Range":
        unit = element.get("low") or element.get("high") or {}
        for _, low, high in number(element, kind):
            yield ("quantity", low, high, *units(unit))
    elif kind == "Money":
        if "value" in element:
            value = float(element["value"])
            code = element.get("currency", "")
            yield ("quantity", value, value, "urn:iso:std:iso:4217" if code else "", code, "")
    elif kind == "SampledData":
        origin, factor = exact(element["origin"].get("value", 0)), exact(element.get("factor", 1))
        limits = {"L": element.get("lowerLimit"), "U": element.get("upperLimit"), "E": None}
        samples = [limits.get(word, word) for word in element.get("data", "").split()]
        samples = [exact(sample) * factor + origin for sample in samples if sample is not None]
        if samples:
            yield ("quantity", float(min(samples)), float(max(samples)), *units(element["origin"]))
    elif isinstance(element, dict) and "value" in element:
        value = float(element["value"])
        comparator = element.get("comparator", "")
        low = "-" + FAR if comparator.startswith("<") else value
        high = FAR if comparator.startswith(">") else value
        yield ("quantity", low, high, *units(element))

def exact(value):
    return decimal.Decimal(str(value))

def units(element):
    code, text = element.get("code", ""), element.get("unit", "")
    return element.get("system", ""), code, "" if text == code else text

def special(element, kind):
    if "latitude" in element and "longitude" in element:
        yield ("position", round(element["latitude"], 7), round(element["longitude"], 7))

KINDS = {
    "token": token, "string": string, "uri": uri, "reference": reference, "date": date, "number": number,
    "quantity": quantity, "special": special,
}
