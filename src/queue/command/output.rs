//! The output of a command: its lines, and the end of its standard error.

/// Maximum length of a line in bytes. A longer line is split.
const LONGEST: usize = 8 << 10;

/// How many bytes of standard error become the message of a failed job.
const TAIL: usize = 2 << 10;

/// Splits output into lines.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<u8>);

impl Lines {
    /// Adds output, and passes on the complete lines.
    pub(super) fn add(&mut self, output: &[u8], line: &dyn Fn(&str)) {
        for piece in output.split_inclusive(|byte| *byte == b'\n') {
            self.0.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.0.len() >= LONGEST {
                self.flush(line);
            }
        }
    }

    /// Passes on the last line, which may have no end.
    pub(super) fn flush(&mut self, line: &dyn Fn(&str)) {
        let text = String::from_utf8_lossy(&self.0);
        // A progress bar overwrites its line. Show its last state only.
        let shown = text.trim_end().rsplit('\r').next().unwrap_or_default();
        if !shown.is_empty() {
            line(shown);
        }
        self.0.clear();
    }
}

/// The last bytes of standard error.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Tail {
    pub(super) fn add(&mut self, output: &[u8]) {
        self.bytes.extend_from_slice(output);
        if self.bytes.len() > TAIL {
            self.bytes.drain(..self.bytes.len() - TAIL);
            self.is_cut = true;
        }
    }

    /// Returns the text, which begins with `…` if there was more.
    pub(super) fn text(&self) -> String {
        // The cut may be within a character.
        let is_middle = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
        let skipped =
            if self.is_cut { self.bytes.iter().take(3).take_while(|b| is_middle(b)).count() } else { 0 };
        let text = String::from_utf8_lossy(self.bytes.get(skipped..).unwrap_or_default());
        match text.trim() {
            "" => String::new(),
            text if self.is_cut => format!("…{text}"),
            text => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn lines(outputs: &[&[u8]]) -> Vec<String> {
        let (seen, mut lines) = (RefCell::new(Vec::new()), Lines::default());
        let line = |line: &str| seen.borrow_mut().push(line.to_owned());
        outputs.iter().for_each(|output| lines.add(output, &line));
        lines.flush(&line);
        seen.into_inner()
    }

    #[test]
    fn lines_are_put_together_and_split() {
        assert_eq!(lines(&[b"a", b"b\r\nc\n\n", b"d"]), ["ab", "c", "d"]);
        assert_eq!(lines(&[b" 10%\r 20%\rdone\n"]), ["done"]);
        assert_eq!(lines(&[&[b'x'; 3 * LONGEST]]).concat().len(), 3 * LONGEST);
    }

    #[test]
    fn tail_is_valid_text() {
        let mut tail = Tail::default();
        tail.add("only\n".as_bytes());
        assert_eq!(tail.text(), "only");
        tail.add("ü€🎬".repeat(1_000).as_bytes());
        let text = tail.text();
        assert!(text.starts_with('…') && !text.contains('\u{fffd}') && text.len() <= TAIL + 3, "{text}");
    }
}
