//! Detects that stdout was closed when the program started.
//!
//! Before `main`, Rust replaces a closed stdout with `/dev/null`, so all output would seem to be written. This module looks
//! earlier, when the program is loaded.

#[cfg(target_os = "linux")]
mod at_load {
    use std::sync::atomic::{AtomicBool, Ordering};

    static IS_CLOSED: AtomicBool = AtomicBool::new(false);

    /// The loader calls this function before Rust's own start code.
    #[allow(unsafe_code)]
    // SAFETY: the section holds functions of this type, and `look` uses nothing that is initialized later.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static LOOK: extern "C" fn() = look;

    extern "C" fn look() {
        let stdout = rustix::stdio::stdout();
        let flags = rustix::io::fcntl_getfd(stdout);
        IS_CLOSED.store(flags == Err(rustix::io::Errno::BADF), Ordering::Relaxed);
    }

    pub(super) fn is_closed() -> bool {
        // The linker may drop a static without references.
        std::hint::black_box(&LOOK);
        IS_CLOSED.load(Ordering::Relaxed)
    }
}

#[cfg(not(target_os = "linux"))]
mod at_load {
    pub(super) const fn is_closed() -> bool {
        false
    }
}

pub(super) fn stdout() -> bool {
    at_load::is_closed()
}
