//! Counts commands, kills and violations.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

/// How much of its effect a killed or failed command has left in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    Nothing,
    Part,
    Whole,
}

#[derive(Debug, Default)]
pub struct Counts {
    /// For each kind of command, the number of runs that succeeded, were killed, and failed.
    pub commands: BTreeMap<&'static str, [u64; 3]>,
    pub left: [u64; 3],
    pub sessions: u64,
    pub restarts: u64,
    pub rows: u64,
    pub jobs: [u64; 3],
    pub checks: u64,
    pub doctors: u64,
    pub failures: BTreeMap<String, u64>,
    pub violations: Vec<String>,
}

#[derive(Debug, Default)]
pub struct Tally(Mutex<Counts>);

impl Tally {
    pub fn add(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.0.lock().unwrap());
    }

    pub fn is_good(&self) -> bool {
        self.0.lock().unwrap().violations.is_empty()
    }

    /// Returns the totals so far in one line.
    pub fn line(&self) -> String {
        let counts = self.0.lock().unwrap();
        let [done, killed, failed] = counts.all();
        format!(
            "{done} commands done, {killed} killed, {failed} failed, {} rows acknowledged, {} violations",
            counts.rows,
            counts.violations.len()
        )
    }

    pub fn summary(&self, elapsed: Duration, seed: u64) -> String {
        let counts = self.0.lock().unwrap();
        let [done, killed, failed] = counts.all();
        let [nothing, part, whole] = counts.left;
        let [queued, claimed, completed] = counts.jobs;
        let mut text = format!("{:<18}{:>8}{:>8}{:>8}\n", "command", "done", "killed", "failed");
        for (kind, [done, killed, failed]) in &counts.commands {
            let _ = writeln!(text, "{kind:<18}{done:>8}{killed:>8}{failed:>8}");
        }
        let _ = writeln!(text, "\nseed                    {seed}, {:.0} s", elapsed.as_secs_f64());
        let _ = writeln!(
            text,
            "commands                {} ({done} done, {failed} failed)",
            done + killed + failed
        );
        let _ = writeln!(text, "kill -9                 {killed}");
        let _ = writeln!(
            text,
            "effect of killed ones   {nothing} none, {part} partial, {whole} complete but not acknowledged"
        );
        let _ =
            writeln!(text, "sessions terminated     {}, server kills {}", counts.sessions, counts.restarts);
        let _ = writeln!(text, "rows acknowledged       {}", counts.rows);
        let _ = writeln!(
            text,
            "jobs                    {queued} queued, {claimed} claimed, {completed} completed"
        );
        let _ = writeln!(text, "comparisons             {}, by doctor {}", counts.checks, counts.doctors);
        for (failure, count) in &counts.failures {
            let _ = writeln!(text, "failed                  {count} × {failure}");
        }
        let _ = write!(text, "violations              {}", counts.violations.len());
        for violation in &counts.violations {
            let _ = write!(text, "\n  {violation}");
        }
        text
    }
}

impl Counts {
    fn all(&self) -> [u64; 3] {
        let sum = |n: usize| self.commands.values().map(|counts| counts[n]).sum();
        [sum(0), sum(1), sum(2)]
    }
}
