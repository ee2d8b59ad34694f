# SPDX-License-Identifier: Apache-2.0
"""What is done to a server from its beginning to its end while a fault strikes.

`prepare` runs before the fault can strike, `run` while it may, `check` after it, on a
server that works again: what was acknowledged (`said`) is true, what was not is there
whole or not at all, and a repeat of the same requests succeeds.
"""
from .chain import make_bytes, sha256

FILES = ("config.json", "weights/model.bin")


class Life:
    def __init__(self, tag):
        self.tag = tag
        self.data = make_bytes(5000, tag)
        self.said = set()

    def prepare(self, api):
        pass


class Parts(Life):
    """An upload in parts."""

    upload = None

    def run(self, api):
        self.upload = api.begin_upload(self.data)
        self.said.add("begun")
        api.put_part(self.upload, self.data, 0, expect=204)
        self.said.add("part")
        api.complete(self.upload, expect=201)
        self.said.add("complete")

    def check(self, server):
        """After the restart: nothing that was said is untrue; then to the end."""
        api = server.api()
        if "begun" in self.said:
            shown = api.get(f"/uploads/{self.upload['id']}", expect=200).json()
            if "part" in self.said:
                assert shown["received"] == [0]
            if "complete" in self.said:
                assert shown["state"] == "done"
            if shown["state"] == "open" and not shown["received"]:
                api.put_part(self.upload, self.data, 0, expect=204)
            api.complete(self.upload, expect=201)
        else:
            api.put_blob(self.data)
        assert api.get(f"/blobs/{sha256(self.data)}").content == self.data


class SecondCopy(Parts):
    """Its blob is stored by somebody else before it is completed."""

    def run(self, api):
        self.upload = api.begin_upload(self.data)
        api.put_part(self.upload, self.data, 0, expect=204)
        self.said |= {"begun", "part"}
        api.clone().put_blob(self.data)
        api.complete(self.upload, expect=201)
        self.said.add("complete")


class ChainedParts(Parts):
    """An upload whose parts bring the chain along."""

    def run(self, api):
        self.upload = api.begin_upload(self.data, sha256=False, chain_with_parts=True)
        self.said.add("begun")
        api.put_part(self.upload, self.data, 0, expect=204)
        self.said.add("part")
        api.complete(self.upload, expect=201)
        self.said.add("complete")


class Whole(Parts):
    """A blob in one body."""

    def run(self, api):
        api.put_blob(self.data)
        self.said.add("stored")

    def check(self, server):
        api = server.api()
        response = api.get(f"/blobs/{sha256(self.data)}")
        assert response.status_code == 200 or "stored" not in self.said
        super().check(server)


class GivenUp(Parts):
    """An upload that its client deletes."""

    def run(self, api):
        self.upload = api.begin_upload(self.data)
        self.said.add("begun")
        api.put_part(self.upload, self.data, 0, expect=204)
        self.said.add("part")
        api.delete(f"/uploads/{self.upload['id']}", expect=204)
        self.said = {"deleted"}

    def check(self, server):
        if "deleted" in self.said:
            response = server.api().get(f"/uploads/{self.upload['id']}")
            assert response.status_code == 404
        elif "part" in self.said:  # the DELETE was cut: it is there whole, or gone
            response = server.api().get(f"/uploads/{self.upload['id']}")
            if response.status_code == 200:
                super().check(server)
        else:
            super().check(server)


class Registry(Life):
    """A model of its own with `versions` versions before the fault."""

    versions = 0

    def __init__(self, tag):
        super().__init__(tag)
        self.name = "crash/m-" + sha256(tag.encode())[:16]
        self.model = "/models/" + self.name

    def body(self, number):
        return {"files": [{"path": path, "sha256": self.digest} for path in FILES],
                "description": f"{self.tag} {number}", "tags": {"n": str(number)},
                "idempotency_key": f"key {number}"}

    def prepare(self, api):
        self.digest = api.put_blob(self.data)
        self.published = [
            api.post(self.model + "/versions", self.body(number), expect=201).json()
            for number in range(1, self.versions + 1)]

    def listed(self, api):
        """The live versions' numbers; an empty list when there is no model."""
        response = api.get(self.model + "/versions")
        if response.status_code == 404:
            return []
        assert response.status_code == 200, response.text
        return sorted(v["version"] for v in response.json()["versions"])


class Publish(Registry):
    """The first version, with an alias and origins."""

    answer = None

    def prepare(self, api):
        super().prepare(api)
        self.request = self.body(1) | {
            "aliases": ["prod"], "params": {"lr": 0.5}, "metrics": {"loss": 0.25},
            "datasets": [{"uri": "s3://data/" + self.name}],
            "parents": [{"uri": "hf:org/base@main", "relation": "fine-tune"}]}

    def run(self, api):
        self.answer = api.post(self.model + "/versions", self.request, expect=201).json()

    def check(self, server):
        api = server.api()
        listed = self.listed(api)
        assert listed == [1] or listed == [] and self.answer is None, listed
        assert api.get(self.model).status_code == (200 if listed else 404)
        alias = api.get(self.model + "/aliases/prod")
        assert alias.status_code == (200 if listed else 404)
        first = api.post(self.model + "/versions", self.request,
                         expect=200 if listed else 201).json()
        assert self.answer in (None, first)
        again = api.post(self.model + "/versions", self.request, expect=200).json()
        assert again == first and first["aliases"] == ["prod"]
        assert self.listed(api) == [1] and first["version"] == 1
        for path in FILES:
            shown = api.get(f"{self.model}/versions/@prod/files/{path}", expect=200)
            assert shown.content == self.data


class AliasMove(Registry):
    """An alias that goes from the first version to the second."""

    versions = 2

    def prepare(self, api):
        super().prepare(api)
        api.put(self.model + "/aliases/prod", {"version": 1}, expect=201)

    def run(self, api):
        api.put(self.model + "/aliases/prod", {"version": 2}, expect=200)
        self.said.add("moved")

    def check(self, server):
        api = server.api()
        shown = api.get(self.model + "/aliases/prod", expect=200).json()["version"]
        assert shown == 2 or shown == 1 and not self.said
        api.put(self.model + "/aliases/prod", {"version": 2}, expect=200)
        history = api.get(self.model + "/aliases/prod/history").json()["history"]
        assert [entry["version"] for entry in history] == [2, 1], history
        assert api.get(self.model + "/versions/@prod").json()["version"] == 2


class AliasRemove(AliasMove):
    def run(self, api):
        api.delete(self.model + "/aliases/prod", expect=204)
        self.said.add("removed")

    def check(self, server):
        api = server.api()
        status = api.get(self.model + "/aliases/prod").status_code
        assert status == 404 or status == 200 and not self.said
        api.delete(self.model + "/aliases/prod", expect=204 if status == 200 else 404)
        assert api.get(self.model + "/aliases/prod").status_code == 404


class VersionDelete(Registry):
    versions = 2

    def run(self, api):
        api.delete(self.model + "/versions/1", expect=200)
        self.said.add("deleted")

    def check(self, server):
        api = server.api()
        listed = self.listed(api)
        assert listed == [2] or listed == [1, 2] and not self.said
        shown = api.get(self.model + "/versions/1").status_code
        assert shown == (200 if 1 in listed else 410)
        again = api.delete(self.model + "/versions/1").status_code
        assert again in ((200,) if 1 in listed else (200, 410)), again
        assert self.listed(api) == [2]
        api.post(self.model + "/versions/1/restore", expect=200)
        assert api.get(self.model + "/versions/1", expect=200).json()["digest"] == \
            self.published[0]["digest"]


class VersionRestore(Registry):
    versions = 2

    def prepare(self, api):
        super().prepare(api)
        api.delete(self.model + "/versions/1", expect=200)

    def run(self, api):
        api.post(self.model + "/versions/1/restore", expect=200)
        self.said.add("restored")

    def check(self, server):
        api = server.api()
        listed = self.listed(api)
        assert listed == [1, 2] or listed == [2] and not self.said
        again = api.post(self.model + "/versions/1/restore").status_code
        assert again in ((409, 200) if 1 in listed else (200,)), again
        assert self.listed(api) == [1, 2]
        shown = api.get(self.model + "/versions/1/files/" + FILES[0], expect=200)
        assert shown.content == self.data


class ModelDelete(Registry):
    """Its only version has been deleted; its name stays taken."""

    versions = 1

    def prepare(self, api):
        super().prepare(api)
        api.delete(self.model + "/versions/1", expect=200)

    def run(self, api):
        api.delete(self.model, expect=204)
        self.said.add("deleted")

    def check(self, server):
        api = server.api()
        status = api.get(self.model).status_code
        assert status == 404 or status == 200 and not self.said
        again = api.delete(self.model).status_code
        assert again == (204 if status == 200 else 404), again
        # A number is never used twice, also by a model that was deleted.
        body = self.body(2)
        assert api.post(self.model + "/versions", body).json()["version"] == 2
