//! The arguments, the clock and the table of results.

use std::time::{Duration, Instant};

/// The arguments of the command line.
pub struct Asked {
    /// Measure only lines whose name contains one of these texts, or all lines if there are no texts.
    filters: Vec<String>,
    rows: Option<u64>,
    rounds: Option<usize>,
    /// True for `cargo bench`. Otherwise `cargo test --benches` only checks that all benchmarks run.
    is_bench: bool,
    /// The task of this process, if it is a child of the benchmark.
    pub child: Option<String>,
}

impl Asked {
    pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut asked = Self { filters: Vec::new(), rows: None, rounds: None, is_bench: false, child: None };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            let number =
                |text: String| text.replace('_', "").parse().map_err(|error| format!("{text}: {error}"));
            match arg.as_str() {
                "--bench" => asked.is_bench = true,
                "--rows" => asked.rows = Some(number(value()?)?),
                "--rounds" => asked.rounds = Some(number(value()?)? as usize),
                "--child" => asked.child = Some(value()?),
                _ if arg.starts_with('-') => {
                    return Err(format!(
                        "unknown option {arg}; expected --rows N, --rounds N or parts of names"
                    ));
                }
                _ => asked.filters.push(arg),
            }
        }
        Ok(asked)
    }

    pub fn wants(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter.as_str()))
    }

    /// Returns true if a filter names this section, which does not run otherwise.
    pub fn names(&self, section: &str) -> bool {
        self.filters.iter().any(|filter| filter.contains(section))
    }

    pub fn wants_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.wants(name))
    }

    pub fn rows(&self, usual: u64) -> u64 {
        self.rows.unwrap_or(if self.is_bench { usual } else { 2_000 })
    }

    pub fn rounds(&self, usual: usize) -> usize {
        self.rounds.unwrap_or(if self.is_bench { usual } else { 1 }).max(1)
    }
}

/// Measures how long `work` takes. Writes the dirty pages of earlier work to the disk first, so that they do not slow down
/// this measurement.
pub fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let _ = std::process::Command::new("sync").status();
    let start = Instant::now();
    std::hint::black_box(work());
    start.elapsed()
}

/// One line of the table: viraldb's time and the rival's time for each round.
pub struct Line {
    pub name: &'static str,
    /// The minimum ratio, or `None` for a line that is only informative.
    pub target: Option<f64>,
    /// The number of timed operations in each round.
    pub count: u64,
    pub rounds: Vec<(Duration, Duration)>,
    pub note: String,
}

impl Line {
    pub fn new(name: &'static str, target: impl Into<Option<f64>>, count: u64) -> Self {
        Self { name, target: target.into(), count, rounds: Vec::new(), note: String::new() }
    }

    pub fn add(&mut self, ours: Duration, rival: Duration) {
        eprintln!("  {}: {:.3} s, rival {:.3} s", self.name, ours.as_secs_f64(), rival.as_secs_f64());
        self.rounds.push((ours, rival));
    }

    /// Prints the throughput ratios: 1 is as fast as the rival, and 2 is twice as fast.
    pub fn print(&self) {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / self.count as f64;
        let ratios = sorted(self.rounds.iter().map(|(ours, rival)| rival.as_secs_f64() / ours.as_secs_f64()));
        let (Some(least), Some(most)) = (ratios.first(), ratios.last()) else { return };
        let reached = median(&ratios);
        println!(
            "{:<44} {:>6} {reached:>6.2} {:>11} {:>9.2} {:>9.2}  {}{}",
            self.name,
            self.target.map_or(String::new(), |target| format!("{target:.2}")),
            format!("{least:.2}-{most:.2}"),
            median(&sorted(self.rounds.iter().map(|round| each(round.0)))),
            median(&sorted(self.rounds.iter().map(|round| each(round.1)))),
            verdict(self.target.is_none_or(|target| reached >= target)),
            self.note,
        );
    }

    pub fn print_header() {
        println!(
            "{:<44} {:>6} {:>6} {:>11} {:>9} {:>9}",
            "throughput relative to the rival", "target", "median", "range", "ours µs", "rival µs"
        );
    }
}

pub const fn verdict(is_reached: bool) -> &'static str {
    if is_reached { "" } else { "MISSED " }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}
