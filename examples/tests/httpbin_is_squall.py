"""A pytest plugin: the `httpbin` that tests ask is the server at SQUALL_URL.

Only the plain one: `httpbin_secure` stays what it was.
"""

import os

import pytest


class Server:
    def __init__(self, url):
        self.url = url


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef, request):
    if fixturedef.argname != "httpbin" or fixturedef.scope != "session":
        return None
    server = Server(os.environ["SQUALL_URL"])
    fixturedef.cached_result = (server, fixturedef.cache_key(request), None)
    return server
