//! From a line as keyed views have it to the line of a public view.

use std::borrow::Cow;
use std::cell::RefCell;

use flagstone_model::context::Context;
use flagstone_model::json::Json;
use flagstone_model::limits::{MAX_CONDITION_NESTING, MAX_LEAVES, MAX_LINE_BYTES, MAX_SEGMENT_LINE_BYTES};
use flagstone_model::path::Path;

use super::hashed::{operand_hash, segment_key};
use super::salt::ClientSalt;
use super::unfit::{MAX_CLIENT_VALUE_BYTES, MIN_HASHED_BYTES, Unfit};
use crate::author::{Attributes, Visibility};
use crate::lower::reserve;

/// Members of a flag that stand in a public view as they are.
const FLAG: [&str; 7] = ["flag", "type", "rev", "on", "off", "fallthrough", "values"];
/// Tests whose operand says nothing that a client could not know: they stay on a hashed attribute.
const PLAIN: [&str; 8] = ["exists", "lt", "lte", "gt", "gte", "semver", "since", "before"];
/// Tests that a hashed attribute can not have.
const NOT_HASHABLE: [&str; 5] = ["has_all", "contains", "matches", "cidr", "hashed"];

type Member<'j> = (Cow<'j, str>, Json<'j>);

/// Makes lines of public views, for one environment and what is declared of attributes.
#[derive(Debug, Clone, Copy)]
pub struct Redactor<'a> {
    attributes: &'a Attributes,
    salt: &'a ClientSalt,
}

/// One line on its way.
struct Line<'a> {
    redactor: Redactor<'a>,
    unfit: RefCell<Vec<Unfit>>,
}

impl<'a> Redactor<'a> {
    /// What is redacted by these declarations and this salt.
    pub const fn new(attributes: &'a Attributes, salt: &'a ClientSalt) -> Self {
        Self { attributes, salt }
    }

    /// The line of a flag (FORMAT M-9.2, M-9.3), or everything that it can not show.
    ///
    /// Whether the flags that it asks for are client-visible is not in the line, and not looked at.
    pub fn flag(&self, line: &str) -> Result<String, Vec<Unfit>> {
        self.line(line, MAX_LINE_BYTES, |line, name, value| match name {
            "meta" => None,
            "needs" => Some(line.conditions(value)),
            "rules" => {
                Some(value.as_array().unwrap_or_default().iter().map(|rule| line.rule(rule)).collect())
            }
            "values" => {
                line.values(value);
                Some(value.clone())
            }
            name if FLAG.contains(&name) => Some(value.clone()),
            _ => line.unknown(name),
        })
    }

    /// The line of a segment, under its opaque key.
    pub fn segment(&self, line: &str) -> Result<String, Vec<Unfit>> {
        self.line(line, MAX_SEGMENT_LINE_BYTES, |line, name, value| match name {
            "segment" => Some(line.segment_key(value)),
            "if" => Some(line.conditions(value)),
            _ => line.unknown(name),
        })
    }

    /// The line of an environment: without what it says of private attributes.
    pub fn environment(&self, line: &str) -> Result<String, Vec<Unfit>> {
        self.line(line, MAX_LINE_BYTES, |line, name, value| match name {
            "private" => None,
            "environment" | "project" | "view" | "level" => Some(value.clone()),
            _ => line.unknown(name),
        })
    }

    /// Whether a check may be shown: everything in its context, which may be missing, is public. A value of a hashed
    /// attribute would tell an operand, or nothing.
    pub fn shows_check(&self, line: &str) -> bool {
        let Ok(check) = Json::parse(line.as_bytes()) else { return false };
        let context = check.member("context").map_or(Some(&[][..]), Json::as_object);
        let Some(context) = context else { return false };
        context.iter().all(|(name, value)| self.shows(&mut vec![name], value))
    }

    fn shows<'j>(&self, path: &mut Vec<&'j str>, value: &'j Json<'_>) -> bool {
        let is_public = || {
            let escaped = path.iter().map(|name| Path::of_name(name).to_string());
            let text = escaped.collect::<Vec<_>>().join(".");
            Path::parse(&text).is_ok_and(|path| self.attributes.of(&path) == Visibility::Public)
        };
        match value {
            Json::Object(members) if !members.is_empty() => members.iter().all(|(name, value)| {
                path.push(name);
                let shown = self.shows(path, value);
                path.pop();
                shown
            }),
            _ => is_public(),
        }
    }

    fn line<'j>(
        &self,
        text: &'j str,
        max: usize,
        member: impl Fn(&Line<'_>, &str, &Json<'j>) -> Option<Json<'j>>,
    ) -> Result<String, Vec<Unfit>> {
        let line = Line { redactor: *self, unfit: RefCell::default() };
        let json = Json::parse(text.as_bytes()).unwrap_or(Json::Null);
        let Some(members) = json.as_object() else {
            return Err(vec![Unfit::NotUnderstood { member: "line".to_owned() }]);
        };
        let kept =
            members.iter().filter_map(|(name, value)| Some((name.clone(), member(&line, name, value)?)));
        let redacted = Json::Object(kept.collect());
        let mut unfit = line.unfit.into_inner();
        let Measure { depth, leaves } = Measure::of(&redacted);
        if depth > MAX_CONDITION_NESTING {
            unfit.push(Unfit::Nesting { depth });
        }
        if leaves > MAX_LEAVES {
            unfit.push(Unfit::Leaves { leaves });
        }
        let redacted = redacted.to_string();
        let bytes = redacted.len().saturating_add(reserved(&json));
        if bytes > max {
            unfit.push(Unfit::LongLine { bytes, max });
        }
        if unfit.is_empty() {
            return Ok(redacted);
        }
        unfit.sort();
        unfit.dedup();
        Err(unfit)
    }
}

impl Line<'_> {
    fn note(&self, unfit: Unfit) {
        self.unfit.borrow_mut().push(unfit);
    }

    fn unknown<T>(&self, member: &str) -> Option<T> {
        self.note(Unfit::NotUnderstood { member: member.to_owned() });
        None
    }

    fn values(&self, values: &Json<'_>) {
        for (variation, value) in values.as_object().unwrap_or_default() {
            let bytes = value.to_string().len();
            if bytes > MAX_CLIENT_VALUE_BYTES {
                self.note(Unfit::LargeValue { variation: variation.to_string(), bytes });
            }
        }
    }

    fn rule<'j>(&self, rule: &Json<'j>) -> Json<'j> {
        let Some(members) = rule.as_object() else { return self.unknown("rules").unwrap_or(Json::Null) };
        if rule.member("exp").is_some() {
            self.tracked_by(counted_by(rule), rule);
        }
        let kept = members.iter().filter_map(|(name, value)| {
            let value = match &**name {
                "if" => self.conditions(value),
                "id" | "serve" | "split" | "exp" => value.clone(),
                name => self.unknown(name)?,
            };
            Some((name.clone(), value))
        });
        Json::Object(kept.collect())
    }

    /// A tracked rule counts by what exposures may hold.
    fn tracked_by(&self, by: &str, rule: &Json<'_>) {
        let is_private = Path::parse(by).is_ok_and(|by| self.redactor.attributes.is_said_to_be_private(&by));
        if is_private {
            let rule = rule.member("id").and_then(Json::as_str).unwrap_or_default().to_owned();
            self.note(Unfit::PrivateUnit { path: by.to_owned(), rule });
        }
    }

    /// Conditions of which all must hold, or of a group.
    fn conditions<'j>(&self, conditions: &Json<'j>) -> Json<'j> {
        conditions.as_array().unwrap_or_default().iter().map(|one| self.condition(one)).collect()
    }

    fn condition<'j>(&self, condition: &Json<'j>) -> Json<'j> {
        let mut alternatives = self.alternatives(condition);
        match (alternatives.pop(), alternatives.is_empty()) {
            (Some(only), true) => only,
            (last, _) => {
                alternatives.extend(last);
                Json::object([("any", Json::Array(alternatives))])
            }
        }
    }

    /// What stands for a condition, of which any must hold. In an `any` they stand as they are.
    fn alternatives<'j>(&self, condition: &Json<'j>) -> Vec<Json<'j>> {
        let Some(members) = condition.as_object() else {
            return vec![self.unknown("if").unwrap_or(Json::Null)];
        };
        if condition.member("attr").is_some() {
            return self.leaf(members);
        }
        let kept = members.iter().filter_map(|(name, value)| {
            let value = match &**name {
                "all" => self.conditions(value),
                "any" => {
                    let inner = value.as_array().unwrap_or_default();
                    Json::Array(inner.iter().flat_map(|one| self.alternatives(one)).collect())
                }
                "not" => self.condition(value),
                "segment" => self.segment_keys(value),
                "flag" | "is" | "bucket" | "time" | "absent" => value.clone(),
                name => self.unknown(name)?,
            };
            Some((name.clone(), value))
        });
        vec![Json::Object(kept.collect())]
    }

    fn segment_key<'j>(&self, key: &Json<'_>) -> Json<'j> {
        Json::from(segment_key(key.as_str().unwrap_or_default(), self.redactor.salt))
    }

    fn segment_keys<'j>(&self, keys: &Json<'_>) -> Json<'j> {
        let keys = keys.as_array().unwrap_or_default().iter().filter_map(Json::as_str);
        let mut keys: Vec<_> = keys.map(|key| segment_key(key, self.redactor.salt)).collect();
        keys.sort_unstable();
        keys.into_iter().map(Json::from).collect()
    }

    /// Tests on one attribute.
    fn leaf<'j>(&self, members: &[Member<'j>]) -> Vec<Json<'j>> {
        let path = members.iter().find(|(name, _)| name == "attr").and_then(|(_, path)| path.as_str());
        let path = path.unwrap_or_default();
        let is_test = |name: &str| !matches!(name, "attr" | "as" | "fold" | "absent");
        let first = || members.iter().map(|(name, _)| &**name).find(|name| is_test(name)).unwrap_or_default();
        let visibility = Path::parse(path).map(|path| self.redactor.attributes.of(&path)).unwrap_or_default();
        if members.iter().any(|(name, _)| name == "listed") {
            self.note(Unfit::Listed { path: path.to_owned() });
        }
        match visibility {
            Visibility::Public => {}
            Visibility::Private => {
                self.note(Unfit::PrivateAttribute { path: path.to_owned(), test: first().to_owned() });
            }
            Visibility::Hashed => return self.hashed_leaf(path, members),
        }
        vec![Json::Object(members.to_vec())]
    }

    /// Tests on a hashed attribute: strings become digests, the rest stays (FORMAT M-9.3).
    ///
    /// `in` is false of a value of another type, while `hashed` is unknown of it. So an `in` becomes the `any` of what
    /// is left of it, be that nothing, which is unknown exactly where the `in` was; and of the `hashed` test, which is
    /// false in place of unknown.
    fn hashed_leaf<'j>(&self, path: &str, members: &[Member<'j>]) -> Vec<Json<'j>> {
        let mut kept: Vec<Member<'j>> = Vec::new();
        let mut found: Option<(&str, Json<'j>)> = None;
        let mut rest_of_in = None;
        for (name, value) in members {
            let test = &**name;
            match test {
                "starts" | "ends" => {
                    self.one_at_a_time(path, found.as_ref(), test);
                    found = Some((test, self.ends(path, test, value)));
                }
                "in" => {
                    let (strings, others) = split_strings(value);
                    if path == Context::TARGETING_KEY && others.iter().any(|other| other.as_f64().is_some()) {
                        self.note(Unfit::NumberedKey { path: path.to_owned() });
                    }
                    if strings.is_empty() {
                        kept.push((name.clone(), value.clone()));
                        continue;
                    }
                    self.one_at_a_time(path, found.as_ref(), test);
                    let mut hashes: Vec<_> =
                        strings.iter().map(|text| operand_hash(text, self.redactor.salt)).collect();
                    hashes.sort_unstable();
                    hashes.dedup();
                    found = Some((test, hashes.into_iter().map(Json::from).collect()));
                    rest_of_in = Some(others);
                }
                "listed" => {}
                _ if NOT_HASHABLE.contains(&test) => {
                    self.note(Unfit::NotHashable { path: path.to_owned(), test: test.to_owned() });
                }
                "attr" | "as" | "fold" | "absent" => kept.push((name.clone(), value.clone())),
                _ if PLAIN.contains(&test) => kept.push((name.clone(), value.clone())),
                _ => self.unknown(test).unwrap_or_default(),
            }
        }
        let Some((test, operands)) = found else { return vec![Json::Object(kept)] };
        let salt = Json::from(self.redactor.salt.to_string());
        let hashed = Json::object([("salt".to_owned(), salt), (test.to_owned(), operands)]);
        let Some(others) = rest_of_in else {
            return vec![before_absent(kept, [("hashed".into(), hashed)])];
        };
        for (name, _) in kept.iter().filter(|(name, _)| name != "exists" && PLAIN.contains(&&**name)) {
            self.together(path, "in", name);
        }
        let (of_others, of_strings): (Vec<_>, Vec<_>) =
            (kept.clone(), kept.into_iter().filter(|(name, _)| name != "absent").collect());
        let of_strings =
            before_absent(of_strings, [("hashed".into(), hashed), ("absent".into(), false.into())]);
        vec![before_absent(of_others, [("in".into(), Json::Array(others))]), of_strings]
    }

    fn one_at_a_time(&self, path: &str, found: Option<&(&str, Json<'_>)>, test: &str) {
        if let Some((other, _)) = found {
            self.together(path, other, test);
        }
    }

    fn together(&self, path: &str, test: &str, other: &str) {
        let (path, test, other) = (path.to_owned(), test.to_owned(), other.to_owned());
        self.note(Unfit::Together { path, test, other });
    }

    /// Operands of `starts` or `ends` as pairs of their length and digest.
    fn ends<'j>(&self, path: &str, test: &str, operands: &Json<'_>) -> Json<'j> {
        let operands = operands.as_array().unwrap_or_default().iter().filter_map(Json::as_str);
        let mut pairs: Vec<(u64, String)> = Vec::new();
        for operand in operands {
            let bytes = operand.len();
            if bytes < MIN_HASHED_BYTES {
                self.note(Unfit::ShortOperand { path: path.to_owned(), test: test.to_owned(), bytes });
            }
            pairs.push((bytes as u64, operand_hash(operand, self.redactor.salt)));
        }
        pairs.sort_unstable();
        pairs.dedup();
        pairs
            .into_iter()
            .map(|(bytes, hash)| [Json::from(bytes), Json::from(hash)].into_iter().collect())
            .collect()
    }
}

/// A leaf with further members: tests behind those it has, in front of `absent`.
///
/// `in` stands in front of every test but `exists`, as on a line; no other of them stands beside it.
fn before_absent<'j>(mut leaf: Vec<Member<'j>>, members: impl IntoIterator<Item = Member<'j>>) -> Json<'j> {
    let at = leaf.iter().position(|(name, _)| name == "absent").unwrap_or(leaf.len());
    let absent = leaf.split_off(at);
    leaf.extend(members);
    leaf.extend(absent);
    Json::Object(leaf)
}

/// What a line that is one of a flag keeps free.
fn reserved(line: &Json<'_>) -> usize {
    let rev = line.member("rev").and_then(Json::as_integer).and_then(|rev| u64::try_from(rev).ok());
    let on = line.member("on").and_then(Json::as_bool).unwrap_or(false);
    rev.map_or(0, |rev| reserve(on, rev))
}

/// The strings among operands, and the others.
fn split_strings<'o, 'j>(operands: &'o Json<'j>) -> (Vec<&'o str>, Vec<Json<'j>>) {
    let (mut strings, mut others) = (Vec::new(), Vec::new());
    for operand in operands.as_array().unwrap_or_default() {
        match operand {
            Json::String(text) => strings.push(&**text),
            other => others.push(other.clone()),
        }
    }
    (strings, others)
}

/// What a tracked rule counts by, as an SDK sees it: its split, else its first bucket condition (FORMAT M-7.2).
fn counted_by<'j>(rule: &'j Json<'_>) -> &'j str {
    fn bucket<'j, 'v>(condition: &'j Json<'v>) -> Option<&'j Json<'v>> {
        let inner =
            ["all", "any"].into_iter().filter_map(|form| condition.member(form)?.as_array()).flatten();
        let inner = condition.member("not").into_iter().chain(inner);
        condition.member("bucket").or_else(|| inner.into_iter().find_map(bucket))
    }
    let when = rule.member("if").and_then(Json::as_array).unwrap_or_default();
    let counting = rule.member("split").or_else(|| when.iter().find_map(bucket));
    counting.and_then(|counting| counting.member("by")?.as_str()).unwrap_or(Context::TARGETING_KEY)
}

/// How deep conditions nest, and how many leaves there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Measure {
    depth: usize,
    leaves: usize,
}

impl Measure {
    fn of(line: &Json<'_>) -> Self {
        let of = |json: Option<&Json<'_>>| Self::of_all(json.and_then(Json::as_array).unwrap_or_default());
        let rules = line.member("rules").and_then(Json::as_array).unwrap_or_default();
        let rules = rules.iter().map(|rule| of(rule.member("if")));
        rules.chain([of(line.member("needs")), of(line.member("if"))]).fold(Self::default(), Self::beside)
    }

    fn of_all(conditions: &[Json<'_>]) -> Self {
        conditions.iter().map(Self::of_one).fold(Self::default(), Self::beside)
    }

    fn of_one(condition: &Json<'_>) -> Self {
        let inside = match (
            ["all", "any"].into_iter().find_map(|form| condition.member(form)),
            condition.member("not"),
        ) {
            (Some(group), _) => Self::of_all(group.as_array().unwrap_or_default()),
            (None, Some(one)) => Self::of_one(one),
            (None, None) => return Self { depth: 0, leaves: 1 },
        };
        Self { depth: inside.depth.saturating_add(1), ..inside }
    }

    fn beside(self, other: Self) -> Self {
        Self { depth: self.depth.max(other.depth), leaves: self.leaves.saturating_add(other.leaves) }
    }
}
