//! The file of a saved preconditioner: what its header says, and what is checked against it.
use super::container::{self, Array, unwritable};
use super::digest::Digest;
use super::rows::{self, Rows};
use crate::comm::{Comm, Communicator};
use crate::instance::Instance;
use crate::matrix::{ExplicitKind, Space};
use crate::precond::Properties;
use crate::ready::Ready;
use crate::registry::{DynGenerator, was_called};
use crate::system::System;
use crate::{Error, Result, input, schema};
use safetensors::tensor::Dtype;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Key of the header of a file.
const KEY: &str = "precondor-preconditioner";

/// Layout of the file that this program writes, and the only one that it reads.
pub const FORMAT: u32 = 2;

/// What is known of stored rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// M itself, or a factor of it.
    pub kind: ExplicitKind,
    /// [`Properties::symmetric`].
    pub symmetric: bool,
    /// [`Properties::positive_definite`].
    pub positive_definite: bool,
    /// [`Properties::constant`].
    pub constant: bool,
    /// [`Properties::rank_independent`].
    pub rank_independent: bool,
    /// What the method had to say about this M.
    pub notes: Vec<String>,
}

impl About {
    pub(super) fn new(kind: ExplicitKind, of_m: Properties, notes: Vec<String>) -> Self {
        let Properties { symmetric, positive_definite, constant, rank_independent } = of_m;
        About { kind, symmetric, positive_definite, constant, rank_independent, notes }
    }

    /// What a solver may assume about M.
    pub fn properties(&self) -> Properties {
        let About { symmetric, positive_definite, constant, rank_independent, .. } = *self;
        Properties { symmetric, positive_definite, constant, rank_independent }
    }
}

/// What a file says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// The method that made M.
    pub method: String,
    /// Version of the library that it came from.
    pub version: String,
    /// Its parameters, as they were given.
    pub parameters: Value,
    /// Rows of A.
    pub n: u64,
    /// [`Digest::pattern`] of A.
    pub pattern: String,
    /// [`Digest::values`] of A.
    pub values: String,
    /// First row of each rank that wrote it, then `n`.
    pub starts: Vec<u64>,
    /// What the rows are; none where each rank's bytes are kept as they are.
    pub rows: Option<About>,
}

/// The content of a file for `m`, which `method` made with `params` for `system`: on rank 0, nothing
/// elsewhere. Collective.
///
/// # Errors
/// [`Error::Unsupported`] where the method cannot save this M; what it reports.
pub fn gather(
    method: &dyn DynGenerator,
    params: &Value,
    m: &dyn Instance,
    system: &System,
) -> Result<Option<Vec<u8>>> {
    let space = system.a().space();
    let comm = space.comm();
    comm.scope(|| {
        let mut send = vec![Vec::new(); comm.size()];
        send[0] = m.save()?;
        let digest = Digest::of(system.a())?;
        let parts = comm.all_to_all(&send)?;
        if comm.rank() > 0 {
            return Ok(None);
        }
        let (about, arrays) = match parts.iter().all(|part| rows::are_rows(part)) {
            true => {
                let mut whole = Rows::decode(&parts[0], space.n_global())?;
                for part in &parts[1..] {
                    whole.append(&Rows::decode(part, space.n_global())?)?;
                }
                let arrays = whole.arrays().into();
                (Some(whole.about), arrays)
            }
            false => (None, opaque(parts)),
        };
        let header = Header {
            format: FORMAT,
            method: method.name().to_owned(),
            version: method.version().to_owned(),
            parameters: params.clone(),
            n: space.n_global(),
            pattern: digest.pattern,
            values: digest.values,
            starts: space.starts().to_vec(),
            rows: about,
        };
        let header = serde_json::to_string(&header).map_err(unwritable)?;
        container::write_sealed(KEY, &header, arrays).map(Some)
    })
}

/// Each rank's bytes as an array, in order of their names.
fn opaque(parts: Vec<Vec<u8>>) -> Vec<Array> {
    let array = |(rank, data): (usize, Vec<u8>)| Array {
        name: name_of(rank),
        dtype: Dtype::U8,
        len: data.len(),
        data,
    };
    parts.into_iter().enumerate().map(array).collect()
}

fn name_of(rank: usize) -> String {
    format!("rank.{rank:08}")
}

/// A file that was opened: its header on all ranks, the rest on rank 0.
pub struct Opened {
    path: PathBuf,
    header: Header,
    bytes: Vec<u8>,
    /// To read it.
    taken: Duration,
}

impl Opened {
    /// Reads the file at `path`, on rank 0. Collective.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read, is damaged, or is no saved preconditioner.
    pub fn read(comm: &Comm, path: &Path) -> Result<Self> {
        Self::of(comm, path, || input::read(path).map_err(|e| Error::file(path, e)))
    }

    /// As [`read`](Opened::read), with the content that `read` gives on rank 0, under the name
    /// `path`. Collective.
    ///
    /// # Errors
    /// As [`read`](Opened::read).
    pub fn of(comm: &Comm, path: &Path, read: impl FnOnce() -> Result<Vec<u8>>) -> Result<Self> {
        let start = Instant::now();
        comm.scope(|| {
            let (mut bytes, mut header) = (Vec::new(), Vec::new());
            if comm.rank() == 0 {
                bytes = read()?;
                header = text(&bytes).map_err(|e| Error::file(path, e))?.into_bytes();
            }
            let text = comm.broadcast(0, header)?;
            let header = serde_json::from_slice(&text).map_err(|e| Error::file(path, e))?;
            Ok(Opened { path: path.to_owned(), header, bytes, taken: start.elapsed() })
        })
    }

    /// The file, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says about itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// M for `system`, through `method` with `params`; its time is that of reading the file, too. Collective.
    ///
    /// # Errors
    /// [`Error::File`] where the file belongs to another method, another version, other parameters
    /// or another matrix, or where its content is damaged; what the method reports.
    pub fn load(
        &self,
        method: &dyn DynGenerator,
        params: &Value,
        system: &System,
    ) -> Result<Ready> {
        let start = Instant::now();
        let (a, header) = (system.a(), &self.header);
        let refuse = |why: String| Error::file(&self.path, why);
        header.belongs(method, params).map_err(refuse)?;
        if header.n != a.n_global() {
            let there = a.n_global();
            return Err(refuse(format!(
                "it was saved for a matrix of {} rows, this one has {there}",
                header.n
            )));
        }
        let digest = Digest::of(a)?;
        if digest.pattern != header.pattern {
            return Err(refuse(
                "it was saved for a matrix with another sparsity pattern: generate it anew".into(),
            ));
        }
        let mut remarks = Vec::new();
        if digest.values != header.values {
            remarks.push(
                "loaded: A has other values than when it was saved, so M is that of another matrix"
                    .into(),
            );
        }
        if header.starts != a.space().starts() {
            let (then, now) = (header.starts.len() - 1, a.space().comm().size());
            if header.rows.is_none() {
                return Err(refuse(format!(
                    "{} keeps each rank's part as it is, so it can be loaded on the {then} rank(s) \
                     and rows that it was saved from only, not on these {now}",
                    header.method
                )));
            }
            remarks.push(format!("loaded: saved on {then} rank(s), spread anew over {now}"));
        }
        let comm = a.space().comm();
        let mine = comm.scope(|| {
            let send = match comm.rank() {
                0 => self.parts(a.space()).map_err(|e| Error::file(&self.path, e))?,
                _ => vec![Vec::new(); comm.size()],
            };
            Ok(comm.all_to_all(&send)?.swap_remove(0))
        })?;
        let m = method.load(params, &mine, system);
        let m = m.map_err(|e| e.inside(self.path.display().to_string()))?;
        Ok(Ready::new(m, self.taken + start.elapsed(), remarks))
    }

    /// The bytes of each rank.
    fn parts(&self, space: &Space) -> Result<Vec<Vec<u8>>> {
        let arrays = container::read(&self.bytes)?;
        let ranks = 0..space.comm().size();
        let Some(about) = &self.header.rows else {
            let bytes = |rank| Ok(container::array(&arrays, &name_of(rank))?.2.to_vec());
            return ranks.map(bytes).collect();
        };
        let whole = Rows::from_arrays(&arrays, about.clone(), self.header.n)?;
        if whole.len() as u64 != self.header.n {
            return Err(Error::Data(format!("{} rows of {}", whole.len(), self.header.n)));
        }
        let starts = space.starts();
        let part =
            |rank: usize| whole.part(starts[rank] as usize..starts[rank + 1] as usize)?.write();
        ranks.map(part).collect()
    }
}

/// The header's text, after a look at what it says.
fn text(bytes: &[u8]) -> Result<String> {
    let text = container::header(bytes, KEY)?;
    let bad = |why: String| Error::Data(format!("its '{KEY}' entry {why}"));
    let value: Value =
        serde_json::from_str(&text).map_err(|e| bad(format!("is not JSON ({e})")))?;
    if value["format"] != FORMAT {
        let there = &value["format"];
        let text = format!("says format {there}; this program reads format {FORMAT}: save it anew");
        return Err(bad(text));
    }
    container::check_seal(bytes)?;
    let header: Header =
        serde_json::from_value(value).map_err(|e| bad(format!("is not understood ({e})")))?;
    let sound = header.starts.first() == Some(&0)
        && header.starts.len() > 1
        && header.starts.last() == Some(&header.n)
        && header.starts.windows(2).all(|w| w[0] <= w[1]);
    if !sound {
        return Err(bad(format!("says rows {:?} of {}", header.starts, header.n)));
    }
    Ok(text)
}

impl Header {
    /// Whether `method` with `params` may load it; else why not.
    fn belongs(
        &self,
        method: &dyn DynGenerator,
        params: &Value,
    ) -> std::result::Result<(), String> {
        if self.method != method.name() && !was_called(method, &self.method) {
            return Err(format!(
                "it holds a preconditioner of the method '{}', not of '{}'",
                self.method,
                method.name()
            ));
        }
        if !compatible(&self.version, method.version()) {
            return Err(format!(
                "it was saved by {} {}, this is version {}: save it anew",
                self.method,
                self.version,
                method.version()
            ));
        }
        let schema = method.schema();
        let [saved, asked] = [&self.parameters, params].map(|p| complete(&schema, p));
        let keys: std::collections::BTreeSet<&String> = saved.keys().chain(asked.keys()).collect();
        let differ = |key: &&&String| !equal(saved.get(**key), asked.get(**key));
        if let Some(key) = keys.iter().find(differ) {
            let show = |p: &Map<String, Value>| p.get(*key).map_or("none".into(), Value::to_string);
            return Err(format!(
                "it was saved with {} {key} = {}, {} is asked for",
                self.method,
                show(&saved),
                show(&asked)
            ));
        }
        Ok(())
    }
}

/// Parameters with the defaults of the schema; without those that are null.
fn complete(schema: &Value, params: &Value) -> Map<String, Value> {
    let mut all = Map::new();
    for (key, of_key) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(default) = of_key.get("default") {
            all.insert(key.clone(), default.clone());
        }
    }
    let today = schema::under_todays_names(schema, params);
    for (key, value) in today.as_object().into_iter().flatten() {
        all.insert(key.clone(), value.clone());
    }
    all.retain(|_, value| !value.is_null());
    all
}

/// Equality of JSON for which 1 and 1.0 are the same number.
fn equal(one: Option<&Value>, other: Option<&Value>) -> bool {
    match (one, other) {
        (Some(Value::Number(x)), Some(Value::Number(y))) => x.as_f64() == y.as_f64(),
        (Some(Value::Array(x)), Some(Value::Array(y))) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| equal(Some(x), Some(y)))
        }
        (Some(Value::Object(x)), Some(Value::Object(y))) => {
            x.len() == y.len() && x.iter().all(|(key, x)| equal(Some(x), y.get(key)))
        }
        (one, other) => one == other,
    }
}

/// Whether one version reads what the other wrote: the same major number, and the same minor number
/// before 1.0.
fn compatible(saved: &str, this: &str) -> bool {
    let numbers = |text: &str| {
        let mut parts = text.split('.').map(|part| part.parse::<u64>().ok());
        let major = parts.next().flatten()?;
        Some((major, if major == 0 { parts.next().flatten() } else { None }))
    };
    saved == this || numbers(saved).is_some_and(|of| numbers(this) == Some(of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compatible_as_semantic_versioning_says() {
        for (saved, this, expected) in [
            ("0.1.0", "0.1.7", true),
            ("0.1.0", "0.2.0", false),
            ("1.2.3", "1.9.0", true),
            ("1.2.3", "2.0.0", false),
            ("mine", "mine", true),
            ("mine", "yours", false),
        ] {
            assert_eq!(compatible(saved, this), expected, "{saved} {this}");
        }
    }
}
