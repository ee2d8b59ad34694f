# SPDX-License-Identifier: Apache-2.0
"""The reference for changes of models and versions: what each may answer in a state,
and the state after it.

A step takes (state, operation, carried) and gives a list of (state, carried on); empty
where the answer is not allowed now. `operation.status` None: any outcome that changes
something.
"""
from .aliases import point
from .documents import fit_document, fit_evaluation, fit_model, learn, see_document
from .reads import DELETED, NO_MODEL, resolve, see_ref, take_ref
from .state import ALIASES, FINISHED, Evaluation, Model, Version, aliases_of, numbers

# ---- models --------------------------------------------------------------------------

def create_model(state, op, _):
    record = state.get(("m", op.args["model"]))
    if record is not None and record.exists:
        fits = op.status is not None and op.says(409, "model-exists")
        return [(state, None)] if fits else []
    made = make_model(record, op.args["description"])
    return show_model(state.set((("m", op.args["model"]), made)), op, 201)


def make_model(record, description):
    if record is None:
        return Model(True, description, None, 0, 0)
    return record._replace(exists=True, description=description)


def show_model(state, op, status):
    if op.status is None:
        return [(state, None)]
    if op.status != status:
        return []
    fitted = fit_model(state, op.args["space"], op.args["model"], op.body)
    return [(fitted, None)] if fitted else []


def patch_model(state, op, _):
    record = state.get(("m", op.args["model"]))
    if record is None or not record.exists:
        return [(state, None)] if op.status is not None and op.says(*NO_MODEL) else []
    record = record._replace(description=op.args["description"])
    return show_model(state.set((("m", op.args["model"]), record)), op, 200)


def delete_model(state, op, _):
    record = state.get(("m", op.args["model"]))
    if record is None or not record.exists:
        return [(state, None)] if op.status is not None and op.says(*NO_MODEL) else []
    if record.live > 0:
        fits = op.status is not None and op.says(409, "model-not-empty")
        return [(state, None)] if fits else []
    record = record._replace(exists=False, description=None)
    if op.status not in (None, 204):
        return []
    return [(state.set((("m", op.args["model"]), record)), None)]


# ---- publish -------------------------------------------------------------------------

def find_parents(state, op, _):
    """The numbers that the parents' refs name; 0 for one that names none."""
    found = []
    for parent in op.args["parents"]:
        number = parent[0] and resolve(state, parent[0], parent[1], True)
        found.append(0 if isinstance(number, tuple) else number)
    return [(state, tuple(found))]


def publish(state, op, found):
    args, model = op.args, op.args["model"]
    found = found if found is not None else find_parents(state, op, None)[0][1]
    record = state.get(("m", model))
    known = state.get(("k", model, args["key"])) if args["key"] else None
    if known is not None:
        return [] if op.status is None else publish_again(state, op, *known)
    refusal = refuse_publish(state, op, found)
    if refusal is not None:
        return [(state, None)] if op.status is not None and refusal(op) else []
    if op.status not in (None, 201):
        return []
    record = make_model(record, None) if record is None or not record.exists else record
    number = record.last + 1
    before = state.get(("v", model, number - 1))
    version = Version(None, None, op.who, args["content"],
                      tuple((p[0], number or p[1], p[2]) for p, number in
                            zip(args["parents"], found, strict=True)),
                      args["tags"], args["description"], None, False)
    changes = [(("m", model), record._replace(last=number, live=record.live + 1)),
               (("v", model, number), version)]
    if args["key"]:
        changes.append((("k", model, args["key"]), (args["request"], number)))
    changes += [(("b", sha256), True) for _, _, sha256 in args["content"].files
                if state.get(("b", sha256)) is not True]
    state = state.set(*changes)
    for alias in args["aliases"]:
        state = point(state, model, alias, number, op.who)
    if op.status is None:
        return [(state, None)]
    after = before.created_at if before and before.created_at else ""
    if op.body["version"] != number or op.body["created_at"] <= after:
        return []
    seen = see_document(state, model, number)
    fitted = fit_document(seen, args["space"], model, number, op.body)
    return [(learn(state, model, number, seen, fitted), None)] if fitted else []


def publish_again(state, op, request, number):
    """The idempotency key is known."""
    model = op.args["model"]
    if request != op.args["request"]:
        return [(state, None)] if op.says(409, "idempotency-conflict") else []
    if state.get(("v", model, number)).deleted:
        return [(state, None)] if op.says(*DELETED) else []
    if op.status != 200:
        return []
    seen = see_document(state, model, number)
    fitted = fit_document(seen, op.args["space"], model, number, op.body)
    return [(learn(state, model, number, seen, fitted), None)] if fitted else []


def refuse_publish(state, op, found):
    """What says whether an answer is the refusal that is due; None where none is."""
    for parent, number in zip(op.args["parents"], found, strict=True):
        if parent[0] is not None and (
                number == 0 or state.get(("v", parent[0], number)).deleted):
            return lambda op: op.says(422, "parent-not-found")
    named = {sha256 for _, _, sha256 in op.args["content"].files}
    absent = {s for s in named if state.get(("b", s), False) is False}
    doubtful = {s for s in named if state.get(("b", s), False) is None}
    missing = (set(op.body["digests"]) if op.status is not None
               and op.says(409, "blobs-missing") else set())
    if absent or missing:
        return lambda op: bool(missing) and absent <= missing <= absent | doubtful
    return None


# ---- changes of a version ------------------------------------------------------------

def find(state, op, carried):
    """As a change resolves its ref: from the database, in its transaction."""
    if op.status == 409 and op.slug() == "conflict":
        return [(state, FINISHED)] if op.args["ref"][0] in "al" else []
    seen = see_ref(state, op, carried)
    if op.status == 409 and isinstance(seen, int):  # refused by a later step
        return [(state, seen)]
    return take_ref(state, op, carried, seen)


def peek(state, op, number):
    """The aliases that the answer shows are read before the COMMIT."""
    if op.status is None:
        return [(state, number)]
    fits = tuple(op.body["aliases"]) == aliases_of(state, op.args["model"], number)
    return [(state, number)] if fits else []


def live(state, op, number):
    version = state.get(("v", op.args["model"], number))
    return None if version.deleted else version


def show_version(state, op, number, aliases):
    if op.status is None:
        return [(state, None)]
    model = op.args["model"]
    seen = see_document(state, model, number)
    fitted = fit_document(seen, op.args["space"], model, number, op.body,
                          aliases=aliases)
    return [(learn(state, model, number, seen, fitted), None)] if fitted else []


def patch_version(state, op, number):
    version = live(state, op, number)
    if version is None:
        return []
    tags = dict(version.tags)
    for name, value in op.args["tags"]:
        tags.pop(name, None) if value is None else tags.update({name: value})
    version = version._replace(tags=tuple(sorted(tags.items())),
                               description=op.args["description"])
    state = state.set((("v", op.args["model"], number), version))
    return show_version(state, op, number, False)


def yank(state, op, number):
    version = live(state, op, number)
    if version is None:
        return []
    version = version._replace(yank=(op.args["message"], op.who, None))
    state = state.set((("v", op.args["model"], number), version))
    return show_version(state, op, number, False)


def evaluate(state, op, number):
    if live(state, op, number) is None:
        return []
    evaluation = Evaluation(None, op.args["metrics"], op.args["note"], op.who, None)
    held = state.get(("e", op.args["model"], number), ())
    if op.status is not None:
        evaluation = fit_evaluation(evaluation, op.body)
        if evaluation is None or any(evaluation.id <= (e.id or 0) for e in held):
            return []
    return [(state.set((("e", op.args["model"], number), (evaluation, *held))), None)]


def check_use(state, op, number):
    """Unless forced, a deletion is refused while something hangs on the version."""
    if isinstance(number, tuple) or op.args["force"]:
        return [(state, number)]
    model = op.args["model"]
    reasons = [("alias", name) for name in aliases_of(state, model, number)]
    reasons += sorted(
        ("child", f"{op.args['space']}/{other}@{n}")
        for other in op.args["models"] for n in numbers(state, other)
        if not (child := state.get(("v", other, n))).deleted
        and any(parent[:2] == (model, number) for parent in child.parents))
    if not reasons:
        return [(state, number)] if op.status in (None, 200) else []
    if op.status != 409 or op.slug() != "version-in-use":
        return []
    shown = sorted((r["kind"], r["name"]) for r in op.body["reasons"])
    return [(state, FINISHED)] if shown == sorted(reasons) else []


def count_bytes(state, op, number):
    """Bytes that no other live version names, read before the COMMIT."""
    if op.status is None:
        return [(state, number)]
    if op.status != 200:
        return []
    model = op.args["model"]
    own = {sha256: size for _, size, sha256 in
           state.get(("v", model, number)).content.files}
    for other in op.args["models"]:
        for n in numbers(state, other):
            version = state.get(("v", other, n))
            if not version.deleted and (other, n) != (model, number):
                for _, _, sha256 in version.content.files:
                    own.pop(sha256, None)
    return [(state, number)] if op.body["bytes"] == sum(own.values()) else []


def delete_version(state, op, number):
    model = op.args["model"]
    version = live(state, op, number)
    if version is None:
        return []
    for alias in ALIASES:
        if alias in aliases_of(state, model, number):
            state = point(state, model, alias, None, op.who)
    digest = version.digest
    if op.status is not None:
        if op.body["version"] != number or digest not in (None, op.body["digest"]):
            return []
        digest = op.body["digest"]
    record = state.get(("m", model))
    return [(state.set((("v", model, number), version._replace(deleted=True,
                                                               digest=digest)),
                       (("m", model), record._replace(live=record.live - 1))), None)]


def restore(state, op, _):
    model = op.args["model"]
    number = resolve(state, model, op.args["ref"], True)
    if isinstance(number, tuple):
        return [(state, None)] if op.status is not None and op.says(*number) else []
    version = state.get(("v", model, number))
    if not version.deleted:
        fits = op.status is not None and op.says(409, "version-not-deleted")
        return [(state, None)] if fits else []
    if op.status not in (None, 200):
        return []
    record = state.get(("m", model))
    state = state.set((("v", model, number), version._replace(deleted=False)),
                      (("m", model), record._replace(live=record.live + 1)))
    return show_version(state, op, number, True)


def steps_of(op):
    """Parents that are named by number are found when they are locked."""
    if op.kind == "publish" and all(p[0] is None or p[1][0] in "nd"
                                    for p in op.args["parents"]):
        return (publish,)
    return STEPS[op.kind]


STEPS = {
    "create_model": (create_model,),
    "patch_model": (patch_model,),
    "delete_model": (delete_model,),
    "publish": (find_parents, publish),
    "patch_version": (find, peek, patch_version),
    "yank": (find, peek, yank),
    "evaluate": (find, evaluate),
    "delete_version": (find, check_use, count_bytes, delete_version),
    "restore": (restore,),
}
