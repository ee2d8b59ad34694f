# SPDX-License-Identifier: Apache-2.0
"""The reference for blobs, uploads and tokens; steps as in versions.py.

An upload is open, closing (being completed or given up at this moment), done or gone.
Bytes are changed in several transactions. When the answer to such a change is lost, no
instant is looked for: from its invocation on the upload is `unsure` (a part, a blob:
perhaps there). Every state that the change can leave behind is then allowed until an
answer, given when the change can happen no more, says which it is.
"""
from .state import FINISHED, Token, Upload

# Changes of bytes: any failure leaves them in doubt.
IN_STEPS = {"put_blob", "put_part", "complete", "give_up"}
NOT_FOUND = (404, "upload-not-found")
NOT_OPEN = (409, "upload-not-open")
MISMATCH = (422, "digest-mismatch")


def here(state, sha256):
    return state if state.get(("b", sha256)) is True else state.set(
        (("b", sha256), True))


def perhaps_here(state, sha256):
    return state if ("b", sha256) in state.entries else state.set((("b", sha256), None))


def doubt(state, op):
    """The state after a change of bytes that may have begun, and may still go on."""
    if op.kind == "put_blob":
        return perhaps_here(state, op.args["sha256"]) if op.args["right"] else state
    key, upload = find(state, op)
    if upload is None or upload.state == "gone":
        return state
    if op.kind == "put_part" and not op.args["fault"]:
        held = upload.parts[op.args["number"]]
        if held is None:
            upload = set_part(upload, op.args["number"], (op.args["bytes"], False))
    if op.kind == "complete" and all(part is not None for part in upload.parts):
        sha256 = op.args["digest_of"](tuple(part[0] for part in upload.parts))
        if upload.sha256 in (None, sha256):
            state = perhaps_here(state, sha256)
            upload = upload._replace(sha256=sha256)
    tried = upload.tried or op.kind == "complete"
    upload = upload._replace(doubts=upload.doubts | {op.id}, tried=tried)
    return keep(state, key, upload)


def settle_doubt(state, op):
    """It can happen no more."""
    key, upload = find(state, op) if op.kind != "put_blob" else (None, None)
    if upload is None or op.id not in upload.doubts:
        return state
    return state.set((key, upload._replace(doubts=upload.doubts - {op.id})))


def keep(state, key, upload):
    """The state with the upload, which is unsure as long as there are doubts."""
    if upload.doubts and upload.state != "gone":
        upload = upload._replace(state="unsure")
    return state if state.get(key) == upload else state.set((key, upload))


def put_blob(state, op, _):
    sha256 = op.args["sha256"]
    if not op.args["right"]:
        return [(state, None)] if op.says(*MISMATCH) else []
    presence = state.get(("b", sha256), False)
    if op.status == 200 and presence is False or op.status == 201 and presence is True:
        return []
    fits = op.body == {"sha256": sha256, "size": op.args["size"]}
    return [(here(state, sha256), None)] if op.status in (200, 201) and fits else []


def get_blob(state, op, _):
    presence = state.get(("b", op.args["sha256"]), False)
    if op.status == 200:
        return [(here(state, op.args["sha256"]), None)] if presence is not False else []
    return [(state, None)] if presence is not True and op.says(404, "blob-not-found") \
        else []


def begin_upload(state, op, _):
    """An upload whose answer is lost is nobody's: its id is not known."""
    sha256 = op.args["sha256"]
    presence = state.get(("b", sha256), False) if sha256 else False
    if op.status == 200:
        if presence is False or op.body != {
                "blob": {"sha256": sha256, "size": op.args["size"]}}:
            return []
        return [(here(state, sha256), None)]
    if (op.status != 201 or presence is True or op.body["received"]
            or op.body["state"] != "open" or op.body["size"] != op.args["size"]
            or op.body.get("sha256") != sha256):
        return []
    parts = (None,) * -(-op.body["size"] // op.body["part_size"])
    upload = Upload(op.who, op.args["size"], sha256, parts, "open", None, frozenset(),
                    False)
    return [(state.set((("u", op.body["id"]), upload)), None)]


def find(state, op):
    """(key, upload): None where this principal has none of this id."""
    key = ("u", op.args["id"])
    upload = state.get(key)
    if upload is not None and upload.owner == op.who:
        return key, upload
    return key, None


def fades(upload, op):
    """Gone, but found by a request that began before: any refusal is as good."""
    return upload.state == "gone" and op.invoke < upload.ended[1]


def gone(upload, op):
    until = op.settled if op.settled is not None else float("inf")
    return upload._replace(state="gone", parts=(), ended=(op.id, until),
                           doubts=frozenset())


def put_part(state, op, _):
    key, upload = find(state, op)
    number, bytes_, args = op.args["number"], op.args["bytes"], op.args
    if upload is None:
        return [(state, None)] if op.says(*NOT_FOUND) else []
    if upload.state == "gone":
        fits = (op.says(*NOT_FOUND) or fades(upload, op) and (
            op.says(*NOT_OPEN) or op.says(*MISMATCH)
            or op.says(409, "part-superseded")))
        return [(state, None)] if fits else []
    if upload.state == "unsure" and op.says_any(NOT_FOUND, MISMATCH):
        maybe = [(keep(state, key, gone(upload, op)), None)]
        return maybe if op.status == 404 else [(state, None), *maybe]
    if args["fault"] == "range":
        return [(state, None)] if op.says(422, "part-out-of-range") else []
    if args["fault"] == "length":
        return [(state, None)] if op.says(400, "body-length-mismatch") else []
    open_ = upload.state in ("open", "unsure")
    if op.status == 409 and op.slug() == "upload-not-open":
        return [(state, None)] if upload.state != "open" else []
    if not open_:
        return []
    if args["fault"] == "digest":
        return [(state, None)] if op.says(*MISMATCH) else []
    return keep_part(state, op, key, upload, number, bytes_)


def keep_part(state, op, key, upload, number, bytes_):
    held = upload.parts[number] if upload.parts else None
    if op.says(409, "part-superseded"):
        return [(state, None)] if op.rival else []
    if op.says(*MISMATCH):  # what else would be a conflict does not fit the chain
        fits = upload.tried and held is not None and held[0] != bytes_
        return [(state, None)] if fits else []
    if op.says(409, "part-conflict"):
        fits = held is not None and (held[0] != bytes_ or not held[1])
        return [(state, None)] if fits else []
    if op.status != 204 or held is not None and held[1] and held[0] != bytes_:
        return []
    upload = set_part(upload, number, (bytes_, True))._replace(state="open")
    return [(keep(state, key, upload), None)]


def set_part(upload, number, part):
    parts = list(upload.parts)
    parts[number] = part
    return upload._replace(parts=tuple(parts))


def get_upload(state, op, _):
    key, upload = find(state, op)
    if upload is None:
        return [(state, None)] if op.says(*NOT_FOUND) else []
    if op.status == 404:
        if upload.state == "unsure":
            return [(keep(state, key, gone(upload, op)), None)]
        fits = upload.state == "gone" and op.says(*NOT_FOUND)
        return [(state, None)] if fits else []
    if op.status != 200 or op.body["size"] != upload.size:
        return []
    shown = op.body["state"]
    if upload.state == "gone":
        return [(state, None)] if fades(upload, op) else []
    if shown == "open" and upload.state in ("open", "unsure"):
        return see_parts(state, op, key, upload)
    if shown == "completing":
        return [(state, None)] if upload.state in ("closing", "unsure") else []
    if shown == "done" and upload.state in ("done", "unsure"):
        if upload.state == "unsure":
            state = here(state, op.body["sha256"]).set(
                (key, upload._replace(state="done")))
        return [(state, None)]
    return []


def see_parts(state, op, key, upload):
    received = set(op.body["received"])
    parts = []
    for number, part in enumerate(upload.parts):
        if part is None and number in received or (
                part is not None and part[1] and number not in received):
            return []
        parts.append((part[0], True) if number in received else part)
    fuller = upload._replace(parts=tuple(parts), state="open")
    return [(keep(state, key, fuller), None)]


# ---- complete: closed, then the blob is there, then the upload is done ---------------

def close_upload(state, op, _):
    key, upload = find(state, op)
    if upload is None:
        return [(state, FINISHED)] if op.says(*NOT_FOUND) else []
    if upload.state == "gone":
        fits = op.says(*NOT_FOUND) or op.says(*MISMATCH) and fades(upload, op)
        return [(state, FINISHED)] if fits else []
    if upload.state == "done":
        fits = op.status == 201 and op.body["size"] == upload.size and (
            op.body["sha256"] == upload.sha256)
        return [(state, FINISHED)] if fits else []
    if op.says(409, "parts-missing"):
        missing = set(op.body["parts"])
        surely = {n for n, part in enumerate(upload.parts) if part is None}
        perhaps = {n for n, p in enumerate(upload.parts) if p is None or not p[1]}
        fits = upload.state != "closing" and surely <= missing <= perhaps
        return [(state, FINISHED)] if fits and missing else []
    if upload.state == "unsure" and op.says(*NOT_FOUND):
        return [(keep(state, key, gone(upload, op)), FINISHED)]
    if upload.state == "closing" or any(part is None for part in upload.parts):
        return []
    sha256 = op.args["digest_of"](tuple(part[0] for part in upload.parts))
    matches = upload.sha256 in (None, sha256)
    if op.status == 201 and matches and op.body == {"sha256": sha256,
                                                    "size": upload.size}:
        upload = upload._replace(state="closing", sha256=sha256)
        return [(keep(state, key, upload), "fine")]
    if op.says(*MISMATCH) and not matches:
        return [(keep(state, key, upload._replace(state="closing")), "discard")]
    return []


def record_blob(state, op, how):
    return [(here(state, op.body["sha256"]) if how == "fine" else state, how)]


def end_upload(state, op, how):
    key, upload = find(state, op)
    ended = upload._replace(state="done") if how == "fine" else gone(upload, op)
    return [(keep(state, key, ended), None)]


def give_up(state, op, _):
    key, upload = find(state, op)
    if upload is None or upload.state == "gone":
        fits = op.says(*NOT_FOUND) or upload is not None and fades(upload, op) and (
            op.says(*NOT_OPEN) or op.status == 204)  # two at once may both be told so
        return [(state, FINISHED)] if fits else []
    if op.says(*NOT_OPEN):
        fits = upload.state in ("closing", "unsure")
        return [(state, FINISHED)] if fits else []
    if upload.state == "unsure" and op.says(*NOT_FOUND):
        return [(keep(state, key, gone(upload, op)), FINISHED)]
    if op.status != 204 or upload.state == "closing":
        return []
    if upload.state == "done":
        return [(keep(state, key, gone(upload, op)), FINISHED)]
    return [(keep(state, key, upload._replace(state="closing")), "discard")]


# ---- tokens -------------------------------------------------------------------------

def create_token(state, op, _):
    if op.status != 201 or op.body["role"] != op.args["role"]:
        return []
    token = Token(op.args["principal"], op.args["role"], False)
    return [(state.set((("t", op.body["id"]), token)), None)]


def revoke_token(state, op, _):
    token = state.get(("t", op.args["id"]))
    if op.status not in (None, 204):
        return []
    return [(state.set((("t", op.args["id"]), token._replace(revoked=True))), None)]


def whoami(state, op, _):
    token = state.get(("t", op.args["id"]))
    if token.revoked:
        return [(state, None)] if op.says(401, "unauthenticated") else []
    fits = (op.status == 200 and op.body["role"] == token.role
            and op.body["principal"] == token.principal)
    return [(state, None)] if fits else []


STEPS = {
    "put_blob": (put_blob,),
    "get_blob": (get_blob,),
    "begin_upload": (begin_upload,),
    "put_part": (put_part,),
    "get_upload": (get_upload,),
    "complete": (close_upload, record_blob, end_upload),
    "give_up": (give_up, end_upload),
    "create_token": (create_token,),
    "revoke_token": (revoke_token,),
    "whoami": (whoami,),
}
