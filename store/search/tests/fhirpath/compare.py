"""Compares elements and values that keepwell-search found with those of fhirpathpy and convert.py.

compare.py FOLDER_OF_R4 FOLDER_OF_EXAMPLES ELEMENTS

ELEMENTS has one line for each example, in the order of files and lines: [{code: [[element, ..], ..]}, {code: [value,
..]}], where tuples of composite parameters have several elements. Values of composite parameters are not compared:
they are those of the parts. The expressions come from the SearchParameter resources themselves. They
are changed in three points, which do not decide what they find in a search:

- branches of unions are run one by one, those about other types left out, and `Resource` is replaced by the type, since the engine knows no subtypes;
- where the engine refuses `as` on several items, `ofType` is asked for: R4 uses `as` for both;
- `resolve()` gives a resource of the type that the reference names, since there is no server to ask.

Elements are compared as sets, since a union in FHIRPath drops what is equal. Prints differences and, as its last
line, counts.
"""

import collections
import decimal
import gzip
import itertools
import json
import os
import re
import sys

import convert
import fhirpathpy
from fhirpathpy.engine.nodes import ResourceNode
from fhirpathpy.models import models

MODEL = models["r4"]
BASES = {"Resource", "DomainResource"}
TYPES = {}

def lines(path):
    with gzip.open(path) as file:
        return [json.loads(line) for line in file if line.strip()]

def parameters(folder):
    with gzip.open(os.path.join(folder, "search-parameters.json.gz")) as file:
        found = [entry["resource"] for entry in json.load(file)["entry"]]
    found += [r for r in lines(os.path.join(folder, "core-extra.ndjson.gz")) if r["resourceType"] == "SearchParameter"]
    return [p for p in found if "expression" in p and "base" in p]

def types(folder):
    """The type of each element that has one only: the engine knows most of them, not all."""
    found = {}
    with gzip.open(os.path.join(folder, "profiles-resources.json.gz")) as file:
        for entry in json.load(file)["entry"]:
            for element in entry["resource"].get("snapshot", {}).get("element", []):
                if len(element.get("type", [])) == 1:
                    found[element["path"]] = element["type"][0]["code"]
    return found

def branches(expression):
    """The parts of the outermost union."""
    depth, parts = 0, [""]
    for char in expression:
        depth += {"(": 1, ")": -1}.get(char, 0)
        if char == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts]

def own_branches(expression, kind):
    own = []
    for branch in branches(expression):
        root = re.match(r"\(*(\w+)", branch).group(1)
        if root == kind or root in BASES or not root[0].isupper():
            own.append(re.sub(r"\b(Domain)?Resource\.", kind + ".", branch))
    return " | ".join(own)

def target_type(reference, resource):
    """The type that a reference names."""
    text = reference if isinstance(reference, str) else reference.get("reference", "")
    if text.startswith("#"):
        for contained in resource.get("contained", []):
            if contained.get("id") == text[1:]:
                return contained["resourceType"]
        return resource["resourceType"] if text == "#" else None
    match = re.search(r"(?:^|/)([A-Z][A-Za-z]+)/[A-Za-z0-9.-]{1,64}(?:/_history/[A-Za-z0-9.-]{1,64})?$", text)
    if not match:
        match = re.match(r"([A-Z][A-Za-z]+)\?", text)
    if match:
        return match.group(1)
    return None if isinstance(reference, str) else reference.get("type")

class Engine:
    """Expressions, each compiled once."""

    def __init__(self):
        self.compiled = {}
        self.refused = collections.Counter()
        self.resource = None
        functions = {"resolve": {"fn": self.resolve, "arity": {0: []}, "nullable": True}}
        self.options = {"userInvocationTable": functions, "returnRawData": True}

    def resolve(self, references):
        found = []
        for reference in references:
            kind = target_type(getattr(reference, "data", reference), self.resource)
            if kind:
                found.append(ResourceNode.create_node({"resourceType": kind}, kind))
        return found

    def run(self, expression, item):
        """The nodes that the expression finds, or None if the engine cannot run it."""
        for text in (expression, of_type(expression)):
            if text not in self.compiled:
                self.compiled[text] = fhirpathpy.compile(text, MODEL, self.options)
            try:
                return self.compiled[text](item, {"resource": self.resource})
            except Exception as error:
                reason = f"{type(error).__name__}: {error}".split(",")[0][:60]
        self.refused[reason] += 1
        return None

def of_type(expression):
    expression = re.sub(r"\((\S+) as (\w+)\)", r"\1.ofType(\2)", expression)
    expression = re.sub(r"(\S+) as (\w+)", r"\1.ofType(\2)", expression)
    return expression.replace(".as(", ".ofType(").replace("ofType(DateTime)", "ofType(dateTime)")

def canonical(value):
    return json.dumps(plain(value), sort_keys=True)

def plain(value):
    """JSON whose numbers are all of one kind, since the engine makes some of them decimals."""
    value = getattr(value, "data", value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, (int, float, decimal.Decimal)) and not isinstance(value, bool):
        return float(value)
    return value

def tuples(engine, parameter, resource, kind):
    """The tuples of a composite parameter: all combinations of the parts of each element."""
    found = set()
    for branch in own_branches(parameter["expression"], kind).split(" | "):
        groups = [resource] if branch == kind else engine.run(branch, resource)
        if groups is None:
            return None
        for group in groups:
            parts = []
            for component in parameter["component"]:
                part = engine.run(component["expression"], group)
                if part is None:
                    return None
                parts.append({canonical(element) for element in part})
            found.update(itertools.product(*parts))
    return found

EXTENSION = "the engine finds the extension; ours is its value, since no type of search parameter has extensions as values"

# Differences that were looked at: the parameter, and why ours is right.
EXPLAINED = {
    ("DocumentReference", "relationship"): "R4 exchanges the expressions of the two parts; ours are put right",
    ("Group", "characteristic-value"): "a tuple with a Reference: no token (R4 search.html#token), so no tuple",
    ("Observation", "code-value-date"): "R4 writes value.as(DateTime); the engine knows no such type, we take it for dateTime",
    ("Observation", "gene-identifier"): EXTENSION,
}

def main():
    definitions, examples, elements = sys.argv[1:]
    known = parameters(definitions)
    TYPES.update(types(definitions))
    engine = Engine()
    counts = collections.Counter(expressions=0, resources=0, compared=0, elements=0, skipped=0, unexplained=0)
    explained = collections.Counter()
    with open(elements, encoding="utf-8") as file:
        for name in sorted(os.listdir(examples)):
            kind = name.split(".")[0]
            own = [p for p in known if (set(p["base"]) & ({kind} | BASES)) and own_branches(p["expression"], kind)]
            own = list({p["code"]: p for p in reversed(own)}.values())
            counts["expressions"] += len(own)
            for resource in lines(os.path.join(examples, name)):
                ours = json.loads(file.readline())
                counts["resources"] += 1
                engine.resource = resource
                for parameter in own:
                    compare(engine, parameter, resource, kind, ours, counts, explained)
    for reason, count in engine.refused.most_common():
        print(f"skipped {count}: {reason}")
    for (code, reason), count in sorted(explained.items()):
        print(f"differs {count}: {code}: {reason}")
    print(json.dumps(counts))

def compare(engine, parameter, resource, kind, ours, counts, explained):
    code = parameter["code"]
    if parameter["type"] == "composite":
        theirs = tuples(engine, parameter, resource, kind)
    else:
        # Branch by branch, since a union of this engine forgets where its items are from, and so their types.
        found = [engine.run(branch, resource) for branch in branches(own_branches(parameter["expression"], kind))]
        theirs = None
        if None not in found:
            nodes = [node for nodes in found for node in nodes]
            compare_values(parameter, resource, kind, nodes, ours[1], counts)
            theirs = {(canonical(element),) for element in nodes}
    if theirs is None:
        counts["skipped"] += 1
        return
    counts["compared"] += 1
    counts["elements"] += len(theirs)
    found = {tuple(canonical(element) for element in parts) for parts in ours[0].get(code, [])}
    if found == theirs:
        return
    reason = EXPLAINED.get((kind, code))
    if reason:
        explained[(f"{kind}.{code}", reason)] += 1
        counts["explained"] += 1
        return
    counts["unexplained"] += 1
    if counts["unexplained"] <= 40:
        missing, extra = theirs - found, found - theirs
        print(f"{kind}/{resource.get('id')} {code}: {parameter['expression'][:200]}")
        print(f"  only theirs: {str(sorted(missing))[:300]}\n  only ours: {str(sorted(extra))[:300]}")

def compare_values(parameter, resource, kind, nodes, ours, counts):
    code = parameter["code"]
    theirs = set()
    for node in nodes:
        path = getattr(node, "path", None)
        theirs.update(convert.KINDS[parameter["type"]](getattr(node, "data", node), TYPES.get(path, path)))
    found = {tuple(value) for value in ours.get(code, [])}
    counts["values"] += len(theirs)
    if found != theirs and (kind, code) not in EXPLAINED:
        counts["unexplained"] += 1
        if counts["unexplained"] <= 40:
            missing, extra = theirs - found, found - theirs
            print(f"{kind}/{resource.get('id')} {code}: values of {parameter['expression'][:200]}")
            print(f"  only theirs: {str(sorted(missing, key=str))[:300]}\n  only ours: {str(sorted(extra, key=str))[:300]}")

main()
