//! What differs between two states of an entity, member by member.

use flagstone_model::json::Json;

use crate::author::push_pointer;

/// One member that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Where: a JSON Pointer, in which an element of a list is named by its `id` or its `flag`.
    pub path: String,
    /// What stands for the names in the path, unescaped.
    pub names: Vec<String>,
    /// How it differs.
    pub change: Change,
}

/// How a member differs.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// From one value to another; `None` where there is none.
    Value {
        /// What it was.
        from: Option<Json<'static>>,
        /// What it became.
        to: Option<Json<'static>>,
    },
    /// Elements of a set.
    Set {
        /// Those that came.
        added: Vec<Json<'static>>,
        /// Those that went.
        removed: Vec<Json<'static>>,
    },
}

impl Difference {
    /// `path` with `from` and `to`, or with `added` and `removed`.
    pub fn to_json(&self) -> Json<'static> {
        let path = ("path", Json::from(self.path.clone()));
        let value = |value: Option<&Json<'static>>| value.cloned().unwrap_or(Json::Null);
        match &self.change {
            Change::Value { from, to } => {
                Json::object([path, ("from", value(from.as_ref())), ("to", value(to.as_ref()))])
            }
            Change::Set { added, removed } => Json::object([
                path,
                ("added", Json::Array(added.clone())),
                ("removed", Json::Array(removed.clone())),
            ]),
        }
    }
}

/// What differs, in the order of the members.
pub(super) fn differences(from: &Json<'_>, to: &Json<'_>) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut names = Vec::new();
    compare(Some(from), Some(to), &mut names, &mut found);
    found
}

/// Members of a targeting that are maps from a variation to a set of keys: one that is missing is empty.
const MAPS_OF_SETS: [&str; 2] = ["deny", "targets"];
/// Members that serve: two of different forms are two values, not two objects.
const FORMS: [&str; 3] = ["serve", "rollout", "ramp"];

fn compare(
    from: Option<&Json<'_>>,
    to: Option<&Json<'_>>,
    names: &mut Vec<String>,
    found: &mut Vec<Difference>,
) {
    if from.map(Json::to_canonical) == to.map(Json::to_canonical) {
        return;
    }
    let is_map_of_sets = names.len() == 1 && names.iter().any(|name| MAPS_OF_SETS.contains(&name.as_str()));
    let nothing = Json::Object(Vec::new());
    let (from, to) = if is_map_of_sets {
        (Some(from.unwrap_or(&nothing)), Some(to.unwrap_or(&nothing)))
    } else {
        (from, to)
    };
    match (from, to) {
        (Some(before @ Json::Object(_)), Some(after @ Json::Object(_))) if same_form(before, after) => {
            for name in members(before, after) {
                names.push(name.clone());
                compare(before.member(&name), after.member(&name), names, found);
                names.pop();
            }
        }
        (Some(Json::Array(before)), Some(Json::Array(after))) if named(before) && named(after) => {
            elements(before, after, names, found);
        }
        (Some(Json::Array(before)), Some(Json::Array(after))) if is_set(before) && is_set(after) => {
            set(before, after, names, found);
        }
        (None, Some(Json::Array(after))) if is_set(after) && !after.is_empty() => {
            set(&[], after, names, found);
        }
        (Some(Json::Array(before)), None) if is_set(before) && !before.is_empty() => {
            set(before, &[], names, found);
        }
        _ => push(names, Change::Value { from: owned(from), to: owned(to) }, found),
    }
}

fn owned(json: Option<&Json<'_>>) -> Option<Json<'static>> {
    json.map(|json| json.clone().into_owned())
}

fn push(names: &[String], change: Change, found: &mut Vec<Difference>) {
    let mut path = String::new();
    for name in names {
        push_pointer(&mut path, name);
    }
    found.push(Difference { path, names: names.to_vec(), change });
}

/// The names of the members of either.
fn members(before: &Json<'_>, after: &Json<'_>) -> Vec<String> {
    let of = |json: &Json<'_>| -> Vec<String> {
        json.as_object().unwrap_or_default().iter().map(|(name, _)| name.to_string()).collect()
    };
    let mut names = of(after);
    names.extend(of(before).into_iter().filter(|name| after.member(name).is_none()));
    names
}

fn same_form(before: &Json<'_>, after: &Json<'_>) -> bool {
    FORMS.iter().all(|form| before.member(form).is_some() == after.member(form).is_some())
}

/// What an element of a list is known by.
fn name_of<'a>(element: &'a Json<'_>) -> Option<&'a str> {
    element.member("id").or_else(|| element.member("flag"))?.as_str()
}

/// Whether every element has a name of its own.
fn named(elements: &[Json<'_>]) -> bool {
    let mut names: Vec<_> = elements.iter().filter_map(name_of).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    all == elements.len() && names.len() == all
}

fn is_set(elements: &[Json<'_>]) -> bool {
    elements.iter().all(|element| !matches!(element, Json::Array(_) | Json::Object(_)))
}

fn elements(before: &[Json<'_>], after: &[Json<'_>], names: &mut Vec<String>, found: &mut Vec<Difference>) {
    let find = |list: &[Json<'_>], name: &str| list.iter().position(|element| name_of(element) == Some(name));
    let all = after
        .iter()
        .chain(before.iter().filter(|old| name_of(old).is_some_and(|name| find(after, name).is_none())));
    for name in all.filter_map(name_of) {
        let old = find(before, name).and_then(|at| before.get(at));
        let new = find(after, name).and_then(|at| after.get(at));
        names.push(name.to_owned());
        match (old, new) {
            // Another form is another rule of the same name; its other members are still compared.
            (Some(old), Some(new)) if !same_form(old, new) => parts(old, new, names, found),
            _ => compare(old, new, names, found),
        }
        names.pop();
    }
    let common = |list: &[Json<'_>], other: &[Json<'_>]| -> Vec<String> {
        let names = list.iter().filter_map(name_of).filter(|name| find(other, name).is_some());
        names.map(ToOwned::to_owned).collect()
    };
    let (old, new) = (common(before, after), common(after, before));
    if old != new {
        let list = |names: Vec<String>| Some(names.into_iter().map(Json::from).collect());
        push(names, Change::Value { from: list(old), to: list(new) }, found);
    }
}

/// The members of two objects, whatever their form.
fn parts(before: &Json<'_>, after: &Json<'_>, names: &mut Vec<String>, found: &mut Vec<Difference>) {
    for name in members(before, after) {
        names.push(name.clone());
        compare(before.member(&name), after.member(&name), names, found);
        names.pop();
    }
}

fn set(before: &[Json<'_>], after: &[Json<'_>], names: &[String], found: &mut Vec<Difference>) {
    let without = |list: &[Json<'_>], other: &[Json<'_>]| -> Vec<Json<'static>> {
        let others: std::collections::BTreeSet<_> = other.iter().map(Json::to_canonical).collect();
        let kept = list.iter().filter(|element| !others.contains(&element.to_canonical()));
        kept.map(|element| element.clone().into_owned()).collect()
    };
    let (added, removed) = (without(after, before), without(before, after));
    if added.is_empty() && removed.is_empty() {
        // The same elements in another order, or one of them twice.
        let all =
            |list: &[Json<'_>]| Some(Json::Array(list.iter().map(|e| e.clone().into_owned()).collect()));
        push(names, Change::Value { from: all(before), to: all(after) }, found);
    } else {
        push(names, Change::Set { added, removed }, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(from: &str, to: &str) -> Vec<String> {
        let parse = |text: &str| Json::parse(text.as_bytes()).unwrap().into_owned();
        let found = differences(&parse(from), &parse(to));
        found.iter().map(|difference| difference.to_json().to_string()).collect()
    }

    #[test]
    fn members_are_compared_one_by_one_and_rules_by_their_ids() {
        assert_eq!(
            told(
                r#"{"on":false,"rules":[{"id":"a","serve":"x"},{"id":"eu","rollout":{"weights":{"x":10000,"y":90000}}}]}"#,
                r#"{"on":true,"rules":[{"id":"eu","rollout":{"weights":{"x":20000,"y":80000}}},{"id":"b","serve":"x"}]}"#,
            ),
            [
                r#"{"path":"/on","from":false,"to":true}"#,
                r#"{"path":"/rules/eu/rollout/weights/x","from":10000,"to":20000}"#,
                r#"{"path":"/rules/eu/rollout/weights/y","from":90000,"to":80000}"#,
                r#"{"path":"/rules/b","from":null,"to":{"id":"b","serve":"x"}}"#,
                r#"{"path":"/rules/a","from":{"id":"a","serve":"x"},"to":null}"#,
            ]
        );
    }

    #[test]
    fn another_order_of_rules_is_a_difference_of_their_ids() {
        assert_eq!(
            told(r#"{"rules":[{"id":"a"},{"id":"b"},{"id":"c"}]}"#, r#"{"rules":[{"id":"c"},{"id":"a"}]}"#),
            [
                r#"{"path":"/rules/b","from":{"id":"b"},"to":null}"#,
                r#"{"path":"/rules","from":["a","c"],"to":["c","a"]}"#,
            ]
        );
    }

    #[test]
    fn sets_are_told_by_what_came_and_what_went() {
        assert_eq!(
            told(r#"{"targets":{"on":["u-1","u-2"]}}"#, r#"{"targets":{"on":["u-2",3],"off":["u-9"]}}"#),
            [
                r#"{"path":"/targets/on","added":[3],"removed":["u-1"]}"#,
                r#"{"path":"/targets/off","added":["u-9"],"removed":[]}"#,
            ]
        );
        assert_eq!(
            told("{}", r#"{"deny":{"off":["u-9"]}}"#),
            [r#"{"path":"/deny/off","added":["u-9"],"removed":[]}"#]
        );
        assert_eq!(told(r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#), [r#"{"path":"/a","from":[1,2],"to":[2,1]}"#]);
    }

    #[test]
    fn a_fallthrough_of_another_form_is_another_value() {
        assert_eq!(
            told(r#"{"fallthrough":{"serve":"a"}}"#, r#"{"fallthrough":{"rollout":{"weights":{"a":1}}}}"#),
            [r#"{"path":"/fallthrough","from":{"serve":"a"},"to":{"rollout":{"weights":{"a":1}}}}"#]
        );
    }

    #[test]
    fn what_is_the_same_in_another_order_of_members_does_not_differ() {
        assert!(told(r#"{"a":1,"b":{"c":[]}}"#, r#"{"b":{"c":[]},"a":1.0}"#).is_empty());
    }
}
