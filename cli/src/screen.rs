//! What is printed, and how: text for people, JSON Lines for programs, colours on a terminal only.

use std::fmt::Display;
use std::io::{Stdout, Write, stderr, stdout};

use flagstone_model::json::Json;

use crate::failure::Failure;
use crate::surroundings::Surroundings;

/// A way to set a word off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
}

impl Paint {
    const fn number(self) -> u8 {
        match self {
            Self::Bold => 1,
            Self::Dim => 2,
            Self::Red => 31,
            Self::Green => 32,
            Self::Yellow => 33,
        }
    }
}

/// How outcomes and changes are marked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marks {
    /// It holds.
    pub(crate) holds: &'static str,
    /// It does not.
    pub(crate) fails: &'static str,
    /// It was not asked.
    pub(crate) skipped: &'static str,
    /// From one thing to another.
    pub(crate) arrow: &'static str,
}

/// Standard output and standard error.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Screen {
    out: Stdout,
    json: bool,
    colour_out: bool,
    colour_err: bool,
    progress: bool,
}

impl Screen {
    pub(crate) fn new(json: bool, surroundings: &Surroundings) -> Self {
        let colour = !surroundings.no_color && !json;
        Self {
            out: stdout(),
            json,
            colour_out: colour && surroundings.terminal_out,
            colour_err: colour && surroundings.terminal_err,
            progress: !json && surroundings.shows_progress(),
        }
    }

    /// Whether a program reads.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether somebody sees a line that changes.
    pub(crate) const fn shows_progress(&self) -> bool {
        self.progress
    }

    /// Marks that standard output can show: plain ASCII, unless somebody looks at it.
    pub(crate) const fn marks(&self) -> Marks {
        if self.colour_out {
            Marks { holds: "✓", fails: "✗", skipped: "·", arrow: "→" }
        } else {
            Marks { holds: "+", fails: "-", skipped: ".", arrow: "->" }
        }
    }

    /// Sets a word for standard output off, if that is a terminal.
    pub(crate) fn paint(&self, paint: Paint, text: impl Display) -> String {
        painted(self.colour_out, paint, text)
    }

    /// One line on standard output.
    pub(crate) fn line(&self, text: impl Display) -> Result<(), Failure> {
        writeln!(self.out.lock(), "{text}").map_err(|_| Failure::closed())
    }

    /// One JSON line on standard output.
    pub(crate) fn json(&self, json: &Json<'_>) -> Result<(), Failure> {
        self.line(json)
    }

    /// A list as one JSON line on standard output.
    pub(crate) fn items(&self, items: Vec<Json<'_>>) -> Result<(), Failure> {
        self.json(&Json::object([("items", Json::Array(items))]))
    }

    /// A table without a frame on standard output; the first row is its head.
    pub(crate) fn table(&self, rows: &[Vec<String>]) -> Result<(), Failure> {
        let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        for (number, row) in rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            let text = cells.collect::<Vec<_>>().join("  ");
            let text = text.trim_end();
            self.line(if number == 0 { self.paint(Paint::Dim, text) } else { text.to_owned() })?;
        }
        Ok(())
    }

    /// A remark on standard error.
    pub(crate) fn note(&self, text: impl Display) {
        // A remark nobody can read is no reason to fail.
        let _ = writeln!(stderr().lock(), "{} {text}", painted(self.colour_err, Paint::Yellow, "note:"));
    }

    /// Why it did not work, on standard error.
    pub(crate) fn failure(&self, failure: &Failure) {
        if failure.silent {
            return;
        }
        let mut err = stderr().lock();
        // Nobody is left to tell if this cannot be written.
        let _ =
            if self.json { writeln!(err, "{}", failure.to_json()) } else { self.describe(failure, &mut err) };
    }

    fn describe(&self, failure: &Failure, out: &mut impl Write) -> std::io::Result<()> {
        let mark = painted(self.colour_err, Paint::Red, "error:");
        write!(out, "{mark} {}", failure.detail)?;
        match &failure.suggestion {
            Some(suggestion) => writeln!(out, "; did you mean `{suggestion}`?")?,
            None => writeln!(out)?,
        }
        for spot in &failure.spots {
            let pointer = if spot.pointer.is_empty() { "(whole body)" } else { &spot.pointer };
            match spot.detail.as_str() {
                "" => writeln!(out, "  at {pointer}")?,
                detail => writeln!(out, "  at {pointer}: {detail} [{}]", spot.code)?,
            }
        }
        if let Some(hint) = &failure.hint {
            writeln!(out, "  {} {hint}", painted(self.colour_err, Paint::Dim, "hint:"))?;
        }
        let mut tail = format!("[{}]", failure.code);
        if let Some(id) = &failure.request_id {
            tail.push_str(" request ");
            tail.push_str(id);
        }
        writeln!(out, "  {}", painted(self.colour_err, Paint::Dim, tail))
    }
}

fn painted(colour: bool, paint: Paint, text: impl Display) -> String {
    if colour { format!("\x1b[{}m{text}\x1b[0m", paint.number()) } else { text.to_string() }
}
