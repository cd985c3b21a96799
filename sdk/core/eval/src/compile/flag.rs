//! Flags, rules, and segments (FORMAT M-1.5).

use std::borrow::Cow;
use std::sync::Arc;

use flagstone_model::json::Json;
use flagstone_model::limits;
use flagstone_model::value::{FlagType, Value};

use super::condition::hold_bucket;
use super::{At, Compiler};
use crate::flag::{Action, Condition, FlagBody, Rule, Variation};
use crate::report::Why;

type Members<'j> = [(Cow<'j, str>, Json<'j>)];

fn find<'a, 'j>(members: &'a Members<'j>, name: &str) -> Option<&'a Json<'j>> {
    members.iter().find_map(|(member, value)| (member == name).then_some(value))
}

impl Compiler<'_, '_> {
    /// `None`: type, values, or `on` cannot be read (FORMAT M-8, step 3).
    pub(super) fn flag_body(&mut self, members: &Members<'_>) -> Option<FlagBody> {
        let at = At::TOP;
        let flag_type = find(members, "type").and_then(Json::as_str).and_then(FlagType::parse);
        let on = find(members, "on").and_then(Json::as_bool);
        let (Some(flag_type), Some(on)) = (flag_type, on) else {
            return self.unreadable(&at.name(if on.is_some() { "type" } else { "on" }));
        };
        let Some(variations) = find(members, "values").and_then(|values| variations(flag_type, values))
        else {
            return self.unreadable(&at.name("values"));
        };
        let mut body = FlagBody {
            flag_type,
            on,
            understood: true,
            rev: None,
            variations,
            off: None,
            fallthrough: None,
            needs: Box::default(),
            rules: Box::default(),
        };
        for (name, value) in members {
            let understood = match name.as_ref() {
                "flag" | "type" | "on" | "values" => true,
                "rev" => {
                    body.rev =
                        value.as_integer().and_then(|rev| u64::try_from(rev).ok()).filter(|rev| *rev > 0);
                    body.rev.is_some()
                }
                "off" => {
                    body.off = variation(&body.variations, value);
                    body.off.is_some()
                }
                "fallthrough" => {
                    body.fallthrough = variation(&body.variations, value);
                    body.fallthrough.is_some()
                }
                "needs" => {
                    self.conditions(&at.name("needs"), value).map(|needs| body.needs = needs).is_some()
                }
                "rules" => {
                    self.rules(&at.name("rules"), value, &body.variations).map(|r| body.rules = r).is_some()
                }
                "meta" => value.as_object().is_some(),
                _ => false,
            };
            if !understood {
                body.understood = false;
                self.report(&at.name(name), Why::Unreadable);
            }
        }
        if body.rev.is_none() && body.understood {
            body.understood = false;
            self.report(&at.name("rev"), Why::Unreadable);
        }
        Some(body)
    }

    fn rules(&mut self, at: &At<'_>, json: &Json<'_>, variations: &[Variation]) -> Option<Box<[Rule]>> {
        let rules = json.as_array()?.iter().enumerate();
        Some(rules.map(|(index, rule)| self.rule(&at.index(index), rule, variations)).collect())
    }

    fn rule(&mut self, at: &At<'_>, json: &Json<'_>, variations: &[Variation]) -> Rule {
        let id = json.member("id").and_then(|id| short_text(id, limits::MAX_RULE_ID_CHARS));
        let mut rule = Rule { id, exp: None, conditions: Box::default(), action: Action::Unreadable };
        let before = std::mem::take(&mut self.references);
        let instructions = self.instructions;
        if self.read_rule(at, json, variations, &mut rule).is_none() || rule.id.is_none() {
            self.report(at, Why::Unreadable);
            rule.action = Action::Unreadable;
            // Never followed, so they close no cycle, and never asked, whichever member was read first.
            self.references.clear();
            self.instructions = instructions;
        }
        self.references.extend(before);
        rule
    }

    /// `None`: some member cannot be read.
    fn read_rule(
        &mut self,
        at: &At<'_>,
        json: &Json<'_>,
        variations: &[Variation],
        rule: &mut Rule,
    ) -> Option<()> {
        let (mut serve, mut split, mut bucketed) = (None, None, false);
        for (name, value) in json.as_object()? {
            let place = at.name(name);
            match name.as_ref() {
                "id" => {}
                "if" => {
                    rule.conditions = self.conditions(&place, value)?;
                    bucketed = value.as_array().is_some_and(hold_bucket);
                }
                "serve" => serve = Some(variation(variations, value)?),
                "split" => split = Some(self.split(&place, value, variations)?),
                "exp" => rule.exp = Some(short_text(value, limits::MAX_EXP_CHARS)?),
                _ => return self.unreadable(&place),
            }
        }
        rule.action = match (serve, split) {
            (Some(variation), None) => Action::Serve { variation, bucketed },
            (None, Some(split)) => Action::Split(split),
            _ => return None,
        };
        Some(())
    }

    /// `None`: the segment cannot be read, and what it refers to is never followed.
    pub(super) fn segment(&mut self, members: &Members<'_>) -> Option<Box<[Condition]>> {
        let conditions = self.read_segment(members);
        if conditions.is_none() {
            self.references.clear();
        }
        conditions
    }

    fn read_segment(&mut self, members: &Members<'_>) -> Option<Box<[Condition]>> {
        let mut conditions = Box::default();
        for (name, value) in members {
            let place = At::TOP.name(name);
            match name.as_ref() {
                "segment" => {}
                "if" => match self.conditions(&place, value) {
                    Some(compiled) => conditions = compiled,
                    None => return self.unreadable(&place),
                },
                _ => return self.unreadable(&place),
            }
        }
        Some(conditions)
    }
}

fn variations(flag_type: FlagType, json: &Json<'_>) -> Option<Box<[Variation]>> {
    let members = json.as_object().filter(|members| !members.is_empty())?;
    let variation = |(key, value): &(Cow<'_, str>, Json<'_>)| {
        Some(Variation { key: key.as_ref().into(), value: Value::from_json(flag_type, value)? })
    };
    members.iter().map(variation).collect()
}

fn variation(variations: &[Variation], name: &Json<'_>) -> Option<usize> {
    let name = name.as_str()?;
    variations.iter().position(|variation| *variation.key == *name)
}

fn short_text(json: &Json<'_>, max_chars: usize) -> Option<Arc<str>> {
    let text = json.as_str()?;
    (1..=max_chars).contains(&text.chars().count()).then(|| text.into())
}
