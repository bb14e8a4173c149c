"""Signs the requests of schemathesis and checks that other users get nothing."""

import hashlib
import hmac
import json
import os
import re
import secrets
import time
import uuid
from base64 import urlsafe_b64decode

import requests
import schemathesis
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter

SECRET = urlsafe_b64decode(os.environ["AIRLOCK_FUZZ_SECRET"] + "=")
ALICE, BOB = (f"Bearer {os.environ[name]}" for name in ("AIRLOCK_FUZZ_ALICE", "AIRLOCK_FUZZ_BOB"))

# Credentials come with this for a signature. Where a check has put something else there, or nothing, the
# request goes out as it is: whether that is refused is what the check wants to know.
UNSIGNED = "signed-when-sent"
SIGNED_HEADERS = ("Idempotency-Key", "If-Match", "If-None-Match")


def sign(request):
    """Signs a request as it will be sent, with a fresh nonce (App Guard v1, docs/protocol.md)."""
    headers = request.headers
    headers["X-App-Timestamp"] = str(int(time.time()))
    headers["X-App-Nonce"] = secrets.token_urlsafe(16)
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    body = request.body or b""
    lines = [
        "v1",
        headers["X-App-Id"],
        headers["X-App-Timestamp"],
        headers["X-App-Nonce"],
        request.method,
        request.path_url,
        sha256(token) if scheme.lower() == "bearer" else "-",
        sha256(body),
        # On the way they lose white space at both ends, and the platform drops an empty one.
        *(headers.get(name, "").strip() or "-" for name in SIGNED_HEADERS),
    ]
    mac = hmac.new(SECRET, "\n".join(lines).encode(), hashlib.sha256)
    headers["X-App-Signature"] = f"v1={mac.hexdigest()}"


def sha256(data):
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def send_signed(adapter, request, *args, **kwargs):
    if request.headers.get("X-App-Signature") == UNSIGNED:
        sign(request)
    return send(adapter, request, *args, **kwargs)


# Requests of the phases and those that checks make for themselves all pass here, as the bytes they are sent as.
send = HTTPAdapter.send
HTTPAdapter.send = send_signed


@schemathesis.hook
def before_call(context, case, kwargs):
    """A key is for one note: under another body the same one would be refused, rightly."""
    if re.fullmatch(r"[A-Za-z0-9_-]{8,64}", str(case.headers.get("Idempotency-Key", ""))):
        case.headers["Idempotency-Key"] = secrets.token_urlsafe(16)


def given(name):
    """What tools/fuzz-api.ts has put into the database."""
    return os.environ[f"AIRLOCK_FUZZ_{name}"].split()


# What no schema can say: the generator for headers knows no quotation mark, without which there is no entity tag,
# a cursor is one that the list has given, and chance finds no organisation, no published note and no token.
ORGS, MEMBERS, PUBLISHED, TOKENS = (given(name) for name in ("ORGS", "MEMBERS", "PUBLISHED", "TOKENS"))
TAG = st.sampled_from(['"1"', 'W/"1"', '"2"', '"3"', '"4"', '"x"', '""'])
FORMATS = {
    "IfMatch": ("entity-tag", st.just("*") | TAG),
    "IfNoneMatch": ("entity-tags", st.just("*") | st.lists(TAG, min_size=1, max_size=3).map(", ".join)),
}
PATH_FORMATS = {
    "org_id": ("org-id", st.sampled_from(ORGS)),
    "user_id": ("user-id", st.sampled_from(MEMBERS)),
    "id": ("id", st.uuids().map(str)),
}
PUBLISHED_ID = ("published-id", st.sampled_from(PUBLISHED))
for name, strategy in (*FORMATS.values(), *PATH_FORMATS.values(), PUBLISHED_ID):
    schemathesis.openapi.format(name, strategy)
schemathesis.openapi.format("invitation-token", st.sampled_from(TOKENS))
CURSORS = json.loads(os.environ["AIRLOCK_FUZZ_CURSORS"])
for name, cursor in CURSORS.items():
    schemathesis.openapi.format(f"{name}-cursor", st.just(cursor))


@schemathesis.hook
def before_load_schema(context, raw_schema):
    components = raw_schema["components"]
    parameters = components["parameters"]
    for parameter, (name, _) in FORMATS.items():
        parameters[parameter]["schema"]["format"] = name
    components["schemas"]["InvitationToken"]["format"] = "invitation-token"
    body = components["requestBodies"]["TokenDraft"]["content"]["application/json"]
    body["examples"]["token"]["value"]["token"] = TOKENS[0]

    # Each path has an organisation of its own for its examples: one of them is about its deletion.
    paths = raw_schema["paths"]
    for path, org in zip([path for path in paths if "{org_id}" in path], ORGS):
        examples = {"org_id": org, "user_id": MEMBERS[0], "id": org}
        named = [parameters[parameter["$ref"].split("/")[-1]] for parameter in paths[path]["parameters"]]
        ids = [(parameter, PATH_FORMATS[parameter["name"]], examples[parameter["name"]]) for parameter in named]
        paths[path]["parameters"] = [known(*id) for id in ids]
    paths["/v1/public/notes/{id}"]["parameters"] = [known(parameters["RowId"], PUBLISHED_ID, PUBLISHED[0])]

    # A cursor is of one list.
    for path, item in paths.items():
        name = path.split("/")[-1]
        for number, parameter in enumerate(item.get("get", {}).get("parameters", [])):
            if parameter.get("$ref", "").endswith("/Cursor"):
                item["get"]["parameters"][number] = known(parameters["Cursor"], (f"{name}-cursor",), CURSORS[name])

    # An example goes into many requests, and few notes are at the document's version 3.
    parameters["IfMatch"]["example"] = "*"


def known(parameter, format, example):
    """A parameter with values that are there."""
    return {**parameter, "schema": {"type": "string", "format": format[0]}, "example": example}


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Half of the time what is asked for in an organisation is in it: there, a note and an invitation have its id."""
    if isinstance(path_parameters, dict):
        org, inside = path_parameters.get("org_id"), path_parameters.get("id")
        if org in ORGS and str(inside)[-1:] in "01234567":
            path_parameters["id"] = org
    return path_parameters


@schemathesis.hook
def filter_case(context, case):
    """Leaves out what the document cannot express, and docs/protocol.md says."""
    # The platform drops an empty header before the Worker can refuse it.
    empty = any(not case.headers.get(name, "-").strip() for name in SIGNED_HEADERS)
    # PUT takes either condition, not both.
    both = case.method == "PUT" and {"If-Match", "If-None-Match"} <= {*case.headers}
    # A title, or a name, is counted when it is trimmed.
    texts = [case.body.get(name) for name in ("title", "name")] if isinstance(case.body, dict) else []
    padded = any(isinstance(text, str) and len(text) > 200 and text != text.strip() for text in texts)
    return not (empty or both or padded)


def problem(response):
    """The code of a problem, or None."""
    try:
        return response.json().get("code")
    except (AttributeError, ValueError):
        return None


@schemathesis.check
def signature_is_accepted(ctx, response, case):
    """Otherwise the run would test the app signature alone."""
    headers = response.request.headers
    signable = all(headers.get(name, "") != "-" and headers.get(name, "").isascii() for name in SIGNED_HEADERS)
    if headers.get("X-App-Signature", "").startswith("v1=") and signable:
        assert problem(response) != "app_guard_rejected", "a well signed request was refused"


def visible(response):
    """All of an answer but what differs every time."""
    headers = {name: value for name, value in response.headers.items() if name.lower() not in ("x-request-id", "date")}
    body = response.text
    if name := response.headers.get("X-Request-Id"):
        body = body.replace(name, "-")
    return response.status_code, headers, body


@schemathesis.check
class BobGetsWhatAMissingIdGets:
    """What alice did to a note or an organisation of hers, bob tries too: he gets what an id gets that never was, and
    changes nothing.

    The check object_level_authorization asks this of reading alone.
    """

    def __init__(self):
        self.session = requests.Session()

    def after_response(self, ctx, response, case):
        request = response.request
        path = case.path_parameters or {}
        org, note = path.get("org_id"), path.get("id")
        # A condition that does not hold is told to the owner alone, so 412 is about something of hers, too.
        hers = response.status_code < 400 or response.status_code == 412
        published = case.path.startswith("/v1/public/")
        if (org or note) is None or published or not hers or request.headers.get("Authorization") != ALICE:
            return

        before = self.read_as_alice(request, org, note)
        as_bob = self.send_as_bob(request, org or note, org or note)
        if org is None and request.method == "PUT" and not request.headers.get("If-Match"):
            # It would create what is missing, so here the answer is that the id is taken.
            assert (as_bob.status_code, problem(as_bob)) == (409, "conflict"), f"PUT as bob: {as_bob.status_code}"
        else:
            missing = self.send_as_bob(request, org or note, str(uuid.uuid4()))
            assert missing.status_code == 404, f"{request.method} of a missing id: {missing.status_code}"
            assert visible(as_bob) == visible(missing), f"{request.method} as bob: {as_bob.status_code} {as_bob.text}"
        after = self.read_as_alice(request, org, note)
        assert before == after, f"{request.method} as bob has changed something of alice's"

    def send_as_bob(self, request, mine, other):
        copy = request.copy()
        # The first one: what is in an organisation may have its id.
        copy.url = request.url.replace(mine, other, 1)
        copy.headers.update({"Authorization": BOB, "X-App-Signature": UNSIGNED})
        return self.session.send(copy, timeout=90)

    def read_as_alice(self, request, org, note):
        """The organisation, whose version rises with all that happens to its members, and the note."""
        proofs = {"Authorization": ALICE, "X-App-Id": request.headers["X-App-Id"], "X-App-Signature": UNSIGNED}
        parts = request.url.split("/")
        ends = [parts.index(name) + 2 for name in ("orgs", "notes") if name in parts]
        urls = ["/".join(parts[:end]) for end in ends if len(parts) >= end]
        return [visible(self.session.get(url, headers=proofs, timeout=90)) for url in urls]
