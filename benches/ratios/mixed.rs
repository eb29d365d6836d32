//! Measures threads and processes that read and write one SQLite file concurrently: their throughput and the duration of
//! their writes. The rival is plain connections with only `busy_timeout` and BEGIN IMMEDIATE.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use viraldb::Database;
use viraldb::compilation::{DiscoveredVideo, NewDiscoveredVideo, Processed};

use crate::measure::{Asked, Line};
use crate::rows::{self, Random};
use crate::sqlite::{COLUMNS, Scratch, read, rival};

const VIDEOS: u64 = 10_000;
const THREADS: [&str; 3] =
    ["sqlite 8 threads, throughput", "sqlite 8 threads, p99 of a write", "sqlite 8 threads, longest write"];
const PROCESSES: [&str; 3] = [
    "sqlite 4 processes, throughput",
    "sqlite 4 processes, p99 of a write",
    "sqlite 4 processes, longest write",
];

pub fn lines(asked: &Asked) -> Vec<Line> {
    let mut lines = Vec::new();
    if asked.wants_any(&THREADS) {
        lines.extend(measure(asked, THREADS, &|how, path, time| threads(how, path, 8, time)));
    }
    if asked.wants_any(&PROCESSES) {
        lines.extend(measure(asked, PROCESSES, &processes));
    }
    lines
}

#[derive(Clone, Copy)]
enum How {
    Ours,
    Plain,
}

/// The work that was done in a given time.
#[derive(Default)]
struct Done {
    /// The duration of each write in microseconds, including the time it waited. There is one read for each write.
    writes: Vec<u32>,
    /// The number of writes that gave up because the file was locked.
    busy: u64,
}

/// Measures four rounds, 60 s in all for each side. For the throughput, the rival is one viraldb thread that works alone.
fn measure(
    asked: &Asked,
    [throughput, p99, longest]: [&'static str; 3],
    work: &dyn Fn(How, &str, Duration) -> Done,
) -> Vec<Line> {
    let time = Duration::from_millis(asked.rows(1_000_000) / 1_000 * 15).min(Duration::from_secs(15));
    let scratch = Scratch::new();
    let db = scratch.open();
    let videos: Vec<NewDiscoveredVideo<'_>> = (0..VIDEOS).map(rows::row).collect();
    db.write(|c| NewDiscoveredVideo::insert_or_update_many(c, &videos)).unwrap();
    let path = scratch.path.to_str().unwrap();
    let mut lines = [Line::new(throughput, 0.8, 1), Line::new(p99, 1.0, 1), Line::new(longest, 5.0, 1)];
    let (mut worst, mut worst_plain, mut busy, mut busy_plain) = (0, 0, 0, 0);
    let micros = |micros: u32| Duration::from_micros(micros.into());
    for round in 0..asked.rounds(4) {
        let alone = threads(How::Ours, path, 1, time / 3);
        let (mut ours, mut plain) = match round % 2 {
            0 => {
                let ours = work(How::Ours, path, time);
                (ours, work(How::Plain, path, time))
            }
            _ => {
                let plain = work(How::Plain, path, time);
                (work(How::Ours, path, time), plain)
            }
        };
        lines[0].add(time / ours.writes.len() as u32, time / 3 / alone.writes.len() as u32);
        ours.writes.sort_unstable();
        plain.writes.sort_unstable();
        let p99 = |writes: &[u32]| micros(writes[writes.len() * 99 / 100]);
        lines[1].add(p99(&ours.writes), p99(&plain.writes));
        worst = worst.max(*ours.writes.last().unwrap());
        worst_plain = worst_plain.max(*plain.writes.last().unwrap());
        (busy, busy_plain) = (busy + ours.busy, busy_plain + plain.busy);
    }
    lines[2].add(micros(worst), micros(worst_plain));
    assert_eq!(busy, 0, "BUSY reached a caller");
    lines[2].note = format!("writes that gave up: ours {busy}, rival {busy_plain}");
    lines.into()
}

fn threads(how: How, path: &str, count: u64, time: Duration) -> Done {
    let db = Database::open(path).unwrap();
    let barrier = Barrier::new(count as usize);
    let parts: Vec<Done> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|seed| {
                let (db, barrier) = (&db, &barrier);
                scope.spawn(move || {
                    let begin = || {
                        barrier.wait();
                    };
                    match how {
                        How::Ours => ours(db, seed, time, begin),
                        How::Plain => plain(path, seed, time, begin),
                    }
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    sum(parts)
}

/// Runs four child processes of this program, each with one thread.
fn processes(how: How, path: &str, time: Duration) -> Done {
    let how = match how {
        How::Ours => "ours",
        How::Plain => "plain",
    };
    let mut children: Vec<(Child, BufReader<_>)> = (0..4)
        .map(|seed| {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--child", &format!("mixed {how} {seed} {} {path}", time.as_millis())])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let out = BufReader::new(child.stdout.take().unwrap());
            (child, out)
        })
        .collect();
    let mut line = String::new();
    for (_, out) in &mut children {
        assert_ne!(out.read_line(&mut line).unwrap(), 0, "a child did not start");
    }
    for (child, _) in &mut children {
        child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }
    let part = |(mut child, out): (Child, BufReader<_>)| {
        let mut numbers = out.lines().map(|line| line.unwrap().parse::<u32>().unwrap());
        let busy = numbers.next().unwrap().into();
        let writes = numbers.collect();
        assert!(child.wait().unwrap().success());
        Done { writes, busy }
    };
    // Read from all children concurrently, so that none of them blocks on a full pipe.
    let parts = std::thread::scope(|scope| {
        let readers: Vec<_> = children.into_iter().map(|child| scope.spawn(move || part(child))).collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    sum(parts)
}

/// Runs in a child process.
pub fn child(task: &str) {
    let [how, seed, millis, path] = task.splitn(4, ' ').collect::<Vec<_>>().try_into().unwrap();
    let (seed, time) = (seed.parse().unwrap(), Duration::from_millis(millis.parse().unwrap()));
    let begin = || {
        println!("ready");
        let _ = std::io::stdin().lock().read_line(&mut String::new()).unwrap();
    };
    let done = match how {
        "ours" => ours(&Database::open(path).unwrap(), seed, time, begin),
        _ => plain(path, seed, time, begin),
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    writeln!(out, "{}", done.busy).unwrap();
    done.writes.iter().for_each(|micros| writeln!(out, "{micros}").unwrap());
}

fn sum(parts: Vec<Done>) -> Done {
    parts.into_iter().fold(Done::default(), |mut sum, part| {
        sum.writes.extend(part.writes);
        sum.busy += part.busy;
        sum
    })
}

/// Alternately marks one video and finds another one, for the given time.
fn for_so_long(
    seed: u64,
    time: Duration,
    begin: impl FnOnce(),
    mut write: impl FnMut(&str) -> bool,
    mut find: impl FnMut(&str),
) -> Done {
    let mut random = Random::new(seed + 1);
    let mut done = Done::default();
    write(&rows::video_id(0));
    begin();
    let end = Instant::now() + time;
    while Instant::now() < end {
        let start = Instant::now();
        match write(&rows::video_id(random.below(VIDEOS))) {
            true => done.writes.push(start.elapsed().as_micros() as u32),
            false => done.busy += 1,
        }
        find(&rows::video_id(random.below(VIDEOS)));
    }
    done
}

fn ours(db: &Database, seed: u64, time: Duration, begin: impl FnOnce()) -> Done {
    let write = |id: &str| match db.write(|c| DiscoveredVideo::mark(c, id, Processed::Used)) {
        Ok(_) => true,
        Err(viraldb::Error::Busy { .. }) => false,
        Err(error) => panic!("{error}"),
    };
    let find =
        |id: &str| drop(std::hint::black_box(db.read(|c| DiscoveredVideo::find_by_video_id(c, id)).unwrap()));
    for_so_long(seed, time, begin, write, find)
}

fn plain(path: &str, seed: u64, time: Duration, begin: impl FnOnce()) -> Done {
    let (mut writer, reader): (Connection, Connection) = (rival(path.as_ref()), rival(path.as_ref()));
    let update =
        format!("UPDATE discovered_videos SET processed = 1 WHERE video_id = ?1 RETURNING id, {COLUMNS}");
    let select = format!("SELECT id, {COLUMNS} FROM discovered_videos WHERE video_id = ?1 LIMIT 1");
    let write = |id: &str| {
        let mut once = || {
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.prepare_cached(&update)?.query_row([id], read)?;
            transaction.commit()
        };
        match once() {
            Ok(()) => true,
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => false,
            Err(error) => panic!("{error}"),
        }
    };
    let find = |id: &str| {
        drop(std::hint::black_box(reader.prepare_cached(&select).unwrap().query_row([id], read).unwrap()))
    };
    for_so_long(seed, time, begin, write, find)
}
