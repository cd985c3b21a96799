//! Paths into a context: segments joined by dots.

use core::fmt;
use core::str::FromStr;

/// A path to an attribute, such as `app.version` (FORMAT M-3.3).
///
/// In a segment `~1` stands for a dot and `~0` for a tilde. Paths lead through objects only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    segments: Box<[Box<str>]>,
}

/// Why a text is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The path, or a segment of it, is empty.
    #[error("a path has no empty segment")]
    EmptySegment,
    /// A tilde that is neither `~0` nor `~1`.
    #[error("in a path `~` is written `~0` and a dot inside a name `~1`")]
    Escape,
}

impl Path {
    /// Reads a path.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        text.split('.').map(unescape).collect::<Result<_, _>>().map(|segments| Self { segments })
    }

    /// The path of one segment, named as it is.
    pub fn of_name(name: &str) -> Self {
        Self { segments: [name.into()].into() }
    }

    /// The names, unescaped; at least one.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = &str> {
        self.segments.iter().map(|segment| &**segment)
    }
}

fn unescape(segment: &str) -> Result<Box<str>, PathError> {
    if segment.is_empty() {
        return Err(PathError::EmptySegment);
    }
    let mut parts = segment.split('~');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escaped, rest) = part.split_at_checked(1).ok_or(PathError::Escape)?;
        name.push(match escaped {
            "0" => '~',
            "1" => '.',
            _ => return Err(PathError::Escape),
        });
        name.push_str(rest);
    }
    Ok(name.into())
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::parse(text)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            f.write_str(&segment.replace('~', "~0").replace('.', "~1"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_split_and_unescaped() {
        let path = Path::parse("app.a~1b~0c.x").unwrap();
        assert_eq!(path.segments().collect::<Vec<_>>(), ["app", "a.b~c", "x"]);
        assert_eq!(path.to_string(), "app.a~1b~0c.x");
    }

    #[test]
    fn malformed_paths_are_refused() {
        for (text, error) in [
            ("", PathError::EmptySegment),
            ("a..b", PathError::EmptySegment),
            (".a", PathError::EmptySegment),
            ("a.", PathError::EmptySegment),
            ("a~", PathError::Escape),
            ("a~2", PathError::Escape),
            ("a~é", PathError::Escape),
        ] {
            assert_eq!(Path::parse(text), Err(error), "{text}");
        }
    }
}
