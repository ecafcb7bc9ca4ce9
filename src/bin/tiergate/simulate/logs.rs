//! The events of several logs in the order of their time, in bounded memory.
//!
//! Envoy writes a line at the end of a request, so a log is in the order of ends. Of several logs, the
//! line that was written first is read next. Events wait until no line within the window can be
//! earlier.

use super::clock::{JudgedEvents, LogClock, YEAR};
use super::event::{BadEvent, EventReader, LineEvent, LogEvent, LoggedDecision};
use crate::lines::{InputLine, InputLines};
use crate::progress::Progress;
use crate::usage::log_line::{BadLogLine, LONGEST_LOG_LINE, LogFields, WrappedLines};
use crate::usage::logs::{LogError, LogUse, open};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use tiergate::text::number;

/// The number of bad lines that are reported one by one.
const REPORTED: u64 = 10;
/// The maximum number of events that wait for an earlier one.
const MOST_WAITING: usize = 500_000;

/// The names of the fields of JSON lines that have the states.
#[derive(Clone, Copy, Default)]
pub struct StateFields<'a> {
    pub request: Option<&'a str>,
    pub usage: Option<&'a str>,
}

/// The counts of the lines of all logs.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct LogCounts {
    /// All lines but empty ones.
    pub read: u64,
    /// Those that were replayed.
    pub replayed: u64,
    /// Those of requests that pass uncounted.
    pub exempt: u64,
    /// Those of answers of the filter itself.
    pub answered: u64,
    /// Those without an account.
    pub without_account: u64,
    /// Those that Envoy wrote before their request's end, and those of single tries.
    pub interim: u64,
    /// Those that came too late for their place: the window is too short.
    pub late: u64,
    /// Those that could not be read.
    pub broken: u64,
    /// Those of them that a container runtime has wrapped.
    #[serde(skip)]
    pub wrapped: Option<WrappedLines>,
    /// True if the log has a request that was admitted.
    #[serde(skip)]
    pub has_admitted: bool,
}

/// One log, and its next event.
struct OpenLog {
    path: PathBuf,
    lines: InputLines<Box<dyn BufRead>>,
    fields: LogFields,
    clock: LogClock,
    /// The next event, and the time at which its line was written.
    next: Option<(LogEvent, u64)>,
}

/// All logs of a run.
pub struct LogStream<'a> {
    logs: Vec<OpenLog>,
    pub counts: LogCounts,
    progress: &'a Progress,
    order: EventOrder,
    bytes: u64,
}

impl<'a> LogStream<'a> {
    /// Opens all logs. An event waits for earlier ones for `window` of the log's time, in
    /// microseconds.
    ///
    /// # Errors
    /// [`LogError`] for a log that can't be read, or is compressed.
    pub fn open(
        paths: &[PathBuf],
        fields: StateFields<'_>,
        window: u64,
        progress: &'a Progress,
    ) -> Result<Self, LogError> {
        let open_one = |path: &PathBuf| {
            Ok(OpenLog {
                path: path.clone(),
                lines: InputLines::up_to(LONGEST_LOG_LINE, open(path, LogUse::Replay)?),
                fields: LogFields::new(fields.request, fields.usage),
                clock: LogClock::default(),
                next: None,
            })
        };
        Ok(Self {
            logs: paths
                .iter()
                .map(open_one)
                .collect::<Result<_, LogError>>()?,
            counts: LogCounts::default(),
            progress,
            order: EventOrder::new(window),
            bytes: 0,
        })
    }

    /// Gives all events to `take`, in the order of their arrival.
    ///
    /// # Errors
    /// [`LogError`] for a log that can't be read to its end.
    pub fn replay(
        &mut self,
        reader: &mut EventReader,
        mut take: impl FnMut(LogEvent, &EventReader),
    ) -> Result<(), LogError> {
        for number in 0..self.logs.len() {
            self.advance(number, reader)?;
        }
        while let Some(number) = self.earliest() {
            let next = self.logs.get_mut(number).and_then(|log| log.next.take());
            if let Some((event, written)) = next {
                add_one(&mut self.counts.replayed);
                self.order.add(event, written);
            }
            while let Some(event) = self.order.take_due() {
                take(event, reader);
            }
            self.advance(number, reader)?;
        }
        while let Some(event) = self.order.take() {
            take(event, reader);
        }
        self.counts.late = self.order.late;
        Ok(())
    }

    /// Returns the log whose next line was written first.
    fn earliest(&self) -> Option<usize> {
        let written = |log: &OpenLog| log.next.as_ref().map(|(_, written)| *written);
        let nexts = self.logs.iter().enumerate();
        let nexts = nexts.filter_map(|(number, log)| Some((written(log)?, number)));
        nexts.min().map(|(_, number)| number)
    }

    /// Reads a log up to its next event.
    fn advance(&mut self, number: usize, reader: &mut EventReader) -> Result<(), LogError> {
        let Some(log) = self.logs.get_mut(number) else {
            return Ok(());
        };
        let before = log.lines.bytes();
        let mut found = log.clock.take_next();
        while found.is_none() {
            let line = log.lines.next();
            let read = match line.map_err(LogError::unreadable(&log.path))? {
                None => {
                    found = self.counts.note(log.clock.end(), &log.path, self.progress);
                    break;
                }
                Some(InputLine::TooLong) => Ok(Err(BadLogLine::TooLong.into())),
                Some(InputLine::Whole(line)) if line.trim_ascii().is_empty() => continue,
                Some(InputLine::Whole(line)) => {
                    // The line borrows the reader of lines, so its number is known afterwards.
                    reader.read(&mut log.fields, line, (0, number))
                }
            };
            let line = log.lines.number();
            let read = read.map_err(LogError::ambiguous(&log.path, line))?;
            let read = self
                .counts
                .take(read.and_then(ends), line, &log.path, self.progress);
            let judged = read.map(|event| log.clock.judge(event)).unwrap_or_default();
            found = self.counts.note(judged, &log.path, self.progress);
        }
        let read = log.lines.bytes().saturating_sub(before);
        log.next = found.map(|event| {
            let written = event.arrival.saturating_add(event.life.unwrap_or(0));
            (event, written)
        });
        self.bytes = self.bytes.saturating_add(read);
        self.progress.at(self.counts.read, self.bytes);
        Ok(())
    }

    /// Tells what was left out.
    pub fn say_counts(&self) {
        let more = self.counts.broken.saturating_sub(REPORTED);
        if more > 0 {
            crate::say(&format!("and {} more broken lines", number(more)));
        }
        crate::say(&self.counts.summary());
    }
}

impl LogCounts {
    /// Returns the counts in a line.
    pub fn summary(&self) -> String {
        let mut words = format!("lines: {}", number(self.read));
        for (name, count) in [
            ("replayed", self.replayed),
            ("exempt", self.exempt),
            ("answered by the filter", self.answered),
            ("without an account", self.without_account),
            ("before the end", self.interim),
            ("late", self.late),
            ("broken", self.broken),
        ] {
            if count > 0 || matches!(name, "replayed" | "broken") {
                words.push_str(&format!(", {name}: {}", number(count)));
            }
        }
        words
    }
}

/// Refuses a request that would run beyond all others.
fn ends(read: LineEvent) -> Result<LineEvent, BadEvent> {
    match &read {
        LineEvent::Request(event) if event.life.is_some_and(|life| life > YEAR) => {
            Err(BadEvent::Endless)
        }
        _ => Ok(read),
    }
}

impl LogCounts {
    /// Counts a line, and returns its event if it has one.
    fn take(
        &mut self,
        read: Result<LineEvent, BadEvent>,
        line: u64,
        path: &Path,
        progress: &Progress,
    ) -> Option<LogEvent> {
        add_one(&mut self.read);
        match read {
            Ok(LineEvent::Request(mut event)) => {
                event.line.0 = line;
                self.has_admitted |= event.logged == Some(LoggedDecision::Admitted);
                return Some(event);
            }
            Ok(LineEvent::Interim) => add_one(&mut self.interim),
            Ok(LineEvent::Exempt) => add_one(&mut self.exempt),
            Ok(LineEvent::Answered) => add_one(&mut self.answered),
            Ok(LineEvent::Nameless) => add_one(&mut self.without_account),
            Err(bad) => self.note_broken(&bad, line, path, progress),
        }
        None
    }

    /// Counts events whose time was judged, and returns the good one.
    fn note(&mut self, judged: JudgedEvents, path: &Path, progress: &Progress) -> Option<LogEvent> {
        for bad in judged.bad {
            self.note_broken(&BadEvent::WrongClock, bad.line.0, path, progress);
        }
        judged.good
    }

    fn note_broken(&mut self, bad: &BadEvent, line: u64, path: &Path, progress: &Progress) {
        add_one(&mut self.broken);
        if let BadEvent::Line(bad) = bad {
            WrappedLines::count(&mut self.wrapped, bad);
        }
        if self.broken <= REPORTED {
            let path = path.display();
            progress.say(&format!("{path}, line {line}: {bad}"));
        }
    }
}

fn add_one(count: &mut u64) {
    *count = count.saturating_add(1);
}

/// Events in the order of their arrival, then of their lines. Within a millisecond, what was admitted
/// then comes first: no other order lets the same limits decide the same.
struct EventOrder {
    window: u64,
    /// Arrival, true for an event that was refused, its number, and its slot.
    heap: BinaryHeap<Reverse<(u64, bool, u64, usize)>>,
    slots: Vec<Option<LogEvent>>,
    free: Vec<usize>,
    added: u64,
    /// The latest time at which a line was written.
    written: u64,
    /// The arrival of the last event that was taken.
    taken: u64,
    late: u64,
}

impl EventOrder {
    fn new(window: u64) -> Self {
        Self {
            window,
            heap: BinaryHeap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            added: 0,
            written: 0,
            taken: 0,
            late: 0,
        }
    }

    fn add(&mut self, event: LogEvent, written: u64) {
        // After a jump back, lines wait for their turn by the time that the log has now.
        self.written = match written.saturating_add(YEAR) < self.written {
            true => written,
            false => self.written.max(written),
        };
        if event.arrival < self.taken {
            add_one(&mut self.late);
        }
        let arrival = event.arrival;
        let was_refused = event
            .logged
            .as_ref()
            .is_some_and(|logged| *logged != LoggedDecision::Admitted);
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                self.slots.len().saturating_sub(1)
            }
        };
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some(event);
        }
        self.heap
            .push(Reverse((arrival, was_refused, self.added, slot)));
        add_one(&mut self.added);
    }

    /// Takes the first event if no other within the window can be earlier.
    fn take_due(&mut self) -> Option<LogEvent> {
        let Reverse((arrival, ..)) = self.heap.peek()?;
        let due = arrival.saturating_add(self.window) <= self.written;
        (due || self.heap.len() > MOST_WAITING).then(|| self.take())?
    }

    fn take(&mut self) -> Option<LogEvent> {
        let Reverse((arrival, _, _, slot)) = self.heap.pop()?;
        self.taken = self.taken.max(arrival);
        self.free.push(slot);
        self.slots.get_mut(slot)?.take()
    }
}
