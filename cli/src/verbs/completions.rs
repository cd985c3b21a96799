//! `completions`: a script for a shell.

use clap::CommandFactory;

use crate::args::{Cli, Completions};
use crate::failure::Failure;
use crate::screen::Screen;

pub(super) fn run(args: &Completions, screen: &Screen) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "flagstone", &mut script);
    screen.line(String::from_utf8_lossy(&script).trim_end())
}
