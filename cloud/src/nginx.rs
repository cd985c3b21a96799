//! nginx with the shipped configuration, `cdn/nginx`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::CloudError;
use crate::edge::{EdgeKey, Origin, fill, shipped, text, write};
use crate::process::{Server, free_port};

/// How nginx and its module for JavaScript are had.
const INSTALL: &str = "apt-get install nginx libnginx-mod-http-js";
/// Where Debian puts modules.
const MODULES: &str = "/usr/lib/nginx/modules";
/// Authorities that may vouch for an origin; there is no TLS on loopback, but the file must be there.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Whom its processes run as, if they may choose: its folders are that one's.
const USER: &str = "root";
/// In the foreground.
const OWN: &str = "daemon off;";
/// How often it is looked whether nginx has ended its processes, and how long between two looks.
const LOOKS: u32 = 1_000;
const PAUSE: Duration = Duration::from_millis(5);

/// A running nginx with folders of its own. It ends when the value does.
#[derive(Debug)]
pub struct Nginx {
    server: Server,
    folder: TempDir,
}

impl Nginx {
    /// Starts nginx before an origin.
    ///
    /// # Errors
    ///
    /// [`CloudError::Missing`] without nginx or its module, and whatever keeps a server from starting.
    pub async fn start(origin: &Origin, keys: &[EdgeKey]) -> Result<Self, CloudError> {
        let program = program()?;
        let folder = TempDir::new().map_err(CloudError::io("create a folder for nginx"))?;
        let at = |name: &str| folder.path().join(name);
        for name in ["etc", "run", "logs", "cache"] {
            fs::create_dir(at(name)).map_err(CloudError::io(format!("create the folder {name} of nginx")))?;
        }
        let port = free_port()?;
        let source = shipped("nginx/flagstone.js");
        fs::copy(&source, at("etc/flagstone.js"))
            .map_err(CloudError::io(format!("copy {}", source.display())))?;
        write(&at("etc/keys.map"), &key_map(keys))?;
        let configuration = fill(
            "nginx/nginx.conf",
            &[
                ("MODULES", MODULES),
                ("USER", USER),
                ("ETC", &text(&at("etc"))),
                ("RUN", &text(&at("run"))),
                ("LOGS", &text(&at("logs"))),
                ("CACHE", &text(&at("cache"))),
                ("LISTEN", &format!("127.0.0.1:{port}")),
                ("ORIGIN", &format!("http://127.0.0.1:{}{}", origin.port, origin.prefix)),
                ("ORIGIN_HOST", &format!("127.0.0.1:{}", origin.port)),
                // Asked for names only, and there is none.
                ("RESOLVER", "127.0.0.1"),
                ("CA", AUTHORITIES),
            ],
        )?;
        write(&at("nginx.conf"), &configuration)?;
        let mut command = Command::new(program);
        command.arg("-p").arg(folder.path()).arg("-c").arg(at("nginx.conf"));
        command.arg("-e").arg(at("logs/start.log")).args(["-g", OWN]);
        Ok(Self { server: Server::start("nginx", command, port).await?, folder })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Where it listens.
    pub const fn port(&self) -> u16 {
        self.server.port()
    }

    /// Gives it other keys, and tells it to read them; soon they hold.
    ///
    /// # Errors
    ///
    /// If they cannot be written, or nginx cannot be told.
    pub fn replace_keys(&self, keys: &[EdgeKey]) -> Result<(), CloudError> {
        write(&self.folder.path().join("etc/keys.map"), &key_map(keys))?;
        self.signal(Signal::HUP)
    }

    fn signal(&self, signal: Signal) -> Result<(), CloudError> {
        let id = i32::try_from(self.server.pid()).ok().and_then(Pid::from_raw);
        let told = id.map_or(Err(rustix::io::Errno::SRCH), |id| kill_process(id, signal));
        told.map_err(|error| CloudError::io("tell nginx something")(error.into()))
    }

    /// Throws away all that it keeps.
    ///
    /// # Errors
    ///
    /// If a file cannot be removed.
    pub fn purge(&self) -> Result<(), CloudError> {
        files(&self.folder.path().join("cache"), &mut |path| {
            fs::remove_file(path).map_err(CloudError::io(format!("remove {}", path.display())))
        })
    }

    /// All that it logged.
    ///
    /// # Errors
    ///
    /// If a log cannot be read.
    pub fn logged(&self) -> Result<String, CloudError> {
        let mut all = self.server.said();
        files(&self.folder.path().join("logs"), &mut |path| {
            let text = fs::read(path).map_err(CloudError::io(format!("read {}", path.display())))?;
            all.push_str(&String::from_utf8_lossy(&text));
            Ok(())
        })?;
        Ok(all)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Killed outright, it would leave its workers behind.
        if self.signal(Signal::TERM).is_err() {
            return;
        }
        let id = self.folder.path().join("run/nginx.pid");
        for _ in 0..LOOKS {
            if !id.exists() {
                break;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// `keys.map`: the SHA-256 of each key, and what it opens.
fn key_map(keys: &[EdgeKey]) -> String {
    keys.iter().map(|key| format!("{} {};\n", key.sha256(), key.scope())).collect()
}

/// Where nginx is: the folder for administrators is not on everybody's path.
fn program() -> Result<PathBuf, CloudError> {
    let missing = CloudError::Missing { program: "nginx", install: INSTALL };
    if !Path::new(MODULES).join("ngx_http_js_module.so").exists() {
        return Err(missing);
    }
    ["/usr/sbin/nginx", "/usr/bin/nginx"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .ok_or(missing)
}

fn files(folder: &Path, each: &mut impl FnMut(&Path) -> Result<(), CloudError>) -> Result<(), CloudError> {
    let listed = || CloudError::io(format!("list {}", folder.display()));
    for entry in fs::read_dir(folder).map_err(listed())? {
        let path = entry.map_err(listed())?.path();
        if path.is_dir() { files(&path, each)? } else { each(&path)? }
    }
    Ok(())
}
