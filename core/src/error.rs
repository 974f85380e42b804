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

    /// The innermost error, without the parts it passed through.
    pub fn root(&self) -> &Error {
        match self {
            Error::In { source, .. } => source.root(),
            other => other,
        }
    }
}
