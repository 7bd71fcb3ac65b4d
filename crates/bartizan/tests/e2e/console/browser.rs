//! What does a browser send, and what does somebody send who only says to be one? Bytes on a socket.

use crate::support::project::Project;
use crate::support::terminal::Terminal;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A console on a terminal of its own, and a browser that may be in.
pub(super) struct Console {
    pub(super) terminal: Terminal,
    pub(super) browser: Browser,
}

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Browser {
    pub(super) address: SocketAddr,
    /// As it is sent.
    pub(super) cookie: String,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Console {
    /// Starts one; nobody is in.
    pub(super) fn outside(project: &Project) -> Self {
        let terminal = Terminal::start(project.bartizan(&["console"]));
        terminal.shows("Enter shows another");
        let link = links(&terminal).remove(0);
        let address = link.split('/').nth(2).unwrap().parse().unwrap();
        Self { terminal, browser: Browser { address, cookie: String::new() } }
    }

    /// Starts one, and follows its link.
    pub(super) fn inside(project: &Project) -> Self {
        let mut console = Self::outside(project);
        let got = console.browser.get(&console.entry());
        assert_eq!(got.status, 200, "{got:?}");
        console.browser.cookie = got.cookie().unwrap();
        console
    }

    /// The path of the link that was shown last.
    pub(super) fn entry(&self) -> String {
        let link = links(&self.terminal).pop().unwrap();
        link.split_once("/enter/").map(|(_, token)| format!("/enter/{token}")).unwrap()
    }
}

/// The links that the terminal has shown.
pub(super) fn links(terminal: &Terminal) -> Vec<String> {
    let shown = terminal.shown();
    let words = shown.split_ascii_whitespace().filter(|word| word.starts_with("http://"));
    words.map(str::to_owned).collect()
}

impl Browser {
    pub(super) fn get(&self, path: &str) -> Got {
        self.send(&format!("GET {path} HTTP/1.1\r\n{}\r\n", self.fields("none")))
    }

    /// Sends a form as our own pages do; `form` carries the visitor's token, or not.
    pub(super) fn post(&self, path: &str, form: &str) -> Got {
        let (fields, length) = (self.fields("same-origin"), form.len());
        let origin = format!("Origin: http://{}\r\n{FORM}", self.address);
        self.send(&format!(
            "POST {path} HTTP/1.1\r\n{fields}{origin}Content-Length: {length}\r\n\r\n{form}"
        ))
    }

    /// What this visitor's forms carry, taken from a page.
    pub(super) fn token(&self) -> String {
        let page = self.get("/").body;
        let (_, rest) = page.split_once("name=\"form\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    }

    fn fields(&self, site: &str) -> String {
        let Self { address, cookie } = self;
        format!("Host: {address}\r\nCookie: {cookie}\r\nSec-Fetch-Site: {site}\r\n")
    }

    /// Sends these bytes, and reads one answer. A connection that is closed without one has the status 0.
    pub(super) fn send(&self, bytes: &str) -> Got {
        let mut stream = self.connect();
        // Who is turned away may find the door closed before all was said.
        drop(stream.write_all(bytes.as_bytes()));
        let mut read = Vec::new();
        let whole = |read: &[u8]| {
            let text = String::from_utf8_lossy(read).into_owned();
            let (head, body) = text.split_once("\r\n\r\n")?;
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |length| length.parse().unwrap());
            let ends = head.contains("connection: close");
            (body.len() >= length && !ends).then(|| (head.to_owned(), body.to_owned()))
        };
        let mut buffer = [0; 8192];
        while whole(&read).is_none() {
            match stream.read(&mut buffer) {
                Ok(count @ 1..) => read.extend(&buffer[..count]),
                _ => break,
            }
        }
        let text = String::from_utf8_lossy(&read).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Got { status, head: head.to_owned(), body: body.to_owned() }
    }

    #[expect(clippy::disallowed_methods, reason = "the browser's own connection")]
    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        stream
    }
}

impl Got {
    /// The cookie that was set, as it is sent back.
    pub(super) fn cookie(&self) -> Option<String> {
        let set = self.head.lines().find_map(|line| line.strip_prefix("set-cookie: "))?;
        set.split(';').next().map(str::to_owned)
    }
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
