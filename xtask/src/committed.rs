//! What may not stand in a committed file: paths that exist on one machine only.

use std::process::Command;

use anyhow::{Result, bail};

use crate::steps::{Outcome, Tree, output};

/// Folders of single machines. Split, so that this file passes its own check.
const MACHINE_PATHS: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("..", "/shared")];

/// Fails with every place at which a committed file names one of them.
pub(crate) fn check(tree: &Tree) -> Result<Outcome> {
    let mut command = Command::new("git");
    command.current_dir(&tree.root).args(["ls-files", "-z"]);
    let listing = output(command)?;
    let mut places = Vec::new();
    for name in listing.split_terminator('\0') {
        // A file that is deleted but not yet committed, or no text, has nothing to find.
        let Ok(text) = std::fs::read_to_string(tree.root.join(name)) else { continue };
        for (line, number) in text.lines().zip(1..) {
            if names_machine_path(line) {
                places.push(format!("{name}:{number}"));
            }
        }
    }
    if !places.is_empty() {
        bail!("paths of one machine in {}", places.join(", "));
    }
    Ok(Outcome::Passed)
}

/// Whether one of the paths begins a word of the line and goes on with a name; the format has objects such as
/// `v1/root/1`.
fn names_machine_path(line: &str) -> bool {
    MACHINE_PATHS.iter().any(|path| {
        line.match_indices(path).any(|(at, _)| {
            let before = line.get(..at).and_then(|before| before.chars().next_back());
            let after = line.get(at + path.len()..).and_then(|after| after.chars().next());
            before.is_none_or(|character| !character.is_alphanumeric() && !"}>_-.*".contains(character))
                && after.is_some_and(|character| character.is_alphabetic() || "._~".contains(character))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_one_machine_is_found_at_the_start_of_a_word() {
        for path in MACHINE_PATHS {
            assert!(names_machine_path(&format!("see {path}x")), "{path}");
            assert!(names_machine_path(&format!("{path}x")), "{path}");
            assert!(names_machine_path(&format!("dir=\"{path}x\"")), "{path}");
        }
    }

    #[test]
    fn an_object_path_of_the_format_is_none() {
        for line in [
            "open/shop/v1/root/1",
            "{project}/v1/root/{n}",
            "{base}/root/1",
            "\"/root/1\"",
            "ends_with(\"/root/\")",
            "work/life",
            "network/x",
        ] {
            assert!(!names_machine_path(line), "{line}");
        }
    }
}
