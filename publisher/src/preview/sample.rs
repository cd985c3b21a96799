//! Contexts where none are given: each attribute that conditions ask for, varied over what they ask.
//!
//! The same lines, size, and seed give the same contexts. They show what a change can do, not how many people it
//! concerns: that say the contexts of real people, or the exact share.

use std::collections::{BTreeMap, BTreeSet};

use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::path::Path;

use crate::check::put;

/// How many contexts are made unless another number is asked for.
pub const DEFAULT_SIZE: usize = 1_000;
/// Most values that one attribute is given.
const MAX_VALUES: usize = 256;
/// Of so many units one has a value that a condition names, if there is one.
const NAMED_UNITS: u64 = 8;
/// Of so many units one is missing.
const MISSING_UNITS: u64 = 32;

const TARGETING_KEY: &str = "targetingKey";

/// Contexts for flags whose answers depend on these lines.
pub fn contexts<'l>(lines: impl IntoIterator<Item = &'l str>, size: usize, seed: u64) -> Vec<Json<'static>> {
    let mut asked = Asked::default();
    asked.unit(TARGETING_KEY);
    for line in lines {
        if let Ok(line) = Json::parse(line.as_bytes()) {
            asked.line(&line);
        }
    }
    let attributes: Vec<(Path, Asking)> =
        asked.0.into_iter().filter_map(|(path, asking)| Some((Path::parse(&path).ok()?, asking))).collect();
    (0..size).map(|index| context(&attributes, index, seed)).collect()
}

/// What is asked of each path.
#[derive(Default)]
struct Asked(BTreeMap<String, Asking>);

/// What is asked of one attribute.
#[derive(Default)]
struct Asking {
    /// Whether its value is bucketed, or looked up in a list: then it is another one each time.
    is_unit: bool,
    values: Vec<Json<'static>>,
    seen: BTreeSet<String>,
}

impl Asking {
    fn value(&mut self, value: Json<'static>) {
        if self.values.len() < MAX_VALUES && self.seen.insert(value.to_string()) {
            self.values.push(value);
        }
    }
}

impl Asked {
    fn unit(&mut self, path: &str) {
        self.0.entry(path.to_owned()).or_default().is_unit = true;
    }

    fn line(&mut self, line: &Json<'_>) {
        for name in ["needs", "if"] {
            self.conditions(line.member(name));
        }
        for rule in line.member("rules").and_then(Json::as_array).unwrap_or_default() {
            self.conditions(rule.member("if"));
            if let Some(split) = rule.member("split") {
                self.bucketing(split);
            }
        }
    }

    fn conditions(&mut self, conditions: Option<&Json<'_>>) {
        for condition in conditions.and_then(Json::as_array).unwrap_or_default() {
            self.condition(condition);
        }
    }

    fn condition(&mut self, condition: &Json<'_>) {
        for name in ["all", "any"] {
            self.conditions(condition.member(name));
        }
        if let Some(inner) = condition.member("not") {
            self.condition(inner);
        }
        if let Some(bucket) = condition.member("bucket") {
            self.bucketing(bucket);
        }
        if let Some(path) = condition.member("attr").and_then(Json::as_str) {
            let asking = self.0.entry(path.to_owned()).or_default();
            for (test, operand) in condition.as_object().unwrap_or_default() {
                ask(asking, test, operand);
            }
        }
    }

    fn bucketing(&mut self, bucketing: &Json<'_>) {
        self.unit(bucketing.member("by").and_then(Json::as_str).unwrap_or(TARGETING_KEY));
    }
}

/// Values at which a test turns.
fn ask(asking: &mut Asking, test: &str, operand: &Json<'_>) {
    let texts = || operand.as_array().unwrap_or_default().iter().filter_map(Json::as_str);
    match test {
        "in" => {
            for value in operand.as_array().unwrap_or_default() {
                asking.value(value.clone().into_owned());
            }
        }
        "has_all" => asking.value(operand.clone().into_owned()),
        "starts" => texts().for_each(|text| asking.value(Json::from(format!("{text}x")))),
        "ends" => texts().for_each(|text| asking.value(Json::from(format!("x{text}")))),
        "contains" => texts().for_each(|text| asking.value(Json::from(format!("x{text}x")))),
        "lt" | "lte" | "gt" | "gte" => {
            if let Some(number) = operand.as_f64() {
                for value in [number - 1.0, number, number + 1.0] {
                    asking.value(Json::from(value));
                }
            }
        }
        "semver" => {
            for comparator in operand.as_str().unwrap_or_default().split(' ') {
                let version = comparator.trim_start_matches(['=', '<', '>']);
                asking.value(Json::from(version.to_owned()));
            }
            for version in ["0.0.1", "999999.0.0"] {
                asking.value(Json::from(version));
            }
        }
        "since" | "before" => {
            if let Some(Ok(instant)) = operand.as_str().map(Instant::parse) {
                for ms in [-1, 0, 1] {
                    asking.value(Json::from(instant.millis().saturating_add(ms)));
                }
            }
        }
        "cidr" => {
            let addresses = texts().filter_map(|network| network.split('/').next());
            addresses.for_each(|address| asking.value(Json::from(address.to_owned())));
        }
        "listed" => asking.is_unit = true,
        _ => {}
    }
}

/// One context of a sample.
fn context(attributes: &[(Path, Asking)], index: usize, seed: u64) -> Json<'static> {
    let index = u64::try_from(index).unwrap_or(u64::MAX);
    let mut random = Random(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut context = Json::Object(Vec::new());
    for (path, asking) in attributes {
        let value = if asking.is_unit {
            let named = !asking.values.is_empty() && random.below(NAMED_UNITS) == 0;
            if random.below(MISSING_UNITS) == 0 {
                None
            } else if named {
                pick(&asking.values, &mut random)
            } else {
                Some(Json::from(format!("sample-{index}")))
            }
        } else {
            // Beside what conditions name there is what they do not, and nothing.
            let others = u64::try_from(asking.values.len()).unwrap_or(0).saturating_add(2);
            match random.below(others) {
                0 => None,
                1 => Some(Json::from("other")),
                _ => pick(&asking.values, &mut random),
            }
        };
        if let Some(value) = value {
            put(&mut context, &path.segments().collect::<Vec<_>>(), value);
        }
    }
    context
}

fn pick(values: &[Json<'static>], random: &mut Random) -> Option<Json<'static>> {
    let of = u64::try_from(values.len()).ok()?;
    values.get(usize::try_from(random.below(of)).ok()?).cloned()
}

/// `SplitMix64`: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `of`, or 0.
    fn below(&mut self, of: u64) -> u64 {
        self.next().checked_rem(of).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"flag":"f","type":"bool","rev":1,"on":true,"values":{"off":false,"on":true},"off":"off","rules":[{"id":"a","if":[{"attr":"country","in":["AT","DE"]},{"any":[{"attr":"app.version","semver":">=2.4.0 <3.0.0"},{"not":{"attr":"age","lt":18}}]}],"split":{"by":"org.id","salt":"s","ranges":[[0,50000,"on"]]}}],"fallthrough":"off"}"#;

    #[test]
    fn the_same_seed_gives_the_same_contexts_and_another_one_others() {
        let text = |seed| contexts([LINE], 50, seed).iter().map(Json::to_string).collect::<Vec<_>>();
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
    }

    #[test]
    fn every_attribute_takes_each_value_that_is_asked_for_another_one_and_none() {
        let contexts = contexts([LINE], 500, 0);
        let seen = |path: &[&str]| -> BTreeSet<String> {
            let find = |context: &Json<'static>| {
                let mut at = context;
                for step in path {
                    at = match at.member(step) {
                        Some(inner) => inner,
                        None => return "missing".to_owned(),
                    };
                }
                at.to_string()
            };
            contexts.iter().map(find).collect()
        };
        let text = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(seen(&["country"]), text(&["\"AT\"", "\"DE\"", "\"other\"", "missing"]));
        assert_eq!(seen(&["age"]), text(&["17", "18", "19", "\"other\"", "missing"]));
        assert!(seen(&["app", "version"]).is_superset(&text(&["\"2.4.0\"", "\"3.0.0\"", "missing"])));
        assert!(seen(&["org", "id"]).len() > 400);
        assert!(seen(&["targetingKey"]).len() > 400);
    }

    #[test]
    fn what_is_in_the_way_of_a_path_stays() {
        let line = r#"{"segment":"s","if":[{"attr":"org","in":["x"]},{"attr":"org.id","in":["y"]}]}"#;
        let orgs = contexts([line], 200, 0);
        assert!(orgs.iter().any(|context| context.member("org").and_then(Json::as_str) == Some("x")));
        assert!(orgs.iter().any(|context| context.member("org").and_then(|org| org.member("id")).is_some()));
    }
}
