//! Tests of the dashboard: real requests to a server in the same process, and the command.

mod actions;
mod client;
mod log_in;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use viraldb::compilation::NewErrorLog;
use viraldb::web::{Dashboard, ServeOptions};
use viraldb::{Error, Timestamp, queue};

use crate::make;
use crate::support::both;
use client::{options, serve};

/// The pages that show a section of the report.
const SECTIONS: [&str; 10] = [
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
];

both! {
    fn every_section_has_a_page_with_strict_headers(t) {
        t.db();
        let served = serve(t, &options());
        for path in SECTIONS {
            for query in ["", "?since=30d", "?since=7d&channel=&niche=gaming"] {
                let answer = served.get(&format!("{path}{query}"));
                assert_eq!(answer.status, 200, "{path}{query}: {}", answer.body);
                assert!(answer.body.starts_with("<!DOCTYPE html>"), "{path}");
                let policy = answer.header("content-security-policy").unwrap();
                assert!(policy.starts_with("default-src 'none'; ") && policy.contains("frame-ancestors 'none'"));
                assert!(!policy.contains("unsafe"), "{policy}");
                assert_eq!(answer.header("x-frame-options"), Some("DENY"));
                assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
                assert_eq!(answer.header("cache-control"), Some("no-store"));
                assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
                assert_eq!(answer.header("set-cookie"), None, "reading needs no cookie");
                // The current page is marked, and there is no script and no style in the page itself.
                assert_eq!(answer.body.matches("aria-current=\"page\"").count(), 1, "{path}");
                assert!(!answer.body.contains(" style=") && !answer.body.contains("<style"), "{path}");
                assert_eq!(answer.body.matches("<script").count(), 1, "{path}");
                assert!(!answer.body.contains("method=\"post\""), "{path} changes nothing");
            }
        }
    }

    fn files_have_addresses_with_their_hash(t) {
        t.db();
        let served = serve(t, &options());
        let body = served.get("/").body;
        for (before, of) in [("rel=\"stylesheet\" href=\"", "text/css; charset=utf-8"), ("<script src=\"", "text/javascript; charset=utf-8")] {
            let address = body.split(before).nth(1).unwrap().split('"').next().unwrap();
            let file = served.get(address);
            assert_eq!((file.status, file.header("content-type")), (200, Some(of)), "{address}");
            assert!(file.header("cache-control").unwrap().contains("immutable"));
        }
    }

    fn the_script_gets_only_the_content(t) {
        t.db();
        let served = serve(t, &options());
        let answer = served.send("GET", "/queue", &["Accept: text/vnd.viraldb.content+html"], "");
        assert!(answer.body.starts_with("<main id=\"content\"") && answer.body.ends_with("</main>"), "{}", answer.body);
    }

    fn only_own_host_names_are_answered(t) {
        t.db();
        let served = serve(t, &ServeOptions { hosts: vec!["dash.example.net".to_owned()], ..options() });
        for host in ["evil.example", "evil.example:8480", "192.0.2.1", ""] {
            for path in ["/", "/healthz", "/api/v1/status", "/metrics"] {
                let answer = served.send("GET", path, &[&format!("Host: {host}")], "");
                assert_eq!(answer.status, 421, "{host} {path}");
                assert!(answer.body.contains("--host NAME"), "{}", answer.body);
            }
        }
        for host in ["localhost", "127.0.0.1:1", "[::1]", "dash.example.net"] {
            assert_eq!(served.send("GET", "/healthz", &[&format!("Host: {host}")], "").status, 200, "{host}");
        }
        let two = format!("GET / HTTP/1.1\r\nHost: {}\r\nHost: evil.example\r\nConnection: close\r\n\r\n", served.address);
        assert!([400, 421].contains(&served.raw(&two).status));
    }

    fn failures_say_what_to_do(t) {
        t.db();
        let served = serve(t, &options());
        let page = served.get("/nothing/here");
        assert_eq!(page.status, 404);
        assert!(page.body.contains("<h1>Not found</h1>") && page.body.contains("href=\"/queue\""), "{}", page.body);
        let page = served.get("/queue?since=forever");
        assert!(page.status == 400 && page.body.contains("24h, 7d, 30d, 90d"), "{}", page.body);
        for (path, status) in [
            ("/api/v1/nothing", 404),
            ("/api/v1/queue?since=forever", 400),
            ("/api/v1/queue?channel=x", 400),
            ("/api/v1/queue?channel=00000000-0000-7000-8000-000000000000", 404),
        ] {
            let answer = served.get(path);
            assert_eq!((answer.status, answer.header("content-type")), (status, Some("application/problem+json")), "{path}");
            let problem = answer.json();
            assert_eq!(problem["status"], status, "{path}");
            assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{path}");
        }
        assert_eq!(served.send("DELETE", "/queue", &[], "").status, 405);
        assert_eq!(served.post("/queue/pause", &"x".repeat(100_000)).status, 413);
    }

    fn the_api_has_every_section_as_json(t) {
        let db = t.db();
        db.write(|c| make::error().insert(c)).unwrap();
        let served = serve(t, &options());
        assert_eq!(served.get("/api/v1/status").json()["unresolved_errors"], 1);
        assert_eq!(served.get("/api/v1/errors").json()["unresolved"][0]["module"], "cut");
        let document = served.get("/api/v1/openapi.json").json();
        assert!(document["openapi"].as_str().unwrap().starts_with("3."));
        let paths = document["paths"].as_object().unwrap();
        for path in SECTIONS {
            let path = if path == "/" { "/api/v1/glance".to_owned() } else { format!("/api/v1{path}") };
            assert!(paths.contains_key(&path), "{path}");
        }
        // Every route that the document describes exists.
        for (path, item) in paths {
            assert!(item["get"]["summary"].as_str().is_some_and(|text| !text.is_empty()), "{path}");
            let answer = served.get(&path.replace("{table}", "error_log").replace("{key}", "1").replace("{id}", "1"));
            assert_eq!(answer.header("content-type").map(|of| of.ends_with("json")), Some(true), "{path}: {answer:?}");
            assert_ne!(answer.body, served.get("/api/v1/nothing").body, "{path}");
        }
    }

    fn metrics_are_those_of_the_command(t) {
        t.db();
        let served = serve(t, &options());
        let answer = served.get("/metrics");
        assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        for line in ["viraldb_unresolved_errors 0", "viraldb_queue_paused 0", "viraldb_dashboard_connections{state=\"most\"} 4"] {
            assert!(answer.body.lines().any(|found| found == line), "{line}\n{}", answer.body);
        }
    }

    fn readiness_follows_schema_and_leases(t) {
        let db = t.db();
        let served = serve(t, &options());
        let ready = served.get("/readyz");
        assert_eq!((ready.status, ready.json()["ready"].as_bool()), (200, Some(true)), "{}", ready.body);
        let before = Timestamp::now() - Duration::from_secs(3600);
        db.write(|c| {
            make::video_job(c).insert(c)?;
            let jobs = queue::claim(c, &queue::Claim::new("w"))?;
            let changes = viraldb::republishing::VideoProcessingJobChanges {
                lease_expires_at: Some(Some(before)),
                ..Default::default()
            };
            changes.update(c, jobs[0].id)
        }).unwrap();
        std::thread::sleep(Duration::from_millis(2100)); // the answer is kept for two seconds
        let stuck = served.get("/readyz");
        assert!(stuck.status == 503 && stuck.body.contains("1 job had a lease"), "{}", stuck.body);
        db.write(queue::rescue).unwrap();
        viraldb::db::migrate::revert(&t.url, 1).unwrap();
        std::thread::sleep(Duration::from_millis(2100));
        let old = served.get("/readyz");
        assert!(old.status == 503 && old.body.contains("viraldb migrate status"), "{}", old.body);
        assert_eq!(served.get("/healthz").status, 200, "the process lives");
    }

    fn a_page_can_be_asked_for_concurrently(t) {
        t.db();
        let served = serve(t, &options());
        std::thread::scope(|threads| {
            for _ in 0..16 {
                threads.spawn(|| {
                    for path in ["/", "/queue", "/readyz", "/metrics"] {
                        assert_eq!(TcpAnswer::status(served.address, path), 200, "{path}");
                    }
                });
            }
        });
    }

    fn stopping_answers_what_has_begun(t) {
        t.db();
        let served = serve(t, &options());
        let mut idle = TcpStream::connect(served.address).unwrap();
        idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut some = [0; 12];
        idle.read_exact(&mut some).unwrap();
        assert_eq!(&some, b"HTTP/1.1 200");
        let address = served.address;
        let begun = Instant::now();
        served.stop().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5), "an idle connection does not hold up the end");
        assert!(TcpStream::connect(address).is_err());
    }

    fn other_addresses_need_a_log_in(t) {
        t.db();
        let open = ServeOptions { listen: "0.0.0.0:0".parse().unwrap(), ..Default::default() };
        let refused = Dashboard::bind(&t.url, &open);
        assert!(matches!(&refused, Err(Error::Invalid { .. })), "{refused:?}");
        let failed = t.run(&["serve", "--listen", "0.0.0.0:0"]);
        assert!(failed.code == 1 && failed.err.contains("--auth-file") && failed.err.contains("--token-file"), "{}", failed.err);
    }

    fn a_missing_database_is_not_served(t) {
        let failed = t.run(&["serve", "--listen", "127.0.0.1:0"]);
        assert!(failed.code == 1 && failed.err.contains("viraldb init"), "{}", failed.err);
    }

    fn texts_of_the_database_show_as_text(t) {
        let db = t.db();
        db.write(|c| {
            NewErrorLog::new("<script>alert(1)</script>", "\u{1}\u{202e}", "\"><img src=x onerror=alert(2)>".repeat(500)).insert(c)
        }).unwrap();
        let served = serve(t, &options());
        for path in ["/errors", "/"] {
            let body = served.get(path).body;
            assert!(!body.contains("<script>") && !body.contains("<img") && !body.contains('\u{1}'), "{path}");
        }
        assert!(served.get("/errors").body.contains("&lt;script&gt;"));
        let hostile = served.get("/queue?niche=%22%3E%3Cscript%3E&since=%3Cscript%3E").body;
        assert!(!hostile.contains("<script>"), "{hostile}");
        assert!(!served.get("/pipeline?niche=%22%3E%3Cscript%3E").body.contains("\"><script>"));
    }
}

/// Asks without the state of a client, so that threads can share it.
struct TcpAnswer;

impl TcpAnswer {
    fn status(address: std::net::SocketAddr, path: &str) -> u16 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .write_all(
                format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes(),
            )
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

#[cfg(unix)]
both! {
    fn the_command_stops_on_a_signal(t) {
        use std::io::{BufRead, BufReader};
        use std::process::Stdio;

        t.db();
        let mut child = t.command(&["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_start_matches("listening on http://").split('/').next().unwrap().parse().unwrap();
        assert_eq!(TcpAnswer::status(address, "/healthz"), 200, "{line}");
        let kill = std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap();
        assert!(kill.success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
