//! Records as lines of JSON in a file.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::{Record, Sink};

/// Size at which a file is put aside, unless another is given: 64 MiB.
pub const DEFAULT_ROTATE_BYTES: u64 = 64 << 20;
/// Least size at which a file can be put aside: 4 KiB.
pub const MIN_ROTATE_BYTES: u64 = 4 << 10;

/// A [`Sink`] that appends one JSON object a line to a file that only its owner can read.
///
/// A record that would take the file over its limit goes into a new one; the full one becomes `NAME.1`, in place of the
/// one before. What cannot be written, on a full disk for one, is an error of that record and of nothing else. One
/// process writes to a file.
#[derive(Debug)]
pub struct JsonLinesFile {
    path: PathBuf,
    file: File,
    size: u64,
    rotate_bytes: u64,
    /// Whether the file may end inside a line.
    torn: bool,
}

impl JsonLinesFile {
    /// Opens a file to append to, and makes it with mode 0600 if it is not there. Links are not followed.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let file = append(&path)?;
        let (size, torn) = end_of(&path, &file)?;
        Ok(Self { path, file, size, rotate_bytes: DEFAULT_ROTATE_BYTES, torn })
    }

    /// Puts the file aside at another size than 64 MiB; at least 4 KiB.
    #[must_use]
    pub fn rotate_at(mut self, bytes: u64) -> Self {
        self.rotate_bytes = bytes.max(MIN_ROTATE_BYTES);
        self
    }

    fn rotate(&mut self) -> io::Result<()> {
        let mut aside = OsString::from(&self.path);
        aside.push(".1");
        match fs::rename(&self.path, aside) {
            // Put aside before, and the new one could not be made.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
        self.file = append(&self.path)?;
        (self.size, self.torn) = (0, false);
        Ok(())
    }
}

impl Sink for JsonLinesFile {
    fn deliver(&mut self, record: &Record) -> io::Result<()> {
        let mut line = String::from("\n");
        record.to_json().write(&mut line);
        line.push('\n');
        if self.size > 0 && self.size.saturating_add(bytes(&line)) > self.rotate_bytes.saturating_add(1) {
            self.rotate()?;
        }
        // What a torn line is ended with; a whole one has its own end.
        if !self.torn {
            line.remove(0);
        }
        // One write, so that a crash leaves whole lines wherever the system appends whole.
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            self.torn = true;
            self.size = self.file.metadata().map_or(self.size, |metadata| metadata.len());
            return Err(error);
        }
        self.torn = false;
        self.size = self.size.saturating_add(bytes(&line));
        Ok(())
    }
}

fn bytes(line: &str) -> u64 {
    u64::try_from(line.len()).unwrap_or(u64::MAX)
}

fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600).custom_flags(libc::O_NOFOLLOW);
    }
    options.open(path)
}

/// The size of a file, and whether its last line is not whole: the process before may have been killed.
fn end_of(path: &Path, file: &File) -> io::Result<(u64, bool)> {
    let size = file.metadata()?.len();
    if size == 0 {
        return Ok((0, false));
    }
    let mut last = [0];
    let mut reader = File::open(path)?;
    reader.seek(SeekFrom::End(-1))?;
    reader.read_exact(&mut last)?;
    Ok((size, last != *b"\n"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flagstone_model::instant::Instant;
    use flagstone_model::json::Json;

    use super::*;
    use crate::record::Tracked;

    fn record(event: &str) -> Record {
        let event: Arc<str> = event.into();
        Record::Tracked(Tracked { event, value: None, unit: "u-1".into(), at: Instant::from_millis(0) })
    }

    fn events(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        let event = |line: &str| {
            let json = Json::parse(line.as_bytes()).ok()?;
            json.member("event").and_then(Json::as_str).map(ToOwned::to_owned)
        };
        text.lines().map(|line| event(line).unwrap_or_else(|| format!("no JSON: {line}"))).collect()
    }

    #[test]
    fn records_are_appended_a_line_each_to_a_file_of_the_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("records.jsonl");
        for event in ["a", "b"] {
            JsonLinesFile::open(&path).unwrap().deliver(&record(event)).unwrap();
        }
        assert_eq!(events(&path), ["a", "b"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_line_that_was_cut_off_costs_itself_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("records.jsonl");
        fs::write(&path, "{\"event\":\"who").unwrap();
        let mut file = JsonLinesFile::open(&path).unwrap();
        file.deliver(&record("a")).unwrap();
        file.deliver(&record("b")).unwrap();
        assert_eq!(events(&path), ["no JSON: {\"event\":\"who", "a", "b"]);
    }

    #[test]
    fn a_file_is_put_aside_by_the_record_that_would_take_it_over_its_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("records.jsonl");
        let aside = directory.path().join("records.jsonl.1");
        let mut file = JsonLinesFile::open(&path).unwrap().rotate_at(1);
        let frame = r#"{"event":"","unit":"u-1","at":"1970-01-01T00:00:00Z"}"#.len() + 1;
        let exactly = usize::try_from(MIN_ROTATE_BYTES).unwrap() / 2 - frame;
        for n in 0..2 {
            file.deliver(&record(&format!("{n}{}", "x".repeat(exactly - 1)))).unwrap();
        }
        assert_eq!(fs::metadata(&path).unwrap().len(), MIN_ROTATE_BYTES);
        assert!(!aside.exists());
        file.deliver(&record("next")).unwrap();
        assert_eq!(events(&path), ["next"]);
        assert_eq!(fs::metadata(&aside).unwrap().len(), MIN_ROTATE_BYTES);
        // A process that starts anew goes on where the file ends.
        let mut file = JsonLinesFile::open(&aside).unwrap().rotate_at(MIN_ROTATE_BYTES);
        file.deliver(&record("one more")).unwrap();
        assert_eq!(events(&aside), ["one more"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_of_the_record() {
        let mut file = JsonLinesFile {
            path: "/dev/full".into(),
            file: OpenOptions::new().append(true).open("/dev/full").unwrap(),
            size: 0,
            rotate_bytes: DEFAULT_ROTATE_BYTES,
            torn: false,
        };
        for _ in 0..2 {
            assert_eq!(file.deliver(&record("a")).unwrap_err().kind(), io::ErrorKind::StorageFull);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_place_of_the_file_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (directory.path().join("records.jsonl"), directory.path().join("elsewhere"));
        fs::write(&elsewhere, "").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(JsonLinesFile::open(&path).is_err());
    }
}
