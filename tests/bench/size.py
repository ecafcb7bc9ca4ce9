#!/usr/bin/env python3
"""The code of a wasm module by what it belongs to; docs/bench.md, "Size", has the command.

Takes a module with its name section, and optionally a number of its largest functions to list.
"""

import collections
import re
import sys


def leb(data, at):
    """Returns an unsigned LEB128 number and the place after it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def text(data, at):
    """Returns a string with its length before it, and the place after it."""
    length, at = leb(data, at)
    return data[at : at + length].decode(), at + length


def sections(data):
    """Yields the id, the begin and the end of each section."""
    at = 8
    while at < len(data):
        kind = data[at]
        size, at = leb(data, at + 1)
        yield kind, at, at + size
        at += size


def imported(data, at):
    """Returns the number of imported functions; the module imports nothing else."""
    count, at = leb(data, at)
    return count


def bodies(data, at):
    """Returns the sizes of the functions."""
    count, at = leb(data, at)
    sizes = []
    for _ in range(count):
        size, at = leb(data, at)
        sizes.append(size)
        at += size
    return sizes


def names(data, at, end):
    """Returns the names of the functions by their index."""
    found = {}
    while at < end:
        kind, (size, at) = data[at], leb(data, at + 1)
        after = at + size
        if kind == 1:
            count, at = leb(data, at)
            for _ in range(count):
                index, at = leb(data, at)
                found[index], at = text(data, at)
        at = after
    return found


def group(name):
    """Returns what a function belongs to."""
    if re.search("Deserialize|de7Visitor|Visitor", name):
        return "serde, reading"
    if "Serialize" in name or "serde_json3ser" in name:
        return "serde, writing"
    room = re.search(r"tiergate(?:\.\.|\d+)([a-z_]+)", name)
    if room:
        return "src/" + room[1]
    crate = re.search(r"(alloc|core|std|proxy_wasm|serde_json|serde_core|hashbrown|sha2|base64|memchr|dlmalloc)", name)
    where = re.search(r"(slice4sort|collections5btree|3fmt|flt2dec)", name)
    if where:
        return {"slice4sort": "core, sort", "collections5btree": "alloc, BTreeMap"}.get(where[1], "core, formatting")
    return crate[1] if crate else "other"


def main():
    data = open(sys.argv[1], "rb").read()
    first, sizes, found = 0, [], {}
    for kind, at, end in sections(data):
        if kind == 2:
            first = imported(data, at)
        elif kind == 10:
            sizes = bodies(data, at)
            print(f"{end - at:9} section code")
        elif kind == 11:
            print(f"{end - at:9} section data")
        elif kind == 0:
            name, at = text(data, at)
            if name == "name":
                found = names(data, at, end)
    if not found:
        sys.exit("the module has no names: build it with CARGO_PROFILE_RELEASE_STRIP=debuginfo")
    functions = [(size, found.get(first + at, "?")) for at, size in enumerate(sizes)]
    by_group, count = collections.Counter(), collections.Counter()
    for size, name in functions:
        by_group[group(name)] += size
        count[group(name)] += 1
    for name, size in by_group.most_common():
        print(f"{size:9} {100 * size / sum(sizes):5.1f} % {count[name]:5} functions  {name}")
    for size, name in sorted(functions, reverse=True)[: int((sys.argv[2:] or [0])[0])]:
        print(f"{size:9} {name}")


main()
