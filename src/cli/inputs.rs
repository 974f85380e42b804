//! The files that a command reads: the same on all ranks, the same from its start to its end, and told in
//! its report.
//!
//! At the start every rank looks at its own copy of each file, whether it will read the file itself or get
//! it from rank 0: its length and a digest. Files of up to [`WHOLE`] bytes are digested whole by every
//! rank. Of a larger one each rank digests the first block and every block whose number is that of the
//! rank, or of the next one, modulo their number: every block is seen by two ranks, and nobody reads a
//! large file whole for this. A rank that has no such file is not asked; whether it needs it, it will
//! find out. Pipes, which can be read once only, are left alone.
//!
//! A file that was replaced or written to after that look is refused when it has been read
//! ([`Inputs::unchanged`]).
use crate::same::{hexadecimal, words};
use precondor::report::Input;
use precondor_core::comm::{Comm, Communicator};
use precondor_core::{Error, Result};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bytes of the largest file that every rank digests whole.
const WHOLE: u64 = 256 << 20;
/// Bytes of a block of a larger one.
const BLOCK: u64 = 16 << 20;

/// What reports tell of a file with this content.
pub fn digested(path: &Path, content: &[u8]) -> Input {
    let sha256 = Some(hexadecimal(&Sha256::digest(content)));
    Input { file: path.display().to_string(), bytes: content.len() as u64, sha256 }
}

/// The files of a command.
#[derive(Default)]
pub struct Inputs(RefCell<Vec<Seen>>);

/// A file that was looked at.
struct Seen {
    path: PathBuf,
    stamp: Stamp,
    input: Input,
}

/// What changes when a file is replaced or written to.
#[derive(PartialEq)]
struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
    place: Option<(u64, u64)>,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        #[cfg(unix)]
        let place = {
            use std::os::unix::fs::MetadataExt;
            Some((metadata.dev(), metadata.ino()))
        };
        #[cfg(not(unix))]
        let place = None;
        Stamp { bytes: metadata.len(), modified: metadata.modified().ok(), place }
    }
}

/// What a rank knows of one file: blocks that it digested, each by number and digest.
struct Look {
    stamp: Stamp,
    blocks: Vec<(u64, u64)>,
    sha256: Option<String>,
}

impl Inputs {
    /// Looks at files, in groups of those that belong together (the parts of one matrix), and refuses
    /// to go on where ranks have different ones. Of the groups in `told`, reports tell. Collective.
    ///
    /// # Errors
    /// [`Error::File`] on the first rank that differs from one before it, and on all ranks then.
    pub fn look(&self, comm: &Comm, told: &[Vec<PathBuf>], more: &[Vec<PathBuf>]) -> Result<()> {
        let groups: Vec<&Vec<PathBuf>> = told.iter().chain(more).collect();
        let (mut looks, mut mine) = (Vec::new(), Vec::new());
        for group in &groups {
            mine.push(group.len() as u64);
            for path in *group {
                // What cannot be read is told of by who needs it.
                let look = look(path, comm.rank(), comm.size()).ok().flatten();
                encode(look.as_ref(), &mut mine);
                looks.push(look);
            }
        }
        if comm.size() > 1 {
            let all = comm.all_gather(&mine)?;
            let all: Vec<Vec<Group>> = all.iter().map(|words| decode(words)).collect();
            comm.agree(match first_difference(&all) {
                Some((rank, group, why)) if rank == comm.rank() => {
                    let name = groups[group].first().map_or(Path::new(""), |path| path);
                    Err(Error::file(name, why))
                }
                _ => Ok(()),
            })?;
        }
        let paths = told.iter().flatten();
        let mut seen = self.0.borrow_mut();
        for (path, Look { stamp, sha256, .. }) in
            paths.zip(looks).filter_map(|(path, look)| Some((path, look?)))
        {
            if seen.iter().all(|other| other.path != *path) {
                let (file, bytes) = (path.display().to_string(), stamp.bytes);
                let input = Input { file, bytes, sha256 };
                seen.push(Seen { path: path.clone(), stamp, input });
            }
        }
        Ok(())
    }

    /// Refuses files that are others than when they were looked at. Not collective.
    ///
    /// # Errors
    /// [`Error::File`] for the first of them.
    pub fn unchanged(&self) -> Result<()> {
        let changed = |seen: &&Seen| match std::fs::metadata(&seen.path) {
            Ok(now) => Stamp::of(&now) != seen.stamp,
            Err(_) => true,
        };
        match self.0.borrow().iter().find(changed) {
            Some(seen) => Err(Error::file(
                &seen.path,
                "was replaced or written to since this command began; start it again",
            )),
            None => Ok(()),
        }
    }

    /// What was looked at.
    pub fn told(&self) -> Vec<Input> {
        self.0.borrow().iter().map(|seen| seen.input.clone()).collect()
    }
}

/// Looks at a file as `rank` of `size` does; nothing where it is no file.
fn look(path: &Path, rank: usize, size: usize) -> std::io::Result<Option<Look>> {
    if !std::fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    let mut file = File::open(path)?;
    let stamp = Stamp::of(&file.metadata()?);
    let mut buffer = vec![0; 1 << 16];
    let mut digest = |from: u64, length: u64| -> std::io::Result<Vec<u8>> {
        file.seek(SeekFrom::Start(from))?;
        let (mut part, mut hash) = ((&mut file).take(length), Sha256::new());
        loop {
            match part.read(&mut buffer)? {
                0 => return Ok(hash.finalize().to_vec()),
                n => hash.update(&buffer[..n]),
            }
        }
    };
    if size == 1 || stamp.bytes <= WHOLE {
        let whole = digest(0, u64::MAX)?;
        let blocks = vec![(0, words(&whole)[0])];
        return Ok(Some(Look { stamp, blocks, sha256: Some(hexadecimal(&whole)) }));
    }
    let ours = [rank as u64, (rank as u64 + 1) % size as u64];
    let blocks = (0..stamp.bytes.div_ceil(BLOCK))
        .filter(|block| *block == 0 || ours.contains(&(block % size as u64)))
        .map(|block| Ok((block, words(&digest(block * BLOCK, BLOCK)?)[0])))
        .collect::<std::io::Result<_>>()?;
    Ok(Some(Look { stamp, blocks, sha256: None }))
}

/// The files of a group on some rank: length and blocks of each; nothing where it is not there.
type Group = Vec<Option<(u64, Vec<(u64, u64)>)>>;

fn encode(look: Option<&Look>, words: &mut Vec<u64>) {
    let Some(Look { stamp, blocks, .. }) = look else {
        words.push(0);
        return;
    };
    words.extend([1 + blocks.len() as u64, stamp.bytes]);
    words.extend(blocks.iter().flat_map(|(block, digest)| [*block, *digest]));
}

fn decode(words: &[u64]) -> Vec<Group> {
    let (mut words, mut groups) = (words.iter().copied(), Vec::new());
    while let Some(files) = words.next() {
        let mut file = || {
            let blocks = words.next().unwrap_or(0).checked_sub(1)?;
            let bytes = words.next()?;
            let pair = (0..blocks).map_while(|_| Some((words.next()?, words.next()?)));
            Some((bytes, pair.collect()))
        };
        groups.push((0..files).map(|_| file()).collect());
    }
    groups
}

/// The first rank that differs from one before it, in which group, and how.
fn first_difference(all: &[Vec<Group>]) -> Option<(usize, usize, String)> {
    (1..all.len()).find_map(|rank| {
        let mine = all[rank].iter().enumerate();
        mine.filter(|(_, group)| group.iter().any(Option::is_some)).find_map(|(g, group)| {
            (0..rank).find_map(|other| {
                let why = difference(group, all[other].get(g)?)?;
                Some((rank, g, format!("is another one than on rank {other}: {why}")))
            })
        })
    })
}

/// How the files of a group differ between two ranks that have some.
fn difference(here: &Group, there: &Group) -> Option<String> {
    if there.iter().all(Option::is_none) {
        return None;
    }
    if here.len() != there.len() {
        return Some(format!("it has {} parts, there {}", here.len(), there.len()));
    }
    let pairs = here.iter().zip(there).enumerate();
    pairs.filter_map(|(k, (a, b))| Some((k, a.as_ref()?, b.as_ref()?))).find_map(|(k, a, b)| {
        let part = if here.len() == 1 { String::new() } else { format!("part {k} ") };
        if a.0 != b.0 {
            return Some(format!("{part}has {} bytes, there {}", a.0, b.0));
        }
        let block = a.1.iter().find(|(block, digest)| {
            b.1.iter().any(|(other, of_other)| block == other && digest != of_other)
        })?;
        let from = block.0 * BLOCK;
        Some(format!("{part}of {} bytes has another content from byte {from} on", a.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of so many bytes, and the digests of its blocks.
    type Given = Option<(u64, Vec<(u64, u64)>)>;

    fn words_of(files: &[&[Given]]) -> Vec<Group> {
        let mut words = Vec::new();
        for group in files {
            words.push(group.len() as u64);
            for file in *group {
                let look = file.as_ref().map(|(bytes, blocks)| Look {
                    stamp: Stamp { bytes: *bytes, modified: None, place: None },
                    blocks: blocks.clone(),
                    sha256: None,
                });
                encode(look.as_ref(), &mut words);
            }
        }
        decode(&words)
    }

    #[test]
    fn what_differs_is_found_where_two_ranks_have_seen_it() {
        let here =
            || words_of(&[&[Some((9, vec![(0, 5), (2, 6)]))], &[None, Some((4, vec![(0, 1)]))]]);
        let lacks = words_of(&[&[None], &[None, None]]);
        assert_eq!(first_difference(&[here(), here(), lacks.clone()]), None);
        let mut other = here();
        other[0][0] = Some((9, vec![(1, 7), (2, 8)]));
        let told = first_difference(&[lacks, here(), other.clone()]).expect("a difference");
        let text =
            "is another one than on rank 1: of 9 bytes has another content from byte 33554432 on";
        assert_eq!(told, (2, 0, text.into()));
        other[0] = here()[0].clone();
        other[1][1] = Some((5, vec![]));
        let told = first_difference(&[here(), other.clone()]).expect("a difference").2;
        assert_eq!(told, "is another one than on rank 0: part 1 has 5 bytes, there 4");
        other[1].pop();
        other[1][0] = Some((4, vec![]));
        let told = first_difference(&[here(), other]).expect("a difference").2;
        assert_eq!(told, "is another one than on rank 0: it has 1 parts, there 2");
    }

    #[test]
    fn every_block_of_a_large_file_is_seen_by_two_ranks() {
        let path = std::env::temp_dir().join(format!("precondor-inputs-{}", std::process::id()));
        let file = File::create(&path).expect("a file");
        // Nothing but a length: a file of holes takes no room.
        file.set_len(WHOLE + BLOCK + 1).expect("a length");
        let seen: Vec<Look> =
            (0..3).map(|rank| look(&path, rank, 3).expect("read").expect("a file")).collect();
        std::fs::remove_file(&path).expect("removed");
        for block in 0..(WHOLE / BLOCK + 2) {
            let by = seen.iter().filter(|look| look.blocks.iter().any(|(b, _)| *b == block));
            assert!(by.count() >= 2, "{block}");
        }
        assert!(seen.iter().all(|look| look.sha256.is_none()));
    }
}
