"""Tornado with N processes, the routes of the other peers.

python tornado_peer.py [--listen 127.0.0.1:0] [--lanes N]
"""

import argparse
import asyncio
import os
import subprocess
import threading
import time
import urllib.request

import tornado.httpserver
import tornado.netutil
import tornado.process
import tornado.web

ONE = threading.Lock()
OWN = []


class Text(tornado.web.RequestHandler):
    def compute_etag(self):
        return None  # the other peers make none

    def text(self, body):
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(body)


class Plaintext(Text):
    def get(self):
        self.text("It works")


class Block(Text):
    def get(self, ms):
        time.sleep(int(ms) / 1000)
        self.text("blocked")


class Spin(Text):
    def get(self, ms):
        end = time.monotonic() + int(ms) / 1000
        while time.monotonic() < end:
            pass
        self.text("spun")


class Lock(Text):
    def get(self, ms):
        with ONE:
            time.sleep(int(ms) / 1000)
        self.text("unlocked")


class Sync(Text):
    def get(self):
        try:
            subprocess.run(["ping", "-c", "2", "127.0.0.1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except FileNotFoundError:
            subprocess.run(["sleep", "1"])
        self.text("It works")


class ClientSync(Text):
    def get(self):
        with urllib.request.urlopen(OWN[0] + "/plaintext") as answer:
            self.text(answer.read().decode())


async def serve(sockets, parent):
    application = tornado.web.Application(
        [
            (r"/plaintext", Plaintext),
            (r"/block/(\d+)", Block),
            (r"/spin/(\d+)", Spin),
            (r"/lock/(\d+)", Lock),
            (r"/sync", Sync),
            (r"/client/sync", ClientSync),
        ],
        log_function=lambda handler: None,
    )
    tornado.httpserver.HTTPServer(application).add_sockets(sockets)
    # A process that was forked ends with the one that forked it, however that ended.
    while parent is None or os.getppid() == parent:
        await asyncio.sleep(1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", default="127.0.0.1:0")
    parser.add_argument("--lanes", type=int, default=2)
    options = parser.parse_args()
    host, port = options.listen.rsplit(":", 1)
    sockets = tornado.netutil.bind_sockets(int(port), host, backlog=1024)
    port = sockets[0].getsockname()[1]
    OWN.append(f"http://{host}:{port}")
    print(f"tornado listening on http://{host}:{port}", flush=True)
    parent = None
    if options.lanes > 1:
        parent = os.getpid()
        # One process per lane: the interpreter's lock allows no other way.
        tornado.process.fork_processes(options.lanes)
    asyncio.run(serve(sockets, parent))


main()
