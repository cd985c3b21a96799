//! The binary as a child process, a data directory, and a plain HTTP client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use flagstone_model::json::Json;

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The worked example.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/example").join(name)
}

/// The binary without the environment of whoever runs the tests.
pub(crate) fn flagstone() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flagstone"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FLAGSTONE_") {
            command.env_remove(name);
        }
    }
    // Nobody's own configuration: there is no such directory.
    command.env("XDG_CONFIG_HOME", "/nonexistent/flagstone");
    command.stdin(Stdio::null());
    command
}

/// What a run of the binary came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("an exit code"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// The one JSON line on standard output.
    pub(crate) fn json(&self) -> Json<'static> {
        parse(self.out.trim_end())
    }

    /// The failure on standard error.
    pub(crate) fn error(&self) -> Json<'static> {
        parse(self.err.trim_end()).member("error").expect("an error").clone()
    }
}

pub(crate) fn parse(text: &str) -> Json<'static> {
    Json::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}")).into_owned()
}

/// A member of a member of … as text.
pub(crate) fn text(json: &Json<'_>, path: &[&str]) -> String {
    at(json, path).as_str().unwrap_or_else(|| panic!("{path:?} is no text in {json}")).to_owned()
}

pub(crate) fn number(json: &Json<'_>, path: &[&str]) -> u64 {
    let number = at(json, path).as_integer().unwrap_or_else(|| panic!("{path:?} is no number in {json}"));
    u64::try_from(number).expect("not negative")
}

pub(crate) fn at<'j, 'a>(json: &'j Json<'a>, path: &[&str]) -> &'j Json<'a> {
    path.iter().fold(json, |json, name| json.member(name).unwrap_or_else(|| panic!("no {name} in {json}")))
}

/// Runs the binary with these arguments.
pub(crate) fn run(arguments: &[&str]) -> Ran {
    Ran::of(flagstone().args(arguments).output().expect("the binary runs"))
}

/// Runs the binary with these arguments and this standard input.
pub(crate) fn run_with_input(arguments: &[&str], input: &[u8]) -> Ran {
    with_input(flagstone().args(arguments), input)
}

/// Runs a command with this standard input.
pub(crate) fn with_input(command: &mut Command, input: &[u8]) -> Ran {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A program that ends early reads no further.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("all is written");
    Ran::of(output)
}

/// A process that is killed, by its id, when this goes.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary runs");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, lines }
    }

    /// The next line it prints; `None` if it ended before.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).expect("text");
        (read > 0).then(|| line.trim_end().to_owned())
    }

    /// The next line it prints that this holds for.
    pub(crate) fn line_where(&mut self, holds: impl Fn(&Json<'_>) -> bool) -> Json<'static> {
        loop {
            let line = parse(&self.line().expect("it goes on"));
            if holds(&line) {
                return line;
            }
        }
    }

    /// What is still printed until it ends.
    pub(crate) fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).expect("text");
        rest
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// SIGTERM, and the exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running `dev`.
#[derive(Debug)]
pub(crate) struct Dev {
    pub(crate) process: Running,
    /// The line it printed.
    pub(crate) ready: Json<'static>,
}

impl Dev {
    /// Starts it on a free port and waits until it is ready.
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_on("127.0.0.1:0", data)
    }

    pub(crate) fn start_on(listen: &str, data: &Path) -> Self {
        let mut process = Self::spawn(listen, data);
        let line = process.line().expect("dev gets ready");
        Self { process, ready: parse(&line) }
    }

    /// Starts it and waits for nothing.
    pub(crate) fn spawn(listen: &str, data: &Path) -> Running {
        let mut command = flagstone();
        command.args(["dev", "--listen", listen, "--data"]).arg(data).stderr(Stdio::null());
        Running::start(&mut command)
    }

    pub(crate) fn api(&self) -> String {
        text(&self.ready, &["api"])
    }

    pub(crate) fn token(&self) -> String {
        text(&self.ready, &["token"])
    }

    pub(crate) fn connection(&self, environment: &str) -> String {
        text(&self.ready, &["environments", environment, "server"])
    }

    pub(crate) fn sdk_key(&self, environment: &str) -> String {
        text(&self.ready, &["environments", environment, "sdk_key"])
    }

    /// Runs a verb against it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command();
        Ran::of(command.args(arguments).output().expect("the binary runs"))
    }

    /// Runs a verb that has to succeed.
    pub(crate) fn done(&self, arguments: &[&str]) -> Json<'static> {
        let ran = self.run(&[&["--json"], arguments].concat());
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.err);
        ran.json()
    }

    /// The binary, told where this is.
    pub(crate) fn command(&self) -> Command {
        let mut command = flagstone();
        command
            .env("FLAGSTONE_URL", self.api())
            .env("FLAGSTONE_TOKEN", self.token())
            .env("FLAGSTONE_SDK_KEY", self.sdk_key("production"));
        command
    }

    pub(crate) fn http(&self) -> Http {
        Http::new(&self.api(), &self.token())
    }
}

/// A connection that is kept, with nothing between the test and its bytes.
#[derive(Debug)]
pub(crate) struct Http {
    host: String,
    token: String,
    stream: Option<BufReader<TcpStream>>,
}

impl Http {
    pub(crate) fn new(api: &str, token: &str) -> Self {
        let host = api.strip_prefix("http://").expect("plain HTTP").to_owned();
        Self { host, token: token.to_owned(), stream: None }
    }

    /// Sends one request; the status and body of its answer, or why there is none.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> std::io::Result<(u16, String)> {
        let answered = self.exchange(method, path, headers, body);
        if answered.is_err() {
            self.stream = None;
        }
        answered
    }

    fn exchange(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> std::io::Result<(u16, String)> {
        let cut = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(&self.host)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                none.insert(BufReader::new(stream))
            }
        };
        let (host, token) = (&self.host, &self.token);
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n");
        request.extend(headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")));
        request.extend([&format!("content-length: {}\r\n\r\n", body.len()), body]);
        stream.get_mut().write_all(request.as_bytes())?;
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Err(cut());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().expect("a status");
            } else if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().expect("a length");
            }
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer)?;
        Ok((status, String::from_utf8(answer).expect("text")))
    }
}

/// Numbers that look random and are the same for the same seed (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Asks until it holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what} never came");
        std::thread::yield_now();
    }
}
