//! Reading authored JSON: every problem is collected, with its place.

use flagstone_model::json::Json;
use flagstone_model::key::KeyError;
use flagstone_model::limits;

use super::moment::Source;
use super::problem::{Problem, code, push_pointer};
use super::suggest::did_you_mean;
use super::zones::Zone;

/// Collects problems while descending into a document.
#[derive(Debug, Default)]
pub(super) struct Reader {
    problems: Vec<Problem>,
    pointer: String,
    /// The time zone of local times that name none.
    pub(super) zone: Option<Zone>,
    pub(super) source: Source,
}

/// The members an object may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Members {
    /// What the object is, for people: `a rule`.
    pub what: &'static str,
    /// Members that are read.
    pub known: &'static [&'static str],
    /// Members of the authored form that cannot be lowered yet.
    pub pending: &'static [&'static str],
}

/// What to say of members that people expect and that there are not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Advice {
    /// The names.
    pub names: &'static [&'static str],
    /// The code of the problem.
    pub code: &'static str,
    /// Why not, and what to write instead.
    pub instead: &'static str,
}

impl Reader {
    /// Reads a whole document: a value, or all problems.
    pub(super) fn document<T>(read: impl FnOnce(&mut Self) -> Option<T>) -> Result<T, Vec<Problem>> {
        Self::document_from(Source::default(), read)
    }

    /// The same, with instants of local times from `source`.
    pub(super) fn document_from<T>(
        source: Source,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Result<T, Vec<Problem>> {
        let mut reader = Self { source, ..Self::default() };
        let value = read(&mut reader);
        match value {
            Some(value) if reader.problems.is_empty() => Ok(value),
            _ => {
                if reader.problems.is_empty() {
                    reader.refuse("unreadable");
                }
                Err(reader.problems)
            }
        }
    }

    /// Whether this is being written now, and not read from the log.
    pub(super) const fn is_new(&self) -> bool {
        matches!(self.source, Source::Database(_))
    }

    /// Notes a problem at the present place.
    pub(super) fn refuse(&mut self, detail: impl Into<String>) {
        self.note(code::INVALID_REQUEST, detail);
    }

    /// Notes a problem of another code at the present place.
    pub(super) fn note(&mut self, code: &'static str, detail: impl Into<String>) {
        self.problems.push(Problem::new(code, self.pointer.clone(), detail));
    }

    /// Notes a problem and yields nothing.
    pub(super) fn none<T>(&mut self, detail: impl Into<String>) -> Option<T> {
        self.refuse(detail);
        None
    }

    /// Notes a problem below the present place.
    pub(super) fn refuse_at(&mut self, steps: &[String], detail: impl Into<String>) {
        let depth = self.pointer.len();
        for step in steps {
            push_pointer(&mut self.pointer, step);
        }
        self.refuse(detail);
        self.pointer.truncate(depth);
    }

    /// Takes what a document inside of this one was read as; its problems become problems here.
    pub(super) fn adopt<T>(&mut self, inner: Result<T, Vec<Problem>>) -> Option<T> {
        match inner {
            Ok(value) => Some(value),
            Err(problems) => {
                let here = &self.pointer;
                self.problems.extend(problems.into_iter().map(|problem| problem.below(here)));
                None
            }
        }
    }

    /// Checks that an object whose members are known has only some of them here.
    pub(super) fn only(&mut self, json: &Json<'_>, names: &[&str]) -> Option<()> {
        let present = json.as_object().into_iter().flatten();
        let other = present.map(|(name, _)| &**name).find(|name| !names.contains(name));
        match other {
            Some(name) => self.within(name, |reader| {
                reader.none(format!("`{name}` does not stand beside the others here"))
            }),
            None => Some(()),
        }
    }

    /// Descends by one step.
    pub(super) fn within<T>(&mut self, step: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let depth = self.pointer.len();
        push_pointer(&mut self.pointer, step);
        let value = read(self);
        self.pointer.truncate(depth);
        value
    }

    /// Checks that `json` is an object with no other members; says so of each other one.
    pub(super) fn object(&mut self, json: &Json<'_>, members: Members) -> Option<()> {
        self.object_advised(json, members, &[])
    }

    /// The same, with what to say of some names that are no member.
    pub(super) fn object_advised(
        &mut self,
        json: &Json<'_>,
        members: Members,
        advice: &[Advice],
    ) -> Option<()> {
        let Some(present) = json.as_object() else {
            return self.none(format!("{} is an object", members.what));
        };
        for (name, _) in present {
            let name: &str = name;
            if members.known.contains(&name) {
            } else if let Some(advice) = advice.iter().find(|advice| advice.names.contains(&name)) {
                let detail = format!("{} has no member `{name}`: {}", members.what, advice.instead);
                self.within(name, |reader| reader.note(advice.code, detail));
            } else if members.pending.contains(&name) {
                self.within(name, |reader| {
                    reader.note(code::UNSUPPORTED_TEST, format!("`{name}` is not supported yet"));
                });
            } else {
                let candidates = members.known.iter().chain(members.pending).copied();
                let hint = did_you_mean(name, candidates);
                self.within(name, |reader| {
                    reader.refuse(format!("{} has no member `{name}`{hint}", members.what));
                });
            }
        }
        Some(())
    }

    /// Reads a member if it is there.
    pub(super) fn optional<T>(
        &mut self,
        json: &Json<'_>,
        name: &str,
        read: impl FnOnce(&mut Self, &Json<'_>) -> Option<T>,
    ) -> Option<T> {
        let value = json.member(name)?;
        self.within(name, |reader| read(reader, value))
    }

    /// Reads a member that must be there.
    pub(super) fn required<T>(
        &mut self,
        json: &Json<'_>,
        name: &str,
        read: impl FnOnce(&mut Self, &Json<'_>) -> Option<T>,
    ) -> Option<T> {
        if json.member(name).is_none() {
            return self.within(name, |reader| reader.none(format!("the member `{name}` is missing")));
        }
        self.optional(json, name, read)
    }

    /// Reads every element of an array; `None` if it is no array. Elements that are refused are left out.
    pub(super) fn array<T>(
        &mut self,
        json: &Json<'_>,
        max: usize,
        mut read: impl FnMut(&mut Self, &Json<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(elements) = json.as_array() else {
            return self.none("an array is wanted here");
        };
        if elements.len() > max {
            return self.none(format!("at most {max} elements, this has {}", elements.len()));
        }
        let read_one = |(index, element): (usize, &Json<'_>)| {
            self.within(&index.to_string(), |reader| read(reader, element))
        };
        Some(elements.iter().enumerate().filter_map(read_one).collect())
    }

    /// Reads a boolean.
    pub(super) fn boolean(&mut self, json: &Json<'_>) -> Option<bool> {
        json.as_bool().or_else(|| self.none("`true` or `false` is wanted here"))
    }

    /// Reads a string of at most so many bytes, without control characters if it is a name.
    pub(super) fn text(&mut self, json: &Json<'_>, max: usize) -> Option<String> {
        let Some(text) = json.as_str() else { return self.none("a string is wanted here") };
        if text.len() > max {
            return self.none(format!("at most {max} bytes, this has {}", text.len()));
        }
        Some(text.to_owned())
    }

    /// Reads a key or id.
    pub(super) fn key<K>(&mut self, json: &Json<'_>, parse: fn(&str) -> Result<K, KeyError>) -> Option<K> {
        let Some(text) = json.as_str() else { return self.none("a string is wanted here") };
        self.key_text(text, parse)
    }

    /// Reads a key or id that is text already, such as a member's name.
    pub(super) fn key_text<K>(&mut self, text: &str, parse: fn(&str) -> Result<K, KeyError>) -> Option<K> {
        parse(text).map_err(|error| self.refuse(error.to_string())).ok()
    }

    /// Reads a non-empty salt.
    pub(super) fn salt(&mut self, json: &Json<'_>) -> Option<String> {
        let salt = self.text(json, limits::MAX_OPERAND_BYTES)?;
        if salt.is_empty() { self.none("a salt may not be empty") } else { Some(salt) }
    }
}
