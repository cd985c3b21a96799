//! Who may do what: for each operation the least role, and how far it reaches.
//!
//! This is the one place that says so. A route that has no row here answers nobody.

use flagstone_publisher::author::Role::{self, Admin, Editor, Viewer};

use self::Reach::{Environment, Named, Project, Shared};

const P: &str = "/v1/projects/{project}";
const E: &str = "/v1/projects/{project}/environments/{environment}";

/// What a token that is limited to some environments has to have among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Nothing: it is the same for everybody in the project.
    Shared,
    /// The environment in the path.
    Environment,
    /// Every environment there is or will be: nothing for a limited token.
    Project,
    /// What the request names, which its handler checks.
    Named,
}

/// What an operation takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    /// Its method. `HEAD` goes with `GET`.
    pub method: &'static str,
    /// Its path: `P` is that of the project, `E` that of an environment.
    pub path: &'static str,
    /// The least role.
    pub role: Role,
    /// How far it reaches.
    pub reach: Reach,
}

/// Every operation that asks for a token.
pub const RIGHTS: &[Right] = &[
    right("GET", "P/flags", Viewer, Shared),
    right("POST", "P/flags", Editor, Project),
    right("GET", "P/flags/{flag}", Viewer, Shared),
    right("PATCH", "P/flags/{flag}", Editor, Project),
    right("DELETE", "P/flags/{flag}", Editor, Project),
    right("GET", "P/environments", Viewer, Shared),
    right("POST", "P/environments", Admin, Project),
    right("GET", "P/log", Viewer, Project),
    right("GET", "P/access", Admin, Project),
    right("POST", "P/erase", Admin, Project),
    right("POST", "P/doctor", Admin, Project),
    right("GET", "P/tokens", Admin, Named),
    right("POST", "P/tokens", Admin, Named),
    right("GET", "P/tokens/self", Viewer, Shared),
    right("GET", "P/tokens/{token}", Admin, Named),
    right("DELETE", "P/tokens/{token}", Admin, Named),
    right("GET", "P/attributes", Viewer, Shared),
    right("PUT", "P/attributes", Admin, Project),
    right("GET", "P/views", Viewer, Shared),
    right("GET", "P/views/{view}", Viewer, Shared),
    right("PUT", "P/views/{view}", Admin, Project),
    right("DELETE", "P/views/{view}", Admin, Project),
    right("GET", "E", Viewer, Environment),
    right("PATCH", "E", Admin, Environment),
    right("GET", "E/flags", Viewer, Environment),
    right("GET", "E/flags/{flag}", Viewer, Environment),
    right("PUT", "E/flags/{flag}", Editor, Environment),
    right("POST", "E/flags/{flag}/on", Editor, Environment),
    right("POST", "E/flags/{flag}/off", Editor, Environment),
    right("POST", "E/flags/{flag}/rollout", Editor, Environment),
    right("POST", "E/flags/{flag}/restore", Editor, Environment),
    right("POST", "E/flags/{flag}/pause", Editor, Environment),
    right("POST", "E/flags/{flag}/reshuffle", Editor, Environment),
    right("GET", "E/experiments", Viewer, Environment),
    right("GET", "E/flags/{flag}/history", Viewer, Environment),
    right("GET", "E/segments", Viewer, Environment),
    right("GET", "E/segments/{segment}", Viewer, Environment),
    right("PUT", "E/segments/{segment}", Editor, Environment),
    right("DELETE", "E/segments/{segment}", Editor, Environment),
    right("GET", "E/lists", Viewer, Environment),
    right("GET", "E/lists/{list}", Viewer, Environment),
    right("PUT", "E/lists/{list}", Editor, Environment),
    right("PATCH", "E/lists/{list}", Editor, Environment),
    right("DELETE", "E/lists/{list}", Editor, Environment),
    right("GET", "E/lists/{list}/keys", Viewer, Environment),
    right("GET", "E/lists/{list}/history", Viewer, Environment),
    right("POST", "E/evaluate", Viewer, Environment),
    right("POST", "E/explain", Viewer, Environment),
    // It writes nothing, and tells what may be read.
    right("POST", "E/preview", Viewer, Environment),
    right("GET", "E/flags/{flag}/audit", Viewer, Environment),
    right("GET", "E/history", Viewer, Environment),
    right("GET", "E/segments/{segment}/history", Viewer, Environment),
    right("GET", "P/flags/{flag}/history", Viewer, Shared),
    right("GET", "E/publication", Viewer, Environment),
    right("POST", "E/publish", Editor, Environment),
    // What the changes are about: an environment each, or the project.
    right("POST", "P/changes", Editor, Named),
    right("POST", "E/restore", Editor, Environment),
    right("GET", "E/keys", Admin, Environment),
    right("POST", "E/keys", Admin, Environment),
    right("GET", "E/keys/{key}", Admin, Environment),
    right("DELETE", "E/keys/{key}", Admin, Environment),
];

const fn right(method: &'static str, path: &'static str, role: Role, reach: Reach) -> Right {
    Right { method, path, role, reach }
}

impl Right {
    /// What the operation at this template takes, if there is one.
    pub(crate) fn of(method: &str, template: &str) -> Option<&'static Self> {
        let method = if method == "HEAD" { "GET" } else { method };
        RIGHTS.iter().find(|right| right.method == method && right.is_at(template))
    }

    /// The template of its path.
    pub fn template(&self) -> String {
        match self.path.split_at_checked(1) {
            Some(("E", rest)) => format!("{E}{rest}"),
            Some((_, rest)) => format!("{P}{rest}"),
            None => String::new(),
        }
    }

    fn is_at(&self, template: &str) -> bool {
        let (short, rest) = match (template.strip_prefix(E), template.strip_prefix(P)) {
            (Some(rest), _) => ("E", rest),
            (None, Some(rest)) => ("P", rest),
            (None, None) => return false,
        };
        self.path.strip_prefix(short) == Some(rest)
    }

    /// Whether it is what somebody who signs in asks first.
    pub fn is_sign_in(&self) -> bool {
        self.path == "P/tokens/self"
    }

    /// Whether it changes something.
    pub fn is_write(&self) -> bool {
        self.method != "GET" && self.role > Viewer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_template_and_stands_there_once() {
        for right in RIGHTS {
            assert_eq!(Right::of(right.method, &right.template()), Some(right));
            let same = |other: &&Right| (other.method, other.path) == (right.method, right.path);
            assert_eq!(RIGHTS.iter().filter(same).count(), 1, "{right:?}");
        }
    }

    #[test]
    fn what_lies_in_an_environment_asks_for_it_and_what_changes_something_for_more_than_a_viewer() {
        for right in RIGHTS {
            assert_eq!(right.path.starts_with('E'), right.reach == Environment, "{right:?}");
            let asks = ["/evaluate", "/explain", "/preview"].iter().any(|end| right.path.ends_with(end));
            assert!(right.method == "GET" || asks || right.is_write(), "{right:?}");
        }
    }

    #[test]
    fn an_operation_without_a_row_takes_what_nobody_has() {
        for (method, template) in
            [("POST", "/v1/projects/{project}"), ("PUT", "/v1/projects/{project}/flags"), ("GET", "/healthz")]
        {
            assert_eq!(Right::of(method, template), None);
        }
    }
}
