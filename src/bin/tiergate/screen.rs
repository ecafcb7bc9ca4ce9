//! The terminal during `tiergate top`, and its restoration.

use crate::table::{Line, Look};
use crate::visible::columns;
use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::style::{Attribute, Print, SetAttribute};
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen,
};
use crossterm::{QueueableCommand as _, execute};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The time for the loop to end after a signal.
const HEARD_WITHIN: Duration = Duration::from_secs(1);

/// The user's input.
pub enum Wish {
    End,
    Redraw,
    Nothing,
}

/// The alternate screen. Dropping it restores the terminal, and so does a panic.
pub struct Screen {
    ended: Arc<AtomicBool>,
}

impl Screen {
    pub fn take() -> io::Result<Self> {
        let ended = Arc::new(AtomicBool::new(false));
        end_on_signals(Arc::clone(&ended))?;
        let said = std::panic::take_hook();
        // A release build aborts on a panic, and drops nothing.
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            said(panic);
        }));
        let screen = Self { ended };
        terminal::enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    /// Returns columns and rows.
    pub fn size() -> io::Result<(usize, usize)> {
        let (columns, rows) = terminal::size()?;
        Ok((usize::from(columns), usize::from(rows)))
    }

    /// Waits for a key, a resize or a signal, at most for `time`.
    pub fn wish(&self, time: Duration) -> io::Result<Wish> {
        let any = event::poll(time);
        if self.ended.load(Ordering::Relaxed) {
            return Ok(Wish::End);
        }
        if !any? {
            return Ok(Wish::Nothing);
        }
        Ok(match event::read()? {
            Event::Resize(..) => Wish::Redraw,
            Event::Key(key) if key.kind == KeyEventKind::Press => match key.code {
                KeyCode::Char('q') | KeyCode::Esc => Wish::End,
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Wish::End,
                KeyCode::Char('l') if key.modifiers.contains(KeyModifiers::CONTROL) => Wish::Redraw,
                _ => Wish::Nothing,
            },
            _ => Wish::Nothing,
        })
    }

    /// Overwrites each line in one update, without clearing the screen first.
    pub fn draw(&self, lines: &[Line], width: usize) -> io::Result<()> {
        let mut out = Vec::new();
        out.queue(BeginSynchronizedUpdate)?;
        let mut row = 0;
        for line in lines {
            out.queue(MoveTo(0, row))?;
            out.queue(SetAttribute(attribute(line.look)))?;
            out.queue(Print(&line.text))?;
            out.queue(SetAttribute(Attribute::Reset))?;
            // After a full line the cursor stays on the last column, and clearing would erase it.
            if columns(&line.text) < width {
                out.queue(Clear(ClearType::UntilNewLine))?;
            }
            row = row.saturating_add(1);
        }
        if terminal::size()?.1 > row {
            out.queue(MoveTo(0, row))?;
            out.queue(Clear(ClearType::FromCursorDown))?;
        }
        out.queue(EndSynchronizedUpdate)?;
        let mut terminal = io::stdout().lock();
        terminal.write_all(&out)?;
        terminal.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Ends the loop on a signal, or the process if the loop does not notice. The wait for events never
/// returns when the terminal is gone, since reading it gives nothing.
fn end_on_signals(ended: Arc<AtomicBool>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            ended.store(true, Ordering::Relaxed);
            std::thread::sleep(HEARD_WITHIN);
            give_back();
            std::process::exit(0);
        }
    });
    Ok(())
}

/// Restores the terminal; each step runs even if another fails.
fn give_back() {
    let mut out = io::stdout();
    let _ = execute!(out, EndSynchronizedUpdate, SetAttribute(Attribute::Reset));
    let _ = execute!(out, LeaveAlternateScreen, Show);
    let _ = terminal::disable_raw_mode();
}

fn attribute(look: Look) -> Attribute {
    match look {
        Look::Plain => Attribute::Reset,
        Look::Heading => Attribute::Bold,
        Look::Quiet => Attribute::Dim,
        Look::Alarm => Attribute::Reverse,
    }
}
