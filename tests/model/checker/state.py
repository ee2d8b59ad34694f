# SPDX-License-Identifier: Apache-2.0
"""A state of the reference: an immutable map of small records, cheap to change and to
compare.

A state covers one family: a few models of one namespace with the blobs, uploads and
tokens that only its clients use. No request touches two families, so that each is
checked alone. Keys and records:

    ("m", model)              Model; absent: its row never was
    ("v", model, number)      Version
    ("e", model, number)      tuple of Evaluation, newest first
    ("k", model, key)         (the request it came with, number)
    ("a", model, alias)       Alias; absent: it does not exist
    ("h", model, alias, i)    Alias of the history, version None where it was removed
    ("hl", model, alias)      how many those are
    ("b", sha256)             True: here; None: perhaps here; absent: not here
    ("u", id)                 Upload
    ("t", id)                 Token

None in a field that the server chooses (digest, times, ids) means that its answer was
lost; the first answer that shows it fills it in, and from then on it must stay.
"""
from typing import NamedTuple

ALIASES = ("canary", "prod", "staging")


class Model(NamedTuple):
    exists: bool
    description: str | None
    created_at: str | None
    last: int
    live: int


class Version(NamedTuple):
    digest: str | None
    created_at: str | None
    by: str
    content: object       # reference.Content, what cannot change
    parents: tuple        # (model, number, relation) or (None, uri, relation)
    tags: tuple
    description: str | None
    yank: tuple | None    # (message, by, at)
    deleted: bool


class Evaluation(NamedTuple):
    id: int | None
    metrics: tuple
    note: str | None
    by: str
    at: str | None


class Alias(NamedTuple):
    version: int | None
    sequence: int | None
    at: str | None
    by: str


class Upload(NamedTuple):
    owner: str
    size: int
    sha256: str | None
    parts: tuple          # per part: None, or (SHA-256 of its bytes, is it durable)
    state: str            # open, closing, done, gone, unsure
    ended: tuple | None   # which operation made it gone, and when it was answered
    doubts: frozenset     # changes without an answer that may still go on
    tried: bool           # a complete of it was in doubt: its chain may be known now


class Token(NamedTuple):
    principal: str
    role: str
    revoked: bool


ABSENT = object()
FINISHED = "finished"  # carried on from the last step


class State:
    """`key` is equal for equal states: the hashes of all entries, combined. `log` holds
    (key, record before) of the changes since `begin`."""

    __slots__ = ("entries", "key", "log")

    def __init__(self, entries=None, key=0, log=()):
        self.entries = entries if entries is not None else {}
        self.key = key
        self.log = log

    def get(self, key, default=None):
        return self.entries.get(key, default)

    def begin(self):
        return State(self.entries, self.key) if self.log else self

    def set(self, *pairs):
        """The state with these (key, record) pairs; ABSENT takes one out."""
        entries, key, log = self.entries.copy(), self.key, list(self.log)
        for name, record in pairs:
            before = entries.get(name, ABSENT)
            log.append((name, before))
            if before is not ABSENT:
                key ^= hash((name, before))
            if record is ABSENT:
                entries.pop(name, None)
            else:
                entries[name] = record
                key ^= hash((name, record))
        return State(entries, key, tuple(log))


class Before:
    """A state in which some entries are as they were: `undone` is {key: record}."""

    __slots__ = ("state", "undone")

    def __init__(self, state, undone):
        self.state = state
        self.undone = undone

    def get(self, key, default=None):
        record = self.undone.get(key)
        if record is None:
            return self.state.get(key, default)
        return default if record is ABSENT else record


def numbers(state, model):
    record = state.get(("m", model))
    return range(1, record.last + 1) if record else ()


def latest(state, model):
    """The highest number neither deleted nor yanked, None when there is none."""
    for number in reversed(numbers(state, model)):
        version = state.get(("v", model, number))
        if version and not version.deleted and version.yank is None:
            return number
    return None


def aliases_of(state, model, number):
    return tuple(name for name in ALIASES
                 if (alias := state.get(("a", model, name)))
                 and alias.version == number)


def same(expected, shown):
    """True when the answer shows what is known, or what nobody knew yet."""
    return expected is None or expected == shown
