# SPDX-License-Identifier: Apache-2.0
"""Random operations on blobs, uploads and tokens (see operations.py)."""
import base64
import hashlib

from .linear import Operation
from .operations import Maker, Request

LARGE = (32 << 20) + 10  # a part of 32 MiB, which seldom comes, and one of 10 bytes


class Sent:
    """What the clients know of an upload: its bytes, in parts."""

    def __init__(self, id_, owner, parts, said):
        self.id = id_
        self.owner = owner
        self.parts = parts    # the right bytes of each; None for the large one
        self.said = said
        self.names = tuple(sha256_of(part) if part is not None else LARGE_NAME
                           for part in parts)

    def digest_of(self, names):
        """The digest of the whole when these are the parts."""
        if len(names) < 2:
            return names[0] if names else sha256_of(b"")
        return self.said if names == self.names else "of other bytes"


def sha256_of(data):
    return hashlib.sha256(data).hexdigest()


LARGE_PART = bytes(32 << 20)
LARGE_NAME = sha256_of(LARGE_PART)


class ByteMaker(Maker):
    def put_blob(self):
        sha256 = self.family.pick_blob(self.random, fresh=0.5)
        data = self.family.blobs[sha256]
        right = self.random.random() > 0.05
        operation = Operation("put_blob", self.who, writes=(sha256,), sha256=sha256,
                              size=len(data), right=right)
        return Request(operation, "PUT", f"/blobs/{sha256}",
                       data if right else data + b"wrong")

    def get_blob(self):
        sha256 = self.family.pick_blob(self.random, fresh=0.3)
        return self.read_blob(sha256)

    def read_blob(self, sha256):
        operation = Operation("get_blob", self.who, reads=(sha256,), sha256=sha256)
        return Request(operation, "GET", f"/blobs/{sha256}")

    # ---- uploads ---------------------------------------------------------------

    def begin_upload(self):
        if self.random.random() < 0.02:
            return self.begin_large()
        sha256 = self.family.pick_blob(self.random, fresh=0.7)
        data = self.family.blobs[sha256]
        said = sha256 if self.random.random() < 0.6 else None
        parts = [data] if data else []
        return self.begin(parts, len(data), said)

    def begin_large(self):
        tail = self.random.randbytes(10)
        hasher = self.family.large.copy()
        hasher.update(tail)
        return self.begin([None, tail], LARGE, hasher.hexdigest())

    def begin(self, parts, size, said):
        operation = Operation("begin_upload", self.who, reads=(said,) if said else (),
                              sha256=said, size=size, parts=parts)
        body = {"size": size} | ({"sha256": said} if said else {})
        return Request(operation, "POST", "/uploads", body)

    def upload(self):
        """One of the latest, or None. Mostly the caller's own."""
        sent = list(self.family.uploads)[-6:]
        own = [one for one in sent if one.owner == self.who]
        if own and self.random.random() < 0.95:
            return self.random.choice(own)
        return self.random.choice(sent) if sent else None

    def on_upload(self, kind, method, sent, path="", body=None, headers=(), *,
                  writes=True, more=(), **args):
        of = ("u", sent.id)
        operation = Operation(kind, self.who, reads=(of,),
                              writes=(of, *more) if writes else (), id=sent.id,
                              digest_of=sent.digest_of, **args)
        return Request(operation, method, f"/uploads/{sent.id}{path}", body, headers)

    def put_part(self):
        sent = self.upload()
        if sent is None or not sent.parts:
            return None
        number = len(sent.parts) - 1
        fault, headers = None, ()
        chance = self.random.random()
        if len(sent.parts) > 1 and chance < 0.1:
            return self.put_large(sent)
        data = sent.parts[number]
        if chance < 0.15:
            data = bytes([data[0] ^ 1]) + data[1:]
        elif chance < 0.2:
            fault, data = "length", data + b"x"
        elif chance < 0.24:
            fault, number = "range", len(sent.parts)
        elif chance < 0.4:
            fault = "digest" if chance < 0.28 else None
            name = hashlib.sha256(data if fault is None else b"no").digest()
            headers = ("Content-Digest: sha-256=:"
                       + base64.b64encode(name).decode() + ":",)
        return self.send_part(sent, number, data, fault, headers)

    def put_large(self, sent):
        return self.send_part(sent, 0, LARGE_PART, None, ())

    def send_part(self, sent, number, data, fault, headers):
        return self.on_upload("put_part", "PUT", sent, f"/parts/{number}", data,
                              headers, number=number, bytes=sha256_of(data),
                              fault=fault)

    def get_upload(self):
        sent = self.upload()
        return sent and self.on_upload("get_upload", "GET", sent, writes=False)

    def complete(self):
        sent = self.upload()
        if sent is None:
            return None
        whole = sent.names[0] if len(sent.names) == 1 else sent.said
        return self.on_upload("complete", "POST", sent, "/complete",
                              more=(whole or sha256_of(b""),))

    def give_up(self):
        sent = self.upload()
        return sent and self.on_upload("give_up", "DELETE", sent)

    # ---- tokens ----------------------------------------------------------------

    def create_token(self):
        role = self.random.choice(("reader", "publisher"))
        operation = Operation("create_token", self.who, principal=self.who, role=role)
        return Request(operation, "POST", "/tokens",
                       {"principal": self.who, "role": role})

    def on_token(self, kind, method, path, *, writes, own=False):
        if not self.family.tokens:
            return None
        id_, secret, owner = self.random.choice(list(self.family.tokens))
        if writes and owner != self.who:
            return None
        operation = Operation(kind, self.who, reads=(("t", id_),),
                              writes=(("t", id_),) if writes else (), id=id_)
        return Request(operation, method, path.format(id_),
                       token=secret if own else None)

    def revoke_token(self):
        return self.on_token("revoke_token", "DELETE", "/tokens/{}", writes=True)

    def whoami(self):
        return self.on_token("whoami", "GET", "/whoami", writes=False, own=True)
