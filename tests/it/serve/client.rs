//! A dashboard in a thread, and a small HTTP client that sends exactly what a test wants.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use viraldb::queue::Stop;
use viraldb::web::{Dashboard, ServeOptions};

use crate::support::Scratch;

/// A running dashboard. It stops when it is dropped.
pub struct Served {
    pub address: SocketAddr,
    stop: Stop,
    thread: Option<JoinHandle<viraldb::Result<()>>>,
    /// The cookie of the browser that the client pretends to be.
    pub cookie: RefCell<Option<String>>,
}

/// Options for a free port.
pub fn options() -> ServeOptions {
    ServeOptions { listen: "127.0.0.1:0".parse().unwrap(), ..Default::default() }
}

/// Starts a dashboard on the test's database.
pub fn serve(t: &Scratch, options: &ServeOptions) -> Served {
    let dashboard = Dashboard::bind(&t.url, options).unwrap();
    let (address, stop) = (dashboard.address(), Stop::default());
    let until = stop.clone();
    let thread = std::thread::spawn(move || dashboard.run(&until));
    Served { address, stop, thread: Some(thread), cookie: RefCell::default() }
}

/// An answer of the dashboard.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (of, value) = line.split_once(": ")?;
            of.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Served {
    /// Returns a client for a dashboard in another process.
    pub fn at(address: SocketAddr) -> Self {
        Self { address, stop: Stop::default(), thread: None, cookie: RefCell::default() }
    }

    /// Sends a request as it is and returns the answer. The request must ask to close the connection.
    pub fn raw(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Answer::parse(&String::from_utf8(bytes).unwrap())
    }

    /// Sends a request with more header lines, and keeps the cookie of the answer.
    pub fn send(&self, method: &str, path: &str, lines: &[&str], body: &str) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !lines.iter().any(|line| line.starts_with("Host: ")) {
            request += &format!("Host: {}\r\n", self.address);
        }
        if let Some(cookie) = &*self.cookie.borrow() {
            request += &format!("Cookie: {cookie}\r\n");
        }
        for line in lines {
            request += &format!("{line}\r\n");
        }
        if method == "POST" {
            request += "Content-Type: application/x-www-form-urlencoded\r\n";
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        let answer = self.raw(&format!("{request}\r\n{body}"));
        if let Some(cookie) = answer.header("set-cookie") {
            let cookie = cookie.split(';').next().unwrap();
            *self.cookie.borrow_mut() = Some(cookie.to_owned()).filter(|cookie| !cookie.ends_with('='));
        }
        answer
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "")
    }

    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, &[], body)
    }

    /// Returns the token of the form on a page that posts to an address.
    pub fn token(&self, page: &str, action: &str) -> Option<String> {
        let body = self.get(page).body;
        let form = &body[body.find(&format!("action=\"{action}\""))?..];
        let token = form.split("name=\"token\" value=\"").nth(1)?;
        token.split('"').next().map(str::to_owned)
    }

    /// Sends the form on a page, as a person does who presses its button.
    pub fn press(&self, page: &str, action: &str) -> Answer {
        let token = self.token(page, action).unwrap_or_else(|| panic!("no form for {action} on {page}"));
        self.post(action, &format!("token={token}"))
    }

    /// Stops the dashboard and returns its result.
    pub fn stop(mut self) -> viraldb::Result<()> {
        self.stop.stop();
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            assert!(std::thread::panicking() || matches!(result, Ok(Ok(()))), "{result:?}");
        }
    }
}
