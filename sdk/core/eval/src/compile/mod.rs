//! From lines to the compiled form.
//!
//! Everything a later level may add is *unsupported* here, exactly as far as it reaches (FORMAT M-10.2): a test costs
//! its leaf, a member of a rule its rule, a member of a flag the flag. Nothing is skipped in silence: each place is
//! told to the [`Report`](crate::Report).
#![deny(clippy::arithmetic_side_effects)]

pub(crate) mod attribute;
mod check;
pub(crate) mod condition;
mod environment;
mod flag;
mod list;
mod split;

use std::fmt;
use std::sync::Arc;

use flagstone_model::json::Json;
use flagstone_model::limits::MAX_LINE_INSTRUCTIONS;
use flagstone_model::line::{Head, Kind};

use crate::check::CheckLine;
use crate::environment::Environment;
use crate::flag::{Entity, Flag, FlagBody, Segment};
use crate::lists::ListEntry;
use crate::report::{Problem, Why};

/// A line that was compiled.
pub(crate) enum Compiled {
    Flag(Flag),
    Segment(Segment),
    Environment(Environment),
    List(ListEntry),
    Check(CheckLine),
    /// A line that evaluation does not read.
    Other,
}

/// Compiles one line; what is wrong with it goes to `problems`.
///
/// `None` if the line has no valid head, which is a fault of the whole snapshot.
pub(crate) fn line(bytes: &[u8], problems: &mut Vec<Problem>) -> Option<Compiled> {
    let head = Head::parse(bytes)?;
    let kind = head.kind();
    let json = match kind {
        Kind::Unknown => {
            problems.push(Problem::new(head, String::new(), Why::UnknownKind));
            return Some(Compiled::Other);
        }
        _ if bytes.len() > kind.max_line_bytes() => Err(Why::TooLong),
        _ => Json::parse(bytes).map_err(Why::Json),
    };
    let key: Arc<str> = head.key.into();
    let told = problems.len();
    let mut compiler = Compiler { head, problems, references: Vec::new(), instructions: 0 };
    let json = json.map_err(|why| compiler.report(&At::TOP, why)).ok();
    let members = json.as_ref().and_then(Json::as_object);
    Some(match kind {
        Kind::Flag => {
            let body = members.and_then(|members| compiler.flag_body(members));
            let body = body.filter(|_| compiler.is_within_instructions(told));
            let references = compiler.into_references();
            // What a list holds does not depend on the time.
            let refers = references.iter().any(|entity| !matches!(entity, Entity::List(_)));
            let reads_clock = refers || body.as_ref().is_some_and(FlagBody::reads_clock);
            Compiled::Flag(Flag { key, body, references, reads_clock })
        }
        Kind::Segment => {
            let conditions = members.and_then(|members| compiler.segment(members));
            let conditions = conditions.filter(|_| compiler.is_within_instructions(told));
            Compiled::Segment(Segment { key, conditions, references: compiler.into_references() })
        }
        Kind::Environment => Compiled::Environment(compiler.environment(members)),
        Kind::List => {
            let line = members.and_then(|members| compiler.list(members));
            Compiled::List(ListEntry::new(key, line.map(Arc::new)))
        }
        Kind::Check => {
            let check = members.and_then(|members| compiler.check(members));
            Compiled::Check(CheckLine { check, ..CheckLine::gone(head.key) })
        }
        _ => Compiled::Other,
    })
}

fn unsigned(json: &Json<'_>) -> Option<u64> {
    json.as_integer().and_then(|integer| u64::try_from(integer).ok())
}

struct Compiler<'l, 'p> {
    head: Head<'l>,
    problems: &'p mut Vec<Problem>,
    /// One for each mention: each may be followed, so each counts.
    references: Vec<Entity>,
    /// Those of the expressions of every leaf that can be read, in rules that can.
    instructions: usize,
}

impl Compiler<'_, '_> {
    fn report(&mut self, at: &At<'_>, why: Why) {
        self.problems.push(Problem::new(self.head, at.to_string(), why));
    }

    /// `None`, told to the report.
    fn unreadable<T>(&mut self, at: &At<'_>) -> Option<T> {
        self.report(at, Why::Unreadable);
        None
    }

    fn is_over_instructions(&self) -> bool {
        self.instructions > MAX_LINE_INSTRUCTIONS
    }

    /// Whether the line is not bad for the sum of its expressions. If it is, that is all there is to say of it: what came
    /// after the first `told` problems is taken back, and nothing that it refers to is followed.
    fn is_within_instructions(&mut self, told: usize) -> bool {
        let is_over = self.is_over_instructions();
        if is_over {
            self.problems.truncate(told);
            self.references.clear();
            self.report(&At::TOP, Why::TooManyInstructions);
        }
        !is_over
    }

    fn into_references(mut self) -> Box<[Entity]> {
        self.references.sort_unstable();
        self.references.into()
    }
}

/// A place in a line, written as a JSON Pointer only when something is wrong there.
struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
}

enum Step<'a> {
    Top,
    Name(&'a str),
    Index(usize),
}

impl At<'_> {
    const TOP: At<'static> = At { parent: None, step: Step::Top };

    fn name<'b>(&'b self, name: &'b str) -> At<'b> {
        At { parent: Some(self), step: Step::Name(name) }
    }

    fn index(&self, index: usize) -> At<'_> {
        At { parent: Some(self), step: Step::Index(index) }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Top => Ok(()),
            Step::Name(name) => write!(f, "/{}", name.replace('~', "~0").replace('/', "~1")),
            Step::Index(index) => write!(f, "/{index}"),
        }
    }
}
