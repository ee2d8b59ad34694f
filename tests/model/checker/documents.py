# SPDX-License-Identifier: Apache-2.0
"""Answers that show a version or a model, held against the records of a state.

Each function gives None where the answer is not allowed, otherwise what is known after
it: the same, or with fields filled in that an earlier, lost, answer had carried.
"""
from .state import Evaluation, latest, same


class Content:
    """What a publish request fixes for ever, and the request itself."""

    __slots__ = ("files", "metrics", "params", "size")

    def __init__(self, files, sizes, metrics, params):
        self.files = tuple((path, sizes[sha256], sha256) for path, sha256 in files)
        self.size = sum(size for _, size, _ in self.files)
        self.metrics = metrics
        self.params = params


def see_document(state, model, number):
    """All that a version's document shows of the state."""
    version = state.get(("v", model, number))
    if version is None:  # not yet
        return None
    parents = tuple(
        None if parent[0] is None else state.get(("v", *parent[:2])).digest
        for parent in version.parents)
    names = tuple(alias for alias in ("canary", "prod", "staging")
                  if (record := state.get(("a", model, alias)))
                  and record.version == number)
    return (version._replace(deleted=False), state.get(("e", model, number), ()), names,
            parents)


def parents_fit(version, digests, space, shown):
    if len(shown) != len(version.parents):
        return False
    for (model, number, relation), digest, parent in zip(
            version.parents, digests, shown, strict=True):
        if model is None:
            expected = {"uri": number, "relation": relation}
        else:
            expected = {"ref": f"{space}/{model}@{number}", "relation": relation,
                        "digest": digest or parent.get("digest")}
        if parent != expected:
            return False
    return True


def files_fit(version, shown):
    content = version.content
    if "files" not in shown:
        return shown.get("files_count") == len(content.files)
    return shown["files"] == [
        {"path": path, "size": size, "sha256": sha256,
         "media_type": "application/octet-stream"}
        for path, size, sha256 in content.files]


def fit_document(seen, space, model, number, shown, *, aliases=True):
    """(version, evaluations) after this answer, or None."""
    version, evaluations, names, digests = seen
    content = version.content
    if (shown["model"] != f"{space}/{model}" or shown["version"] != number
            or not same(version.digest, shown["digest"])
            or not same(version.created_at, shown["created_at"])
            or shown["created_by"] != version.by or shown["size"] != content.size
            or shown["metrics"] != content.metrics or shown["params"] != content.params
            or shown["datasets"] or shown["run"] or shown["code"]
            or shown["tags"] != dict(version.tags)
            or shown["description"] != version.description
            or aliases and tuple(shown["aliases"]) != names
            or not files_fit(version, shown)
            or not parents_fit(version, digests, space, shown["parents"])):
        return None
    evaluations = fit_evaluations(evaluations, shown["evaluations"])
    yank = fit_yank(version.yank, shown["yanked"])
    if evaluations is None or yank is None:
        return None
    return version._replace(digest=shown["digest"], created_at=shown["created_at"],
                            yank=yank or None), evaluations


def fit_yank(yank, shown):
    """The yank with its time; () for none."""
    if yank is None or shown is None:
        return () if yank is None and shown is None else None
    message, by, at = yank
    if shown["message"] != message or shown["by"] != by or not same(at, shown["at"]):
        return None
    return message, by, shown["at"]


def fit_evaluations(evaluations, shown):
    if len(evaluations[:100]) != len(shown):
        return None
    fitted = []
    for expected, one in zip(evaluations, shown):
        fit = fit_evaluation(expected, one)
        if fit is None:
            return None
        fitted.append(fit)
    return tuple(fitted) + evaluations[100:]


def fit_evaluation(expected, shown):
    known = Evaluation(shown["id"], tuple(sorted(shown["metrics"].items())),
                       shown["note"], shown["by"], shown["at"])
    if not same(expected.id, known.id) or not same(expected.at, known.at):
        return None
    if expected._replace(id=known.id, at=known.at) != known or shown["dataset"]:
        return None
    return known


def learn(state, model, number, seen, fitted):
    """The state that knows what the answer has shown. What was read from a cache may be
    older than the state: only what cannot change since is taken over then."""
    version, evaluations = fitted
    old = state.get(("v", model, number))
    taken = old._replace(digest=version.digest, created_at=version.created_at)
    if old.yank == seen[0].yank:
        taken = taken._replace(yank=version.yank)
    changes = [] if taken == old else [(("v", model, number), taken)]
    held = state.get(("e", model, number), ())
    if held == seen[1] and evaluations != held:
        changes.append((("e", model, number), evaluations))
    return state.set(*changes) if changes else state


def fit_model(state, space, model, shown):
    """The state after an answer that shows the model as it is now, or None."""
    record = state.get(("m", model))
    if (record is None or not record.exists or shown["model"] != f"{space}/{model}"
            or shown["description"] != record.description
            or not same(record.created_at, shown["created_at"])
            or shown["versions"] != record.live
            or shown["latest"] != latest(state, model)):
        return None
    if record.created_at is None:
        record = record._replace(created_at=shown["created_at"])
        return state.set((("m", model), record))
    return state
