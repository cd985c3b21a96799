//! `history`: who, when, why, from what to what.

use flagstone_model::json::Json;

use crate::api::Api;
use crate::args::History;
use crate::failure::Failure;
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::told;

pub(super) async fn run(args: &History, surroundings: &Surroundings, screen: &Screen) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let path = format!("{}/history?limit={}", api.targeting(&args.key), args.limit);
    let answer = api.get(&path).await?;
    if screen.is_json() {
        return screen.json(&answer.body);
    }
    if answer.items().is_empty() {
        screen.line(format!("{} was never changed in {}", args.key, api.environment()))?;
    }
    for item in answer.items() {
        item_lines(screen, item)?;
    }
    if answer.text("next").is_some() {
        screen.note("there is more: --limit shows it");
    }
    Ok(())
}

fn item_lines(screen: &Screen, item: &Json<'_>) -> Result<(), Failure> {
    let actor = item.member("actor").unwrap_or(&Json::Null);
    let who = match told::text(actor, "name") {
        "" => told::text(actor, "id"),
        name => name,
    };
    let seq = told::number(item, "seq").unwrap_or_default();
    let head = screen.paint(Paint::Bold, format!("seq {seq}"));
    let (time, via, entity) =
        (told::text(item, "time"), told::text(actor, "via"), told::text(item, "entity"));
    let via = if via.is_empty() { String::new() } else { format!(" via {via}") };
    let revisions = match item.member("revision").and_then(Json::as_array) {
        Some([from, to]) => format!(" {from} → {to}"),
        _ => String::new(),
    };
    screen.line(format!("{head}  {time}  {who}{via}  {entity}{revisions}"))?;
    if let Some(reason) = item.member("reason").and_then(Json::as_str) {
        screen.line(format!("    “{reason}”"))?;
    }
    let nothing = Json::Null;
    let from = item.member("from").unwrap_or(&nothing);
    let to = item.member("to").unwrap_or(&nothing);
    for change in changes(from, to) {
        screen.line(format!("    {change}"))?;
    }
    Ok(())
}

/// The members that differ, one a line.
fn changes(from: &Json<'_>, to: &Json<'_>) -> Vec<String> {
    let (Some(before), Some(after)) = (from.as_object(), to.as_object()) else {
        return match (from.is_null(), to.is_null()) {
            (true, true) => Vec::new(),
            (true, false) => vec![format!("new: {to}")],
            (false, true) => vec![format!("gone: {from}")],
            (false, false) => vec![format!("{from} → {to}")],
        };
    };
    let mut names: Vec<_> = before.iter().map(|(name, _)| name).collect();
    names.extend(after.iter().map(|(name, _)| name).filter(|name| from.member(name).is_none()));
    let changed = names.into_iter().filter_map(|name| match (from.member(name), to.member(name)) {
        (Some(old), Some(new)) if old.to_canonical() == new.to_canonical() => None,
        (Some(old), Some(new)) => Some(format!("{name}: {old} → {new}")),
        (Some(old), None) => Some(format!("{name}: {old} → nothing")),
        (None, Some(new)) => Some(format!("{name}: nothing → {new}")),
        (None, None) => None,
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_members_that_differ_are_told() {
        let from = Json::parse(br#"{"on":false,"off":"off","rules":[]}"#).unwrap();
        let to = Json::parse(br#"{"off":"off","on":true,"deny":{}}"#).unwrap();
        assert_eq!(changes(&from, &to), ["on: false → true", "rules: [] → nothing", "deny: nothing → {}"]);
        assert_eq!(changes(&Json::Null, &to).len(), 1);
    }
}
