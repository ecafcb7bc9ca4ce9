//! Standard output, whose reader may leave early, as head does.
//!
//! A reader that has enough is no failure. So what is written after it has left goes nowhere, and the
//! command ends with its own exit code.

use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};

/// Standard output that drops each write after its reader has left.
pub struct Output {
    out: BufWriter<StdoutLock<'static>>,
    is_closed: bool,
}

impl Output {
    pub fn new() -> Self {
        Self {
            out: BufWriter::new(io::stdout().lock()),
            is_closed: false,
        }
    }

    /// Writes a text to its end.
    ///
    /// # Errors
    /// The text can't be written, for another reason than a closed pipe.
    pub fn print(text: &str) -> io::Result<()> {
        let mut out = Self::new();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    fn unless_closed<T>(&mut self, result: io::Result<T>, closed: T) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(closed)
            }
            result => result,
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_closed {
            return Ok(bytes.len());
        }
        let written = self.out.write(bytes);
        self.unless_closed(written, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.is_closed {
            return Ok(());
        }
        let flushed = self.out.flush().and_then(|()| self.out.get_mut().flush());
        self.unless_closed(flushed, ())
    }
}
