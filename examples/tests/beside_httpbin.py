"""Asks the real httpbin and the one at the given address the same, and compares.

python3 beside_httpbin.py http://127.0.0.1:PORT

Compared are the status, the media type, the fields that matter, and of JSON the shape:
names and types, and the values that both must know.
"""

import http.client
import json
import sys
import threading
from urllib.parse import urlsplit

from httpbin import app
from werkzeug.serving import WSGIRequestHandler, make_server

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=xx"}
PARTS = (
    b'--xx\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    b'--xx\r\nContent-Disposition: form-data; name="f"; filename="x.bin"\r\n'
    b"Content-Type: image/png\r\n\r\n\xff\xfe\r\n--xx--\r\n"
)
BASIC = {"Authorization": "Basic dXNlcjpwYXNz"}

# What is asked: method and target, then headers and body where there are any.
CASES = [
    ("GET", "/get?a=1&a=2&b=%C3%A4"),
    ("HEAD", "/get"),
    ("POST", "/get"),
    ("POST", "/post", FORM, b"a=1&b=2&b=3"),
    ("POST", "/post", JSON, b'{"a": [1, null]}'),
    ("POST", "/post", MULTIPART, PARTS),
    ("POST", "/post", {"Content-Type": "text/plain"}, b"text"),
    ("POST", "/post", {}, b"\xff\x00"),
    ("PUT", "/put", FORM, b"a=1"),
    ("PATCH", "/patch", {}, b"x"),
    ("DELETE", "/delete?a=b"),
    ("GET", "/anything"),
    ("PUT", "/anything/deep/down?x=y", JSON, b"[]"),
    ("GET", "/headers", {"X-Twice": "a", "Accept": "*/*"}),
    ("GET", "/ip"),
    ("GET", "/user-agent", {"User-Agent": "me"}),
    ("GET", "/status/204"),
    ("GET", "/status/302"),
    ("GET", "/status/401"),
    ("GET", "/status/404"),
    ("POST", "/status/418"),
    ("GET", "/status/503"),
    ("GET", "/status/abc"),
    ("GET", "/response-headers?X-A=1&X-A=2&X-B=3"),
    ("POST", "/response-headers?X-A=1"),
    ("GET", "/redirect/1"),
    ("GET", "/redirect/3"),
    ("GET", "/redirect/3?absolute=true"),
    ("GET", "/relative-redirect/2"),
    ("GET", "/relative-redirect/1"),
    ("GET", "/absolute-redirect/2"),
    ("GET", "/redirect-to?url=/get"),
    ("GET", "/redirect-to?url=http%3A%2F%2Fexample.com%2F&status_code=307"),
    ("GET", "/redirect-to?URL=/get&Status_Code=200"),
    ("GET", "/cookies", {"Cookie": "a=1; b=2"}),
    ("GET", "/cookies/set?a=1&b=2"),
    ("GET", "/cookies/set/a/1"),
    ("GET", "/cookies/delete?a="),
    ("GET", "/basic-auth/user/pass"),
    ("GET", "/basic-auth/user/pass", BASIC),
    ("GET", "/basic-auth/user/other", BASIC),
    ("GET", "/hidden-basic-auth/user/pass"),
    ("GET", "/hidden-basic-auth/user/pass", BASIC),
    ("GET", "/bearer"),
    ("GET", "/bearer", {"Authorization": "Bearer abc"}),
    ("GET", "/digest-auth/auth/user/pass"),
    ("GET", "/digest-auth/auth-int/user/pass/SHA-256"),
    ("GET", "/digest-auth/auth/user/pass/SHA-512/1"),
    ("GET", "/gzip"),
    ("GET", "/deflate"),
    ("GET", "/brotli"),
    ("GET", "/encoding/utf8"),
    ("GET", "/stream/3"),
    ("GET", "/stream-bytes/100?chunk_size=10&seed=1"),
    ("GET", "/bytes/100?seed=1"),
    ("GET", "/bytes/0"),
    ("GET", "/delay/0"),
    ("POST", "/delay/0.1", FORM, b"a=1"),
    ("GET", "/drip?numbytes=5&duration=0.1&delay=0&code=206"),
    ("GET", "/drip?numbytes=0"),
    ("GET", "/range/26"),
    ("GET", "/range/26", {"Range": "bytes=3-7"}),
    ("GET", "/range/26", {"Range": "bytes=-4"}),
    ("GET", "/range/26", {"Range": "bytes=20-"}),
    ("GET", "/range/26", {"Range": "bytes=30-40"}),
    ("GET", "/range/0"),
    ("GET", "/cache"),
    ("GET", "/cache", {"If-None-Match": "x"}),
    ("GET", "/cache/60"),
    ("GET", "/etag/abc"),
    ("GET", "/etag/abc", {"If-None-Match": '"abc"'}),
    ("GET", "/etag/abc", {"If-None-Match": 'W/"x", "abc"'}),
    ("GET", "/etag/abc", {"If-Match": '"x"'}),
    ("GET", "/etag/abc", {"If-Match": "*"}),
    ("GET", "/base64/SGVsbG8="),
    ("GET", "/base64/SGVsbG8"),
    ("GET", "/uuid"),
    ("GET", "/links/3/1"),
    ("GET", "/links/3"),
    ("GET", "/image", {"Accept": "image/jpeg"}),
    ("GET", "/image", {"Accept": "image/*"}),
    ("GET", "/image", {"Accept": "text/plain"}),
    ("GET", "/image/png"),
    ("GET", "/image/jpeg"),
    ("GET", "/image/webp"),
    ("GET", "/image/svg"),
    ("GET", "/html"),
    ("GET", "/xml"),
    ("GET", "/json"),
    ("GET", "/robots.txt"),
    ("GET", "/deny"),
    ("GET", "/forms/post"),
    ("GET", "/no-such-thing"),
]

# What differs, and why that is right.
DIFFERS = {
    # Errors have a body that says what happened.
    ("/status/abc", "type"),
    ("/no-such-thing", "type"),
    ("/basic-auth/user/pass", "type"),
    ("/basic-auth/user/other", "type"),
    ("/hidden-basic-auth/user/pass", "type"),
    ("/bearer", "type"),
    ("/get", "type"),
    ("/drip?numbytes=0", "type"),
    # An answer without a body has no media type.
    ("/status/204", "type"),
    ("/status/302", "type"),
    ("/status/401", "type"),
    ("/status/404", "type"),
    ("/status/503", "type"),
    ("/cache", "type"),
    ("/etag/abc", "type"),
    ("/digest-auth/auth/user/pass", "type"),
    ("/digest-auth/auth-int/user/pass/SHA-256", "type"),
    ("/digest-auth/auth/user/pass/SHA-512/1", "type"),
    ("/range/26", "type"),
    # The teapot is text here, as it should be; the 404 of a range, too.
    ("/status/418", "type"),
    ("/range/0", "type"),
    ("/base64/SGVsbG8=", "type"),
    ("/base64/SGVsbG8", "type"),
}
# Redirects have no page; their address is what counts.
REDIRECTS = range(301, 309)

# Fields whose presence has to be the same, and those whose value has to be.
PRESENT = ["etag", "last-modified", "www-authenticate", "set-cookie", "x-more-info", "allow"]
EQUAL = [
    "location", "content-range", "accept-ranges", "cache-control", "content-encoding", "x-a", "x-b",
    "access-control-allow-origin", "access-control-allow-credentials",
]
# Told of the connection or of the server itself.
OWN = {"Server", "Date", "Connection", "Host", "Content-Length", "origin", "url"}


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


def ask(base, method, target, headers=(), body=None):
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=30)
    connection.request(method, target, body, dict(headers))
    answer = connection.getresponse()
    content = answer.read()
    fields = {name: value.replace(base, "") for name, value in answer.getheaders()}
    connection.close()
    return answer.status, {name.lower(): value for name, value in fields.items()}, content


def shape(value, key=None):
    """Names and types, and the values that do not depend on the server."""
    if isinstance(value, dict):
        known = {name: shape(inner, name) for name, inner in value.items() if name not in OWN}
        return known
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return "…" if key in ("uuid", "X-Request-Id") else value


def documents(content):
    """One JSON document, or one a line."""
    try:
        return [json.loads(content)]
    except ValueError:
        return [json.loads(line) for line in content.splitlines()]


def differences(case, real, ours):
    (status, fields, content), (own_status, own_fields, own_content) = real, ours
    target = case[1]
    if status != own_status:
        yield "status", status, own_status
        return
    kind = fields.get("content-type", "").split(";")[0]
    own_kind = own_fields.get("content-type", "").split(";")[0]
    if kind != own_kind and status not in REDIRECTS and (target, "type") not in DIFFERS:
        yield "type", kind, own_kind
    for name in PRESENT:
        if (name in fields) != (name in own_fields):
            yield name, fields.get(name), own_fields.get(name)
    for name in EQUAL:
        if fields.get(name) != own_fields.get(name):
            yield name, fields.get(name), own_fields.get(name)
    if kind == own_kind == "application/json" and "content-encoding" not in fields and content:
        there, here = map(shape, documents(content)), map(shape, documents(own_content))
        there, here = list(there), list(here)
        if there != here:
            yield "json", there, here
    if target.startswith(("/range/", "/drip", "/base64", "/links/")) and status in (200, 206):
        if content != own_content:
            yield "body", content, own_content


def main():
    squall = sys.argv[1]
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    real = f"http://127.0.0.1:{server.server_port}"
    found = 0
    for case in CASES:
        for what, there, here in differences(case, ask(real, *case), ask(squall, *case)):
            found += 1
            print(f"{case[0]} {case[1]}: {what}: httpbin {there!r}, squall {here!r}")
    server.shutdown()
    print(f"{len(CASES)} requests, {found} differences")
    sys.exit(1 if found else 0)


main()
