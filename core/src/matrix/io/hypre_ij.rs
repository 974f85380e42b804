//! hypre's IJ files: text, one file for each rank that wrote it, called `NAME.00000`, `NAME.00001`
//! and so on; what `HYPRE_IJMatrixPrint` and `HYPRE_IJVectorPrint` write.
//!
//! ```text
//! 0 1 0 1                     first and last row, first and last column of this part
//! 0 0 2.00000000000000e+00    row, column, value
//! 0 2 -1.00000000000000e+00
//! 1 1 2.00000000000000e+00
//! ```
//!
//! A vector's part starts with its first and last row, and goes on with a row and a value on each
//! line. Parts follow one another without a gap; indices start wherever the first part does (hypre's
//! own examples: at 0). A part without rows has a last row just below its first.
//!
//! Any number of parts is read on any number of ranks. Where there are as many, every rank owns the
//! rows of its part; else rows are spread evenly. Each part is read by one rank, which sends entries
//! on in batches: nobody holds the whole matrix, and indices have 64 bits.
//!
//! A part may be gzipped. What `HYPRE_IJMatrixPrintBinary` writes (`NAME.00000.bin`) is not read, and said
//! so.
//!
//! Refused, with file and line: parts that are missing or do not follow one another, matrices that
//! are not square, rows outside of their part, entries given twice, rows of a vector without a
//! value, values that are not finite, a last line without its end (the file was cut short).
use super::lines::{Lines, real, shown};
use super::rows::{Twice, backed, spread};
use super::source::{self, Source};
use crate::comm::{Comm, Communicator};
use crate::matrix::{DistCsr, Space};
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::io::BufRead;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whether `path` is the common name of parts: `PATH.00000` is there, or hypre's binary
/// `PATH.00000.bin`, which [`read`] refuses.
pub fn is_hypre_ij(path: &Path) -> bool {
    part(path, 0).is_file() || binary(path, 0).is_file()
}

/// The common name of the parts of which `path` is named like one: `NAME` of `NAME.00003` or
/// `NAME.00003.bin`.
pub fn name_of_part(path: &Path) -> Option<PathBuf> {
    let file = path.file_name()?.to_str()?;
    let (name, number) = file.strip_suffix(".bin").unwrap_or(file).rsplit_once('.')?;
    (!name.is_empty() && is_number(number)).then(|| path.with_file_name(name))
}

/// Whether `path` is a part of a file, by its name and its first line, or one in hypre's binary format,
/// by its name.
pub fn is_part(path: &Path) -> bool {
    let Some(name) = name_of_part(path).filter(|name| path.is_file() && is_hypre_ij(name)) else {
        return false;
    };
    if path.extension().is_some_and(|extension| extension == "bin") {
        return !part(&name, 0).is_file();
    }
    let Ok(Source { text, .. }) = source::open(path) else { return false };
    let mut lines = Lines::new(text, path);
    let words: Option<Vec<i64>> = match lines.advance_to_content(None) {
        Ok(true) => lines.words().map(integer).collect(),
        _ => None,
    };
    words.is_some_and(|words| words.len() == 2 || words.len() == 4)
}

/// Whether this is how hypre numbers parts: five digits or more.
fn is_number(text: &str) -> bool {
    text.len() >= 5 && text.bytes().all(|c| c.is_ascii_digit())
}

/// Reads a matrix. Collective.
///
/// # Errors
/// [`Error::File`] with the line and what is wrong there, on all ranks.
pub fn read(name: &Path, comm: &Comm) -> Result<DistCsr> {
    comm.scope(|| {
        let mut parts = Parts::<4>::open(name, comm)?;
        let [rows, cols] = [0, 2].map(|k| parts.ends(k));
        let (n, n_cols) = (rows[1] - rows[0] + 1, cols[1] - cols[0] + 1);
        if n != n_cols {
            let text = format!("the matrix is {n}×{n_cols}; it must be square");
            return Err(Error::file(part(name, parts.heads.len() - 1), text));
        }
        let space = parts.space(comm, rows[0], n as u64)?;
        let next = || parts.next(|lines, head| matrix_entry(lines, head, rows[0], cols));
        let ((row_ptr, cols, values), _) = {
            let place = |(i, j): (u64, u64)| (i as i64 + rows[0], j as i64 + cols[0]);
            let again = |entry| {
                given_again::<4>(name, comm, |lines, head| {
                    let (i, j, _) = matrix_entry(lines, head, rows[0], cols)?;
                    Ok(((i, j) == entry)
                        .then(|| format!("entry {:?} is given twice", place(entry))))
                })
            };
            spread(&space, next, Twice::Refuse(&again))?
        };
        DistCsr::from_rows(&space, &row_ptr, &cols, &values)
    })
}

/// Reads a vector that is spread as `space` says, in any number of parts. Collective.
///
/// # Errors
/// As [`read`]; where the vector has not one entry for each row of the space.
pub fn read_vector(name: &Path, space: &Arc<Space>) -> Result<Vec<f64>> {
    let comm = space.comm();
    comm.scope(|| {
        let mut parts = Parts::<2>::open(name, comm)?;
        let [first, last] = parts.ends(0);
        let (n, rows) = ((last - first + 1) as u64, space.n_global());
        if n != rows {
            let text = format!("this vector has {n} entries, the matrix {rows} rows");
            return Err(Error::file(part(name, parts.heads.len() - 1), text));
        }
        let next = || parts.next(|lines, head| vector_entry(lines, head, first));
        let again = |(entry, _)| {
            given_again::<2>(name, comm, |lines, head| {
                let (i, ..) = vector_entry(lines, head, first)?;
                let row = i as i64 + first;
                Ok((i == entry).then(|| format!("row {row} is given twice")))
            })
        };
        let ((row_ptr, _, values), _) = spread(space, next, Twice::Refuse(&again))?;
        match row_ptr.windows(2).position(|ends| ends[0] == ends[1]) {
            None => Ok(values),
            Some(i) => {
                let row = space.start() as i64 + i as i64 + first;
                let of = parts.heads.iter().position(|head| head[1] >= row).unwrap_or(0);
                Err(Error::file(part(name, of), format!("row {row} has no value")))
            }
        }
    })
}

/// The file of part `k`.
fn part(name: &Path, k: usize) -> PathBuf {
    let mut file = name.as_os_str().to_owned();
    file.push(format!(".{k:05}"));
    file.into()
}

/// The file of part `k` in hypre's binary format.
fn binary(name: &Path, k: usize) -> PathBuf {
    let mut file = part(name, k).into_os_string();
    file.push(".bin");
    file.into()
}

/// The files of all parts, in order.
///
/// # Errors
/// [`Error::File`] for a part that is missing, a file that is numbered like a part and is none, or a
/// folder that cannot be read.
pub fn parts(name: &Path) -> Result<Vec<PathBuf>> {
    let folder = name.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let fail = |e| Error::file(folder, e);
    let stem = name.file_name().unwrap_or_default().to_string_lossy().into_owned() + ".";
    // Files by their numbers; nothing is made of a number itself, however large.
    let mut numbered = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let file = entry.map_err(fail)?.file_name();
        let number = file.to_str().and_then(|file| file.strip_prefix(&stem));
        let Some(digits) = number.filter(|n| is_number(n)) else { continue };
        match digits.parse() {
            Ok(k) if part(name, k).file_name() == Some(&file) => numbered.insert(k),
            _ => {
                let text = "it is numbered like a part of hypre's IJ format and is none: parts have \
                            numbers of five digits, and more from 100000 on; move it away";
                return Err(Error::file(name.with_file_name(&file), text));
            }
        };
    }
    let Some(&last) = numbered.last() else {
        if binary(name, 0).is_file() {
            let text = "hypre's binary IJ format is not read; write the text format \
                        (HYPRE_IJMatrixPrint, HYPRE_IJVectorPrint)";
            return Err(Error::file(binary(name, 0), text));
        }
        let text = "there is no such file: no part of hypre's IJ format";
        return Err(Error::file(part(name, 0), text));
    };
    if let Some((missing, _)) = (0..).zip(&numbered).find(|(k, there)| k != *there) {
        let text = format!(
            "there is no such file; the last part is {} (if that is none, move it away)",
            part(name, last).display()
        );
        return Err(Error::file(part(name, missing), text));
    }
    Ok((0..=last).map(|k| part(name, k)).collect())
}

/// Bytes of a line: two indices and a value of one digit each.
const SHORTEST_LINE: u64 = 6;

type Text = Lines<Box<dyn BufRead>>;

/// The parts of a file with `H` numbers in their first lines: what those say, and the parts that
/// this rank reads, one open at a time.
struct Parts<const H: usize> {
    name: PathBuf,
    heads: Vec<[i64; H]>,
    mine: Range<usize>,
    current: Option<(usize, Text)>,
}

impl<const H: usize> Parts<H> {
    /// Looks into the parts that this rank reads, and learns how all begin. Collective, in a scope.
    fn open(name: &Path, comm: &Comm) -> Result<Self> {
        let known = match comm.rank() {
            0 => parts(name)?.len() as u64,
            _ => 0,
        };
        let n = comm.all_gather(&[known])?[0][0] as usize;
        let (mine, mut words) = (read_by(comm.rank(), n, comm.size()), Vec::new());
        for k in mine.clone() {
            let path = part(name, k);
            if path.exists() && !path.is_file() {
                return Err(Error::file(
                    path,
                    "is no file, as a part of hypre's IJ format must be",
                ));
            }
            let Source { text, size } = source::open(&path)?;
            words.extend(head::<H>(&mut Lines::new(text, &path))?.map(|number| number as u64));
            words.push(size.most().unwrap_or(0));
        }
        // Readers take their parts in rank order.
        let words = comm.all_gather(&words)?.concat();
        let of_part = || words.chunks_exact(H + 1);
        let heads: Vec<[i64; H]> =
            of_part().map(|words| std::array::from_fn(|k| words[k] as i64)).collect();
        let bytes = of_part().fold(0u64, |sum, words| sum.saturating_add(words[H]));
        for (k, pair) in heads.windows(2).enumerate() {
            for (what, at) in [("rows", 0), ("columns", 2)].into_iter().filter(|(_, at)| *at < H) {
                if pair[0][at + 1] + 1 != pair[1][at] {
                    let text = format!(
                        "its {what} start at {}, after those of {} end at {}",
                        pair[1][at],
                        part(name, k).display(),
                        pair[0][at + 1]
                    );
                    return Err(Error::at(part(name, k + 1), 1, text));
                }
            }
        }
        let parts = Parts { name: name.to_owned(), heads, mine, current: None };
        // Sizes that nothing in the files backs, before memory is set aside for them.
        let [first, last] = parts.ends(0);
        if !backed((last - first + 1) as u64, bytes / SHORTEST_LINE) {
            let text = format!("{} rows in files of {bytes} bytes", last - first + 1);
            return Err(Error::file(part(name, n - 1), text));
        }
        Ok(parts)
    }

    /// First and last number of all parts, of those that stand at `at` and after it.
    fn ends(&self, at: usize) -> [i64; 2] {
        [self.heads[0][at], self.heads[self.heads.len() - 1][at + 1]]
    }

    /// Who owns which of the `n` rows.
    fn space(&self, comm: &Comm, first: i64, n: u64) -> Result<Arc<Space>> {
        if self.heads.len() != comm.size() {
            return Ok(Space::even(comm.clone(), n));
        }
        let starts = self.heads.iter().map(|head| (head[0] - first) as u64);
        Space::from_starts(comm.clone(), starts.chain([n]).collect())
    }

    /// What `entry` makes of the next line of this rank's parts.
    fn next<T>(&mut self, entry: impl Fn(&Text, &[i64; H]) -> Result<T>) -> Result<Option<T>> {
        loop {
            let Some((k, lines)) = &mut self.current else {
                let Some(k) = self.mine.next() else { return Ok(None) };
                let path = part(&self.name, k);
                let mut lines = Lines::new(source::open(&path)?.text, &path);
                if head::<H>(&mut lines)? != self.heads[k] {
                    return Err(Error::at(path, 1, "was changed while it was read"));
                }
                self.current = Some((k, lines));
                continue;
            };
            if content(lines)? {
                return entry(lines, &self.heads[*k]).map(Some);
            }
            self.current = None;
        }
    }
}

/// The parts of `n` that `rank` of `size` reads: parts stay in the order of ranks.
fn read_by(rank: usize, n: usize, size: usize) -> Range<usize> {
    let first = |rank: usize| (rank as u128 * n as u128).div_ceil(size as u128) as usize;
    first(rank)..first(rank + 1)
}

/// Goes to the next line with anything on it, and sees to it that the line is whole.
fn content(lines: &mut Text) -> Result<bool> {
    let there = lines.advance_to_content(None)?;
    if there && lines.current().last() != Some(&b'\n') {
        return Err(lines.fail("this last line has no end: the file was cut short"));
    }
    Ok(there)
}

/// The first line of a part.
fn head<const H: usize>(lines: &mut Text) -> Result<[i64; H]> {
    let wanted = || match H {
        2 => "first and last row of this part must stand here",
        _ => "first and last row, first and last column of this part must stand here",
    };
    if !content(lines)? {
        return Err(lines.fail(wanted()));
    }
    let words: Option<Vec<i64>> = lines.words().map(integer).collect();
    let head: [i64; H] =
        words.and_then(|words| words.try_into().ok()).ok_or_else(|| lines.fail(wanted()))?;
    for ends in head.chunks_exact(2) {
        if ends[0] < 0 || ends[1] < ends[0] - 1 || ends[1] == i64::MAX {
            return Err(lines.fail(format!("{}..{} is no range of indices", ends[0], ends[1])));
        }
    }
    Ok(head)
}

fn integer(word: &[u8]) -> Option<i64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// The index on the current line within `ends`, both included, counted from the first of `of`.
fn index(lines: &Text, word: Option<&[u8]>, what: &str, ends: [i64; 2], from: i64) -> Result<u64> {
    let word = word.ok_or_else(|| lines.fail(format!("the {what} is missing")))?;
    let [first, last] = ends;
    match integer(word) {
        Some(k) if (first..=last).contains(&k) => Ok((k - from) as u64),
        Some(k) => Err(lines.fail(format!("{what} {k} is not within {first}..{last}"))),
        None => Err(lines.fail(format!("{} is no {what} number", shown(word)))),
    }
}

fn value<'w>(lines: &Text, mut words: impl Iterator<Item = &'w [u8]>) -> Result<f64> {
    let word = words.next().ok_or_else(|| lines.fail("the value is missing"))?;
    let value = match std::str::from_utf8(word).ok().and_then(real) {
        Some(v) if v.is_finite() => v,
        Some(_) => return Err(lines.fail(format!("{} is not finite", shown(word)))),
        None => return Err(lines.fail(format!("{} is not a number", shown(word)))),
    };
    match words.next() {
        Some(word) => Err(lines.fail(format!("{} is one number too many", shown(word)))),
        None => Ok(value),
    }
}

/// Row, column and value on the current line, indices from 0.
fn matrix_entry(
    lines: &Text,
    head: &[i64; 4],
    first: i64,
    cols: [i64; 2],
) -> Result<(u64, u64, f64)> {
    let mut words = lines.words();
    let i = index(lines, words.next(), "row", [head[0], head[1]], first)?;
    let j = index(lines, words.next(), "column", cols, cols[0])?;
    Ok((i, j, value(lines, words)?))
}

/// Row and value on the current line, as an entry of the first column.
fn vector_entry(lines: &Text, head: &[i64; 2], first: i64) -> Result<(u64, u64, f64)> {
    let mut words = lines.words();
    let i = index(lines, words.next(), "row", [head[0], head[1]], first)?;
    Ok((i, 0, value(lines, words)?))
}

/// Where this rank has read an entry a second time: `same` says what is wrong with a line that
/// gives it. Collective, in a scope.
fn given_again<const H: usize>(
    name: &Path,
    comm: &Comm,
    same: impl Fn(&Text, &[i64; H]) -> Result<Option<String>>,
) -> Result<()> {
    let mut parts = Parts::<H>::open(name, comm)?;
    let mut before = false;
    let told = |lines: &Text, head: &[i64; H]| Ok(same(lines, head)?.map(|why| lines.fail(why)));
    while let Some(found) = parts.next(told)? {
        match found {
            Some(second) if before => return Err(second),
            found => before |= found.is_some(),
        }
    }
    Ok(())
}
