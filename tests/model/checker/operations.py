# SPDX-License-Identifier: Apache-2.0
"""Random operations that meet: few models, aliases, blobs and uploads, and what other
clients have just done is what is asked for next.

`Maker.make()` gives a Request. The family's hints are what its clients have seen last,
true or not any more; they only steer the choice.
"""
import json
from urllib.parse import quote

from . import aliases, bytes as bytes_, reads, versions
from .documents import Content
from .linear import Operation

STEPS = reads.STEPS | versions.STEPS | aliases.STEPS | bytes_.STEPS
NAMES = ("prod", "staging", "canary")
PATHS = ("config.json", "w/model.bin", "w/vocab.txt")
# How often each is chosen.
WEIGHTS = {
    "publish": 15, "get_version": 13, "get_manifest": 3, "get_file": 6,
    "list_versions": 3, "get_model": 3, "list_models": 1, "create_model": 1,
    "patch_model": 1, "delete_model": 1, "patch_version": 6, "yank": 2, "evaluate": 4,
    "delete_version": 7, "restore": 5, "set_alias": 12, "delete_alias": 3,
    "get_alias": 7, "get_alias_at": 3, "list_aliases": 2, "list_history": 4,
    "put_blob": 6, "get_blob": 3, "begin_upload": 4, "put_part": 6, "get_upload": 3,
    "complete": 5, "give_up": 1, "create_token": 0.2, "revoke_token": 0.2,
    "whoami": 0.6,
}


class Request:
    __slots__ = ("operation", "method", "path", "body", "headers", "token")

    def __init__(self, operation, method, path, body=None, headers=(), token=None):
        operation.steps = (versions.steps_of(operation) if operation.kind == "publish"
                           else STEPS[operation.kind])
        self.operation = operation
        self.method = method
        self.path = "/api/v1" + path
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers = ("Content-Type: application/json", *headers)
        self.body = body
        self.headers = headers
        self.token = token


class Maker:
    """The operations of one client of a family."""

    def __init__(self, family, random, who):
        self.family = family
        self.random = random
        self.who = who

    def make(self):
        kind = self.random.choices(*self.family.weights)[0]
        return getattr(self, kind)() or self.get_version()

    # ---- choices ---------------------------------------------------------------

    def model(self):
        return self.random.choices(self.family.models, (5, 3, 2))[0]

    def number(self, model, beyond=True):
        last = self.family.last.get(model, 0) + (self.random.random() < 0.05 and beyond)
        if last < 1:
            return 1
        chance = self.random.random()
        if chance < 0.35:
            return last
        if chance < 0.75:
            return max(last - self.random.randrange(5), 1)
        return self.random.randint(1, last)

    def ref(self, model):
        """(the ref, as in a URL)"""
        chance = self.random.random()
        if chance < 0.25:
            name = self.random.choice(NAMES)
            return ("a", name), "@" + name
        if chance < 0.35:
            return ("l",), "latest"
        number = self.number(model)
        if chance < 0.43 and (model, number) in self.family.digests:
            digest = self.family.digests[model, number]
            return ("d", digest, number), digest
        return ("n", number), str(number)

    def at(self, model):
        return f"/models/{self.family.space}/{model}"

    def on_model(self, kind, method, model, suffix, *, writes=True, body=None,
                 headers=(), **args):
        own = (model,)
        others = self.family.models if kind == "delete_version" else own
        operation = Operation(kind, self.who, reads=others,
                              writes=own if writes else (), model=model,
                              space=self.family.space,
                              models=self.family.models, **args)
        return Request(operation, method, self.at(model) + suffix, body, headers)

    # ---- models ----------------------------------------------------------------

    def create_model(self):
        model = self.model()
        text = self.random.choice((None, "one", "two"))
        body = {"model": f"{self.family.space}/{model}"}
        if text:
            body["description"] = text
        request = self.on_model("create_model", "POST", model, "", body=body,
                                description=text)
        request.path = "/api/v1/models"
        return request

    def patch_model(self):
        text = self.random.choice((None, "three", "four"))
        return self.on_model("patch_model", "PATCH", self.model(), "",
                             body={"description": text}, description=text)

    def delete_model(self):
        return self.on_model("delete_model", "DELETE", self.family.models[2], "")

    def get_model(self):
        return self.on_model("get_model", "GET", self.model(), "", writes=False)

    def list_models(self):
        operation = Operation("list_models", self.who, reads=self.family.models,
                              space=self.family.space, models=self.family.models)
        return Request(operation, "GET", "/models?limit=1000")

    # ---- versions --------------------------------------------------------------

    def publish(self):
        model, family = self.model(), self.family
        if family.keys and self.random.random() < 0.12:
            return self.publish_again()
        count = self.random.choice((1, 1, 2, 3))
        files = [(path, family.pick_blob(self.random))
                 for path in sorted(self.random.sample(PATHS, count))]
        body = {"files": [{"path": p, "sha256": s} for p, s in files]}
        parents = self.parents(model, body)
        tags = {self.random.choice("abc"): str(self.random.randrange(9))
                for _ in range(self.random.randrange(3))}
        if tags:
            body["tags"] = tags
        metrics = {"loss": self.random.randrange(100) / 4}
        body |= {"metrics": metrics, "params": {"n": self.random.randrange(1 << 30)}}
        text = self.random.choice((None, "text"))
        if text:
            body["description"] = text
        if self.random.random() < 0.3:
            body["aliases"] = self.random.sample(NAMES, self.random.choice((1, 1, 2)))
        if self.random.random() < 0.6:
            body["idempotency_key"] = f"key {self.random.randrange(1 << 30)}"
        family.recent_publishes.append((model, body, parents))
        return self.publish_body(model, body, parents)

    def parents(self, model, body):
        parents = []
        if self.random.random() < 0.3:
            other = self.model()
            ref, text = self.ref(other)
            relation = self.random.choice(("fine-tune", "quantize"))
            name = text.removeprefix("@")
            parents.append((other, ref, relation))
            body["parents"] = [{"ref": f"{self.family.space}/{other}@{name}",
                                "relation": relation}]
            if self.random.random() < 0.2:
                parents.append((None, "hf:org/base@main", "merge"))
                body["parents"].append({"uri": "hf:org/base@main", "relation": "merge"})
        return tuple(parents)

    def publish_again(self):
        """A known idempotency key, with its request or with another one."""
        model, body, parents = self.random.choice(list(self.family.keys))
        if self.random.random() < 0.35:
            body = body | {"params": {"n": -1}}
        elif self.random.random() < 0.1:
            model = self.model()  # a key counts within its model
        return self.publish_body(model, body, parents)

    def publish_body(self, model, body, parents):
        family = self.family
        files = [(file["path"], file["sha256"]) for file in body["files"]]
        if "idempotency_key" in body:
            family.keys.append((model, body, parents))
        content = Content(files, family.sizes, body["metrics"], body["params"])
        reads = {model, *(parent[0] for parent in parents if parent[0])}
        operation = Operation(
            "publish", self.who, reads=reads | {s for _, s in files}, writes=(model,),
            space=family.space, model=model, content=content, parents=parents,
            tags=tuple(sorted(body.get("tags", {}).items())),
            description=body.get("description"), aliases=tuple(body.get("aliases", ())),
            key=body.get("idempotency_key"), request=json.dumps(body, sort_keys=True))
        return Request(operation, "POST", self.at(model) + "/versions", body)

    def on_version(self, kind, method, suffix="", **more):
        model = self.model()
        ref, text = self.ref(model)
        return self.on_model(kind, method, model, f"/versions/{text}{suffix}", ref=ref,
                             **more)

    def get_version(self):
        return self.on_version("get_version", "GET", writes=False)

    def get_again(self, model, number):
        """What somebody has just changed."""
        return self.on_model("get_version", "GET", model, f"/versions/{number}",
                             ref=("n", number), writes=False)

    def get_manifest(self):
        return self.on_version("get_manifest", "GET", "/manifest", writes=False)

    def get_file(self):
        path = self.random.choice(PATHS)
        headers = ("Range: bytes=1-40",) if self.random.random() < 0.2 else ()
        return self.on_version("get_file", "GET", f"/files/{path}", path=path,
                               headers=headers, writes=False)

    def list_versions(self, before=None, token=None, limit=None, model=None):
        limit = limit or self.random.choice((1, 3, 1000))
        query = f"?limit={limit}" + (f"&page_token={quote(token)}" if token else "")
        return self.on_model("list_versions", "GET", model or self.model(),
                             "/versions" + query, writes=False, limit=limit,
                             before=before)

    def patch_version(self):
        tags = {self.random.choice("abc"): self.random.choice((None, "x", "y"))
                for _ in range(self.random.randrange(3))}
        text = self.random.choice((None, "u", "v", "w"))
        return self.on_version("patch_version", "PATCH", tags=tuple(tags.items()),
                               description=text,
                               body={"description": text, "tags": tags})

    def yank(self):
        message = self.random.choice(("wrong split", "leak"))
        return self.on_version("yank", "POST", "/yank", body={"message": message},
                               message=message)

    def evaluate(self):
        metrics = {"f1": self.random.randrange(1000) / 8}
        note = self.random.choice((None, "nightly"))
        body = {"metrics": metrics} | ({"note": note} if note else {})
        return self.on_version("evaluate", "POST", "/evaluations", body=body, note=note,
                               metrics=tuple(metrics.items()))

    def delete_version(self):
        force = self.random.random() < 0.5
        model = self.model()
        if self.random.random() < 0.4:
            model = self.family.models[2]
            force = True
        ref, text = self.ref(model)
        return self.on_model("delete_version", "DELETE", model, f"/versions/{text}"
                             + ("?force=true" if force else ""), ref=ref, force=force)

    def restore(self):
        model = self.model()
        ref, text = self.ref(model)
        return self.on_model("restore", "POST", model, f"/versions/{text}/restore",
                             ref=ref)

    # ---- aliases ---------------------------------------------------------------

    def condition(self, model, name):
        """(the condition, the header)"""
        chance = self.random.random()
        etags = self.family.etags.get((model, name))
        if chance < 0.4 and etags:
            etag = etags[-1] if chance < 0.32 else self.random.choice(list(etags))
            return ("match", etag), (f"If-Match: {etag}",)
        if chance < 0.45:
            return ("match", "*"), ("If-Match: *",)
        if chance < 0.5:
            return ("none", "*"), ("If-None-Match: *",)
        return None, ()

    def set_alias(self):
        model, name = self.model(), self.random.choice(NAMES)
        condition, headers = self.condition(model, name)
        number = self.number(model)
        return self.on_model("set_alias", "PUT", model, f"/aliases/{name}",
                             headers=headers, body={"version": number}, alias=name,
                             condition=condition, version=number)

    def delete_alias(self):
        model, name = self.model(), self.random.choice(NAMES)
        condition, headers = self.condition(model, name)
        if condition and condition[0] == "none":
            condition, headers = None, ()
        return self.on_model("delete_alias", "DELETE", model, f"/aliases/{name}",
                             headers=headers, alias=name, condition=condition)

    def get_alias(self):
        name = self.random.choice(NAMES)
        return self.on_model("get_alias", "GET", self.model(), f"/aliases/{name}",
                             writes=False, alias=name)

    def get_alias_at(self):
        if not self.family.times:
            return None
        model, name, at = self.random.choice(list(self.family.times))
        return self.on_model("get_alias_at", "GET", model,
                             f"/aliases/{name}?at={quote(at)}", writes=False,
                             alias=name, at=at)

    def list_aliases(self):
        limit = self.random.choice((1, 1000))
        return self.on_model("list_aliases", "GET", self.model(),
                             f"/aliases?limit={limit}", writes=False, limit=limit,
                             after=None)

    def list_history(self, model=None, name=None, limit=None, after=None, token=None):
        limit = limit or self.random.choice((1, 4, 1000))
        name = name or self.random.choice(NAMES)
        query = f"?limit={limit}" + (f"&page_token={quote(token)}" if token else "")
        return self.on_model("list_history", "GET", model or self.model(),
                             f"/aliases/{name}/history{query}", writes=False,
                             alias=name, limit=limit, after=after)
