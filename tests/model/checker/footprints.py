# SPDX-License-Identifier: Apache-2.0
"""What of a family's state an operation on models reads and writes, now that its answer
is known: the order of two that do not meet need not be looked for.

    ("x", model)           whether it exists
    ("s", model)           its description, its numbers, how many live versions
    ("v", model, number)   a version with its evaluations
    ("a", model, alias)    an alias with its history
    ("k", model, key)      an idempotency key
    ("c",)                 which live versions name which parents and blobs

None as the last member stands for all.
"""
FINE = (None, 200, 201, 204)


def meet(ours, theirs):
    """True when two sets of such names have one in common."""
    for one in ours:
        if one in theirs:
            return True
        if isinstance(one, tuple) and len(one) == 3:
            kind, model, member = one
            for other in theirs:
                if (isinstance(other, tuple) and len(other) == 3 and other[0] == kind
                        and other[1] == model and (member is None or other[2] is None)):
                    return True
    return False


def of_ref(model, ref):
    """What resolving it reads."""
    if ref[0] == "a":
        return {("x", model), ("a", model, ref[1])}
    if ref[0] == "l":
        return {("x", model), ("s", model), ("v", model, None)}
    return {("x", model), ("v", model, ref[-1])}


def number_of(op):
    """Of the version that was read or changed; None where it is not known."""
    ref = op.args.get("ref")
    if op.status in (200, 201) and isinstance(op.body, dict) and "version" in op.body:
        return op.body["version"]
    return ref[-1] if ref and ref[0] in "nd" else None


def set_footprint(op, standing):
    """`standing`: models that exist and that nobody deletes."""
    make = MAKERS.get(op.kind)
    if make is not None:
        reads, writes = make(op, op.args["model"] if "model" in op.args else None)
        gone = {("x", model) for model in standing}
        op.reads, op.writes = frozenset(reads - gone), frozenset(writes - gone)


def of_read(op, model):
    reads = of_ref(model, op.args["ref"])
    number = number_of(op)
    reads.add(("v", model, number))
    if op.kind == "get_version":
        reads.add(("a", model, None))
    return reads, set()


def of_model_read(op, model):
    models = [model] if model else op.args["models"]
    reads = {name for m in models for name in (("x", m), ("s", m), ("v", m, None))}
    if op.kind == "list_versions":
        reads.add(("a", model, None))
    return reads, set()


def of_model_change(op, model):
    names = {("x", model), ("s", model)}
    if op.status in FINE:
        return {("v", model, None)}, names
    return names, set()


def of_publish(op, model):
    args = op.args
    reads = {("k", model, args["key"])} | {s for _, _, s in args["content"].files}
    for parent in args["parents"]:
        if parent[0] is not None:
            reads |= of_ref(parent[0], parent[1])
            reads.add(("v", parent[0], None if parent[1][0] in "al" else parent[1][-1]))
    if op.status == 200:
        return reads | {("v", model, number_of(op)), ("a", model, None)}, set()
    if op.status not in FINE:
        return reads, set()
    writes = {("x", model), ("s", model), ("v", model, number_of(op)), ("c",),
              ("k", model, args["key"]), *(("a", model, a) for a in args["aliases"])}
    return reads, writes


def of_version_change(op, model):
    reads = of_ref(model, op.args["ref"])
    number = number_of(op)
    if op.kind != "evaluate":
        reads.add(("a", model, None))
    if op.status in FINE:
        return reads, {("v", model, number)}
    return reads | {("v", model, number)}, set()


def of_deletion(op, model):
    reads = of_ref(model, op.args["ref"]) | {("c",), ("a", model, None)}
    number = number_of(op)
    if op.status not in FINE:
        return reads | {("v", model, number)}, set()
    writes = {("s", model), ("v", model, number), ("c",)}
    if op.kind == "delete_version" and op.args["force"]:
        writes.add(("a", model, None))
    return reads, writes


def of_alias_read(op, model):
    return {("x", model), ("a", model, op.args.get("alias"))}, set()


def of_alias_change(op, model):
    name = ("a", model, op.args["alias"])
    reads = {("x", model), name}
    if op.kind == "set_alias":
        reads.add(("v", model, op.args["version"]))
    return reads, {name} if op.status in FINE else set()


MAKERS = {
    **dict.fromkeys(("get_version", "get_manifest", "get_file"), of_read),
    **dict.fromkeys(("get_model", "list_models", "list_versions"), of_model_read),
    **dict.fromkeys(("create_model", "patch_model", "delete_model"), of_model_change),
    **dict.fromkeys(("patch_version", "yank", "evaluate"), of_version_change),
    **dict.fromkeys(("delete_version", "restore"), of_deletion),
    **dict.fromkeys(("get_alias", "get_alias_at", "list_aliases", "list_history"),
                    of_alias_read),
    **dict.fromkeys(("set_alias", "delete_alias"), of_alias_change),
    "publish": of_publish,
}
