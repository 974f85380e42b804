//! What all ranks of a command must have in common before it starts: else they solve a mixed system, or
//! wait for one another for ever.
use precondor_core::comm::{Comm, Communicator};
use precondor_core::{Error, Result};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Something that is the same on all ranks: what it is called, and its text.
pub struct Fact {
    what: &'static str,
    text: String,
    /// What its lines are.
    line: &'static str,
}

/// Refuses ranks that run another program than rank 0, or with other words, `understood` where they were:
/// then with the configuration among them, if any. Collective.
///
/// # Errors
/// As [`on_all_ranks`].
pub fn program_and_words(comm: &Comm, understood: Option<Option<&Path>>) -> Result<()> {
    if comm.size() == 1 {
        return Ok(());
    }
    let [version, digest] = Fact::program();
    let config = if comm.any(understood.is_none())? { None } else { understood.flatten() };
    on_all_ranks(comm, &[version, digest, Fact::command_line(config)])
}

impl Fact {
    /// `text`, which may have many lines, under the name `what`.
    pub fn new(what: &'static str, text: impl Into<String>) -> Fact {
        Fact { what, text: text.into(), line: "line" }
    }

    /// The program that runs: its version and its file.
    fn program() -> [Fact; 2] {
        let file = std::env::current_exe().and_then(std::fs::read);
        let digest =
            file.map_or_else(|e| e.to_string(), |bytes| hexadecimal(&Sha256::digest(bytes)));
        let version = format!("{} {}", env!("CARGO_PKG_VERSION"), env!("PRECONDOR_COMMIT"));
        [Fact::new("version", version.trim()), Fact::new("SHA-256 of the program", digest)]
    }

    /// The command line without the program's name. The configuration may have another name on every
    /// rank; what it says is a fact of its own.
    fn command_line(config: Option<&Path>) -> Fact {
        let named = |word: &std::ffi::OsStr| match config {
            Some(config) if config.as_os_str() == word => "(the configuration)".to_owned(),
            _ => word.to_string_lossy().into_owned(),
        };
        let words = std::env::args_os().skip(1).map(|word| named(&word));
        let text = words.collect::<Vec<_>>().join("\n");
        Fact { line: "word", ..Fact::new("command line", text) }
    }
}

/// Refuses to go on where a rank differs from rank 0 in one of `facts`, which all ranks give in the same
/// order. Collective.
///
/// # Errors
/// [`Error::Unsupported`] on the ranks that differ, of the first fact that does.
pub fn on_all_ranks(comm: &Comm, facts: &[Fact]) -> Result<()> {
    if comm.size() == 1 {
        return Ok(());
    }
    let mine: Vec<u64> = facts.iter().flat_map(|fact| words(fact.text.as_bytes())).collect();
    let all = comm.all_gather(&mine)?;
    if all.iter().all(|theirs| *theirs == all[0]) {
        return Ok(());
    }
    comm.scope(|| {
        let texts: Vec<&str> = facts.iter().map(|fact| fact.text.as_str()).collect();
        let texts = serde_json::to_vec(&texts);
        let texts = texts.map_err(|e| Error::Data(format!("cannot write JSON: {e}")))?;
        let there = comm.broadcast(0, texts)?;
        let there: Vec<String> =
            serde_json::from_slice(&there).map_err(|e| Error::Comm(e.to_string()))?;
        let differs = facts.iter().zip(&there).find(|(fact, there)| fact.text != **there);
        match differs {
            Some((fact, there)) if comm.rank() > 0 => Err(told(fact, there)),
            _ => Ok(()),
        }
    })
}

/// What is to be said of a fact that is another one on rank 0.
fn told(fact: &Fact, there: &str) -> Error {
    let Fact { what, text, line } = fact;
    let mut lines = text.lines().zip(there.lines()).enumerate();
    let shown =
        |line: Option<&str>| line.map_or("nothing".into(), |line| format!("'{}'", line.trim()));
    let at = match lines.find(|(_, (here, there))| here != there) {
        Some((k, _)) => k,
        None => text.lines().count().min(there.lines().count()),
    };
    let (here, there_says) = (shown(text.lines().nth(at)), shown(there.lines().nth(at)));
    let place = match text.lines().count().max(there.lines().count()) {
        0 | 1 => String::new(),
        _ => format!("in {line} {} ", at + 1),
    };
    Error::Unsupported(format!(
        "the {what} is another one than on rank 0: {place}it has {here}, there {there_says}; all ranks must \
         run the same"
    ))
}

/// A digest as numbers.
pub fn words(bytes: &[u8]) -> Vec<u64> {
    let digest = Sha256::digest(bytes);
    digest.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect()
}

/// Bytes in hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use precondor_core::comm::threads;

    /// What each of so many ranks says that has `text` of its own.
    fn said(texts: &'static [&'static str]) -> Vec<Option<String>> {
        threads::run(texts.len(), |backend| {
            let comm = Comm::new(backend);
            let facts = [Fact::new("version", "1"), Fact::new("configuration", texts[comm.rank()])];
            on_all_ranks(&comm, &facts).err().map(|e| e.to_string())
        })
    }

    #[test]
    fn the_first_rank_that_differs_is_told_with_the_line() {
        assert_eq!(said(&["a\nb", "a\nb", "a\nb"]), [None, None, None]);
        let of = |texts| said(texts).into_iter().map(Option::unwrap).collect::<Vec<_>>();
        let text = "the configuration is another one than on rank 0: in line 2 it has 'seed = 2', there \
                    'seed = 1'; all ranks must run the same";
        let differing = of(&["[s]\nseed = 1", "[s]\nseed = 1", "[s]\n seed = 2", "[s]"]);
        assert_eq!(differing[2], text);
        assert_eq!(differing[0], format!("rank 2 failed: {text}"));
        assert_eq!(differing[1], format!("rank 2 failed: {text}"));
        assert!(differing[3].contains("in line 2 it has nothing, there 'seed = 1'"));
        assert!(of(&["x", "y"])[1].contains("rank 0: it has 'y', there 'x'"));
    }
}
