//! What has happened, in a file: `solves.jsonl` in the folder of the report, a line of JSON as soon as a solve has ended. It
//! stays where a comparison was interrupted or killed, and `--resume` goes on from there.
//!
//! The first line says what was asked for, of which program and of which files; a comparison that differs in any of
//! these does not go on from it. A last line that was not finished is dropped.
use super::ledger::Event;
use precondor_core::{Error, Result, input};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Its name.
pub const FILE: &str = "solves.jsonl";

/// A journal that is being written.
pub struct Journal {
    path: PathBuf,
    file: File,
}

/// What is read of one.
pub struct Past {
    /// Bytes of the first line.
    head: usize,
    /// The others.
    pub lines: String,
}

impl Journal {
    /// Begins one that says what was asked for.
    pub fn new(folder: &Path, asked: &Value) -> Result<Journal> {
        let path = folder.join(FILE);
        precondor_core::file::replace(&path, |out| writeln!(out, "{asked}"))?;
        Journal::open(path, None)
    }

    /// Goes on behind the whole lines of one.
    pub fn after(folder: &Path, past: &Past) -> Result<Journal> {
        let whole = past.head + past.lines.len();
        Journal::open(folder.join(FILE), Some(whole as u64))
    }

    fn open(path: PathBuf, length: Option<u64>) -> Result<Journal> {
        let fail = |e: std::io::Error| Error::file(&path, e);
        let file = OpenOptions::new().append(true).open(&path).map_err(fail)?;
        length.map_or(Ok(()), |length| file.set_len(length)).map_err(fail)?;
        Ok(Journal { path, file })
    }

    /// Adds what has happened, in one piece.
    pub fn add(&mut self, event: &Event) -> Result<()> {
        let line = serde_json::to_string(event).map_err(|e| Error::Data(e.to_string()))? + "\n";
        self.file.write_all(line.as_bytes()).map_err(|e| Error::file(&self.path, e))
    }

    /// Removes it: the report has all that it has.
    pub fn finish(self) -> Result<()> {
        std::fs::remove_file(&self.path).map_err(|e| Error::file(&self.path, e))
    }
}

impl Past {
    /// What there is to go on from; none where no journal is.
    ///
    /// # Errors
    /// [`Error::File`] where it is of another comparison than `asked`, and says in what.
    pub fn read(folder: &Path, asked: &Value) -> Result<Option<Past>> {
        let path = folder.join(FILE);
        let text = match input::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::file(&path, e)),
        };
        let whole = text.rfind('\n').map_or("", |last| &text[..=last]);
        let (head, rest) = whole.split_once('\n').unwrap_or_default();
        let other = |what: &str| {
            let why = format!(
                "is of another comparison: {what} differs; leave out --resume, or name another folder"
            );
            Err(Error::at(&path, 1, why))
        };
        let Ok(head) = serde_json::from_str::<Value>(head) else { return other("its first line") };
        for (key, value) in asked.as_object().into_iter().flatten() {
            if head.get(key) != Some(value) {
                return other(key);
            }
        }
        Ok(Some(Past { head: whole.len() - rest.len(), lines: rest.to_owned() }))
    }

    /// These lines.
    pub fn of(lines: &[u8]) -> Past {
        Past { head: 0, lines: String::from_utf8_lossy(lines).into_owned() }
    }

    /// The events, in order.
    pub fn events(&self, folder: &Path) -> Result<Vec<Event>> {
        let one = |(k, line)| {
            let parsed = serde_json::from_str(line);
            parsed.map_err(|e| Error::at(folder.join(FILE), k + 2, format!("no event: {e}")))
        };
        self.lines.lines().enumerate().map(one).collect()
    }
}
