//! `tiergate top`: refusals, overload and workers of a running filter, in the terminal.

use crate::Ending;
use crate::admin::{AdminClient, AdminUrl, FetchError, SetupError, TOKEN_ENV};
use crate::screen::{Screen, Wish};
use crate::table::{Line, Look};
use crate::view::{Stale, view};
use crate::visible::{visible, visible_json};
use clap::Args;
use serde_json::value::RawValue;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};
use tiergate::admin::status::Status;
use tiergate::json::values;

/// The maximum delay until a key or new data is noticed.
const LOOK_EACH: Duration = Duration::from_millis(100);

#[derive(Args)]
pub struct TopArgs {
    /// The admin path of the filter, such as http://127.0.0.1:10001/-/tiergate
    #[arg(long, value_name = "URL", value_parser = AdminUrl::parse)]
    admin: AdminUrl,
    #[arg(long, value_name = "FILE", help = format!(
        "A file with the token of the admin API; without it, the environment's {TOKEN_ENV}"
    ))]
    token_file: Option<PathBuf>,
    /// Certificates in PEM that an https address is checked by, in place of the public ones
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Between two reads: 500ms to 1h
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval)]
    interval: Duration,
    /// Read and print once, and end; also where standard output is no terminal
    #[arg(long)]
    once: bool,
    /// The status as JSON, as it came, on one line for each read
    #[arg(long)]
    json: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum TopError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("{address}: {source}")]
    Fetch { address: String, source: FetchError },
    #[error("can't write: {0}")]
    Unwritable(io::Error),
    #[error("can't use the terminal: {0}")]
    Terminal(io::Error),
}

pub fn run(args: &TopArgs) -> Result<Ending, TopError> {
    let token_file = args.token_file.as_deref();
    let admin = AdminClient::new(&args.admin, token_file, args.ca_file.as_deref())?;
    let written = if args.json {
        print_json(&admin, args)?
    } else {
        let first = status(&admin).map_err(|source| unread(&admin, source))?;
        let terminal = io::stdout().is_terminal();
        if terminal && !args.once {
            show(admin, first, args.interval).map_err(TopError::Terminal)?;
            return Ok(Ending::Clean);
        }
        let width = match terminal {
            true => Screen::size().map_err(TopError::Terminal)?.0,
            // A pipe or a file gets complete names.
            false => usize::MAX,
        };
        print(&view(&first, None, width))
    };
    match written {
        // The reader has closed the pipe.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Ending::Clean),
        Err(error) => Err(TopError::Unwritable(error)),
        Ok(()) => Ok(Ending::Clean),
    }
}

fn unread(admin: &AdminClient, source: FetchError) -> TopError {
    let address = admin.address().to_owned();
    TopError::Fetch { address, source }
}

fn status(admin: &AdminClient) -> Result<Status, FetchError> {
    let text = json(admin)?;
    // The error may quote text from the filter.
    serde_json::from_str(&text).map_err(|e| FetchError::NotAStatus(visible(&e.to_string())))
}

/// Fetches the status as text, and checks that it is JSON.
fn json(admin: &AdminClient) -> Result<String, FetchError> {
    let text = admin.status()?;
    match serde_json::from_str::<&RawValue>(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(FetchError::NotJson(error.to_string())),
    }
}

/// Prints JSON, once or forever. Only the first read must succeed: later ones are retried.
fn print_json(admin: &AdminClient, args: &TopArgs) -> Result<io::Result<()>, TopError> {
    let mut first = true;
    loop {
        match json(admin) {
            Ok(text) => {
                let line = visible_json(text.trim()) + "\n";
                let mut out = io::stdout();
                let written = out.write_all(line.as_bytes()).and_then(|()| out.flush());
                if args.once || written.is_err() {
                    return Ok(written);
                }
            }
            Err(source) if first => return Err(unread(admin, source)),
            Err(source) => crate::say(&unread(admin, source).to_string()),
        }
        first = false;
        thread::sleep(args.interval);
    }
}

fn print(lines: &[Line]) -> io::Result<()> {
    let mut text = String::new();
    for line in lines {
        // Writing to a String can't fail.
        let _ = writeln!(text, "{}", line.text);
    }
    io::stdout().write_all(text.as_bytes())
}

/// The data on the screen.
struct Frame {
    status: Status,
    at: Instant,
    /// The reason why the data is not current.
    reason: Option<String>,
}

/// Draws until the user or a signal ends the loop.
fn show(admin: AdminClient, status: Status, interval: Duration) -> io::Result<()> {
    let at = Instant::now();
    let mut frame = Frame {
        status,
        at,
        reason: None,
    };
    let reads = read_on(admin, interval);
    let screen = Screen::take()?;
    let mut drawn: Option<(Vec<Line>, (usize, usize))> = None;
    loop {
        frame.take(&reads)?;
        let size = Screen::size()?;
        let lines = frame.lines(size);
        let now = Some((lines, size));
        if now != drawn {
            if let Some((lines, (width, _))) = &now {
                screen.draw(lines, *width)?;
            }
            drawn = now;
        }
        match screen.wish(LOOK_EACH)? {
            Wish::End => return Ok(()),
            Wish::Redraw => drawn = None,
            Wish::Nothing => {}
        }
    }
}

/// Fetches in a thread of its own, so that keys work during a call.
fn read_on(admin: AdminClient, interval: Duration) -> Receiver<Result<Status, FetchError>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        loop {
            thread::sleep(interval);
            if sender.send(status(&admin)).is_err() {
                break;
            }
        }
    });
    receiver
}

impl Frame {
    fn take(&mut self, reads: &Receiver<Result<Status, FetchError>>) -> io::Result<()> {
        loop {
            match reads.try_recv() {
                Ok(Ok(status)) => {
                    *self = Self {
                        status,
                        at: Instant::now(),
                        reason: None,
                    };
                }
                Ok(Err(error)) => self.reason = Some(error.to_string()),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => {
                    return Err(io::Error::other("the reading thread is gone"));
                }
            }
        }
    }

    /// Returns at most one line for each row, the last one for the keys.
    fn lines(&self, (width, rows): (usize, usize)) -> Vec<Line> {
        let stale = self.reason.as_ref().map(|reason| Stale {
            age: self.at.elapsed(),
            reason: reason.clone(),
        });
        let mut lines = view(&self.status, stale.as_ref(), width);
        let room = rows.saturating_sub(1);
        let more = lines.len().saturating_sub(room);
        lines.truncate(room);
        let keys = match more {
            0 => "q quits".to_owned(),
            _ => format!("q quits; {more} more lines, shown by --once"),
        };
        lines.push(Line::new(Look::Quiet, crate::visible::cut(&keys, width)));
        lines
    }
}

/// Parses digits and one of ms, s, m, h, as in the config.
fn interval(text: &str) -> Result<Duration, &'static str> {
    match values::Duration::parse(text).map(|time| time.0.as_millis()) {
        Some(ms @ 500..=3_600_000) => Ok(Duration::from_millis(ms)),
        _ => Err("not a time from 500ms to 1h: digits and one of ms, s, m, h"),
    }
}
