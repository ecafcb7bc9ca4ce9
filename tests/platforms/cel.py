"""Evaluates the CEL rules of CRDs (x-kubernetes-validations) that apply to Kubernetes objects.

cel.py CRDS FILES...: prints how many rules hold for each object, or which do not, with exit status 1.
Defaults are filled in first, as the API server does it.
"""
import copy
import sys
from urllib.parse import urlparse

import celpy
import yaml
from celpy import celtypes, json_to_cel

ENVIRONMENT = celpy.Environment()
# What Kubernetes adds to CEL, as far as the rules of our objects use it.
FUNCTIONS = {
    "isURL": lambda text: celtypes.BoolType(bool(urlparse(str(text)).scheme)),
    "url": lambda text: celtypes.StringType(str(text)),
    "getScheme": lambda text: celtypes.StringType(urlparse(str(text)).scheme),
}
PROGRAMS = {}


def schemas(path):
    """The schemas of a file of CRDs, by apiVersion and kind."""
    found = {}
    with open(path) as file:
        for crd in yaml.load_all(file, yaml.CSafeLoader):
            spec = crd["spec"] if crd else {"versions": []}
            for version in spec["versions"]:
                key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                found[key] = version["schema"]["openAPIV3Schema"]
    return found


def fill_in(schema, value):
    """Gives fields that are missing their defaults."""
    if isinstance(value, dict):
        for name, inner in schema.get("properties", {}).items():
            if name not in value and "default" in inner:
                value[name] = copy.deepcopy(inner["default"])
            if name in value:
                fill_in(inner, value[name])
    elif isinstance(value, list):
        for item in value:
            fill_in(schema.get("items", {}), item)


def rules(schema, value, path=""):
    """All rules that apply to a value, each with its place and what it is about."""
    for rule in schema.get("x-kubernetes-validations", []):
        yield path, rule["rule"], value
    if isinstance(value, dict):
        for name, inner in value.items():
            known = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if isinstance(known, dict):
                yield from rules(known, inner, f"{path}.{name}")
    elif isinstance(value, list):
        for n, item in enumerate(value):
            yield from rules(schema.get("items", {}), item, f"{path}[{n}]")


def escaped(value):
    """A value with the names that are words of CEL written as rules write them."""
    if isinstance(value, dict):
        names = {"namespace": "__namespace__"}
        return {names.get(name, name): escaped(inner) for name, inner in value.items()}
    return [escaped(item) for item in value] if isinstance(value, list) else value


def holds(rule, value):
    if rule not in PROGRAMS:
        PROGRAMS[rule] = ENVIRONMENT.program(ENVIRONMENT.compile(rule), functions=FUNCTIONS)
    return bool(PROGRAMS[rule].evaluate({"self": json_to_cel(escaped(value))}))


def main(crds, *files):
    known = schemas(crds)
    broken = False
    for name in files:
        with open(name) as file:
            objects = [each for each in yaml.safe_load_all(file) if each]
        for each in objects:
            schema = known.get((each["apiVersion"], each["kind"]))
            if schema is None:
                continue
            fill_in(schema, each)
            applied = list(rules(schema, each))
            wrong = [(path, rule) for path, rule, value in applied if not holds(rule, value)]
            print(f"{each['kind']} {len(applied) - len(wrong)}")
            for path, rule in wrong:
                broken = True
                print(f"{name}: {each['kind']} at {path}: {rule}", file=sys.stderr)
    return 1 if broken else 0


sys.exit(main(*sys.argv[1:]))
