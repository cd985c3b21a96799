//! `key table`: the SDK keys of a project, as a CDN has them.

use std::fmt::Write as _;

use flagstone_model::json::Json;

use crate::api::{Api, escaped};
use crate::args::{EdgeKind, KeyTable};
use crate::failure::Failure;
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::tree;
use crate::verbs::told;

/// A key by its SHA-256, and `PROJECT/ENVIRONMENT`.
struct Row {
    sha256: String,
    scope: String,
}

pub(super) async fn print(
    args: &KeyTable,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let mut rows = Vec::new();
    for environment in api.list(&api.in_project("environments")).await? {
        let id = told::text(&environment, "id");
        let keys = api.list(&api.in_project(&format!("environments/{}/keys", escaped(id)))).await?;
        let scope = format!("{}/{id}", api.project());
        rows.extend(
            keys.iter().map(|key| Row { sha256: told::text(key, "sha256").to_owned(), scope: scope.clone() }),
        );
    }
    if let Some(file) = &args.out {
        tree::replace(file, &table(args.edge, &rows))?;
        let count = rows.len();
        if screen.is_json() {
            return screen.json(&Json::object([
                ("file", Json::from(file.display().to_string())),
                ("keys", Json::from(u64::try_from(count).unwrap_or(u64::MAX))),
            ]));
        }
        return screen.line(format_args!("{}: {count} keys", screen.paint(Paint::Bold, file.display())));
    }
    if screen.is_json() {
        let items = rows.iter().map(|Row { sha256, scope }| {
            Json::object([("sha256", Json::from(sha256.clone())), ("opens", Json::from(scope.clone()))])
        });
        return screen.items(items.collect());
    }
    screen.line(table(args.edge, &rows).trim_end())
}

/// The whole file that the edge reads.
fn table(edge: EdgeKind, rows: &[Row]) -> String {
    let mut text = String::new();
    match edge {
        EdgeKind::Nginx => {
            for Row { sha256, scope } in rows {
                let _ = writeln!(text, "{sha256} {scope};");
            }
        }
        EdgeKind::Varnish => {
            text.push_str("sub flagstone_scope {\n");
            for Row { sha256, scope } in rows {
                let _ = writeln!(text, "    if (req.http.x-flagstone-sha256 == \"{sha256}\") {{");
                let _ = writeln!(text, "        set req.http.x-flagstone-scope = \"{scope}\";");
                text.push_str("    }\n");
            }
            text.push_str("}\n");
        }
        EdgeKind::Cloudfront => {
            let row = |row: &Row| {
                let members =
                    [("key", Json::from(row.sha256.clone())), ("value", Json::from(row.scope.clone()))];
                Json::object(members)
            };
            let data = Json::Array(rows.iter().map(row).collect());
            let _ = writeln!(text, "{}", Json::object([("data", data)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_edge_gets_the_table_in_its_own_form() {
        let row = |digit: &str, scope: &str| Row { sha256: digit.repeat(64), scope: scope.to_owned() };
        let rows = [row("a", "shop/production"), row("b", "shop/staging")];
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        assert_eq!(table(EdgeKind::Nginx, &rows), format!("{a} shop/production;\n{b} shop/staging;\n"));
        assert_eq!(
            table(EdgeKind::Varnish, &rows[..1]),
            format!(
                "sub flagstone_scope {{\n    if (req.http.x-flagstone-sha256 == \"{a}\") {{\n        set \
                 req.http.x-flagstone-scope = \"shop/production\";\n    }}\n}}\n"
            )
        );
        assert_eq!(
            table(EdgeKind::Cloudfront, &rows),
            format!(
                "{{\"data\":[{{\"key\":\"{a}\",\"value\":\"shop/production\"}},{{\"key\":\"{b}\",\"value\":\"shop/staging\"}}]}}\n"
            )
        );
        assert_eq!(table(EdgeKind::Varnish, &[]), "sub flagstone_scope {\n}\n", "no key opens nothing");
    }
}
