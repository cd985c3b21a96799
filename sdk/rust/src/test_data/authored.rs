//! One made-up flag, and its line.

use std::collections::BTreeMap;

use flagstone_model::context::Context;
use flagstone_model::json::Json;
use flagstone_model::value::{FlagType, Value};

use super::{TestDataError, check_value};

#[derive(Debug, Clone)]
pub(super) struct Authored {
    flag_type: FlagType,
    variations: Vec<(String, Value)>,
    /// By index; without one, the default value of the call.
    serve: Option<usize>,
    /// Targeting keys, and the index of what they are served.
    targets: BTreeMap<String, usize>,
}

impl Authored {
    pub(super) fn new(flag_type: FlagType) -> Self {
        let bools = [("off", false), ("on", true)];
        let named = |(name, value): (&str, bool)| (name.to_owned(), Value::Bool(value));
        let variations = match flag_type {
            FlagType::Bool => bools.into_iter().map(named).collect(),
            _ => Vec::new(),
        };
        let serve = (flag_type == FlagType::Bool).then_some(0);
        Self { flag_type, variations, serve, targets: BTreeMap::new() }
    }

    pub(super) fn with_variations(
        key: &str,
        variations: Vec<(String, Value)>,
    ) -> Result<Self, TestDataError> {
        let Some((name, first)) = variations.first() else {
            return Err(TestDataError::Variation { flag: key.to_owned(), variation: String::new() });
        };
        let (flag_type, first) = (first.flag_type(), name.clone());
        let mut flag = Self { flag_type, variations: Vec::new(), serve: Some(0), targets: BTreeMap::new() };
        for (name, value) in variations {
            flag.fits(key, &value)?;
            if flag.variation(&name).is_some() {
                return Err(TestDataError::Variation { flag: key.to_owned(), variation: name });
            }
            flag.variations.push((name, value));
        }
        flag.serve = flag.variation(&first);
        Ok(flag)
    }

    pub(super) const fn flag_type(&self) -> FlagType {
        self.flag_type
    }

    /// The variation of this name.
    pub(super) fn variation(&self, name: &str) -> Option<usize> {
        self.variations.iter().position(|(other, _)| other == name)
    }

    /// The variation of this value, which is made if there is none.
    pub(super) fn variation_of(&mut self, key: &str, value: &Value) -> Result<usize, TestDataError> {
        self.fits(key, value)?;
        if let Some(index) = self.variations.iter().position(|(_, other)| other == value) {
            return Ok(index);
        }
        let index = self.variations.len();
        // Of so many names one is free.
        let mut names = (1..=index.saturating_add(1)).map(|n| format!("v{n}"));
        let name = names.find(|name| self.variation(name).is_none());
        self.variations.push((name.unwrap_or_default(), value.clone()));
        Ok(index)
    }

    pub(super) const fn serve(&mut self, index: usize) {
        self.serve = Some(index);
    }

    pub(super) fn serve_for(&mut self, unit: &str, index: usize) {
        self.targets.insert(unit.to_owned(), index);
    }

    /// The line that does it: a rule for each variation that somebody is a target of.
    pub(super) fn line(&self, key: &str, rev: u64) -> String {
        let mut by_variation: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for (unit, index) in &self.targets {
            by_variation.entry(*index).or_default().push(unit);
        }
        let rules: Vec<_> = by_variation
            .into_iter()
            .filter_map(|(index, units)| {
                let (name, _) = self.variations.get(index)?;
                let units: Json<'_> = units.into_iter().map(Json::from).collect();
                let condition = Json::object([("attr", Json::from(Context::TARGETING_KEY)), ("in", units)]);
                Some(Json::object([
                    ("id", Json::from(format!("target:{name}"))),
                    ("if", [condition].into_iter().collect()),
                    ("serve", Json::from(&**name)),
                ]))
            })
            .collect();
        let mut values: Vec<_> =
            self.variations.iter().map(|(name, value)| (&**name, value.to_json())).collect();
        values.sort_by_key(|(name, _)| *name);
        let served = self.serve.and_then(|index| self.variations.get(index));
        let members = [
            Some(("flag", Json::from(key))),
            Some(("type", Json::from(self.flag_type.as_str()))),
            Some(("rev", Json::from(rev))),
            Some(("on", Json::from(true))),
            Some(("values", Json::object(values))),
            (!rules.is_empty()).then(|| ("rules", rules.into_iter().collect())),
            served.map(|(name, _)| ("fallthrough", Json::from(&**name))),
        ];
        let mut line = String::new();
        Json::object(members.into_iter().flatten()).write(&mut line);
        line
    }

    fn fits(&self, key: &str, value: &Value) -> Result<(), TestDataError> {
        check_value(key, value)?;
        let same = value.flag_type() == self.flag_type;
        same.then_some(()).ok_or_else(|| TestDataError::Type(key.to_owned()))
    }
}
