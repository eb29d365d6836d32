//! Measures the whole command `viraldb status` on a large database. It has no rival: the other column is a limit of 100 ms.

use std::process::{Command, Stdio};
use std::time::Duration;

use viraldb::Database;
use viraldb::diesel::connection::SimpleConnection;

use crate::measure::{Asked, Line, time};
#[cfg(feature = "postgres")]
use crate::server::Server;
use crate::sqlite::Scratch;

const SQLITE: &str = "command: status, limit 100 ms, sqlite";
#[cfg(feature = "postgres")]
const POSTGRES: &str = "command: status, limit 100 ms, postgres";
const LIMIT: Duration = Duration::from_millis(100);

pub fn lines(asked: &Asked) -> Vec<Line> {
    let mut lines = Vec::new();
    if asked.wants(SQLITE) {
        let scratch = Scratch::new();
        let url = format!("sqlite://{}", scratch.path.display());
        lines.push(measure(asked, SQLITE, &url, |count| {
            format!(
                "(WITH RECURSIVE row (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM row WHERE n < {count}) SELECT n FROM row) AS row"
            )
        }));
    }
    #[cfg(feature = "postgres")]
    if asked.wants(POSTGRES) {
        let server = Server::new(&["shared_buffers=256MB", "max_wal_size=4GB"]);
        let url = server.create_database(&format!("status_{}", std::process::id()), "template0");
        lines.push(measure(asked, POSTGRES, &url, |count| format!("generate_series(1, {count}) AS row (n)")));
    }
    lines
}

fn measure(asked: &Asked, name: &'static str, url: &str, numbers: impl Fn(u64) -> String) -> Line {
    let count = asked.rows(10_000_000);
    fill(url, count, &numbers);
    let mut line = Line::new(name, 1.0, 1);
    for _ in 0..asked.rounds(9) {
        let run = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_viraldb"));
            let status =
                command.args(["--database-url", url, "status"]).stdout(Stdio::null()).status().unwrap();
            assert!(status.success());
        };
        line.add(time(run), LIMIT);
    }
    line
}

/// Inserts snapshots, and a tenth as many pending videos, jobs and errors.
fn fill(url: &str, count: u64, numbers: &impl Fn(u64) -> String) {
    let tenth = numbers(count / 10);
    let id = |prefix: &str, number: &str| {
        if url.starts_with("postgres") {
            format!("CAST('{prefix}000000-0000-4000-8000-' || lpad(to_hex({number}), 12, '0') AS uuid)")
        } else {
            format!("printf('{prefix}000000-0000-4000-8000-%012x', {number})")
        }
    };
    let (channel, video) = (id("aa", "1"), id("bb", "1"));
    let statements = format!(
        "INSERT INTO channels (id, name, youtube_channel_id, youtube_channel_url, api_credentials_encrypted, posting_schedule, content_filters, metadata_template)
             VALUES ({channel}, 'Clips', 'UC1', 'https://youtube.com/channel/UC1', 'none', '{{}}', '{{}}', '{{}}');
         INSERT INTO videos (id, channel_id, source_url, source_title, source_platform)
             VALUES ({video}, {channel}, 'https://youtu.be/1', 'A title', 'youtube');
         INSERT INTO analytics (youtube_video_id, view_count) SELECT 'yt' || (n / 1000), n FROM {};
         INSERT INTO discovered_videos (video_id, title, channel_name, channel_id, url, niche, viral_score)
             SELECT 'v' || n, 'A title of a usual length, number ' || n, 'a channel', 'UC1', 'https://youtu.be/v' || n,
                 'niche ' || (n * 7 % 11), n % 997 FROM {tenth};
         INSERT INTO video_processing_jobs (id, video_id, channel_id, job_type, status)
             SELECT {}, {video}, {channel}, 'publish',
                 CASE n % 50 WHEN 0 THEN 'queued' WHEN 1 THEN 'failed' ELSE 'completed' END FROM {tenth};
         INSERT INTO error_log (module, error_type, error_message, stack_trace, resolved)
             SELECT 'uploader', 'TimeoutError', 'no answer in 30 s', 'a stack trace of a usual length', n % 5 <> 0 FROM {tenth};",
        numbers(count),
        id("cc", "n"),
    );
    let db = Database::open(url).unwrap();
    db.write(|c| Ok(c.batch_execute(&statements)?)).unwrap();
}
