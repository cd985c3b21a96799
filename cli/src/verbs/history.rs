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
        Some([from, to]) => format!(" {from} {} {to}", screen.marks().arrow),
        _ => String::new(),
    };
    screen.line(format!("{head}  {time}  {who}{via}  {entity}{revisions}"))?;
    if let Some(reason) = item.member("reason").and_then(Json::as_str) {
        screen.line(format!("    “{reason}”"))?;
    }
    match told::text(item, "summary") {
        "" => {}
        summary => screen.line(format!("    {summary}"))?,
    }
    let changes = item.member("changes").and_then(Json::as_array).unwrap_or_default();
    for change in changes {
        for line in difference(change, screen.marks().arrow) {
            screen.line(format!("      {}", screen.paint(Paint::Dim, line)))?;
        }
    }
    Ok(())
}

/// One member that differs: from what to what, or what came and what went.
fn difference(change: &Json<'_>, arrow: &str) -> Vec<String> {
    let path = told::text(change, "path");
    let shown = |name: &str| match change.member(name) {
        None | Some(Json::Null) => "nothing".to_owned(),
        Some(value) => value.to_string(),
    };
    let sets = [("added", '+'), ("removed", '-')];
    if sets.iter().any(|(name, _)| change.member(name).is_some()) {
        let elements = |name: &str| change.member(name).and_then(Json::as_array).unwrap_or_default();
        return sets
            .into_iter()
            .filter(|(name, _)| !elements(name).is_empty())
            .map(|(name, sign)| {
                let all: Vec<_> = elements(name).iter().map(told::plain).collect();
                format!("{path}: {sign}{}", all.join(&format!(" {sign}")))
            })
            .collect();
    }
    vec![format!("{path}: {} {arrow} {}", shown("from"), shown("to"))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_told_from_what_to_what_and_a_set_by_what_came_and_went() {
        let told = |json: &str| difference(&Json::parse(json.as_bytes()).unwrap(), "->");
        assert_eq!(told(r#"{"path":"/on","from":false,"to":true}"#), ["/on: false -> true"]);
        assert_eq!(told(r#"{"path":"/owner","from":null,"to":"a"}"#), ["/owner: nothing -> \"a\""]);
        assert_eq!(
            told(r#"{"path":"/targets/on","added":["a","b"],"removed":[3]}"#),
            ["/targets/on: +a +b", "/targets/on: -3"]
        );
    }
}
