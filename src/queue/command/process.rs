//! One process for a job: writes its input, reads its output, and ends it together with its descendants.
//!
//! All of this happens on one thread, without blocking. A descendant that keeps a pipe open therefore cannot hold up the
//! worker.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use super::output::{Lines, Tail};

/// The pauses between checks of the process: short after something has happened, then longer.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// How long the output of a process is read after it has exited, if a descendant keeps the pipe open.
const LINGER: Duration = Duration::from_millis(250);

/// Why a process had to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Lost,
    TimedOut,
    Stopped,
    /// There is no time for SIGTERM.
    Killed,
}

/// How a process ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// Why it was ended, unless it has exited by itself.
    pub(super) reason: Option<Reason>,
    /// The end of its standard error.
    pub(super) tail: String,
}

pub(super) struct Process {
    child: Child,
    /// The process group, whose id is that of the process.
    group: Pid,
    input: Option<Input>,
    /// Standard output and standard error.
    outputs: [Option<Output>; 2],
    tail: Tail,
}

struct Input {
    pipe: ChildStdin,
    data: Vec<u8>,
    written: usize,
}

struct Output {
    pipe: Pipe,
    lines: Lines,
}

/// The readable end of a pipe.
trait Readable: Read + AsFd {}
impl<T: Read + AsFd> Readable for T {}
type Pipe = Box<dyn Readable>;

impl Process {
    /// Starts a process whose three streams are pipes.
    pub(super) fn start(command: &mut Command, input: Vec<u8>) -> io::Result<Self> {
        let mut child = command.spawn()?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let group = group.ok_or_else(|| io::Error::other("the process has no id"))?;
        let input = child.stdin.take().map(|pipe| Input { pipe, data: input, written: 0 });
        let stdout = child.stdout.take().map(|pipe| Box::new(pipe) as Pipe);
        let stderr = child.stderr.take().map(|pipe| Box::new(pipe) as Pipe);
        let outputs = [stdout, stderr].map(|pipe| pipe.map(|pipe| Output { pipe, lines: Lines::default() }));
        let process = Self { child, group, input, outputs, tail: Tail::default() };
        let pipes = process.outputs.iter().flatten().map(|output| output.pipe.as_fd());
        for pipe in pipes.chain(process.input.iter().map(|input| input.pipe.as_fd())) {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(process)
    }

    /// Waits until the process has ended. Ends it if `must_end` returns a reason: first by SIGTERM, after `kill_after` by
    /// SIGKILL. Calls `line` for each line of output.
    pub(super) fn run(
        mut self,
        kill_after: Duration,
        mut must_end: impl FnMut() -> Option<Reason>,
        line: &dyn Fn(&str),
    ) -> io::Result<Ended> {
        let mut exited: Option<(ExitStatus, Instant)> = None;
        let mut ending: Option<(Reason, Instant)> = None;
        let mut is_killed = false;
        let mut pause = SHORTEST_PAUSE;
        loop {
            if self.write() | self.read(line) {
                pause = SHORTEST_PAUSE;
            }
            if exited.is_none() {
                exited = self.child.try_wait()?.map(|status| (status, Instant::now()));
            }
            let asked = if exited.is_none() || ending.is_some() { must_end() } else { None };
            if let (None, Some(reason)) = (ending, asked) {
                ending = Some((reason, Instant::now()));
                self.signal(Signal::TERM);
            }
            let is_late = ending.is_some_and(|(_, since)| since.elapsed() >= kill_after);
            if !is_killed && (is_late || ending.is_some() && asked == Some(Reason::Killed)) {
                is_killed = true;
                self.signal(Signal::KILL);
            }
            if let Some((status, since)) = exited {
                let is_read = self.outputs.iter().all(Option::is_none) || since.elapsed() >= LINGER;
                // The rest of the group gets the time that it needs to end.
                let is_over = ending.is_none() || is_killed || test_kill_process_group(self.group).is_err();
                if is_read && is_over {
                    self.outputs.iter_mut().flatten().for_each(|output| output.lines.flush(line));
                    let reason = ending.map(|(reason, _)| reason);
                    return Ok(Ended { status, reason, tail: self.tail.text() });
                }
            }
            self.wait(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Writes as much of the input as the process accepts. Returns true if it accepted some.
    fn write(&mut self) -> bool {
        let Some(input) = &mut self.input else { return false };
        let before = input.written;
        let is_over = loop {
            match input.pipe.write(input.data.get(input.written..).unwrap_or_default()) {
                Ok(0) => break true,
                Ok(count) => input.written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break false,
                // The process does not want the input, and need not.
                Err(_) => break true,
            }
        };
        let has_written = input.written > before;
        if is_over {
            self.input = None;
        }
        has_written
    }

    /// Reads the output that is there. Returns true if there was some.
    fn read(&mut self, line: &dyn Fn(&str)) -> bool {
        let mut has_read = false;
        let mut buffer = [0; 8 << 10];
        for (n, slot) in self.outputs.iter_mut().enumerate() {
            let Some(output) = slot else { continue };
            // Read a limited amount, so that endless output does not prevent the other checks.
            for _ in 0..64 {
                match output.pipe.read(&mut buffer) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Ok(0) | Err(_) => {
                        output.lines.flush(line);
                        *slot = None;
                        break;
                    }
                    Ok(count) => {
                        has_read = true;
                        let read = buffer.get(..count).unwrap_or_default();
                        output.lines.add(read, line);
                        if n == 1 {
                            self.tail.add(read);
                        }
                    }
                }
            }
        }
        has_read
    }

    /// Waits until a pipe is ready, at most for `pause`, or longer if the pipes tell when the process exits.
    fn wait(&self, pause: Duration) {
        let outputs = self.outputs.iter().flatten().map(|output| (output.pipe.as_fd(), PollFlags::IN));
        let input = self.input.iter().map(|input| (input.pipe.as_fd(), PollFlags::OUT));
        let mut pipes: Vec<PollFd<'_>> =
            outputs.chain(input).map(|(pipe, flags)| PollFd::from_borrowed_fd(pipe, flags)).collect();
        let timeout = Timespec::try_from(pause).ok();
        // An error, such as a signal, only makes the next check earlier.
        if pipes.is_empty() || poll(&mut pipes, timeout.as_ref()).is_err() {
            std::thread::sleep(pause.min(SHORTEST_PAUSE * 10));
        }
    }

    /// Sends a signal to the process group.
    fn signal(&self, signal: Signal) {
        // This fails if no process of the group is left.
        let _ = kill_process_group(self.group, signal);
    }
}

impl Drop for Process {
    /// Leaves no zombie if waiting has failed or a function that was called has panicked.
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}
