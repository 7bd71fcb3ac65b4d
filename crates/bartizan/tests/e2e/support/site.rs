//! What is there to be reached? An https site on the host, with a git repository to clone and to push to.

use super::project::Project;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The site, on a loopback address that no program takes for its own machine.
#[derive(Debug)]
pub(crate) struct Site {
    child: Child,
    folder: PathBuf,
    port: u16,
}

const HOST: &str = "127.0.0.2";

impl Site {
    /// Starts it; its certificate and repository lie beside the project, outside the workspace.
    pub(crate) fn start(project: &Project) -> Self {
        let folder = project.home().join("site");
        std::fs::create_dir_all(&folder).unwrap();
        let script = format!(
            "set -e; \
             openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out site.pem -days 2 \
               -subj /CN=site -addext subjectAltName=IP:{HOST} -addext basicConstraints=critical,CA:false; \
             git init -q --bare shop.git; git -C shop.git config http.receivepack true; \
             git init -q -b main seed; cd seed; echo one > one.txt; git add .; \
             git -c user.name=a -c user.email=a@b commit -q -m one; git push -q ../shop.git main; \
             git -C ../shop.git symbolic-ref HEAD refs/heads/main"
        );
        let made = command("bash").args(["-c", &script]).current_dir(&folder).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let mut child = command("python3")
            .args(["-u", "-c", PROGRAM])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, folder, port: line.trim().parse().unwrap() }
    }

    /// `host:port`.
    pub(crate) fn target(&self) -> String {
        format!("{HOST}:{}", self.port)
    }

    /// The certificate that the person's own programs would have to believe.
    pub(crate) fn certificate(&self) -> String {
        self.folder.join("site.pem").to_str().unwrap().to_owned()
    }

    /// The request lines that arrived.
    pub(crate) fn arrived(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.folder.join("arrived.log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// Their bodies, as far as they arrived; each on a line of its own.
    pub(crate) fn bodies(&self) -> Vec<String> {
        let log = std::fs::read(self.folder.join("bodies.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).lines().map(str::to_owned).collect()
    }

    /// What a branch of the repository is at.
    pub(crate) fn head(&self, branch: &str) -> Option<String> {
        let head = self.folder.join("shop.git/refs/heads").join(branch);
        std::fs::read_to_string(head).ok()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // It has ended already when the test went wrong early.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn command(program: &str) -> Command {
    #[expect(clippy::disallowed_methods, reason = "the test stands where the world does")]
    let mut command = Command::new(program);
    for name in ["GIT_DIR", "GIT_CONFIG", "SSL_CERT_FILE"] {
        command.env_remove(name);
    }
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", "/nonexistent");
    command
}

/// Says what it got; below `/git/` it is git's own server.
const PROGRAM: &str = r"
import http.server, os, ssl, subprocess
class Site(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def body(self):
        if self.headers.get('transfer-encoding') == 'chunked':
            whole = b''
            while (size := int(self.rfile.readline(), 16)):
                whole += self.rfile.read(size); self.rfile.readline()
            self.rfile.readline()
            return whole
        return self.rfile.read(int(self.headers.get('content-length', 0)))
    def answer(self):
        with open('arrived.log', 'a') as log: log.write(f'{self.command} {self.path}\n')
        body = self.body()
        with open('bodies.log', 'ab') as log: log.write(body.replace(b'\n', b' ') + b'\n')
        path, _, query = self.path.partition('?')
        if not path.startswith('/git/'):
            return self.say(200, [('content-type', 'text/plain')], f'{self.command} {self.path}\n{self.headers}'.encode() + body)
        env = dict(os.environ, GIT_PROJECT_ROOT=os.getcwd(), GIT_HTTP_EXPORT_ALL='1', PATH_INFO=path[4:], QUERY_STRING=query,
            REQUEST_METHOD=self.command, CONTENT_TYPE=self.headers.get('content-type', ''), CONTENT_LENGTH=str(len(body)),
            HTTP_CONTENT_ENCODING=self.headers.get('content-encoding', ''), GIT_PROTOCOL=self.headers.get('git-protocol', ''),
            REMOTE_USER='x', GIT_CONFIG_COUNT='1', GIT_CONFIG_KEY_0='safe.directory', GIT_CONFIG_VALUE_0='*')
        out = subprocess.run(['git', 'http-backend'], input=body, env=env, stdout=subprocess.PIPE).stdout
        head, _, rest = out.partition(b'\r\n\r\n')
        fields = [line.split(': ', 1) for line in head.decode().split('\r\n')]
        status = next((int(value.split()[0]) for name, value in fields if name == 'Status'), 200)
        self.say(status, [(name, value) for name, value in fields if name != 'Status'], rest)
    def say(self, status, fields, body):
        self.send_response(status)
        for name, value in fields: self.send_header(name, value)
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = do_PUT = do_DELETE = answer
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(('127.0.0.2', 0), Site)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('site.pem', 'key.pem')
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_address[1], flush=True)
server.serve_forever()
";
