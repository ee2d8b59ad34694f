# SPDX-License-Identifier: Apache-2.0
"""The reference for what reads of models and versions show; steps as in versions.py."""
from .documents import fit_document, fit_model, learn, see_document
from .linear import View
from .state import FINISHED, latest, numbers

NO_MODEL = (404, "model-not-found")
NO_VERSION = (404, "version-not-found")
NO_ALIAS = (404, "alias-not-found")
DELETED = (410, "version-deleted")


def resolve(state, model, ref, deleted_too=False):
    """The number that a ref names, or (status, slug) of its refusal. A ref is
    ("n", number), ("a", alias), ("d", digest, number) or ("l",)."""
    record = state.get(("m", model))
    if record is None or not record.exists:
        return NO_MODEL
    if ref[0] == "a":
        alias = state.get(("a", model, ref[1]))
        return alias.version if alias else NO_ALIAS
    if ref[0] == "l":
        return latest(state, model) or NO_VERSION
    number = ref[-1]
    version = state.get(("v", model, number))
    if version is None or ref[0] == "d" and version.digest not in (None, ref[1]):
        return NO_VERSION
    return DELETED if version.deleted and not deleted_too else number


def see_ref(state, op, _):
    return resolve(state, op.args["model"], op.args["ref"])


def touches_ref(op, _, entry):
    ref = op.args["ref"]
    if entry[1] != op.args["model"]:
        return False
    if ref[0] == "l":
        return entry[0] in "mv"
    return entry[0] == "a" and entry[2] == ref[1] if ref[0] == "a" else (
        entry[0] == "v" and entry[2] == ref[-1])


def touches_document(op, number, entry):
    if entry[1] != op.args["model"]:
        return False
    return entry[0] == "a" or entry[0] in "ve" and entry[2] == number


def take_ref(state, op, _, seen):
    if isinstance(seen, tuple):
        return [(state, FINISHED)] if op.status is not None and op.says(*seen) else []
    return [(state, seen)] if op.status in (None, 200, 206, 201) else []


# ---- reads ---------------------------------------------------------------------------

def see_version(state, op, number):
    return see_document(state, op.args["model"], number)


def take_version(state, op, number, seen):
    model = op.args["model"]
    fitted = seen and fit_document(seen, op.args["space"], model, number, op.body)
    return [(learn(state, model, number, seen, fitted), None)] if fitted else []


def take_manifest(state, op, number):
    """The text is held to the request by the client (audit.py); here, which it is."""
    version = state.get(("v", op.args["model"], number))
    if (op.body["version"] != number or op.args["seen_digest"] != version.digest
            and version.digest is not None
            or [(f["path"], f["size"], f["sha256"]) for f in op.body["files"]]
            != list(version.content.files)
            or op.body["metrics"] != version.content.metrics
            or op.body["params"] != version.content.params):
        return []
    if version.digest is None:
        version = version._replace(digest=op.args["seen_digest"])
        state = state.set((("v", op.args["model"], number), version))
    return [(state, None)]


def read_ref_of_file(state, op, _, seen):
    """A file that the version has not is refused once the version is found."""
    if isinstance(seen, tuple):
        return take_ref(state, op, _, seen)
    version = state.get(("v", op.args["model"], seen))
    for path, size, sha256 in version.content.files:
        if path == op.args["path"]:
            fits = op.status in (200, 206) and op.etag == f'"{sha256}"'
            return [(state, None)] if fits else []
    return [(state, None)] if op.says(404, "file-not-found") else []


def list_versions(state, op, _):
    model, before = op.args["model"], op.args["before"]
    record = state.get(("m", model))
    if record is None or not record.exists:
        return [(state, None)] if op.says(*NO_MODEL) else []
    if op.status != 200:
        return []
    live = [n for n in reversed(numbers(state, model))
            if (before is None or n < before)
            and not state.get(("v", model, n)).deleted]
    shown = op.body["versions"]
    page = live[:op.args["limit"]]
    if ([v["version"] for v in shown] != page
            or (op.body["next_page_token"] is None) != (len(live) == len(page))):
        return []
    for number, one in zip(page, shown, strict=True):
        seen = see_document(state, model, number)
        fitted = fit_document(seen, op.args["space"], model, number, one)
        if fitted is None:
            return []
        state = learn(state, model, number, seen, fitted)
    return [(state, None)]


def get_model(state, op, _):
    record = state.get(("m", op.args["model"]))
    if record is None or not record.exists:
        return [(state, None)] if op.says(*NO_MODEL) else []
    if op.status != 200:
        return []
    fitted = fit_model(state, op.args["space"], op.args["model"], op.body)
    return [(fitted, None)] if fitted else []


def list_models(state, op, _):
    """Of the page, what belongs to this family; its models are neighbours by name."""
    shown = {one["model"].partition("/")[2]: one for one in op.body}
    for model in op.args["models"]:
        record = state.get(("m", model))
        if (record is not None and record.exists) != (model in shown):
            return []
        if model in shown:
            state = fit_model(state, op.args["space"], model, shown[model])
            if state is None:
                return []
    return [(state, None)]


CACHED_REF = View(see_ref, touches_ref, take_ref)

STEPS = {
    "get_version": (CACHED_REF, View(see_version, touches_document, take_version)),
    "get_manifest": (CACHED_REF, take_manifest),
    "get_file": (View(see_ref, touches_ref, read_ref_of_file),),
    "list_versions": (list_versions,),
    "get_model": (get_model,),
    "list_models": (list_models,),
}
