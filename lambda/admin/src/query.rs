//! Query strings, read strictly: a parameter that is misspelled or repeated is refused, not ignored.

use axum::extract::Query as Pairs;
use axum::http::Uri;

use crate::cursor;
use crate::problem::Problem;

/// Items of a page if the caller does not say.
const DEFAULT_LIMIT: usize = 100;
/// Most items of a page.
const MAX_LIMIT: usize = 1_000;

/// The parameters of a request, each at most once and known to its route.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

/// Which part of a list is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// Most items wanted.
    pub(crate) limit: usize,
    /// Where the page before ended.
    pub(crate) after: Option<String>,
}

impl Query {
    /// Reads the query string, which may have the parameters `known`.
    pub(crate) fn read(uri: &Uri, known: &[&str]) -> Result<Self, Problem> {
        let Ok(Pairs(pairs)) = Pairs::<Vec<(String, String)>>::try_from_uri(uri) else {
            return Err(Problem::parameter("", "the query string is not readable"));
        };
        for (at, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let shown = if is_plain(name) { name } else { "" };
                let problem = Problem::parameter(shown, "this path does not have that parameter");
                let meant = flagstone_publisher::author::closest(name, known.iter().copied());
                return Err(meant
                    .map(str::to_owned)
                    .into_iter()
                    .fold(problem, |p, meant| p.suggesting(&meant)));
            }
            if pairs.iter().take(at).any(|(before, _)| before == name) {
                return Err(Problem::parameter(name, "the parameter stands there twice"));
            }
        }
        Ok(Self { pairs })
    }

    /// The parameter of this name.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find_map(|(present, value)| (present == name).then_some(value.as_str()))
    }

    /// A parameter that is `true` or `false`; absent means false.
    pub(crate) fn truth(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::parameter(name, "`true` or `false` is wanted here")),
        }
    }

    /// A parameter that is a natural number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let number =
            |text: &str| text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        match self.text(name) {
            None => Ok(None),
            Some(text) => match number(text) {
                Some(number) => Ok(Some(number)),
                None => Err(Problem::parameter(name, "a natural number is wanted here")),
            },
        }
    }

    /// `limit` and `cursor`, of the list at this path.
    pub(crate) fn page(&self, list: &str) -> Result<Page, Problem> {
        let limit = self.number("limit")?.map_or(Some(DEFAULT_LIMIT), |limit| {
            usize::try_from(limit).ok().filter(|limit| (1..=MAX_LIMIT).contains(limit))
        });
        let Some(limit) = limit else {
            return Err(Problem::parameter("limit", format!("a page has 1 to {MAX_LIMIT} items")));
        };
        let read = |cursor| {
            cursor::read(list, cursor)
                .ok_or_else(|| Problem::parameter("cursor", "not a cursor that this list has given"))
        };
        Ok(Page { limit, after: self.text("cursor").map(read).transpose()? })
    }
}

/// Whether this could be the name of a parameter; anything else is not repeated.
fn is_plain(name: &str) -> bool {
    name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Result<Query, Problem> {
        Query::read(&text.parse().unwrap(), &["limit", "cursor", "confirm"])
    }

    #[test]
    fn unknown_and_repeated_parameters_are_refused() {
        assert!(query("/x").is_ok() && query("/x?").is_ok() && query("/x?limit=1&confirm=true").is_ok());
        for bad in ["/x?confrim=true", "/x?limit=1&limit=1", "/x?Limit=1", "/x?=1"] {
            assert!(query(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_page_has_1_to_1000_items() {
        let page = |text: &str| query(text).unwrap().page("/x");
        assert_eq!(page("/x").unwrap(), Page { limit: 100, after: None });
        for (text, limit) in [("/x?limit=1", 1), ("/x?limit=1000", 1_000)] {
            assert_eq!(page(text).unwrap().limit, limit);
        }
        for bad in ["0", "1001", "-1", "+1", "1.0", "", "x", "99999999999999999999"] {
            assert!(page(&format!("/x?limit={bad}")).is_err(), "{bad}");
        }
        let cursor = cursor::write("/x", "key");
        assert_eq!(page(&format!("/x?cursor={cursor}")).unwrap().after.as_deref(), Some("key"));
        assert!(query(&format!("/y?cursor={cursor}")).unwrap().page("/y").is_err());
    }
}
