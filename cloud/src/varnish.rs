//! Varnish with the shipped example, `cdn/varnish`.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::CloudError;
use crate::cache::run;
use crate::edge::{EdgeKey, Origin, fill, text, write};
use crate::process::{Server, free_port};

/// How Varnish and its module for digests are had.
const INSTALL: &str = "apt-get install varnish varnish-vmod-digest";
const PROGRAM: &str = "/usr/sbin/varnishd";
/// What tells a running one something, and what reads its log.
const ADMIN: &str = "/usr/bin/varnishadm";
const LOG: &str = "/usr/bin/varnishlog";
/// As in docs/CDN.md: neither gzip nor keys in the log in memory.
const PARAMETERS: [&str; 2] =
    ["http_gzip_support=off", "vsl_mask=-ReqHeader,-ReqUnset,-BereqHeader,-BereqUnset"];
/// A configuration is compiled when it is loaded: quickly matters more than well.
const COMPILER: &str = "cc_command=exec cc -O0 -fpic -shared -Wl,-x -o %o %s";

/// A running Varnish with a folder of its own. It ends when the value does.
#[derive(Debug)]
pub struct Varnish {
    server: Server,
    folder: TempDir,
}

impl Varnish {
    /// Starts Varnish before an origin.
    ///
    /// # Errors
    ///
    /// [`CloudError::Missing`] without Varnish or its module, and whatever keeps a server from starting.
    pub async fn start(origin: &Origin, keys: &[EdgeKey]) -> Result<Self, CloudError> {
        if !Path::new(PROGRAM).exists() || !has_digests() {
            return Err(CloudError::Missing { program: "varnishd", install: INSTALL });
        }
        let folder = TempDir::new().map_err(CloudError::io("create a folder for Varnish"))?;
        let (configuration, port) = (folder.path().join("flagstone.vcl"), free_port()?);
        let filled = fill(
            "varnish/flagstone.vcl",
            &[
                ("ORIGIN_ADDRESS", "127.0.0.1"),
                ("ORIGIN_PORT", &origin.port.to_string()),
                ("ORIGIN_HOST", &format!("127.0.0.1:{}", origin.port)),
                ("ORIGIN_PREFIX", &origin.prefix),
                ("ETC", &text(folder.path())),
            ],
        )?;
        write(&configuration, &filled)?;
        write(&folder.path().join("keys.vcl"), &key_table(keys))?;
        let mut command = Command::new(PROGRAM);
        command.arg("-F").arg("-n").arg(folder.path().join("n"));
        command.args(["-a", &format!("127.0.0.1:{port}"), "-s", "malloc,64m", "-j", "none", "-f"]);
        command.arg(&configuration);
        for parameter in PARAMETERS.into_iter().chain([COMPILER]) {
            command.args(["-p", parameter]);
        }
        Ok(Self { server: Server::start("varnishd", command, port).await?, folder })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Where it listens.
    pub const fn port(&self) -> u16 {
        self.server.port()
    }

    /// Gives it other keys; they hold when this returns. `name` is that of the configuration, another one each time.
    ///
    /// # Errors
    ///
    /// If they cannot be written, or Varnish does not take them.
    pub fn replace_keys(&self, name: &str, keys: &[EdgeKey]) -> Result<(), CloudError> {
        self.replace_key_table(name, &key_table(keys))
    }

    /// Gives it another `keys.vcl`, as it stands here; it holds when this returns.
    ///
    /// # Errors
    ///
    /// If it cannot be written, or Varnish does not take it.
    pub fn replace_key_table(&self, name: &str, table: &str) -> Result<(), CloudError> {
        write(&self.folder.path().join("keys.vcl"), table)?;
        let configuration = text(&self.folder.path().join("flagstone.vcl"));
        self.tell(&["vcl.load", name, &configuration])?;
        self.tell(&["vcl.use", name])
    }

    /// Throws away all that it keeps.
    ///
    /// # Errors
    ///
    /// If Varnish does not take it.
    pub fn purge(&self) -> Result<(), CloudError> {
        self.tell(&["ban", "req.url", "~", "/"])
    }

    /// All that its log in memory has.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn logged(&self) -> Result<String, CloudError> {
        let mut log = Command::new(LOG);
        log.arg("-n").arg(self.instance()).args(["-d", "-g", "raw"]);
        Ok(self.server.said() + &run("varnishlog", INSTALL, &mut log)?)
    }

    fn tell(&self, what: &[&str]) -> Result<(), CloudError> {
        let mut admin = Command::new(ADMIN);
        admin.arg("-n").arg(self.instance()).args(what);
        run("varnishadm", INSTALL, &mut admin).map(drop)
    }

    fn instance(&self) -> PathBuf {
        self.folder.path().join("n")
    }
}

/// `keys.vcl`: the SHA-256 of each key, and what it opens.
fn key_table(keys: &[EdgeKey]) -> String {
    let rows: String = keys
        .iter()
        .map(|key| {
            format!(
                "    if (req.http.x-flagstone-sha256 == \"{}\") {{\n        set req.http.x-flagstone-scope = \"{}\";\n    }}\n",
                key.sha256(),
                key.scope()
            )
        })
        .collect();
    format!("sub flagstone_scope {{\n{rows}}}\n")
}

/// Whether the module for digests is in one of the folders where distributions put modules.
fn has_digests() -> bool {
    let architecture = std::env::consts::ARCH;
    [format!("/usr/lib/{architecture}-linux-gnu/varnish/vmods"), "/usr/lib/varnish/vmods".to_owned()]
        .iter()
        .any(|folder| Path::new(folder).join("libvmod_digest.so").exists())
}
