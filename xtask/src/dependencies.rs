//! Which crate may depend on which (docs/ARCHITECTURE.md, "Crates").
//!
//! ```text
//! cli, lambda/* → publisher → { eval, bundle } → model
//!      sdk/rust →             { eval, bundle } → model
//! ```
//!
//! The rule holds for normal, build, and development dependencies alike. AWS crates are in the tree of `lambda/aws` and
//! of no other crate, whatever it is built for; so no other crate depends on that one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::steps::{Outcome, Tree, output};

/// The only folder whose crate may name an AWS crate.
const AWS_FOLDER: &str = "lambda/aws";

/// What `sdk/core` is free of: I/O, clocks, async.
const NOT_IN_CORE: [&str; 9] =
    ["async-trait", "axum", "chrono", "hyper", "mio", "reqwest", "rusqlite", "time", "tokio"];

/// What the publisher is free of: HTTP belongs to `lambda/admin` and to the SDK.
const NOT_IN_PUBLISHER: [&str; 3] = ["axum", "hyper", "reqwest"];

/// Fails with every dependency that the rule does not allow.
pub(crate) fn check(tree: &Tree) -> Result<Outcome> {
    let metadata = output(tree.cargo(&["metadata", "--format-version", "1"]))?;
    let graph = Graph::parse(&metadata, &tree.root)?;
    let faults = graph.faults();
    if !faults.is_empty() {
        bail!("{}", faults.join("; "));
    }
    let sdk =
        output(tree.cargo(&["tree", "--package", "flagstone", "--edges", "normal", "--prefix", "none"]))?;
    let packages: BTreeSet<_> =
        sdk.lines().filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty()).collect();
    println!("{} crates of the workspace follow the rule", graph.folders.len());
    println!("the SDK for Rust builds {} packages, itself included", packages.len());
    Ok(Outcome::Passed)
}

/// The dependencies of the workspace's crates, and of everything below them.
struct Graph {
    /// Package id → its folder, of the workspace's own crates.
    folders: BTreeMap<String, String>,
    /// Package id → name.
    names: BTreeMap<String, String>,
    /// Package id → ids of what it depends on, and whether as a development dependency only.
    edges: BTreeMap<String, Vec<(String, bool)>>,
}

/// The folders that a crate in `folder` may name, or nothing if the rule does not know the folder.
fn allowed(folder: &str) -> Option<&'static [&'static str]> {
    const CORE: &[&str] = &["sdk/core/bundle", "sdk/core/eval", "sdk/core/model"];
    const CLOUD: &[&str] = &["lambda/", "publisher", "sdk/core/bundle", "sdk/core/eval", "sdk/core/model"];
    const PUBLISHED: &[&str] = &["publisher", "sdk/core/bundle", "sdk/core/eval", "sdk/core/model"];
    const ALL: &[&str] = &["lambda/", "publisher", "sdk/"];
    const ADAPTER: &[&str] =
        &["cloud", "lambda/", "publisher", "sdk/core/bundle", "sdk/core/eval", "sdk/core/model"];
    match folder {
        AWS_FOLDER => Some(ADAPTER),
        "sdk/core/model" | "xtask" => Some(&[]),
        "sdk/core/eval" | "sdk/core/bundle" => Some(&["sdk/core/model"]),
        "sdk/rust" | "publisher" => Some(CORE),
        "cli" | "cloud" => Some(ALL),
        "fuzz" => Some(PUBLISHED),
        other => other.starts_with("lambda/").then_some(CLOUD),
    }
}

impl Graph {
    fn parse(metadata: &str, root: &Path) -> Result<Self> {
        let metadata: Value = serde_json::from_str(metadata).context("reading cargo metadata")?;
        let mut graph = Self { folders: BTreeMap::new(), names: BTreeMap::new(), edges: BTreeMap::new() };
        let members: BTreeSet<&str> =
            array(&metadata, "workspace_members").filter_map(Value::as_str).collect();
        for package in array(&metadata, "packages") {
            let id = text(package, "id")?;
            graph.names.insert(id.to_owned(), text(package, "name")?.to_owned());
            if members.contains(id) {
                let manifest = Path::new(text(package, "manifest_path")?);
                let folder = manifest.parent().and_then(|folder| folder.strip_prefix(root).ok());
                let folder = folder.and_then(Path::to_str).context("a member lies in the workspace")?;
                graph.folders.insert(id.to_owned(), folder.replace('\\', "/"));
            }
        }
        for node in metadata.get("resolve").into_iter().flat_map(|resolve| array(resolve, "nodes")) {
            let mut edges = Vec::new();
            for edge in array(node, "deps") {
                let for_development = array(edge, "dep_kinds")
                    .all(|kind| kind.get("kind").and_then(Value::as_str) == Some("dev"));
                edges.push((text(edge, "pkg")?.to_owned(), for_development));
            }
            graph.edges.insert(text(node, "id")?.to_owned(), edges);
        }
        Ok(graph)
    }

    /// Every dependency that breaks the rule, each as one clause of a sentence.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (id, folder) in &self.folders {
            let Some(allowed) = allowed(folder) else {
                faults.push(format!("{folder} has no place in the rule"));
                continue;
            };
            for (target, _) in self.edges(id) {
                let Some(target) = self.folders.get(target) else { continue };
                let fits =
                    |prefix: &&str| target == prefix || (prefix.ends_with('/') && target.starts_with(prefix));
                if target != folder && !allowed.iter().any(fits) {
                    faults.push(format!("{folder} may not depend on {target}"));
                }
            }
            let mut banned: Vec<&str> = Vec::new();
            if folder.starts_with("sdk/core/") {
                banned.extend(NOT_IN_CORE);
            } else if folder == "publisher" {
                banned.extend(NOT_IN_PUBLISHER);
            }
            let shipped = self.reach(id, false).into_iter().filter(|name| banned.contains(name));
            let tested = self.reach(id, true).into_iter();
            let tested = tested.filter(|name| folder != AWS_FOLDER && name.starts_with("aws-"));
            faults.extend(shipped.chain(tested).map(|name| format!("{folder} may not reach {name}")));
        }
        faults
    }

    fn edges(&self, id: &str) -> &[(String, bool)] {
        self.edges.get(id).map_or(&[], Vec::as_slice)
    }

    /// The names of what a crate builds with; also of what its own tests build with, if it is `tested`.
    fn reach(&self, id: &str, tested: bool) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        let mut seen = BTreeSet::from([id]);
        let mut open = vec![id];
        while let Some(next) = open.pop() {
            let follows = |for_development: bool| !for_development || (tested && next == id);
            for (target, _) in self.edges(next).iter().filter(|(_, development)| follows(*development)) {
                if seen.insert(target) {
                    names.extend(self.names.get(target).map(String::as_str));
                    open.push(target);
                }
            }
        }
        names
    }
}

fn array<'v>(value: &'v Value, member: &str) -> impl Iterator<Item = &'v Value> {
    value.get(member).and_then(Value::as_array).into_iter().flatten()
}

fn text<'v>(value: &'v Value, member: &str) -> Result<&'v str> {
    value.get(member).and_then(Value::as_str).with_context(|| format!("cargo metadata has no `{member}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A graph of workspace folders and of other packages (names without a slash that are no folder).
    fn graph(edges: &[(&str, &str)]) -> Graph {
        let mut graph = Graph { folders: BTreeMap::new(), names: BTreeMap::new(), edges: BTreeMap::new() };
        for &(from, to) in edges {
            for name in [from, to] {
                graph.names.insert(name.to_owned(), name.to_owned());
                if name.contains('/') || ["cli", "cloud", "publisher", "xtask"].contains(&name) {
                    graph.folders.insert(name.to_owned(), name.to_owned());
                }
            }
            graph.edges.entry(from.to_owned()).or_default().push((to.to_owned(), false));
        }
        graph
    }

    #[test]
    fn the_designed_directions_are_allowed() {
        let designed = graph(&[
            ("cli", "lambda/admin"),
            ("cli", "sdk/rust"),
            ("lambda/admin", "publisher"),
            ("lambda/aws", "lambda/admin"),
            ("lambda/aws", "aws-sdk-s3"),
            ("lambda/aws", "cloud"),
            ("cloud", "sdk/rust"),
            ("publisher", "sdk/core/eval"),
            ("sdk/rust", "sdk/core/bundle"),
            ("sdk/rust", "tokio"),
            ("sdk/core/bundle", "sdk/core/model"),
        ]);
        assert_eq!(designed.faults(), Vec::<String>::new());
    }

    #[test]
    fn every_other_direction_is_refused() {
        for (from, to) in [
            ("sdk/core/model", "sdk/core/eval"),
            ("sdk/core/eval", "sdk/core/bundle"),
            ("sdk/rust", "publisher"),
            ("publisher", "sdk/rust"),
            ("publisher", "lambda/admin"),
            ("lambda/admin", "cli"),
            ("cli", "xtask"),
            ("xtask", "sdk/core/model"),
        ] {
            assert_eq!(graph(&[(from, to)]).faults(), [format!("{from} may not depend on {to}")]);
        }
    }

    #[test]
    fn aws_is_found_behind_other_packages() {
        let hidden = graph(&[("lambda/admin", "convenient"), ("convenient", "aws-config")]);
        assert_eq!(hidden.faults(), ["lambda/admin may not reach aws-config"]);
        let behind_the_adapter = graph(&[("cloud", "lambda/aws"), ("lambda/aws", "aws-config")]);
        assert_eq!(behind_the_adapter.faults(), ["cloud may not reach aws-config"]);
    }

    #[test]
    fn aws_is_found_in_what_only_tests_build() {
        let mut tests = graph(&[("cloud", "emulator"), ("emulator", "aws-config"), ("emulator", "aws-mock")]);
        for (of, only_for_tests) in [("cloud", 0), ("emulator", 1)] {
            tests.edges.get_mut(of).unwrap()[only_for_tests].1 = true;
        }
        // Another package's own tests are not built here.
        assert_eq!(tests.faults(), ["cloud may not reach aws-config"]);
    }

    #[test]
    fn the_core_has_no_runtime_below_it() {
        let runtime = graph(&[("sdk/core/eval", "convenient"), ("convenient", "tokio")]);
        assert_eq!(runtime.faults(), ["sdk/core/eval may not reach tokio"]);
    }

    #[test]
    fn a_folder_that_the_rule_does_not_know_is_refused() {
        assert_eq!(graph(&[("tools/extra", "anyhow")]).faults(), ["tools/extra has no place in the rule"]);
    }
}
