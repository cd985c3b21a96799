//! Where in a file a JSON Pointer leads.

/// The line, from 1, at which the value of a JSON Pointer (RFC 6901) begins, in text that is JSON; `None` if there is no
/// such value. What is missing is looked for in what should have it: the nearest value around it that is there.
pub(crate) fn line_of(text: &str, pointer: &str) -> Option<usize> {
    let mut steps: Vec<String> =
        pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
    loop {
        let mut scan = Scan { bytes: text.as_bytes(), at: 0 };
        if let Some(at) = scan.find(&steps) {
            return Some(text.get(..at)?.matches('\n').count().saturating_add(1));
        }
        steps.pop()?;
    }
}

/// Walks over JSON without reading it twice. Text that is no JSON leads nowhere.
struct Scan<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl Scan<'_> {
    /// The offset of the value to which the steps lead.
    fn find(&mut self, steps: &[String]) -> Option<usize> {
        self.space();
        let Some((step, rest)) = steps.split_first() else { return Some(self.at) };
        match self.peek()? {
            b'{' => {
                self.at = self.at.saturating_add(1);
                loop {
                    self.space();
                    if self.peek()? != b'"' {
                        return None;
                    }
                    let name = self.string()?;
                    self.space();
                    self.take(b':')?;
                    if name == *step {
                        return self.find(rest);
                    }
                    self.skip()?;
                    self.space();
                    self.take(b',')?;
                }
            }
            b'[' => {
                self.at = self.at.saturating_add(1);
                let wanted: usize = step.parse().ok()?;
                self.space();
                if self.peek()? == b']' {
                    return None;
                }
                for _ in 0..wanted {
                    self.skip()?;
                    self.space();
                    self.take(b',')?;
                }
                self.find(rest)
            }
            _ => None,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at = self.at.saturating_add(1))
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at = self.at.saturating_add(1);
        }
    }

    /// A string, with its escapes read.
    fn string(&mut self) -> Option<String> {
        let start = self.at;
        self.skip_string()?;
        let json = flagstone_model::json::Json::parse(self.bytes.get(start..self.at)?).ok()?;
        json.as_str().map(str::to_owned)
    }

    fn skip_string(&mut self) -> Option<()> {
        self.take(b'"')?;
        loop {
            let width = match self.peek()? {
                b'"' => return self.take(b'"'),
                b'\\' => 2,
                _ => 1,
            };
            self.at = self.at.saturating_add(width);
        }
    }

    /// Goes past one value.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            self.space();
            match self.peek()? {
                b'"' => self.skip_string()?,
                b'{' | b'[' => {
                    depth = depth.saturating_add(1);
                    self.at = self.at.saturating_add(1);
                    continue;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at = self.at.saturating_add(1);
                }
                b',' | b':' if depth > 0 => {
                    self.at = self.at.saturating_add(1);
                    continue;
                }
                _ => {
                    let ends = |byte: u8| byte.is_ascii_whitespace() || b",:]}".contains(&byte);
                    let start = self.at;
                    while self.peek().is_some_and(|byte| !ends(byte)) {
                        self.at = self.at.saturating_add(1);
                    }
                    if self.at == start {
                        return None;
                    }
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_leads_to_its_line_or_to_what_should_have_it() {
        let text = "{\n  \"a/b\": [\n    1,\n    {\n      \"c\\\"\": \"}],\"\n    },\n    [[2], 3]\n  ],\n  \"d\": {},\n  \"e\": []\n}\n";
        for (pointer, line) in [
            ("", 1),
            ("/a~1b", 2),
            ("/a~1b/0", 3),
            ("/a~1b/1/c\"", 5),
            ("/a~1b/2/1", 7),
            ("/d", 9),
            ("/d/x", 9),
            ("/a~1b/9", 2),
            ("/e/0", 10),
            ("/x", 1),
        ] {
            assert_eq!(line_of(text, pointer), Some(line), "{pointer}");
        }
    }

    #[test]
    fn text_that_is_no_json_leads_to_its_beginning_and_ends() {
        for text in ["", "{", "{\"a\"", "{\"a\":", "[1,", "]", "{\"a\":\"x"] {
            assert_eq!(line_of(text, "/a/1"), Some(1), "{text}");
        }
    }
}
