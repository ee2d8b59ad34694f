# SPDX-License-Identifier: Apache-2.0
"""Is there an order of the operations that explains every answer?

A history is the operations of one family with the times of their invocation and of
their answer. It is right when each operation can be given an instant between the two
such that the reference (reference.py and its neighbours), taken through them in the
order of these instants, allows every answer. This is linearizability (Herlihy and Wing,
1990), looked for just in time (Wing and Gong, 1993; Lowe, 2017): the events are gone
through in order of time with the set of all configurations that are possible so far. A
configuration is a state and which operations under way have happened in it already. An
answer keeps those in which its operation has happened, or can happen now, perhaps after
others under way; when none is left, the answer is wrong.

Three things go beyond the text book, each as narrow as it can be:

- Where the contract does not promise one instant, an operation has several steps, in
  order, each with its instant: `@prod` is resolved, then the document is read.
- An operation without an answer (a cut connection, a killed server, `outcome-unknown`)
  may happen at any later instant, or never, until it `expires`: when the server was
  killed and is up again, or at the end of a round, when no request runs any more.
- Reads from the server's caches may show what was before a change that is not yet
  answered: a cache is dropped after COMMIT and before the answer (ARCHITECTURE,
  Caches). Once a change is answered, all reads that begin later show it.

Configurations that only differ in what can as well happen later are not kept:
operations on other objects, and those that commute, cost nothing.
"""
import itertools
import time

from .bytes import IN_STEPS, doubt, settle_doubt
from .footprints import meet
from .state import FINISHED, Before

# The searches, each when the one before has found no order: how many configurations are
# kept, how many are looked at for one answer, whether changes may have several
# instants.
SEARCHES = ((40, 4_000, False), (300, 10_000, True), (None, 100_000, True))
SECONDS = 60  # for the last


class Wrong(Exception):
    """No order explains the answer."""


class Undecided(Exception):
    """Too many orders to look at."""


class Operation:
    """One request and its answer. `status` None: the answer is unknown. `invoke` and
    `answer` are times; `settled` is when the server was surely done with it."""

    numbers = itertools.count(1)
    __slots__ = ("id", "kind", "args", "who", "invoke", "answer", "settled", "status",
                 "body", "etag", "steps", "reads", "writes", "rival")

    def __init__(self, kind, who, reads=(), writes=(), **args):
        self.id = next(self.numbers)
        self.kind = kind
        self.who = who
        self.args = args
        self.reads = frozenset(reads)
        self.writes = frozenset(writes)
        self.invoke = self.answer = self.settled = self.status = None
        self.body = self.etag = self.steps = None
        self.rival = False

    def slug(self):
        return self.body["type"].rpartition(":")[2]

    def says(self, status, slug):
        return self.status == status and self.slug() == slug

    def says_any(self, *refusals):
        return any(self.says(*refusal) for refusal in refusals)

    def conflicts(self, other):
        return bool(self.writes and meet(self.writes, other.reads | other.writes)
                    or other.writes and meet(other.writes, self.reads))

    def __repr__(self):
        body = self.body if not isinstance(self.body, bytes) else len(self.body)
        return (f"#{self.id} {self.who} {self.kind} {self.args} -> {self.status} "
                f"{self.etag or ''} {str(body)[:700]}")


class Configuration:
    """`open`: {operation: (steps done, carried)} of operations not yet answered.
    `recent`: {entry of the state: ((record before, writer), ...), oldest first} of
    changes that caches may not show yet."""

    __slots__ = ("state", "open", "recent", "key")

    def __init__(self, state, open_, recent):
        self.state = state
        self.open = open_
        self.recent = recent
        self.key = (state.key, frozenset(open_.items()),
                    frozenset((entry, tuple(writer for _, writer in changes))
                              for entry, changes in recent.items()))


class View:
    """A step that reads from a cache: `see(state, operation, carried)` is what it
    shows, `touches(operation, carried, entry)` whether an entry of the state counts,
    `match(state, operation, carried, seen)` the outcome, as that of any other step."""

    def __init__(self, see, touches, match):
        self.see = see
        self.touches = touches
        self.match = match


class Linear:
    """The configurations of one family, taken through its history."""

    def __init__(self, state):
        self.configurations = [Configuration(state, {}, {})]
        self.alive = {}    # id: operation under way, or with its outcome unknown
        self.all = {}      # id: operation, as long as the caches may matter
        self.past = (self.configurations, [])
        self.most = 1
        self.again = 0     # how often the first search was not enough

    def run(self, events):
        """`events`: (time, order, what, operation) sorted; `what` is "invoke",
        "answer", "settled" (a change of bytes without an answer is over), "restart"
        with a list of operations that are, or "rest". Raises Wrong with the
        operation that cannot be.

        The first search lets operations without an answer happen one at a time, or
        where an answer asks for them, and keeps a few configurations; what it finds is
        an order. Only when it finds none do the next ones look at more, the last at
        all."""
        start, self.past = self.past[0], (self.past[0], self.past[1] + events)
        for number, search in enumerate(SEARCHES):
            self.beam, self.limit, self.split = search
            self.deadline = time.monotonic() + SECONDS
            try:
                if number == 0:
                    return self.go_through(events)
                # What was left out may have been in an earlier round.
                self.again += 1
                self.configurations = start
                return self.go_through(self.past[1])
            except Wrong:
                if self.beam is None:
                    raise

    def forget_past(self):
        """Later searches go back to this moment, no further."""
        self.past = (self.configurations, [])
        self.all.clear()

    def go_through(self, events):
        self.alive.clear()
        for _, _, what, operation in events:
            if what == "rest":
                self.rest()
            elif what == "settled":
                self.map(settle_doubt, operation)
            elif what == "invoke" and operation.status is None and (
                    operation.kind in IN_STEPS):
                self.map(doubt, operation)
            elif what == "invoke":
                self.alive[operation.id] = self.all[operation.id] = operation
            elif what == "answer":
                self.answer(operation)
            else:
                self.expire(operation)

    def map(self, change, operation):
        """Takes every configuration's state through a change of bytes without an answer
        (bytes.py)."""
        self.configurations = list({
            made.key: made for made in (
                Configuration(change(c.state.begin(), operation), c.open, c.recent)
                for c in self.configurations)}.values())

    # ---- steps -----------------------------------------------------------------

    def advance(self, configuration, operation):
        """The configurations after this operation's next step; in the first search
        after all steps of a change, at one instant."""
        made = self.one_step(configuration, operation)
        if self.split or not operation.writes:
            return made
        over = []
        while made:
            one = made.pop()
            if one.open[operation.id][0] == FINISHED:
                over.append(one)
            else:
                made += self.one_step(one, operation)
        return over

    def one_step(self, configuration, operation):
        done, carried = configuration.open.get(operation.id, (0, None))
        if done == FINISHED:
            return []
        step = operation.steps[done]
        if isinstance(step, View):
            outcomes = [outcome for seen in self.seen(configuration, operation, step,
                                                      carried)
                        for outcome in step.match(configuration.state.begin(),
                                                  operation, carried, seen)]
        else:
            outcomes = step(configuration.state.begin(), operation, carried)
        return [self.carry_on(configuration, operation, done + 1, state, carried_on)
                for state, carried_on in outcomes]

    def carry_on(self, configuration, operation, done, state, carried):
        is_last = carried == FINISHED or done == len(operation.steps)
        open_ = configuration.open.copy()
        open_[operation.id] = (FINISHED, None) if is_last else (done, carried)
        recent = configuration.recent
        if operation.writes and state.key != configuration.state.key:
            recent = recent.copy()
            for entry, before in state.log:
                held = recent.get(entry, ())
                if not held or held[-1][1] != operation.id:
                    recent[entry] = (*held, (before, operation.id))
        return Configuration(state, open_, recent)

    def seen(self, configuration, operation, view, carried):
        """What a cache may show: the newest, and what is replaced by changes not yet
        answered when the read began; each of these may be seen or not."""
        state = configuration.state
        values = [view.see(state, operation, carried)]
        chains = {entry: changes for entry, changes in configuration.recent.items()
                  if view.touches(operation, carried, entry)}
        hidden = {writer for changes in chains.values() for _, writer in changes
                  if (settled := self.all[writer].settled) is None
                  or settled >= operation.invoke}
        for count in range(1, len(hidden) + 1):
            for unseen in itertools.combinations(hidden, count):
                before = Before(state, undo(chains, unseen))
                value = view.see(before, operation, carried)
                if value not in values:
                    values.append(value)
        return values

    def related(self, operation):
        """Operations under way whose order against this one may matter."""
        found, queue = {operation.id: operation}, [operation]
        while queue:
            one = queue.pop()
            for other in self.alive.values():
                if other.id not in found and one.conflicts(other):
                    found[other.id] = other
                    queue.append(other)
        return list(found.values())

    def reach(self, operation):
        """All configurations in which it has happened, without the needless ones."""
        related = self.related(operation)
        lost = sum(other.status is None for other in related)
        most = lost if self.beam is None else min(lost, 1)
        reached = self.search(operation, related, most)
        while not reached and most < lost:
            most += 1
            reached = self.search(operation, related, most)
        return self.reduce(reached, related)

    def search(self, operation, related, most):
        """`most`: how many operations without an answer may happen now."""
        if self.beam is None and time.monotonic() > self.deadline:
            raise Undecided
        reached, looked = {}, {c.key for c in self.configurations}
        stack = [(c, 0) for c in self.configurations]
        while stack:
            configuration, lost = stack.pop()
            if configuration.open.get(operation.id, (0,))[0] == FINISHED:
                reached[configuration.key] = configuration
                continue
            if len(looked) > self.limit:
                if self.beam is None:
                    raise Undecided
                break
            for other in related:
                more = lost + (other.status is None and other is not operation
                               and other.id not in configuration.open)
                if more > most:
                    continue
                for made in self.advance(configuration, other):
                    if made.key not in looked:
                        looked.add(made.key)
                        stack.append((made, more))
        return reached

    def reduce(self, reached, related):
        """Takes out what another configuration can still become."""
        if len(reached) < 2:
            return list(reached.values())
        later = set()
        for configuration in reached.values():
            for other in related:
                later |= {made.key for made in self.advance(configuration, other)}
        kept = [c for key, c in reached.items() if key not in later]
        return kept or list(reached.values())

    # ---- events ----------------------------------------------------------------

    def answer(self, operation):
        reached = self.reach(operation)
        if not reached:
            raise Wrong(operation)
        self.forget([operation], reached)

    def expire(self, operations):
        """They have happened by now, or never will."""
        for operation in operations:
            if operation.id in self.alive:
                kept = {c.key: c for c in self.configurations}
                kept |= {c.key: c for c in self.reach(operation)}
                self.forget([operation], kept.values())

    def forget(self, operations, configurations):
        """Operations that are over leave the configurations, as do those without an
        answer that have happened in all."""
        for operation in operations:
            self.alive.pop(operation.id, None)
        over = {operation.id for operation in operations}
        configurations = list(configurations)
        for operation in list(self.alive.values()):
            if operation.status is None and all(
                    c.open.get(operation.id, (0,))[0] == FINISHED
                    for c in configurations):
                over.add(operation.id)
                del self.alive[operation.id]
        oldest = min((o.invoke for o in self.alive.values() if not o.writes),
                     default=None)
        kept = {}
        for c in configurations:
            made = Configuration(c.state,
                                 {i: o for i, o in c.open.items() if i not in over},
                                 self.prune(c.recent, oldest))
            kept[made.key] = made
        self.configurations = list(kept.values())
        if self.beam is not None and len(kept) > self.beam:
            self.configurations.sort(key=self.count_lost)
            del self.configurations[self.beam:]
        self.most = max(self.most, len(kept))

    def count_lost(self, configuration):
        return sum(self.all[i].status is None for i in configuration.open)

    def prune(self, recent, oldest):
        """What no read under way can see any more."""
        kept = {}
        for entry, changes in recent.items():
            for at in range(len(changes) - 1, -1, -1):
                settled = self.all[changes[at][1]].settled
                if settled is not None and (oldest is None or settled < oldest):
                    changes = changes[at + 1:]
                    break
            if changes:
                kept[entry] = changes
        return kept

    def rest(self):
        """Between rounds: nothing runs, no cache lags."""
        kept = {}
        for c in self.configurations:
            made = Configuration(c.state, {}, {})
            kept[made.key] = made
        self.configurations = list(kept.values())
        self.alive.clear()


def undo(chains, unseen):
    """{entry: record} where the newest changes of each entry are by these writers."""
    undone = {}
    for entry, changes in chains.items():
        for before, writer in reversed(changes):
            if writer not in unseen:
                break
            undone[entry] = before
    return undone
