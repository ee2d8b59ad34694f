# SPDX-License-Identifier: Apache-2.0
"""What is read when no client runs: with it the outcomes that nobody was told become
known, and the end state is compared, entry by entry."""
import random

from .operations import NAMES
from .state import numbers


class Audit:
    """Reads through one client of a family; its answers are part of the history."""

    def __init__(self, family):
        self.family = family
        self.client = family.clients[0]
        self.maker = self.client.maker
        self.random = random.Random(family.space)

    def ask(self, request):
        answer = self.client.send(request, cut=None)
        assert answer is not None and answer.status < 500, (
            f"at rest: {request.operation!r}: {answer and answer.content}")
        return request.operation

    def read(self, kind, model, suffix, **args):
        return self.ask(self.maker.on_model(kind, "GET", model, suffix, writes=False,
                                            **args))

    def models(self, limit):
        for model in self.family.models:
            self.read("get_model", model, "")
            self.pages(model, limit)
            self.read("list_aliases", model, "/aliases?limit=1000", limit=1000,
                      after=None)
            for name in NAMES:
                self.read("get_alias", model, f"/aliases/{name}", alias=name)
                self.history(model, name, limit)

    def pages(self, model, limit):
        op = self.ask(self.maker.list_versions(limit=limit, model=model))
        while op.status == 200 and op.body["next_page_token"]:
            op = self.ask(self.maker.list_versions(
                op.body["versions"][-1]["version"], op.body["next_page_token"], limit,
                model))

    def history(self, model, name, limit):
        op = self.ask(self.maker.list_history(model, name, limit))
        while op.status == 200 and op.body["next_page_token"]:
            last = op.body["history"][-1]
            op = self.ask(self.maker.list_history(
                model, name, limit, (last["version"], last["set_at"]),
                op.body["next_page_token"]))

    def uploads(self, sent):
        """Each by its own principal."""
        for one in sent:
            client = next(c for c in self.family.clients if c.maker.who == one.owner)
            request = client.maker.on_upload("get_upload", "GET", one, writes=False)
            answer = client.send(request, cut=None)
            assert answer is not None and answer.status < 500, f"{request.operation!r}"

    def round(self):
        """Enough to know all that a round left open."""
        self.ask(self.maker.list_models())
        self.models(1000)
        self.uploads(self.family.uploads)
        for sha256 in self.family.order[-10:]:
            self.ask(self.maker.read_blob(sha256))
        for model in self.family.models:
            last = self.family.last.get(model, 0)
            for number in self.random.sample(range(1, last + 1), min(2, last)):
                self.version(model, number, bytes_too=False)

    def version(self, model, number, bytes_too=True):
        ref, suffix = ("n", number), f"/versions/{number}"
        self.read("get_version", model, suffix, ref=ref)
        op = self.read("get_manifest", model, suffix + "/manifest", ref=ref)
        if bytes_too and op.status == 200:
            for file in op.body["files"]:
                self.read("get_file", model, f"{suffix}/files/{file['path']}", ref=ref,
                          path=file["path"])

    def end(self):
        """Everything: all versions, manifests, bytes, histories page by page."""
        self.models(37)
        self.uploads(self.family.all_uploads)
        for sha256 in self.family.order:
            self.ask(self.maker.read_blob(sha256))
        for model in self.family.models:
            for number in numbers(self.family.state, model):
                self.version(model, number)


