//! The shipped edges, run for real.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::packages;
use crate::steps::{Outcome, Tree, succeed};

/// A package, and files of which one is there when it is.
const PACKAGES: [(&str, &[&str]); 4] = [
    ("nginx", &["/usr/sbin/nginx"]),
    ("libnginx-mod-http-js", &["/usr/lib/nginx/modules/ngx_http_js_module.so"]),
    ("varnish", &["/usr/sbin/varnishd"]),
    (
        "varnish-vmod-digest",
        &[
            "/usr/lib/x86_64-linux-gnu/varnish/vmods/libvmod_digest.so",
            "/usr/lib/aarch64-linux-gnu/varnish/vmods/libvmod_digest.so",
        ],
    ),
];

/// Fails if an edge does not answer the table, or keeps what it must not.
///
/// Edges write only into folders of their own, and listen to free ports of 127.0.0.1.
pub(crate) fn check(tree: &Tree) -> Result<Outcome> {
    packages::needing(tree, missing, || {
        let mut tests = Command::new(tree.integration_tests("cloud")?);
        tests.current_dir(tree.root.join("cloud")).args(["edges::", "--include-ignored"]);
        succeed(tests)
    })
}

/// The packages that are not installed.
pub(crate) fn missing() -> Vec<&'static str> {
    let lacks = |files: &&[&str]| !files.iter().any(|file| Path::new(file).exists());
    let missing = PACKAGES.into_iter().filter(|(_, files)| lacks(files)).map(|(package, _)| package);
    missing.chain((!has_node()).then_some("nodejs")).collect()
}

fn has_node() -> bool {
    let mut node = Command::new("node");
    node.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    node.status().is_ok_and(|status| status.success())
}
