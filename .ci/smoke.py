"""The main job on real input: starts the demo, asks each kind of route once.

python3 .ci/smoke.py target/release/squall
"""

import json
import re
import signal
import subprocess
import sys
import urllib.request


def main():
    demo = subprocess.Popen(
        [sys.argv[1], "demo", "--listen", "127.0.0.1:0", "--lanes", "2", "--job", "sleep 0.2"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = demo.stdout.readline()
        base = re.fullmatch(r"squall listening on (http://\S+)\n", line).group(1)
        get = lambda path: urllib.request.urlopen(base + path, timeout=20).read()
        assert get("/plaintext") == b"It works"
        assert get("/sync") == b"It works"
        assert json.loads(get("/async/task"))["status"] == 0
        assert json.loads(get("/client/response"))["code"] == 200
        assert json.loads(get("/forward/anything/a?b=c"))["query"] == "b=c"
        assert b"<html" in get("/console/").lower()
        stats = json.loads(get("/stats"))
        assert len(stats["lanes"]) == 2 and stats["handoffs"] >= 1, stats
    finally:
        demo.send_signal(signal.SIGTERM)
    assert demo.wait(timeout=15) == 0, "the demo did not end cleanly"
    print("the demo answers and ends cleanly")


main()
