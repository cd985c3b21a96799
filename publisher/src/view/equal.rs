//! Both views answer the same for the flags of the public one (FORMAT M-9.6).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use flagstone_eval::{Entity, Snapshot, batch, bucket, seed};
use flagstone_model::context::Context;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::line::{Head, Kind};
use flagstone_model::path::Path;

use crate::check::{entity, flag_of_check, put, references};

/// Most evaluations of each view that one comparison makes.
pub const MAX_COMPARISONS: usize = 65_536;
/// Most and fewest contexts for one flag.
const CONTEXTS: (usize, usize) = (48, 4);
/// Most operands of one attribute that are tried.
const MAX_OPERANDS: usize = 24;

/// A flag of which the two views do not say the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the flag `{flag}` is answered otherwise in a public view, for a sampled context")]
pub struct Unequal {
    /// The flag.
    pub flag: String,
}

impl Unequal {
    /// The stable code of this fault.
    pub const fn code(&self) -> &'static str {
        "views-unequal"
    }
}

/// What came of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// How many answers were compared.
    pub answers: usize,
    /// The flags that are answered otherwise.
    pub unequal: Vec<Unequal>,
}

/// Compares what flags answer in the keyed view and in the public one, for contexts made of what the keyed lines
/// compare attributes with; and for those of their checks.
///
/// Among `keyed` are the lines of these flags and of all that they reach, and so among `public`. The same lines give the
/// same contexts.
pub fn compare<'l>(
    keyed: impl IntoIterator<Item = &'l [u8]>,
    public: impl IntoIterator<Item = &'l [u8]>,
    flags: &[&str],
    now: Instant,
) -> Compared {
    let mut compared = Compared::default();
    if flags.is_empty() {
        return compared;
    }
    let keyed: Vec<&[u8]> = keyed.into_iter().collect();
    let (before, _) = Snapshot::compile(keyed.iter().copied());
    let (after, _) = Snapshot::compile(reached(public, flags));
    let (probes, checks) = Probes::of(&keyed);
    let (most, fewest) = CONTEXTS;
    let each = MAX_COMPARISONS.checked_div(flags.len()).unwrap_or(most).clamp(fewest, most);
    let (mut left, mut right) = (String::new(), String::new());
    for flag in flags.iter().take(MAX_COMPARISONS.checked_div(fewest).unwrap_or(fewest)) {
        let sampled = probes.of_flag(flag).contexts(flag, each);
        let sampled = sampled.into_iter().map(|context| (now, context));
        let own = checks.get(*flag).into_iter().flatten().cloned();
        for (now, context) in sampled.chain(own) {
            let Some(context) = Context::from_json(&context) else { continue };
            left.clear();
            right.clear();
            batch::write_details(&before.evaluate(flag, None, &context, now), None, &mut left);
            batch::write_details(&after.evaluate(flag, None, &context, now), None, &mut right);
            compared.answers = compared.answers.saturating_add(1);
            if left != right {
                compared.unequal.push(Unequal { flag: (*flag).to_owned() });
                break;
            }
        }
    }
    compared
}

/// The lines of flags, of their checks, and of all that they reach.
fn reached<'l>(lines: impl IntoIterator<Item = &'l [u8]>, flags: &[&str]) -> Vec<&'l [u8]> {
    let wanted: HashSet<&str> = flags.iter().copied().collect();
    let (mut entities, mut reached) = (HashMap::new(), Vec::new());
    for line in lines {
        let Some(head) = Head::parse(line) else { continue };
        if let Some(entity) = entity(&head) {
            entities.insert(entity, line);
        } else if head.kind() == Kind::Check {
            reached.extend(flag_of_check(head.key).filter(|flag| wanted.contains(flag)).map(|_| line));
        }
    }
    let mut open: Vec<Entity> = flags.iter().map(|flag| Entity::Flag((*flag).into())).collect();
    while let Some(line) = open.pop().map(|entity| entities.remove(&entity)) {
        let Some(line) = line else { continue };
        open.extend(Json::parse(line).iter().flat_map(references));
        reached.push(line);
    }
    reached
}

/// What attributes are compared with, and what a line refers to.
#[derive(Debug, Clone, Default)]
struct Asked {
    operands: BTreeMap<String, Vec<Json<'static>>>,
    /// `flag/KEY` and `segment/KEY`.
    references: BTreeSet<String>,
}

/// The contexts of checks, each with its time, by flag.
type Checks = BTreeMap<String, Vec<(Instant, Json<'static>)>>;

/// The same for each flag and segment.
struct Probes(BTreeMap<String, Asked>);

impl Probes {
    fn of(lines: &[&[u8]]) -> (Self, Checks) {
        let (mut asked, mut checks) = (BTreeMap::new(), Checks::new());
        for line in lines {
            let (Some(head), Ok(json)) = (Head::parse(line), Json::parse(line)) else { continue };
            let mut own = Asked::default();
            match head.kind() {
                Kind::Flag => {
                    own.conditions(json.member("needs"));
                    for rule in json.member("rules").and_then(Json::as_array).unwrap_or_default() {
                        own.conditions(rule.member("if"));
                        own.unit(rule.member("split"));
                    }
                }
                Kind::Segment => own.conditions(json.member("if")),
                Kind::Check => {
                    let of = json.member("flag").and_then(Json::as_str).unwrap_or_default();
                    let at = json.member("at").and_then(Json::as_str).and_then(|at| Instant::parse(at).ok());
                    let context = json.member("context").cloned().map(Json::into_owned);
                    let context = context.unwrap_or_else(|| Json::Object(Vec::new()));
                    checks.entry(of.to_owned()).or_default().extend(at.map(|at| (at, context)));
                    continue;
                }
                _ => continue,
            }
            asked.insert(format!("{}/{}", head.name, head.key), own);
        }
        (Self(asked), checks)
    }

    /// What a flag compares attributes with, itself or through what it reaches.
    fn of_flag(&self, flag: &str) -> Asked {
        let mut all = Asked::default();
        let mut open = vec![format!("flag/{flag}")];
        while let Some(name) = open.pop() {
            if !all.references.insert(name.clone()) {
                continue;
            }
            let Some(own) = self.0.get(&name) else { continue };
            for (path, operands) in &own.operands {
                let known = all.operands.entry(path.clone()).or_default();
                let room = MAX_OPERANDS.saturating_sub(known.len());
                known.extend(operands.iter().take(room).cloned());
            }
            open.extend(own.references.iter().cloned());
        }
        all
    }
}

impl Asked {
    fn conditions(&mut self, all: Option<&Json<'_>>) {
        for one in all.and_then(Json::as_array).unwrap_or_default() {
            self.condition(one);
        }
    }

    fn condition(&mut self, condition: &Json<'_>) {
        self.conditions(condition.member("all"));
        self.conditions(condition.member("any"));
        condition.member("not").into_iter().for_each(|inner| self.condition(inner));
        self.unit(condition.member("bucket"));
        if let Some(flag) = condition.member("flag").and_then(Json::as_str) {
            self.references.insert(format!("flag/{flag}"));
        }
        for segment in condition.member("segment").and_then(Json::as_array).unwrap_or_default() {
            self.references.insert(format!("segment/{}", segment.as_str().unwrap_or_default()));
        }
        let Some(path) = condition.member("attr").and_then(Json::as_str) else { return };
        let operands = self.operands.entry(path.to_owned()).or_default();
        for (test, operand) in condition.as_object().unwrap_or_default() {
            near(test, operand, operands);
        }
    }

    fn unit(&mut self, bucket: Option<&Json<'_>>) {
        let Some(bucket) = bucket else { return };
        let by = bucket.member("by").and_then(Json::as_str).unwrap_or(Context::TARGETING_KEY);
        self.operands.entry(by.to_owned()).or_default();
    }

    /// So many contexts, the same for the same flag: each attribute has one of what it is compared with, or something
    /// beside it.
    fn contexts(&self, flag: &str, count: usize) -> Vec<Json<'static>> {
        let context = |number: usize| {
            let mut context = Json::Object(Vec::new());
            for (path, operands) in &self.operands {
                let drawn = draw(flag, path, number);
                if let (Some(value), Ok(path)) = (value(operands, drawn), Path::parse(path)) {
                    put(&mut context, &path.segments().collect::<Vec<_>>(), value);
                }
            }
            context
        };
        (0..count).map(context).collect()
    }
}

/// Values for which a test is true, and some next to them.
fn near(test: &str, operand: &Json<'_>, values: &mut Vec<Json<'static>>) {
    let scalars = operand.as_array().unwrap_or(core::slice::from_ref(operand));
    for scalar in scalars.iter().take(MAX_OPERANDS) {
        match (test, scalar) {
            ("attr" | "as" | "fold" | "absent" | "exists" | "listed", _) => {}
            ("starts", Json::String(string)) => values.push(Json::from(format!("{string}x"))),
            ("ends" | "contains", Json::String(string)) => values.push(Json::from(format!("x{string}"))),
            ("semver", Json::String(string)) => {
                let versions = string.split(' ').map(|part| part.trim_start_matches(['<', '>', '=']));
                values.extend(versions.map(|version| Json::from(version.to_owned())));
            }
            (_, Json::String(string)) => {
                values.push(Json::from(string.to_string()));
                values.push(Json::from(string.to_ascii_uppercase()));
            }
            (_, Json::Number(number)) => {
                values.extend([0.0, 1.0, -1.0].map(|by| Json::from(number.as_f64() + by)));
            }
            (_, other) => values.push(other.clone().into_owned()),
        }
    }
}

/// One of the values, or one beside them: missing, of another type, an array, an object.
fn value(operands: &[Json<'static>], drawn: usize) -> Option<Json<'static>> {
    let operand = |at: usize| operands.get(at.checked_rem(operands.len())?).cloned();
    let half = drawn / 2;
    if drawn.is_multiple_of(2) && !operands.is_empty() {
        return operand(half);
    }
    let other = || Json::from(format!("u-{half}"));
    match half % 9 {
        0 => None,
        1 => Some(Json::from(true)),
        2 => Some(Json::from(u64::try_from(half).unwrap_or_default())),
        3 => Some(Json::Array(Vec::new())),
        4 => Some(Json::Array(operand(half).into_iter().chain([other()]).collect())),
        5 => Some(Json::Array(operand(half).into_iter().chain([Json::Null, Json::from(7_u64)]).collect())),
        6 => Some(Json::Object(Vec::new())),
        _ => Some(other()),
    }
}

/// A number that looks drawn, and is the same each time.
fn draw(flag: &str, path: &str, number: usize) -> usize {
    let unit = format!("{path}/{number}");
    usize::try_from(bucket(unit.as_bytes(), seed(flag), 1 << 16)).unwrap_or_default()
}
