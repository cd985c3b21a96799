//! That something goes on: one line on a terminal's standard error, and nothing where a program reads.

use core::time::Duration;
use std::io::{Write, stderr};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;

/// What is done within this time is not worth a line.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two pictures.
const TURN: Duration = Duration::from_millis(120);
const PICTURES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
/// Goes to the start of the line and clears it.
const CLEAR: &str = "\r\x1b[2K";

/// A line that turns until this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    shown: Option<(Sender<String>, JoinHandle<()>)>,
}

impl Progress {
    /// A line that appears after a second; none where nobody looks.
    pub(crate) fn start(visible: bool, text: impl Into<String>) -> Self {
        if !visible {
            return Self::default();
        }
        let (sender, texts) = mpsc::channel::<String>();
        let mut text = text.into();
        let drawing = std::thread::spawn(move || {
            let mut wait = PATIENCE;
            let mut pictures = PICTURES.iter().cycle();
            let mut drawn = false;
            loop {
                match texts.recv_timeout(wait) {
                    Ok(new) => text = new,
                    Err(RecvTimeoutError::Timeout) => {
                        wait = TURN;
                        drawn = true;
                        let picture = pictures.next().copied().unwrap_or(' ');
                        draw(&format!("{CLEAR}{picture} {text}"));
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            if drawn {
                draw(CLEAR);
            }
        });
        Self { shown: Some((sender, drawing)) }
    }

    /// Says what is done now.
    pub(crate) fn say(&self, text: impl FnOnce() -> String) {
        if let Some((sender, _)) = &self.shown {
            // The line is gone only when this is.
            let _ = sender.send(text());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((sender, drawing)) = self.shown.take() {
            drop(sender);
            // A line that could not be drawn is no reason to fail.
            let _ = drawing.join();
        }
    }
}

fn draw(text: &str) {
    let mut err = stderr().lock();
    let _ = err.write_all(text.as_bytes());
    let _ = err.flush();
}
