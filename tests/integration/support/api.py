# SPDX-License-Identifier: Apache-2.0
"""The API client of the tests: requests with a token, every answer held to the contract."""
import requests

from . import chain
from .contract import contract

SLUG = "urn:strata:error:"


class Api:
    """One caller of one server. Use a `clone()` per thread.

    Paths are below /api/v1 unless they begin with `//`, which stands for the root:
    `api.get("/models")`, `api.get("//metrics")`. `expect=` asserts the status.
    """

    def __init__(self, base, token=None, timeout=60):
        self.base = base
        self.token = token
        self.timeout = timeout
        self.session = requests.Session()
        self.session.trust_env = False
        if token is not None:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def clone(self, token=...):
        """The same caller, or one with another token, on a connection of its own."""
        return Api(self.base, self.token if token is ... else token, self.timeout)

    def url(self, path):
        return self.base + (path[1:] if path.startswith("//") else "/api/v1" + path)

    def request(self, method, path, *, expect=None, check=True, **options):
        options.setdefault("timeout", self.timeout)
        response = self.session.request(method, self.url(path), **options)
        if check:
            check_answer(method, response)
        if expect is not None:
            assert response.status_code == expect, (
                f"{method} {path}: {response.status_code} instead of {expect}: "
                f"{response.text[:1000]}")
        return response

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def head(self, path, **options):
        return self.request("HEAD", path, **options)

    def post(self, path, json=None, **options):
        return self.request("POST", path, json=json, **options)

    def put(self, path, json=None, **options):
        return self.request("PUT", path, json=json, **options)

    def patch(self, path, json=None, **options):
        return self.request("PATCH", path, json=json, **options)

    def delete(self, path, **options):
        return self.request("DELETE", path, **options)

    # ---- bytes --------------------------------------------------------------

    def put_blob(self, data, expect=None):
        """PUT /blobs; returns the digest. New or known are both fine unless said."""
        digest = chain.sha256(data)
        response = self.put(f"/blobs/{digest}", data=data, expect=expect)
        assert response.status_code in (200, 201), response.text
        assert response.json() == {"sha256": digest, "size": len(data)}
        return digest

    def begin_upload(self, data, *, sha256=True, chained=False, **fields):
        """POST /uploads for these bytes; the response's JSON."""
        body = {"size": len(data), **fields}
        if sha256:
            body["sha256"] = chain.sha256(data)
        if chained:
            body["chain"] = {"states": chain.chain_of(data)}
        return self.post("/uploads", body, expect=201).json()

    def put_part(self, upload, data, number, **options):
        """Sends part `number` of `data`."""
        size = upload["part_size"]
        if upload.get("chain_with_parts"):
            options.setdefault("headers", {}).setdefault(
                "Strata-Chain", ", ".join(chain.part_states(data, size, number)))
        return self.put(f"/uploads/{upload['id']}/parts/{number}",
                        data=data[number * size:(number + 1) * size], **options)

    def complete(self, upload, **options):
        return self.post(f"/uploads/{upload['id']}/complete", **options)

    def upload(self, data, *, order=None, **fields):
        """The whole way of a new blob: begin, parts in `order`, complete; its digest."""
        upload = self.begin_upload(data, **fields)
        count = parts_of(upload)
        for number in order if order is not None else range(count):
            self.put_part(upload, data, number, expect=204)
        blob = self.complete(upload, expect=201).json()
        assert blob == {"sha256": chain.sha256(data), "size": len(data)}
        return blob["sha256"]

    # ---- registry -----------------------------------------------------------

    def publish(self, model, files, *, expect=201, **fields):
        """Stores the files' bytes (or takes a digest as it is) and publishes."""
        body = {"files": [], **fields}
        for path, data in files.items():
            digest = data if isinstance(data, str) else self.put_blob(data)
            body["files"].append({"path": path, "sha256": digest})
        return self.post(f"/models/{model}/versions", body, expect=expect).json()

    def create_token(self, principal, role, **fields):
        body = {"principal": principal, "role": role, **fields}
        return self.post("/tokens", body, expect=201).json()


def parts_of(upload):
    """How many parts an upload has."""
    return -(-upload["size"] // upload["part_size"])


def check_answer(method, response):
    """What holds for every answer, and what the contract says of this one."""
    request_id = response.headers.get("X-Request-Id")
    assert request_id, f"{method} {response.url}: no X-Request-Id"
    contract().check(method, response.url, response.status_code, response.headers,
                     response.json)
    if response.status_code >= 400 and method != "HEAD":
        body = response.json()
        assert body["status"] == response.status_code
        assert body["instance"] == request_id


def problem(response, status, slug, field=None):
    """Asserts that the answer is this problem, and returns its JSON."""
    assert response.status_code == status, (
        f"{response.status_code} instead of {status} {slug}: {response.text[:1000]}")
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body["type"] == SLUG + slug, body
    assert body["status"] == status and body["title"] and body["detail"], body
    assert body["instance"] == response.headers["X-Request-Id"]
    if field is not None:
        assert body.get("field") == field, body
    return body
