# SPDX-License-Identifier: Apache-2.0
"""docs/openapi.yaml as a judge: every answer that the API client gets is held to it.

An answer fails when its operation does not document the status, the media type or a
header, when its JSON does not fit the schema, or when it has a member that the schema
does not name.
"""
import functools
import pathlib
import re
import urllib.parse

import jsonschema
import yaml
from referencing import Registry
from referencing.jsonschema import DRAFT202012

ROOT = pathlib.Path(__file__).resolve().parents[3]
FILE = ROOT / "docs" / "openapi.yaml"
METHODS = ("get", "put", "post", "patch", "delete")
# What the dispatcher answers before a route's own rules; covered by `default`.
DISPATCHER = (400, 413, 414, 422, 431)

FORMATS = jsonschema.FormatChecker(formats=["uuid"])
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")
# Words in a header's description that say that it is not always there.
CONDITIONS = ("when it is", "Not sent")


@FORMATS.checks("date-time")
def _is_time(value):
    return not isinstance(value, str) or TIME.fullmatch(value) is not None


# Keywords whose value holds schemas: one, a list, or a map of them.
ONE = ("items", "additionalProperties", "not", "contains")
LISTS = ("allOf", "anyOf", "oneOf")
MAPS = ("properties",)
SHAPES = ("$ref", "properties", *LISTS)


def _close(schema, part=False):
    """Forbids members that no schema names. `part`: inside allOf and its like, where
    the schema around it is the one to close."""
    if not isinstance(schema, dict):
        return schema
    closed = dict(schema)
    for key in ONE:
        if key in schema:
            closed[key] = _close(schema[key])
    for key in LISTS:
        if key in schema:
            closed[key] = [_close(entry, part=True) for entry in schema[key]]
    for key in MAPS:
        if key in schema:
            closed[key] = {name: _close(entry) for name, entry in schema[key].items()}
    if (not part and "additionalProperties" not in schema
            and any(key in schema for key in SHAPES)):
        closed["unevaluatedProperties"] = False
    return closed


class Contract:
    """The parsed file, with what tests ask of it."""

    def __init__(self, path=FILE):
        self.document = yaml.safe_load(path.read_text(encoding="utf-8"))
        schemas = self.document["components"]["schemas"]
        closed = {"components": {"schemas": {
            name: _close(schema, part=True) for name, schema in schemas.items()}}}
        self.registry = Registry().with_resource(
            "urn:openapi", DRAFT202012.create_resource(closed))
        self.routes = []
        for pattern, item in self.document["paths"].items():
            for method in METHODS:
                if method in item:
                    self.routes.append((method.upper(), pattern, item[method]))

    @functools.cached_property
    def patterns(self):
        """[(regular expression, pattern)], the most literal first."""
        compiled = []
        for pattern in self.document["paths"]:
            text = re.sub(r"\\{(\w+)\\}", r"[^/]+", re.escape(pattern))
            if pattern.endswith(("/{path}", "/{tensor}")):
                text = text[:-len("[^/]+")] + ".+"
            compiled.append((pattern.count("{"), re.compile(text), pattern))
        compiled.sort(key=lambda entry: entry[0])
        return [(expression, pattern) for _, expression, pattern in compiled]

    def find(self, method, url):
        """(pattern, operation) for a request; operation None: no such method; (None,
        None): no such path."""
        path = urllib.parse.urlsplit(url).path
        method = "GET" if method == "HEAD" else method
        for expression, pattern in self.patterns:
            if expression.fullmatch(path):
                return pattern, self.document["paths"][pattern].get(method.lower())
        return None, None

    def resolve(self, node):
        while "$ref" in node:
            target = self.document
            for key in node["$ref"].removeprefix("#/").split("/"):
                target = target[key.replace("~1", "/").replace("~0", "~")]
            node = target
        return node

    def validate(self, schema, value):
        """Raises jsonschema.ValidationError when the value does not fit."""
        schema = _close(_absolute(schema))
        validator = jsonschema.Draft202012Validator(
            schema, registry=self.registry, format_checker=FORMATS)
        error = jsonschema.exceptions.best_match(validator.iter_errors(value))
        if error is not None:
            raise error

    def check(self, method, url, status, headers, body_json):
        """Holds an answer to the contract; `body_json` parses the body when asked."""
        pattern, operation = self.find(method, url)
        what = f"{method} {pattern or url} -> {status}"
        assert status != 500, f"{what}: an internal error"
        responses = operation["responses"] if operation else {}
        documented = responses.get(str(status))
        if documented is None:
            expected = DISPATCHER if operation else (405,) if pattern else (404,)
            assert status in expected, f"{what} is not in docs/openapi.yaml"
            documented = {"$ref": "#/components/responses/Problem"}
        documented = self.resolve(documented)
        if method != "HEAD":
            self._check_body(what, documented, headers, body_json)
        self._check_headers(what, documented, headers)

    def _check_body(self, what, documented, headers, body_json):
        content = documented.get("content")
        media = headers.get("Content-Type", "").partition(";")[0].strip()
        if not content:
            assert media == "", f"{what}: {media} where no body is documented"
            return
        if set(content) & {"application/octet-stream", "multipart/byteranges"}:
            assert media and media != "text/html", f"{what}: Content-Type {media!r}"
            return
        assert media in content, f"{what}: {media!r} is not in {list(content)}"
        if media.endswith("json"):
            self.validate(content[media]["schema"], body_json())

    def _check_headers(self, what, documented, headers):
        for name, header in documented.get("headers", {}).items():
            header = self.resolve(header)
            if name not in headers:
                description = header.get("description", "")
                assert any(word in description for word in CONDITIONS), (
                    f"{what}: {name} is missing")
                continue
            schema = header.get("schema", {})
            value = headers[name]
            if schema.get("type") == "integer":
                value = int(value)
            self.validate(schema, value)


def _absolute(schema):
    """Makes references point into the registry's copy of the file."""
    if isinstance(schema, dict):
        return {
            key: f"urn:openapi{value}" if key == "$ref" else _absolute(value)
            for key, value in schema.items()
        }
    if isinstance(schema, list):
        return [_absolute(entry) for entry in schema]
    return schema


@functools.cache
def contract():
    return Contract()
