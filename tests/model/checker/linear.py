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
  answered: a cache is dropped after COMMIT and before the answer (ARCHITECTURE, Caches).
  Once a change is answered, all reads that begin later show it.

Configurations that only differ in what can as well happen later are not kept: operations
on other objects, and those that commute, cost nothing.
"""
import itertools

FINISHED = "finished"
LIMIT = 40_000  # configurations looked at for one answer


class Wrong(Exception):
    """No order explains the answer."""


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
        return bool(self.writes & (other.reads | other.writes)
                    or other.writes & self.reads)

    def __repr__(self):
        body = self.body if not isinstance(self.body, bytes) else len(self.body)
        return (f"#{self.id} {self.who} {self.kind} {self.args} -> {self.status} "
                f"{self.etag or ''} {str(body)[:700]}")


class Configuration:
    """`open`: {operation: (steps done, carried)} of operations not yet answered.
    `recent`: (state before, writer) of changes that caches may not show yet."""

    __slots__ = ("state", "open", "recent", "key")

    def __init__(self, state, open_, recent):
        self.state = state
        self.open = open_
        self.recent = recent
        self.key = (state.key, frozenset(open_.items()),
                    tuple((before.key, writer) for before, writer in recent))


class View:
    """A step that reads from a cache: `see(state, operation, carried)` is what it shows,
    `match(state, operation, carried, seen)` the outcome, as that of any other step."""

    def __init__(self, see, match):
        self.see = see
        self.match = match


class Linear:
    """The configurations of one family, taken through its history."""

    def __init__(self, state):
        self.configurations = [Configuration(state, {}, ())]
        self.alive = {}    # id: operation under way, or with its outcome unknown
        self.all = {}      # id: operation, as long as the caches may matter
        self.most = 1
        self.gave_up = 0

    def run(self, events):
        """`events`: (time, order, what, operation) sorted; `what` is "invoke", "answer"
        or "restart". Raises Wrong with the operation that cannot be."""
        for _, _, what, operation in events:
            if what == "invoke":
                self.alive[operation.id] = self.all[operation.id] = operation
            elif what == "answer":
                self.answer(operation)
            else:
                self.expire(operation)

    # ---- steps -----------------------------------------------------------------

    def advance(self, configuration, operation):
        """The configurations after this operation's next step."""
        done, carried = configuration.open.get(operation.id, (0, None))
        if done == FINISHED:
            return []
        step = operation.steps[done]
        if isinstance(step, View):
            outcomes = [outcome for seen in self.seen(configuration, operation, step,
                                                      carried)
                        for outcome in step.match(configuration.state, operation,
                                                  carried, seen)]
        else:
            outcomes = step(configuration.state, operation, carried)
        made = []
        for state, carried_on in outcomes:
            is_last = carried_on == FINISHED or done + 1 == len(operation.steps)
            open_ = configuration.open.copy()
            open_[operation.id] = (FINISHED, None) if is_last else (done + 1, carried_on)
            recent = configuration.recent
            if operation.writes and state.key != configuration.state.key:
                recent += ((configuration.state, operation.id),)
            made.append(Configuration(state, open_, recent))
        return made

    def seen(self, configuration, operation, view, carried):
        """What a cache may show: the newest, and what changes not yet answered when the
        read began have replaced."""
        newer = view.see(configuration.state, operation, carried)
        values = [newer]
        for before, writer in reversed(configuration.recent):
            older = view.see(before, operation, carried)
            if older != newer:
                settled = self.all[writer].settled
                if settled is not None and settled < operation.invoke:
                    break
                if older not in values:
                    values.append(older)
            newer = older
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
        reached, looked = {}, {c.key for c in self.configurations}
        stack = list(self.configurations)
        while stack:
            configuration = stack.pop()
            if configuration.open.get(operation.id, (0,))[0] == FINISHED:
                reached[configuration.key] = configuration
                continue
            if len(looked) > LIMIT:
                self.gave_up += 1
                break
            for other in related:
                for made in self.advance(configuration, other):
                    if made.key not in looked:
                        looked.add(made.key)
                        stack.append(made)
        return self.reduce(reached, related)

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
        oldest = min((o.invoke for o in self.alive.values()), default=None)
        kept = {}
        for c in configurations:
            made = Configuration(c.state,
                                 {i: o for i, o in c.open.items() if i not in over},
                                 self.prune(c.recent, oldest))
            kept[made.key] = made
        self.configurations = list(kept.values())
        self.most = max(self.most, len(kept))

    def prune(self, recent, oldest):
        """What no read under way can see any more."""
        skip = 0
        for _, writer in recent:
            settled = self.all[writer].settled
            if settled is None or oldest is not None and settled >= oldest:
                break
            skip += 1
        return recent[skip:]

    def rest(self):
        """Between rounds: nothing runs, no cache lags."""
        kept = {}
        for c in self.configurations:
            made = Configuration(c.state, {}, ())
            kept[made.key] = made
        self.configurations = list(kept.values())
        self.alive.clear()
        self.all.clear()
