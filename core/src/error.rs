//! The one error type of the framework.
use std::path::PathBuf;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why something could not be done.
///
/// Every kind is a sentence fragment that already names the culprit (parameter, file and line,
/// global row, rank); kinds exist so that callers can react, and cross the plugin boundary as a
/// status number beside the text.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter is unknown, of the wrong type or out of its range.
    #[error("{0}")]
    Parameter(String),
    /// The matrix, or the number of ranks, is not one that this method can handle.
    #[error("{0}")]
    Unsupported(String),
    /// A quantity that must not vanish did; the text names the global row.
    #[error("{0}")]
    Breakdown(String),
    /// Data handed in do not fit together: lengths, indices, values that are not finite.
    #[error("{0}")]
    Data(String),
    /// Another rank failed; every rank learns of it from the collective operation it was in.
    #[error("rank {rank} failed: {message}")]
    Elsewhere {
        /// The first rank that failed.
        rank: usize,
        /// Its message.
        message: String,
    },
    /// The communication itself failed.
    #[error("communication failed: {0}")]
    Comm(String),
    /// A method panicked; its instance must not be used any more.
    #[error("panicked: {0}")]
    Panicked(String),
    /// `refresh` met a matrix with another sparsity pattern: generate anew.
    #[error("the sparsity pattern changed since the preconditioner was generated")]
    PatternChanged,
    /// A file could not be read, written or understood.
    #[error("{}{}: {message}", path.display(), line.map_or(String::new(), |l| format!(":{l}")))]
    File {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1, where there is one.
        line: Option<usize>,
        /// What is wrong with it and what to do.
        message: String,
    },
    /// A plugin library could not be found, trusted, loaded or understood.
    #[error("{0}")]
    Plugin(String),
    /// An array that is not linear in the matrix does not fit; the text names what for, its bytes and
    /// the parameter to change.
    #[error("{0}")]
    Memory(String),
    /// Work was stopped on request.
    #[error("interrupted")]
    Interrupted,
    /// Something failed inside a part that the text names first.
    #[error("{part}: {source}")]
    In {
        /// The part: a method's name, a config section.
        part: String,
        /// What failed there.
        source: Box<Error>,
    },
}

impl Error {
    /// A breakdown in global row `row`.
    pub fn breakdown(row: u64, what: impl std::fmt::Display) -> Self {
        Error::Breakdown(format!("global row {row}: {what}"))
    }

    /// The same, told of global row `row`: for [`Error::Memory`], which does not know its row.
    #[must_use]
    pub fn of_row(self, row: u64) -> Self {
        match self {
            Error::Memory(text) => Error::Memory(format!("global row {row}: {text}")),
            other => other,
        }
    }

    /// A file error without a line.
    pub fn file(path: impl Into<PathBuf>, message: impl std::fmt::Display) -> Self {
        Error::File { path: path.into(), line: None, message: message.to_string() }
    }

    /// A file error at `line`, counted from 1.
    pub fn at(path: impl Into<PathBuf>, line: usize, message: impl std::fmt::Display) -> Self {
        Error::File { path: path.into(), line: Some(line), message: message.to_string() }
    }

    /// The same error, told as having happened inside `part`.
    #[must_use]
    pub fn inside(self, part: impl Into<String>) -> Self {
        Error::In { part: part.into(), source: Box::new(self) }
    }

    /// The same error, told of rows of a larger matrix: what a method says that was set up for some
    /// rows of it. `row` gives the number there of a row here, where there is one.
    #[must_use]
    pub fn renumbered(self, row: &dyn Fn(u64) -> Option<u64>) -> Self {
        match self {
            Error::In { part, source } => {
                Error::In { part, source: Box::new(source.renumbered(row)) }
            }
            Error::Breakdown(text) => Error::Breakdown(renumbered(&text, row)),
            Error::Unsupported(text) => Error::Unsupported(renumbered(&text, row)),
            Error::Memory(text) => Error::Memory(renumbered(&text, row)),
            other => other,
        }
    }

    /// The innermost error, without the parts it passed through.
    pub fn root(&self) -> &Error {
        match self {
            Error::In { source, .. } => source.root(),
            other => other,
        }
    }
}

/// `text` with other numbers in all its "global row 3" and "a(3, 4)".
fn renumbered(text: &str, row: &dyn Fn(u64) -> Option<u64>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // Whether the next number is an index.
    let mut index = false;
    while let Some(digit) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(digit);
        let end = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
        let (number, after) = from.split_at(end);
        let first = before.ends_with("a(");
        index = first || before.ends_with("global row ") || (index && before == ", ");
        let told = number.parse().ok().filter(|_| index).and_then(row);
        out.push_str(before);
        out.push_str(&told.map_or_else(|| number.to_owned(), |row| row.to_string()));
        index &= first;
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_renumbered_wherever_they_are_named_and_nothing_else_is() {
        let by = |i: u64| (i < 50).then_some(100 + i);
        let told = |e: Error| e.renumbered(&by).to_string();
        let error = Error::breakdown(7, "the pivot is 3 of 12, a(1, 2) = 4 but a(2, 1) = 5, 6");
        assert_eq!(
            told(error.clone().inside("ilu2")),
            "ilu2: global row 107: the pivot is 3 of 12, a(101, 102) = 4 but a(102, 101) = 5, 6"
        );
        assert_eq!(told(Error::Unsupported("global row 60: 1".into())), "global row 60: 1");
        assert_eq!(told(Error::Data("global row 1".into())), "global row 1");
        let long = "global row 99999999999999999999999";
        assert_eq!(told(Error::Unsupported(long.into())), long);
    }
}
