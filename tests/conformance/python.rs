//! Python's HTTP clients: its own, requests and httpx; and Tornado's signed cookies.

use squall::testing::TestServer;
use squall::{Application, Keys, SetCookie, SignedCookies};

use super::{program, run, server};

/// Runs a program whose client is the module, with `BASE`, `noise` and `chunks()` at hand.
fn python(module: &str, script: &str) {
    let Some(mut probe) = program("python3", &["--version"]) else {
        return;
    };
    probe.args(["-c", &format!("import {module}")]);
    if !run(probe, b"").status.success() {
        eprintln!("skipped: python3 has no module {module}");
        return;
    }
    let Some(mut python) = program("python3", &["--version"]) else {
        return;
    };
    let server = server();
    let prelude = format!(
        "import {module}\nBASE = 'http://{}'\n{PRELUDE}",
        server.address()
    );
    python.args(["-c", &format!("{prelude}{script}")]);
    let done = run(python, b"");
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{errors}");
}

const PRELUDE: &str = r"
import random
noise = random.Random(1).randbytes(1_000_000)
stream = b''.join(bytes([i]) * 1000 for i in range(100))
def chunks():
    for at in range(0, len(noise), 7001):
        yield noise[at:at + 7001]
";

#[test]
fn requests_gets_what_it_asks_for() {
    python(
        "requests",
        r"
session = requests.Session()
session.trust_env = False
session.request = __import__('functools').partial(session.request, timeout=60)
for _ in range(5):
    assert session.get(BASE + '/plaintext').text == 'It works'
assert session.get(BASE + '/json').json() == {'greeting': 'grüße'}
assert session.get(BASE + '/stream').content == stream
assert session.head(BASE + '/plaintext').headers['content-length'] == '8'
pools = session.get_adapter(BASE).poolmanager.pools
made = [pools[key].num_connections for key in pools.keys()]
assert made == [1], made

assert session.post(BASE + '/echo', data=chunks()).content == noise
assert session.put(BASE + '/echo', data=noise).content == noise
seen = session.patch(BASE + '/seen', params={'k': 'ä b'}, data=noise).json()
assert seen == {'method': 'PATCH', 'path': '/seen', 'query': 'k=%C3%A4+b', 'length': len(noise)}, seen

files = {'file': ('ümg.png', noise, 'image/png')}
parts = session.post(BASE + '/upload', data={'title': 'grüße'}, files=files).json()
assert parts[0][:4] == ['title', None, None, 7], parts
assert parts[1] == ['file', 'ümg.png', 'image/png', len(noise), sum(noise)], parts

answer = session.post(BASE + '/plaintext', data=b'')
assert (answer.status_code, answer.headers['allow']) == (405, 'GET, HEAD, OPTIONS')
assert session.post(BASE + '/upload', json={}).status_code == 415
",
    );
}

#[test]
fn httpx_gets_what_it_asks_for() {
    python(
        "httpx",
        r"
with httpx.Client(base_url=BASE, trust_env=False, timeout=60) as client:
    ports = set()
    for _ in range(5):
        answer = client.get('/plaintext')
        assert (answer.text, answer.http_version) == ('It works', 'HTTP/1.1')
        ports.add(answer.extensions['network_stream'].get_extra_info('client_addr'))
    assert len(ports) == 1, ports
    assert client.get('/json').json() == {'greeting': 'grüße'}
    with client.stream('GET', '/stream') as answer:
        assert b''.join(answer.iter_raw()) == stream
    assert client.post('/echo', content=chunks()).content == noise
    files = {'file': ('ümg.png', noise, 'image/png')}
    parts = client.post('/upload', data={'title': 'grüße'}, files=files).json()
    assert parts[1] == ['file', 'ümg.png', 'image/png', len(noise), sum(noise)], parts
    assert client.request('DELETE', '/upload').status_code == 405

import asyncio
async def at_once():
    async with httpx.AsyncClient(base_url=BASE, trust_env=False, timeout=60) as client:
        answers = await asyncio.gather(*(client.post('/echo', content=noise[:n]) for n in range(50)))
        assert [len(answer.content) for answer in answers] == list(range(50))
asyncio.run(at_once())
",
    );
}

#[test]
fn the_standard_library_gets_what_it_asks_for() {
    python(
        "http.client",
        r"
import http.client, json
host = BASE.removeprefix('http://')
connection = http.client.HTTPConnection(host, timeout=60)
connection.connect()
socket = connection.sock
for _ in range(3):
    connection.request('GET', '/plaintext')
    assert connection.getresponse().read() == b'It works'
connection.request('POST', '/seen', body=chunks(), encode_chunked=True, headers={'Transfer-Encoding': 'chunked'})
assert json.load(connection.getresponse())['length'] == len(noise)
connection.request('GET', '/stream')
assert connection.getresponse().read() == stream
assert connection.sock is socket
",
    );
}

/// What a program with Tornado at hand prints. `None` where there is no Tornado.
fn tornado(script: &str, arguments: &[&str]) -> Option<String> {
    let mut probe = program("python3", &["--version"])?;
    probe.args(["-c", "import tornado.web"]);
    if !run(probe, b"").status.success() {
        eprintln!("skipped: python3 has no module tornado");
        return None;
    }
    let mut python = program("python3", &["--version"])?;
    python.args(["-c", script]).args(arguments);
    let done = run(python, b"");
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{errors}");
    Some(String::from_utf8(done.stdout).expect("text"))
}

#[test]
fn tornado_reads_our_signed_cookies_and_we_read_its() {
    const SECRET: &str = "a secret that both sides know";
    const SIGN: &str = r"
import sys
from tornado.web import create_signed_value
print(create_signed_value(sys.argv[1], 'user', 'grüße; all', version=2).decode(), end='')
";
    let Some(theirs) = tornado(SIGN, &[SECRET]) else {
        return;
    };
    let swap = async |mut cookies: SignedCookies| {
        let seen = cookies.get("user");
        cookies.set(SetCookie::new("answer", "ein Tag; über 7"))?;
        Ok::<_, squall::Error>((cookies, seen))
    };
    let keys = Keys::new(SECRET).expect("it is long enough");
    let server = TestServer::start(Application::new().keys(keys).route("/", swap));
    let cookie = format!("user={theirs}");
    let answer = server.send("GET", "/", &[("Cookie", &cookie)], b"");
    assert_eq!(answer.text(), "grüße; all");
    let ours = answer.header("set-cookie").unwrap_or_default();
    let ours = ours.split("; ").next().unwrap_or_default();
    const VERIFY: &str = r"
import sys
from tornado.web import decode_signed_value, get_signature_key_version
secret, value = sys.argv[1:]
assert get_signature_key_version(value) == 0
assert decode_signed_value(secret, 'answer', value, min_version=2) == 'ein Tag; über 7'.encode(), value
assert decode_signed_value(secret, 'other', value) is None
assert decode_signed_value(secret + '!', 'answer', value) is None
";
    let ours = ours.strip_prefix("answer=").expect("the cookie");
    tornado(VERIFY, &[SECRET, ours]);
}
