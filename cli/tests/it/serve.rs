//! `serve` and `init`: set up, start, TLS, settings, and the end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use flagstone_model::json::Json;

use crate::support::*;

/// A running `serve`, and its data directory.
pub(crate) struct Served {
    pub(crate) process: Running,
    pub(crate) ready: Json<'static>,
}

impl Served {
    pub(crate) fn start(data: &Path, more: &[&str]) -> Self {
        let mut command = serve(data);
        let mut process = Running::start(command.args(more).stderr(Stdio::null()));
        let line = process.line().expect("serve gets ready");
        Self { process, ready: parse(&line) }
    }

    pub(crate) fn api(&self) -> String {
        text(&self.ready, &["api"])
    }

    pub(crate) fn token(&self) -> String {
        let file = std::fs::read_to_string(text(&self.ready, &["token_file"])).unwrap();
        file.trim().to_owned()
    }

    /// A verb against it.
    pub(crate) fn verb(&self, arguments: &[&str]) -> Command {
        let mut command = flagstone();
        command
            .env("FLAGSTONE_URL", self.api())
            .env("FLAGSTONE_TOKEN", self.token())
            .env("FLAGSTONE_PROJECT", "acme")
            .args(arguments);
        command
    }

    pub(crate) fn done(&self, arguments: &[&str]) -> Json<'static> {
        let output = self.verb(&[&["--json"], arguments].concat()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        parse(String::from_utf8(output.stdout).unwrap().trim_end())
    }
}

/// `serve` on a free port of loopback.
pub(crate) fn serve(data: &Path) -> Command {
    let mut command = flagstone();
    command.args(["serve", "--project", "acme", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    command
}

/// Sets a data directory up.
pub(crate) fn init(data: &Path, environments: &[&str]) -> Json<'static> {
    let mut arguments = vec!["--json", "init", "--project", "acme", "--data", data.to_str().unwrap()];
    for environment in environments {
        arguments.extend(["--env", environment]);
    }
    let ran = run(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.json()
}

#[test]
fn init_makes_what_is_missing_and_never_a_key_twice() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let first = init(&data, &["production"]);
    assert_eq!(at(&first, &["made"]).as_bool(), Some(true));
    let keys = |name: &str| std::fs::read(data.join("keys").join(name)).unwrap();
    let before = [keys("root.key"), keys("manifest.key"), keys("root.1.json")];
    let second = init(&data, &["production", "staging"]);
    assert_eq!(at(&second, &["made"]).as_bool(), Some(false));
    assert_eq!(at(&second, &["environments", "production", "made"]).as_bool(), Some(false));
    assert_eq!(at(&second, &["environments", "staging", "made"]).as_bool(), Some(true));
    assert_eq!(text(&first, &["root"]), text(&second, &["root"]));
    assert_eq!(before, [keys("root.key"), keys("manifest.key"), keys("root.1.json")]);
    let audit = run(&["--json", "audit", "verify", "--project", "acme", "--data", data.to_str().unwrap()]);
    assert_eq!((audit.code, number(&audit.json(), &["entries"])), (0, 3), "{}", audit.out);
    // Another project does not get into the same directory.
    let ran = run(&["--json", "init", "--project", "other", "--data", data.to_str().unwrap()]);
    assert_eq!((ran.code, text(&ran.error(), &["code"]).as_str()), (1, "root-malformed"));
}

#[test]
fn serve_starts_with_nothing_and_prints_where_the_token_lies_and_not_the_token() {
    let directory = tempfile::tempdir().unwrap();
    let mut served = Served::start(directory.path(), &[]);
    let token = served.token();
    assert!(!served.ready.to_string().contains(&token));
    assert_eq!(text(&served.ready, &["project"]), "acme");
    assert_eq!(at(&served.ready, &["environments"]).as_object().map(<[_]>::len), Some(0), "no sample data");
    served.done(&["env", "create", "production"]);
    served.done(&["flag", "create", "kept"]);
    let on = served.done(&["on", "kept"]);
    assert_eq!(text(&on, &["publication", "production", "server", "state"]), "announced");
    assert_eq!(served.process.terminate(), Some(0));
    assert_eq!(served.process.rest(), "", "exactly one line");
    let again = Served::start(directory.path(), &[]);
    assert_eq!(again.token(), token);
    assert_eq!(text(&again.ready, &["root"]), text(&served.ready, &["root"]));
    assert!(text(&again.ready, &["environments", "production", "server"]).contains("/cdn?project=acme&"));
    assert_eq!(text(&again.done(&["flag", "show", "kept"]), &["definition", "key"]), "kept");
}

#[test]
fn the_log_of_a_server_holds_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let (data, log) = (directory.path().join("data"), directory.path().join("log"));
    init(&data, &["production"]);
    let mut command = serve(&data);
    command.args(["--log-level", "trace"]).stderr(std::fs::File::create(&log).unwrap());
    let mut process = Running::start(&mut command);
    let ready = parse(&process.line().unwrap());
    let mut served = Served { process, ready };
    served.done(&["flag", "create", "quiet"]);
    served.done(&["eval", "quiet", "--context", r#"{"targetingKey":"c4nary"}"#]);
    let keys = parse(&std::fs::read_to_string(data.join("sdk-keys.json")).unwrap());
    let key = text(&keys, &["production"]);
    let connection = text(&served.ready, &["environments", "production", "server"]);
    let verified = served.verb(&["verify", &connection]).env("FLAGSTONE_SDK_KEY", &key).output().unwrap();
    assert!(verified.status.success());
    assert_eq!(served.process.terminate(), Some(0));
    let logs = std::fs::read_to_string(&log).unwrap();
    assert!(logs.contains("\"serving\"") && logs.contains("\"ended\""), "{logs}");
    for secret in [served.token(), key, "c4nary".to_owned()] {
        assert!(!logs.contains(&secret), "{secret} is in the logs");
    }
}

#[test]
fn a_directory_is_served_once() {
    let directory = tempfile::tempdir().unwrap();
    let _served = Served::start(directory.path(), &[]);
    let second = serve(directory.path()).arg("--json").output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let error = parse(String::from_utf8(second.stderr).unwrap().lines().last().unwrap());
    assert_eq!(text(&error, &["error", "code"]), "data-in-use");
    let dev =
        run(&["--json", "dev", "--listen", "127.0.0.1:0", "--data", directory.path().to_str().unwrap()]);
    assert_eq!((dev.code, text(&dev.error(), &["code"]).as_str()), (1, "data-in-use"));
    let init = run(&["--json", "init", "--project", "acme", "--data", directory.path().to_str().unwrap()]);
    assert!(text(&init.error(), &["hint"]).contains("env create"));
}

#[test]
fn a_request_in_flight_is_answered_and_then_the_process_ends() {
    let directory = tempfile::tempdir().unwrap();
    let mut served = Served::start(directory.path(), &[]);
    let host = served.api().replace("http://", "");
    let body = r#"{"id":"late"}"#;
    let mut stream = TcpStream::connect(&host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "POST /v1/projects/acme/environments HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nexpect: 100-continue\r\n\
         content-length: {}\r\n\r\n",
        served.token(),
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The server has the request: it asks for its body.
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    let ending = std::thread::spawn(move || (served.process.terminate(), served));
    until("a closed door", || TcpStream::connect(&host).is_err());
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let (code, _served) = ending.join().unwrap();
    assert_eq!(code, Some(0));
    let again = Served::start(directory.path(), &[]);
    assert!(again.ready.to_string().contains("environment=late"));
}

#[test]
fn what_was_not_waited_for_is_announced_before_the_end() {
    let directory = tempfile::tempdir().unwrap();
    init(directory.path(), &["production"]);
    let mut served = Served::start(directory.path(), &[]);
    served.done(&["flag", "create", "a", "--no-wait"]);
    served.done(&["on", "a", "--no-wait"]);
    assert_eq!(served.process.terminate(), Some(0));
    let data = directory.path().to_str().unwrap();
    let audit = run(&["--json", "audit", "verify", "--project", "acme", "--data", data]);
    assert_eq!(audit.code, 0, "{}", audit.out);
    let json = audit.json();
    let stream = &at(&json, &["streams"]).as_array().unwrap()[0];
    assert_eq!(at(stream, &["announced"]).as_bool(), Some(true));
    assert_eq!(number(stream, &["covered_seq"]), number(&json, &["entries"]));
}

#[test]
fn a_second_signal_ends_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut served = Served::start(directory.path(), &[]);
    let host = served.api().replace("http://", "");
    // A request that never gets its body keeps the first one waiting.
    let mut stream = TcpStream::connect(&host).unwrap();
    let head = format!(
        "POST /v1/projects/acme/flags HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nexpect: 100-continue\r\n\
         content-length: 9\r\n\r\n",
        served.token()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).unwrap();
    served.process.signal("TERM");
    until("a closed door", || TcpStream::connect(&host).is_err());
    assert_eq!(served.process.terminate(), Some(143));
}

/// A certificate authority, a server's certificate it signed, and both as files.
struct Authority {
    directory: tempfile::TempDir,
    certificate: rcgen::Certificate,
}

impl Authority {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap();
        let issuer = rcgen::Issuer::new(parameters, key);
        let server_key = rcgen::KeyPair::generate().unwrap();
        let server = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let server = server.signed_by(&server_key, &issuer).unwrap();
        let authority = Self { directory, certificate };
        authority.write("cert.pem", &server.pem());
        authority.write("key.pem", &server_key.serialize_pem());
        authority.write("other.pem", &rcgen::KeyPair::generate().unwrap().serialize_pem());
        authority
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn options(&self) -> Vec<String> {
        vec![
            "--tls-cert".to_owned(),
            self.path("cert.pem").display().to_string(),
            "--tls-key".to_owned(),
            self.path("key.pem").display().to_string(),
            "--public-url".to_owned(),
            "https://localhost/cdn".to_owned(),
        ]
    }

    /// One request over TLS, from a client that trusts this authority only.
    fn get(&self, address: &str, path: &str) -> String {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "localhost".try_into().unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut tls = rustls::Stream::new(&mut client, &mut stream);
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        tls.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        tls.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }
}

#[test]
fn tls_is_spoken_with_the_certificate_that_was_given() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    init(directory.path(), &["production"]);
    let options = authority.options();
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let served = Served::start(directory.path(), &options);
    let address = served.api().strip_prefix("https://").unwrap().to_owned();
    let answer = authority.get(&address, "/healthz");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(r#"{"status":"ok"}"#), "{answer}");
    assert!(authority.get(&address, "/v1/projects/acme/flags").starts_with("HTTP/1.1 401"));
    let connection = text(&served.ready, &["environments", "production", "server"]);
    assert!(connection.starts_with("flagstone://localhost/cdn?project=acme&"), "{connection}");
    // The CLI trusts it where it is told to, and says what is wrong where it is not.
    let url = address.replace("127.0.0.1", "https://localhost");
    std::fs::write(authority.path("ca.pem"), authority.certificate.pem()).unwrap();
    let list = |trusted: bool| {
        let mut command = flagstone();
        command.args(["--json", "flag", "list", "--project", "acme", "--url", &url]);
        if trusted {
            command.env("SSL_CERT_FILE", authority.path("ca.pem"));
        }
        command.env("FLAGSTONE_TOKEN", served.token()).output().unwrap()
    };
    let trusted = list(true);
    assert!(trusted.status.success(), "{}", String::from_utf8_lossy(&trusted.stderr));
    let error = parse(String::from_utf8(list(false).stderr).unwrap().trim_end());
    assert_eq!(text(&error, &["error", "code"]), "certificate-untrusted");
    // Who speaks plain HTTP, or nothing at all, harms nobody else.
    let mut plain = TcpStream::connect(&address).unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let _silent = TcpStream::connect(&address).unwrap();
    assert!(authority.get(&address, "/healthz").starts_with("HTTP/1.1 200"));
}

/// What `serve` refuses with these arguments, and how.
fn refusal(arguments: &[&str]) -> (i32, String, String) {
    let ran = run(&[&["--json", "serve"], arguments].concat());
    let error = parse(ran.err.lines().last().expect("an error")).member("error").unwrap().clone();
    assert_eq!(ran.out, "");
    (ran.code, text(&error, &["code"]), text(&error, &["detail"]))
}

#[test]
fn a_certificate_that_cannot_be_used_is_one_clear_sentence() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.write("empty.pem", "");
    authority.write("exposed.pem", &std::fs::read_to_string(authority.path("key.pem")).unwrap());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let exposed = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(authority.path("exposed.pem"), exposed).unwrap();
    }
    let data = directory.path().join("data");
    for (certificate, key, code) in [
        ("cert.pem", "other.pem", "tls-mismatch"),
        ("missing.pem", "key.pem", "tls-certificate-unreadable"),
        ("empty.pem", "key.pem", "tls-certificate-malformed"),
        ("cert.pem", "missing.pem", "tls-key-unreadable"),
        ("cert.pem", "cert.pem", "tls-key-malformed"),
        #[cfg(unix)]
        ("cert.pem", "exposed.pem", "key-exposed"),
    ] {
        let (certificate_path, key_path) = (authority.path(certificate), authority.path(key));
        let (exit, got, detail) = refusal(&[
            "--project",
            "acme",
            "--data",
            data.to_str().unwrap(),
            "--listen",
            "127.0.0.1:0",
            "--public-url",
            "https://localhost/cdn",
            "--tls-cert",
            certificate_path.to_str().unwrap(),
            "--tls-key",
            key_path.to_str().unwrap(),
        ]);
        assert_eq!((exit, got.as_str()), (1, code), "{certificate} {key}: {detail}");
        assert!(detail.contains(".pem"), "{detail}");
    }
    assert!(!data.exists(), "nothing is made before the certificate is read");
}

#[test]
fn settings_that_do_not_hold_are_refused_before_anything_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data").display().to_string();
    for (arguments, expected) in [
        (&["--project", "acme", "--listen", "0.0.0.0:0"][..], "in the clear"),
        (&["--project", "acme", "--listen", "0.0.0.0:0", "--plain-http", "behind-proxy"], "public-url"),
        (&["--project", "acme", "--plain-http", "yes"], "behind-proxy"),
        (&["--project", "acme", "--listen", "8080"], "HOST:PORT"),
        (&["--project", "acme", "--tls-cert", "x"], "tls.key"),
        (&["--project", "acme", "--tls-key", "x"], "tls.cert"),
        (&["--project", "acme", "--public-url", "http://flags.example/cdn"], "loopback"),
        (&["--project", "acme", "--poll-ms", "999"], "1000 to 3600000"),
        (&["--project", "acme", "--heartbeat-ms", "86400001"], "10000 to 86400000"),
        (
            &["--project", "acme", "--requests-per-second", "0"],
            "limits.requests-per-second: 0 is not from 1 to 1000000",
        ),
        (&["--project", "acme", "--requests-per-second", "many"], "no number of requests"),
        (&["--project", "acme", "--burst", "1000001"], "1 to 1000000"),
        (&["--project", "acme", "--metrics-access", "nobody"], "neither `everybody` nor `token-holders`"),
        (&["--project", "acme", "--log-level", "a=b=c"], "log.level"),
        (&["--project", "No Project"], "project"),
        (&[], "project: it is not set"),
    ] {
        let (code, name, detail) = refusal(&[arguments, &["--data", &data]].concat());
        assert_eq!((code, name.as_str()), (2, "usage"), "{arguments:?}: {detail}");
        assert!(detail.contains(expected), "{arguments:?}: {detail}");
    }
    assert!(!Path::new(&data).exists());
}

#[test]
fn an_option_is_before_a_variable_and_a_variable_before_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("flagstone.toml");
    std::fs::write(
        &config,
        "project = \"acme\"\ndata = \"data\"\nlisten = \"127.0.0.1:0\"\npublic-url = \"https://file.example/cdn\"\n",
    )
    .unwrap();
    let cdn = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = flagstone();
        command.args(["serve", "--config"]).arg(&config).args(arguments).stderr(Stdio::null());
        let mut process = Running::start(command.envs(variables.iter().copied()));
        let ready = parse(&process.line().expect("it starts"));
        assert_eq!(process.terminate(), Some(0));
        text(&ready, &["cdn"])
    };
    let variable = [("FLAGSTONE_PUBLIC_URL", "https://variable.example/cdn")];
    let option = ["--public-url", "https://option.example/cdn"];
    assert_eq!(cdn(&[], &[]), "https://file.example/cdn");
    assert_eq!(cdn(&[], &variable), "https://variable.example/cdn");
    assert_eq!(cdn(&option, &variable), "https://option.example/cdn");
    assert!(directory.path().join("data/log.sqlite").exists(), "a path in the file is relative to it");
}

/// The status of a read by whoever holds this token.
fn status(served: &Served, path: &str, token: Option<&str>) -> u16 {
    let host = served.api().replace("http://", "");
    let mut stream = TcpStream::connect(&host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{token}connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn the_rate_of_tokens_and_the_readers_of_the_metrics_can_be_set_in_file_variable_and_option() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("flagstone.toml");
    let text = "[limits]\nrequests-per-second = 1\nburst = 1\n[metrics]\naccess = \"token-holders\"\n";
    std::fs::write(&config, text).unwrap();
    let start = |name: &str, arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = serve(&directory.path().join(name));
        command.args(arguments).envs(variables.iter().copied()).stderr(Stdio::null());
        let mut process = Running::start(&mut command);
        let ready = parse(&process.line().expect("it starts"));
        Served { process, ready }
    };
    let config = ["--config", config.to_str().unwrap()];
    // Sixty at once: within the burst of 100 that is the default, and far beyond one a second.
    let slowed = |served: &Served| {
        let token = served.token();
        let flags = "/v1/projects/acme/flags";
        (0..60).map(|_| status(served, flags, Some(&token))).filter(|status| *status == 429).count() > 0
    };
    let plain = start("plain", &[], &[]);
    assert_eq!((status(&plain, "/metrics", None), slowed(&plain)), (200, false));
    let file = start("file", &config, &[]);
    assert_eq!(status(&file, "/metrics", None), 401);
    assert_eq!(status(&file, "/metrics", Some(&file.token())), 200);
    assert!(slowed(&file));
    let variables = [
        ("FLAGSTONE_REQUESTS_PER_SECOND", "1000"),
        ("FLAGSTONE_BURST", "1000"),
        ("FLAGSTONE_METRICS_ACCESS", "everybody"),
    ];
    let variable = start("variable", &config, &variables);
    assert_eq!((status(&variable, "/metrics", None), slowed(&variable)), (200, false));
    let options = ["--requests-per-second", "1", "--burst", "1", "--metrics-access", "token-holders"];
    let option = start("option", &[&config[..], &options].concat(), &variables);
    assert_eq!((status(&option, "/metrics", None), slowed(&option)), (401, true));
}

#[test]
fn a_configuration_file_that_is_wrong_is_told_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("flagstone.toml");
    std::fs::write(&config, "project = \"acme\"\nlisen = \"127.0.0.1:0\"\n").unwrap();
    let ran = run(&["--json", "serve", "--config", config.to_str().unwrap()]);
    let error = ran.error();
    assert_eq!((ran.code, text(&error, &["code"]).as_str()), (1, "config-invalid"));
    assert!(text(&error, &["detail"]).contains("flagstone.toml, line 2: "), "{error}");
    assert_eq!(text(&error, &["suggestion"]), "listen");
    let (_, code, _) = refusal(&["--config", directory.path().join("none").to_str().unwrap()]);
    assert_eq!(code, "config-unreadable");
    std::fs::write(&config, "#".repeat(65 * 1024)).unwrap();
    assert_eq!(refusal(&["--config", config.to_str().unwrap()]).1, "config-unreadable");
}

#[cfg(unix)]
#[test]
fn a_signing_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    init(directory.path(), &[]);
    let key = directory.path().join("keys/manifest.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let data = directory.path().to_str().unwrap();
    let (code, name, detail) = refusal(&["--project", "acme", "--listen", "127.0.0.1:0", "--data", data]);
    assert_eq!((code, name.as_str()), (1, "key-exposed"));
    assert!(detail.contains("manifest.key"), "{detail}");
}
