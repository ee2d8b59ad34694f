# SPDX-License-Identifier: Apache-2.0
"""The reference for aliases and their history; steps as in versions.py."""
from .state import ABSENT, ALIASES, Alias, same

NO_MODEL = (404, "model-not-found")
NO_ALIAS = (404, "alias-not-found")


def point(state, model, name, number, by, sequence=None, at=None):
    """The state in which the alias names `number` (None: it is gone)."""
    before = state.get(("a", model, name))
    if before is not None and before.version == number:
        return state
    entry = Alias(number, sequence, at, by)
    count = state.get(("hl", model, name), 0)
    return state.set((("h", model, name, count), entry),
                     (("hl", model, name), count + 1),
                     (("a", model, name), ABSENT if number is None else entry))


def has_model(state, model):
    record = state.get(("m", model))
    return record is not None and record.exists


def refused(state, op, refusal):
    return [(state, None)] if op.status is not None and op.says(*refusal) else []


def tag_of(etag):
    """(version, sequence) of an alias's ETag."""
    version, _, sequence = etag.strip('"').partition("-")
    return int(version), int(sequence)


def holds(alias, condition):
    """True, False, or None where a lost answer keeps the sequence from being known."""
    if condition is None:
        return True
    kind, etag = condition
    if kind == "none":
        return alias is None
    if etag == "*" or alias is None:
        return alias is not None
    version, sequence = tag_of(etag)
    if alias.sequence is None and alias.version == version:
        return None
    return (alias.version, alias.sequence) == (version, sequence)


def settle_condition(state, op, alias):
    """(the state, whether the precondition holds); a doubt goes by the answer."""
    held = holds(alias, op.args["condition"])
    if held is not None:
        return state, held
    if op.status == 412:
        return state, False
    model, name = op.args["model"], op.args["alias"]
    sequence = tag_of(op.args["condition"][1])[1]
    return name_entry(state, model, name, alias._replace(sequence=sequence)), True


def name_entry(state, model, name, alias):
    """Fills in what was not known of the newest entry."""
    last = state.get(("hl", model, name)) - 1
    return state.set((("h", model, name, last), alias), (("a", model, name), alias))


def fit_alias(state, model, name, shown, etag):
    """The state after an answer that shows the alias as it is, or None."""
    alias = state.get(("a", model, name))
    version = state.get(("v", model, alias.version))
    number, sequence = tag_of(etag) if etag else (alias.version, alias.sequence)
    if (shown["alias"] != name or shown["version"] != alias.version
            or number != alias.version or not same(version.digest, shown["digest"])
            or not same(alias.sequence, sequence) or not same(alias.at, shown["set_at"])
            or shown["set_by"] != alias.by):
        return None
    count = state.get(("hl", model, name))
    for index in range(count - 2, max(count - 4, -1), -1):
        older = state.get(("h", model, name, index))
        if (older.sequence and sequence and older.sequence >= sequence
                or older.at and older.at > shown["set_at"]):
            return None
    fuller = alias._replace(sequence=sequence, at=shown["set_at"])
    return state if fuller == alias else name_entry(state, model, name, fuller)


def set_alias(state, op, _):
    model, name, number = op.args["model"], op.args["alias"], op.args["version"]
    if not has_model(state, model):
        return refused(state, op, NO_MODEL)
    before = state.get(("a", model, name))
    state, held = settle_condition(state, op, before)
    if not held:
        return refused(state, op, (412, "precondition-failed"))
    version = state.get(("v", model, number))
    if version is None or version.deleted:
        return refused(state, op, (422, "invalid-field"))
    state = point(state, model, name, number, op.who)
    if op.status is None:
        return [(state, None)]
    if op.status != (201 if before is None else 200):
        return []
    fitted = fit_alias(state, model, name, op.body, op.etag)
    return [(fitted, None)] if fitted else []


def delete_alias(state, op, _):
    model, name = op.args["model"], op.args["alias"]
    if not has_model(state, model):
        return refused(state, op, NO_MODEL)
    before = state.get(("a", model, name))
    if before is None:
        return refused(state, op, NO_ALIAS)
    state, held = settle_condition(state, op, before)
    if not held:
        return refused(state, op, (412, "precondition-failed"))
    if op.status not in (None, 204):
        return []
    return [(point(state, model, name, None, op.who), None)]


def get_alias(state, op, _):
    model, name = op.args["model"], op.args["alias"]
    if not has_model(state, model):
        return refused(state, op, NO_MODEL)
    if state.get(("a", model, name)) is None:
        return refused(state, op, NO_ALIAS)
    if op.status != 200:
        return []
    fitted = fit_alias(state, model, name, op.body, op.etag)
    return [(fitted, None)] if fitted else []


def get_alias_at(state, op, _):
    """As of a time of the past. Where a lost answer hides a time, what the entries with
    known times leave open is allowed."""
    model, name, at = op.args["model"], op.args["alias"], op.args["at"]
    if not has_model(state, model):
        return refused(state, op, NO_MODEL)
    allowed = []
    for index in range(state.get(("hl", model, name), 0) - 1, -1, -1):
        entry = state.get(("h", model, name, index))
        if entry.at is None or entry.at <= at:
            allowed.append(entry)
        if entry.at is not None and entry.at <= at:
            break
    else:
        allowed.append(None)
    for entry in allowed:
        if entry is None or entry.version is None:
            if op.says(*NO_ALIAS):
                return [(state, None)]
        elif (op.status == 200 and op.body["version"] == entry.version
              and op.body["set_by"] == entry.by
              and same(entry.at, op.body["set_at"])
              and same(entry.sequence, tag_of(op.etag)[1])):
            return [(state, None)]
    return []


def list_aliases(state, op, _):
    model = op.args["model"]
    if not has_model(state, model):
        return refused(state, op, NO_MODEL)
    if op.status != 200:
        return []
    names = [name for name in ALIASES if state.get(("a", model, name))
             and name > (op.args["after"] or "")]
    shown = op.body["aliases"]
    if ([one["alias"] for one in shown] != names[:op.args["limit"]]
            or (op.body["next_page_token"] is None) != (len(names) == len(shown))):
        return []
    for one in shown:
        state = fit_alias(state, model, one["alias"], one, None)
        if state is None:
            return []
    return [(state, None)]


def history_start(state, model, name, after):
    """The index of the newest entry that the page may begin with; `after`: the last
    entry of the page before."""
    count = state.get(("hl", model, name), 0)
    if after is None:
        return count - 1
    for index in range(count - 1, -1, -1):
        entry = state.get(("h", model, name, index))
        if (entry.version, entry.at) == after:
            return index - 1
    return None


def list_history(state, op, _):
    model, name, after = op.args["model"], op.args["alias"], op.args["after"]
    if not has_model(state, model):
        return refused(state, op, NO_MODEL)
    start = history_start(state, model, name, after)
    if after is None and start < 0:
        return refused(state, op, NO_ALIAS)
    if op.status != 200 or start is None:
        return []
    shown = op.body["history"]
    count = min(op.args["limit"], start + 1)
    if (len(shown) != count
            or (op.body["next_page_token"] is None) != (count == start + 1)):
        return []
    changes = []
    for step, one in enumerate(shown):
        key = ("h", model, name, start - step)
        entry = state.get(key)
        version = state.get(("v", model, entry.version)) if entry.version else None
        if (one["version"] != entry.version or not same(entry.at, one["set_at"])
                or one["set_by"] != entry.by
                or not same(version and version.digest, one["digest"])
                or version is None and one["digest"] is not None):
            return []
        if entry.at is None:
            changes.append((key, entry._replace(at=one["set_at"])))
            if state.get(("a", model, name)) == entry and start - step == (
                    state.get(("hl", model, name)) - 1):
                changes.append((("a", model, name), changes[-1][1]))
    return [(state.set(*changes) if changes else state, None)]


STEPS = {
    "set_alias": (set_alias,),
    "delete_alias": (delete_alias,),
    "get_alias": (get_alias,),
    "get_alias_at": (get_alias_at,),
    "list_aliases": (list_aliases,),
    "list_history": (list_history,),
}
