//! Measures the dashboard: 200 requests a second for 30 seconds while a large file is ingested into the same database.
//!
//! The rival is a limit of 100 ms; ours is the 95th percentile of the time from when a request was due until its answer is read.
//! A request that fails ends the benchmark. Filling the database takes minutes, so the section runs only if it is asked for by
//! its name.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use viraldb::diesel::connection::SimpleConnection;

use crate::measure::{Asked, Line};
use crate::report::rows;
use crate::sqlite::Scratch;

const NAME: &str = "serve, 200 requests a second beside an ingest";
const LIMIT: Duration = Duration::from_millis(100);
/// Number of connections, each with its share of the requests.
const CLIENTS: u32 = 8;
const PATHS: [&str; 16] = [
    "/",
    "/queue",
    "/pipeline",
    "/channels",
    "/videos",
    "/trends",
    "/money",
    "/storage",
    "/errors",
    "/doctor",
    "/tables",
    "/tables/discovered_videos",
    "/tables/video_processing_jobs",
    "/api/v1/status",
    "/metrics",
    "/readyz",
];

pub fn lines(asked: &Asked) -> Vec<Line> {
    if !asked.names("serve") {
        return Vec::new();
    }
    let scratch = Scratch::new();
    let count = asked.rows(1_000_000);
    scratch.open().write(|c| Ok(c.batch_execute(&rows(count))?)).unwrap();
    let file = scratch.path.with_extension("jsonl");
    write_videos(&file, 3 * count);
    let url = format!("sqlite://{}", scratch.path.display());
    let mut server = Running(
        command(&url).args(["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap(),
    );
    let said = BufReader::new(server.0.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    let address = said.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let seconds = if count < 100_000 { 2 } else { 30 };
    let mut line = Line::new(NAME, 1.0, 1);
    let ingest = || {
        let args = ["ingest", "--as", "jsonl", "--table", "discovered_videos"];
        Running(
            command(&url).args(args).arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(),
        )
    };
    let mut writer = ingest();
    let mut waits: Vec<Duration> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn({
                    let address = &address;
                    move || requests(address, client, 200 * seconds / CLIENTS)
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let is_beside = writer.0.try_wait().unwrap().is_none();
    waits.sort();
    line.note = format!(
        "{} answers, p50 {:.1} ms, p99 {:.1} ms, slowest {:.1} ms{}",
        waits.len(),
        millis(waits[waits.len() / 2]),
        millis(waits[waits.len() * 99 / 100]),
        millis(waits[waits.len() - 1]),
        if is_beside { "" } else { "; the ingest ended before" },
    );
    line.add(waits[waits.len() * 95 / 100], LIMIT);
    vec![line]
}

/// Sends requests 40 ms apart on one connection. Returns how long each took from when it was due.
fn requests(address: &str, client: u32, count: u32) -> Vec<Duration> {
    let gap = Duration::from_secs(1) * CLIENTS / 200;
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    let begun = Instant::now() + gap * client / CLIENTS;
    (0..count)
        .map(|number| {
            let due = begun + gap * number;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let path = PATHS[(number * CLIENTS + client) as usize * 7 % PATHS.len()];
            write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
            let (status, length) = head(&mut answers);
            let mut body = vec![0; length];
            answers.read_exact(&mut body).unwrap();
            assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
            due.elapsed()
        })
        .collect()
}

/// Reads the head of an answer. Returns its status and the length of its body.
fn head(answers: &mut impl BufRead) -> (u16, usize) {
    let (mut status, mut length) = (0, 0);
    loop {
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            return (status, length);
        }
        if let Some(rest) = line.strip_prefix("http/1.1 ") {
            status = rest[..3].parse().unwrap();
        } else if let Some(rest) = line.strip_prefix("content-length: ") {
            length = rest.parse().unwrap();
        }
    }
}

fn write_videos(file: &Path, count: u64) {
    let mut out = std::io::BufWriter::new(std::fs::File::create(file).unwrap());
    for number in 0..count {
        writeln!(
            out,
            r#"{{"video_id": "s{number}", "title": "A title of a usual length, number {number}", "channel_name": "a channel", "channel_id": "UC1", "url": "https://youtu.be/s{number}", "niche": "niche {}", "view_count": {number}}}"#,
            number % 11
        )
        .unwrap();
    }
    out.flush().unwrap();
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn command(url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_viraldb"));
    command.args(["--database-url", url]);
    command
}

/// A process that is killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
