//! Keys that the user presses while a command draws on the terminal.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Reads single keys from the terminal without showing them. Dropping it restores the terminal.
pub(super) struct Keys {
    /// The settings of the terminal before. `None` if stdin is not a terminal, so that there are no keys.
    before: Option<Termios>,
}

impl Keys {
    pub(super) fn new() -> Self {
        let stdin = rustix::stdio::stdin();
        let before = tcgetattr(stdin).ok();
        if let Some(before) = &before {
            let mut settings = before.clone();
            settings.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            // Without it, keys only arrive after Enter. That is not worth an error.
            let _ = tcsetattr(stdin, OptionalActions::Now, &settings);
        }
        Self { before }
    }

    /// Waits for a key, at most for `timeout`.
    pub(super) fn next(&self, timeout: Duration) -> Option<u8> {
        if self.before.is_none() {
            std::thread::sleep(timeout);
            return None;
        }
        let stdin = rustix::stdio::stdin();
        let timeout = Timespec::try_from(timeout).ok();
        let polled = poll(&mut [PollFd::from_borrowed_fd(stdin, PollFlags::IN)], timeout.as_ref());
        let mut key = [0];
        match polled {
            Ok(1..) if rustix::io::read(stdin, &mut key) == Ok(1) => Some(key[0]),
            _ => None,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Nothing else can be done if the terminal has gone.
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, before);
        }
    }
}
