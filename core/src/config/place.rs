//! Where a value stands, and how a complaint about it looks.
use crate::Error;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A text that values come from: a file, or an option of the command line.
#[derive(Debug)]
pub(super) struct Source {
    name: String,
    text: String,
    /// Where relative paths start.
    folder: PathBuf,
    flag: bool,
}

impl Source {
    pub(super) fn file(name: &str, folder: &Path, text: &str) -> Self {
        Source { name: name.into(), text: text.into(), folder: folder.into(), flag: false }
    }

    /// An option as it was given, which stands for itself in messages.
    pub(super) fn option(said: &str) -> Self {
        Source { name: said.into(), text: String::new(), folder: PathBuf::new(), flag: true }
    }
}

/// A stretch of a [`Source`].
#[derive(Clone, Debug)]
pub(super) struct Place {
    source: Arc<Source>,
    span: Range<usize>,
}

impl Place {
    pub(super) fn new(source: &Arc<Source>, span: Range<usize>) -> Self {
        Place { source: Arc::clone(source), span }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.source.folder
    }

    pub(super) fn by_flag(&self) -> bool {
        self.source.flag
    }

    /// The flag, or file, line and column, counted from 1.
    pub(super) fn name(&self) -> String {
        let Source { name, text, flag, .. } = &*self.source;
        if *flag {
            return name.clone();
        }
        let before = &text[..floor(text, self.span.start)];
        let start = before.rfind('\n').map_or(0, |p| p + 1);
        let (line, column) = (before.matches('\n').count(), before[start..].chars().count());
        format!("{name}:{}:{}", line + 1, column + 1)
    }

    /// An error that shows this place. `why` is a sentence fragment.
    pub(super) fn complain(&self, why: String) -> Error {
        let Source { name, text, flag, .. } = &*self.source;
        if *flag {
            return Error::Parameter(format!("{name}: {why}"));
        }
        let at = floor(text, self.span.start);
        let before = &text[..at];
        let start = before.rfind('\n').map_or(0, |p| p + 1);
        let number = 1 + before.matches('\n').count();
        let line = text[start..].lines().next().unwrap_or("");
        let column = text[start..at].chars().count();
        let end = floor(text, self.span.end.min(start + line.len())).max(at);
        let width = text[at..end].trim_end().chars().count().max(1);
        let mut message = format!("{}: {why}", self.name());
        let (shown, column) = window(line, column);
        let margin = " ".repeat(number.to_string().len());
        let carets = "^".repeat(width.min(shown.chars().count().saturating_sub(column)).max(1));
        // Writing to a string cannot fail.
        let _ = write!(message, "\n {margin} |\n {number} | {shown}\n {margin} | ");
        let _ = write!(message, "{}{carets}", " ".repeat(column));
        Error::Parameter(message)
    }
}

/// The nearest character boundary at or below `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&p| text.is_char_boundary(p)).unwrap_or(0)
}

/// The part of a long line around `column`, and the column within it. Control characters, tabs
/// among them, become spaces so that the caret stays under what it points at.
fn window(line: &str, column: usize) -> (String, usize) {
    const WIDTH: usize = 100;
    let skip = if column < WIDTH - 20 { 0 } else { column - WIDTH / 2 };
    let shown = line.chars().skip(skip).take(WIDTH);
    (shown.map(|c| if c.is_control() { ' ' } else { c }).collect(), column - skip)
}
