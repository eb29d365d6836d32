//! Tests of users, tokens and sessions.

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use viraldb::web::{self, Dashboard, ServeOptions};

use super::client::{Served, options, serve};
use crate::support::{Scratch, both};

const PASSWORD: &str = "correct horse battery";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Writes a file that only its owner can read.
fn private(t: &Scratch, name: &str, content: &str) -> PathBuf {
    let path = t.file(name, content);
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    path
}

fn with_users(t: &Scratch) -> ServeOptions {
    let line = web::hash_password("ana", &PASSWORD.to_owned().into()).unwrap();
    let users = private(t, "users", &format!("# people\n\n{line}\n"));
    ServeOptions { auth_file: Some(users), token_file: Some(private(t, "token", TOKEN)), ..options() }
}

fn log_in(served: &Served, user: &str, password: &str, next: &str) -> super::client::Answer {
    let encoded = password.replace(' ', "+");
    served.post("/login", &format!("user={user}&password={encoded}&next={next}"))
}

both! {
    fn users_log_in_and_out(t) {
        t.db();
        let served = serve(t, &with_users(t));
        let to_log_in = served.get("/queue?since=7d");
        assert_eq!(to_log_in.status, 303);
        assert_eq!(to_log_in.header("location"), Some("/login?next=%2Fqueue%3Fsince%3D7d"));
        let form = served.get("/login?next=%2Fqueue%3Fsince%3D7d").body;
        assert!(form.contains("name=\"user\"") && form.contains("value=\"/queue?since=7d\""), "{form}");

        for (user, password) in [("ana", "wrong horse battery"), ("bob", PASSWORD), ("", ""), ("ana", TOKEN)] {
            let wrong = log_in(&served, user, password, "/");
            assert!(wrong.status == 401 && wrong.header("set-cookie").is_none(), "{user}: {wrong:?}");
            assert!(wrong.body.contains("The name or the password is wrong."));
        }
        let right = log_in(&served, "ana", PASSWORD, "%2Fqueue%3Fsince%3D7d");
        assert_eq!((right.status, right.header("location")), (303, Some("/queue?since=7d")));
        let cookie = right.header("set-cookie").unwrap();
        for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(served.get("/queue").body.contains("ana"));
        assert_eq!(served.get("/api/v1/status").status, 200);

        assert_eq!(served.post("/logout", "token=x").status, 403);
        let kept = served.cookie.borrow().clone();
        let out = served.press("/queue", "/logout");
        assert_eq!((out.status, out.header("location")), (303, Some("/login")));
        *served.cookie.borrow_mut() = kept;
        assert_eq!(served.get("/queue").status, 303, "the old cookie is worth nothing");
    }

    fn programs_use_a_token(t) {
        t.db();
        let served = serve(t, &with_users(t));
        for path in ["/metrics", "/api/v1/status", "/api/v1/openapi.json"] {
            let without = served.get(path);
            assert_eq!((without.status, without.header("www-authenticate")), (401, Some("Bearer")), "{path}");
            for wrong in ["x", "", &TOKEN[1..], &format!("{TOKEN}x")] {
                let answer = served.send("GET", path, &[&format!("Authorization: Bearer {wrong}")], "");
                assert_eq!(answer.status, 401, "{path} {wrong}");
            }
            assert_eq!(served.send("GET", path, &[&format!("Authorization: Bearer {TOKEN}")], "").status, 200, "{path}");
        }
        // Probes need no log-in, and say nothing about the database.
        for path in ["/healthz", "/readyz"] {
            assert_eq!(served.get(path).status, 200, "{path}");
        }
        // The script gets no page of the log-in in place of the content.
        assert_eq!(served.send("GET", "/queue", &["Accept: text/vnd.viraldb.content+html"], "").status, 401);
    }

    fn without_users_the_token_logs_in(t) {
        t.db();
        let token_file = Some(private(t, "token", &format!("{TOKEN}\n")));
        let served = serve(t, &ServeOptions { token_file, ..options() });
        assert!(!served.get("/login").body.contains("name=\"user\""));
        assert_eq!(log_in(&served, "", "wrong", "/").status, 401);
        assert_eq!(log_in(&served, "", TOKEN, "%2F%2Fevil.example").header("location"), Some("/"));
        assert_eq!(served.get("/").status, 200);
    }

    fn log_ins_are_limited(t) {
        t.db();
        let token_file = Some(private(t, "token", TOKEN));
        let served = serve(t, &ServeOptions { token_file, ..options() });
        let tries: Vec<u16> = (0..15).map(|_| log_in(&served, "", "wrong", "/").status).collect();
        assert_eq!(tries[..10], [401; 10]);
        assert!(tries[11..].contains(&429), "{tries:?}");
        let limited = log_in(&served, "", TOKEN, "/");
        assert_eq!((limited.status, limited.header("retry-after")), (429, Some("60")), "also with the right token");
    }

    fn a_log_in_from_another_site_is_refused(t) {
        t.db();
        let served = serve(t, &with_users(t));
        let body = format!("user=ana&password={}", PASSWORD.replace(' ', "+"));
        for line in ["Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"] {
            assert_eq!(served.send("POST", "/login", &[line], &body).status, 403, "{line}");
        }
        let own = format!("Origin: http://{}", served.address);
        assert_eq!(served.send("POST", "/login", &[&own, "Sec-Fetch-Site: same-origin"], &body).status, 303);
    }

    fn behind_a_proxy_cookies_need_https(t) {
        t.db();
        let served = serve(t, &ServeOptions { behind_proxy: true, ..with_users(t) });
        let right = log_in(&served, "ana", PASSWORD, "/");
        let cookie = right.header("set-cookie").unwrap();
        assert!(cookie.starts_with("__Host-viraldb=") && cookie.contains("; Secure"), "{cookie}");
    }

    fn files_with_secrets_must_be_private_and_valid(t) {
        t.db();
        let bind = |auth: Option<PathBuf>, token: Option<PathBuf>| {
            let options = ServeOptions { auth_file: auth, token_file: token, ..options() };
            Dashboard::bind(&t.url, &options).unwrap_err().to_string()
        };
        #[cfg(unix)]
        {
            let open = t.file("open", TOKEN);
            std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
            assert!(bind(None, Some(open)).contains("chmod 600"));
        }
        assert!(bind(None, Some(private(t, "short", "secret"))).contains("at least 20 characters"));
        for (content, why) in [
            ("", "contains no users"),
            ("ana\n", "line 1 is not of the form NAME:HASH"),
            ("\nana:hunter2hunter2\n", "line 2 has no argon2 hash"),
        ] {
            let error = bind(Some(private(t, "users", content)), None);
            assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
        }
        assert!(bind(None, Some(t.path("missing"))).contains("missing"));
    }

    fn the_command_hashes_a_password(t) {
        let hash = |name: &str, password: &str| {
            let mut child = t
                .command(&["serve", "--hash-password", name])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
            crate::support::Ran::from(child.wait_with_output().unwrap())
        };
        let line = hash("ana", &format!("{PASSWORD}\n")).out;
        assert!(line.starts_with("ana:$argon2id$") && line.ends_with('\n') && !line.contains("horse"), "{line}");
        t.db();
        let users = private(t, "users", &line);
        let served = serve(t, &ServeOptions { auth_file: Some(users), ..options() });
        assert_eq!(log_in(&served, "ana", PASSWORD, "/").status, 303);
        for (name, password, why) in [("ana", "short", "12"), ("a:b", PASSWORD, "colon"), ("", PASSWORD, "empty")] {
            let failed = hash(name, password);
            assert!(failed.code == 1 && failed.err.contains(why), "{}", failed.err);
        }
    }
}
