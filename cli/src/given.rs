//! JSON given on the command line: as text, in a file, or on standard input.

use std::convert::Infallible;
use std::io::Read;
use std::path::PathBuf;
use std::str::FromStr;

use flagstone_model::json::Json;

use crate::failure::Failure;

/// Where a JSON argument stands: `{…}`, `@FILE`, or `-` for standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Given {
    Text(String),
    File(PathBuf),
    Stdin,
}

impl FromStr for Given {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.strip_prefix('@') {
            Some("-") => Self::Stdin,
            Some(path) => Self::File(path.into()),
            None if text == "-" => Self::Stdin,
            None => Self::Text(text.to_owned()),
        })
    }
}

impl Given {
    /// Reads it. `what` names it in an error, such as `--context`.
    pub(crate) fn read(&self, what: &str) -> Result<Json<'static>, Failure> {
        let bytes = match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::File(path) => std::fs::read(path).map_err(|error| {
                Failure::usage(format!("{what}: {} cannot be read: {error}", path.display()))
            })?,
            Self::Stdin => {
                let mut bytes = Vec::new();
                std::io::stdin()
                    .lock()
                    .read_to_end(&mut bytes)
                    .map_err(|error| Failure::usage(format!("{what}: standard input: {error}")))?;
                bytes
            }
        };
        let json = Json::parse(&bytes).map_err(|error| {
            Failure::usage(format!("{what}: {error}"))
                .hint(r#"JSON stands there as text, as @FILE, or as - for standard input; a string has its quotation marks: '"text"'"#)
        })?;
        Ok(json.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stands_as_text_in_a_file_or_on_standard_input() {
        let given = |text: &str| text.parse::<Given>().unwrap();
        assert_eq!(given("{}"), Given::Text("{}".to_owned()));
        assert_eq!(given("@a.json"), Given::File("a.json".into()));
        assert_eq!(given("-"), Given::Stdin);
        assert_eq!(given("@-"), Given::Stdin);
    }

    #[test]
    fn what_is_no_json_is_a_wrong_command_line() {
        let failure = Given::Text("{".to_owned()).read("--context").unwrap_err();
        assert_eq!(failure.code, "usage");
        assert!(failure.detail.starts_with("--context: "), "{}", failure.detail);
    }
}
