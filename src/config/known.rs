//! What `[problem]` tells of a user's own matrix beside its entries: auxiliary data of the system.
use super::formats;
use super::given::Whole;
use precondor_core::config::Node;
use precondor_core::matrix::{DistCsr, Space};
use precondor_core::system::{COEFFICIENT, COORDINATES, NEAR_NULL_SPACE, System};
use precondor_core::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is to be read.
#[derive(Default)]
pub struct Known {
    coordinates: Vec<PathBuf>,
    near_null_space: Vec<PathBuf>,
    coefficient: Option<PathBuf>,
    /// Unknowns of a node.
    pub block_size: Option<u32>,
}

impl Known {
    /// Out of the section.
    pub fn from_section(section: &Node) -> Result<Self> {
        let files = |key: &str| -> Result<Vec<PathBuf>> {
            let Some(node) = section.get(key) else { return Ok(Vec::new()) };
            match node.items() {
                [] => Err(node.error(format!("'{key}': at least one file is needed"))),
                items => items.iter().map(Node::path).collect(),
            }
        };
        let block_size = |node: &Node| {
            let size = node.json().as_u64().and_then(|size| u32::try_from(size).ok());
            size.filter(|&size| size > 0)
                .ok_or_else(|| node.wrong("is not the number of unknowns of a node, 1 or more"))
        };
        let known = Known {
            coordinates: files("coordinates")?,
            near_null_space: files("near_null_space")?,
            coefficient: section.get("coefficient").map(Node::path).transpose()?,
            block_size: section.get("block_size").map(block_size).transpose()?,
        };
        match section.get("block_size").filter(|_| section.get("eliminate").is_some()) {
            Some(node) => Err(node.key_error(
                "'block_size': does not go with 'eliminate', which may leave a part of a node",
            )),
            None => Ok(known),
        }
    }

    /// The system with what is known of it; files are as `whole` is, where the system was made from that.
    /// Collective, in a scope.
    pub fn of(
        &self,
        system: System,
        whole: Option<&Whole>,
        notes: &mut Vec<String>,
    ) -> Result<System> {
        let system = match self.block_size {
            Some(size) => system.with_block_size(size as usize)?,
            None => system,
        };
        let nodes = self.block_size.unwrap_or(1);
        let mut columns = |what, files: &[PathBuf], unknowns, most| {
            Columns { what, files, unknowns, most }.read(system.a().space(), whole, notes)
        };
        let places = columns("coordinates", &self.coordinates, nodes, 3)?;
        let near = columns("near null space", &self.near_null_space, 1, usize::MAX)?;
        let coefficient = columns("coefficient", self.coefficient.as_slice(), 1, 1)?;
        if let (Some(path), Some((_, values))) = (&self.coefficient, &coefficient) {
            all_positive(path, values, system.a())?;
        }
        let named = [(COORDINATES, places), (NEAR_NULL_SPACE, near), (COEFFICIENT, coefficient)];
        named.into_iter().try_fold(system, |system, (name, read)| match read {
            Some((width, values)) => system.with_aux(name, width, values),
            None => Ok(system),
        })
    }

    /// The files, as they are named.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let all = self.coordinates.iter().chain(&self.near_null_space).chain(&self.coefficient);
        all.map(PathBuf::as_path)
    }
}

/// Columns of one or several files, side by side.
struct Columns<'a> {
    /// What errors call it.
    what: &'a str,
    files: &'a [PathBuf],
    /// A file may have one row for so many unknowns.
    unknowns: u32,
    /// Columns there may be.
    most: usize,
}

impl Columns<'_> {
    /// Their number and their own entries, row after row; nothing where there is no file. Collective.
    fn read(
        &self,
        space: &Arc<Space>,
        whole: Option<&Whole>,
        notes: &mut Vec<String>,
    ) -> Result<Option<(usize, Vec<f64>)>> {
        let Some(first) = self.files.first() else { return Ok(None) };
        let space = whole.map_or(space, Whole::space);
        let mut columns = Vec::new();
        for file in self.files {
            let per = (self.what, self.unknowns);
            columns.extend(formats::read_vectors_on_ranks(file, space, per, notes)?);
        }
        let (count, what) = (columns.len(), self.what);
        if count == 0 || count > self.most {
            let most = self.most;
            let wanted =
                if most == 1 { "one is needed".into() } else { format!("1 to {most} are") };
            let why = format!("this {what} has {count} columns, where {wanted}");
            return Err(Error::file(first, why));
        }
        if let Some(whole) = whole {
            for column in &mut columns {
                *column = whole.restrict(column)?;
            }
        }
        let rows = 0..columns[0].len();
        let by_rows = rows.flat_map(|i| columns.iter().map(move |column| column[i])).collect();
        Ok(Some((count, by_rows)))
    }
}

/// Refuses a coefficient that is not positive somewhere. Collective.
fn all_positive(path: &Path, values: &[f64], a: &DistCsr) -> Result<()> {
    let first = values.iter().position(|v| *v <= 0.0);
    let found = first.map(|i| (a.global_row(i), values[i]));
    a.space().comm().agree(match found {
        None => Ok(()),
        Some((row, value)) => {
            let why =
                format!("the coefficient is {value} in global row {row}; it must be positive");
            Err(Error::file(path, why))
        }
    })
}
