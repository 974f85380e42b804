//! What `[problem]` may say beside the system itself: where to start from, what the preconditioner is made from, null
//! spaces.
use super::formats;
use super::given::{Given, Whole};
use super::task::Known;
use precondor_core::config::Node;
use precondor_core::matrix::{DistCsr, NullSpace, NullSpaces};
use precondor_core::system::{COEFFICIENT, System};
use precondor_core::{Error, Result};
use std::path::{Path, PathBuf};

/// What may come along with any matrix.
#[derive(Default)]
pub(super) struct More {
    pub x0: Option<PathBuf>,
    pub preconditioner: Option<PathBuf>,
    pub right: Wanted,
    pub left: Wanted,
}

/// A null space that is asked for.
#[derive(Default)]
pub(super) enum Wanted {
    /// What can be seen in the matrix.
    #[default]
    Any,
    None,
    Constant,
    File(PathBuf),
}

/// Takes the keys that go with any matrix out of the section.
pub(super) fn more(section: &mut Node) -> Result<More> {
    let mut file = |key: &str| section.take(key).map(|node| node.path()).transpose();
    let (x0, preconditioner) = (file("x0")?, file("preconditioner_matrix")?);
    let mut wanted = |key: &str| -> Result<Wanted> {
        let Some(node) = section.take(key) else { return Ok(Wanted::Any) };
        Ok(match node.text()? {
            "constant" => Wanted::Constant,
            "none" => Wanted::None,
            _ => Wanted::File(node.path()?),
        })
    };
    Ok(More { x0, preconditioner, right: wanted("null_space")?, left: wanted("left_null_space")? })
}

impl Wanted {
    /// What is asked for, without what was taken out of the whole system. Collective.
    fn read(
        &self,
        a: &DistCsr,
        whole: Option<&Whole>,
        notes: &mut Vec<String>,
    ) -> Result<Option<NullSpace>> {
        match self {
            Wanted::Any | Wanted::None => Ok(None),
            Wanted::Constant => NullSpace::constant(a.space()).map(Some),
            Wanted::File(path) => {
                let space = whole.map_or(a.space(), Whole::space);
                let what = ("null space", 1);
                let mut vectors = formats::read_vectors_on_ranks(path, space, what, notes)?;
                if let Some(whole) = whole {
                    for v in &mut vectors {
                        *v = whole.restrict(v)?;
                    }
                }
                let name = match vectors.len() {
                    1 => format!("the vector of {}", path.display()),
                    n => format!("the {n} vectors of {}", path.display()),
                };
                let read = NullSpace::new(a.space(), vectors, &name);
                read.map(Some).map_err(|e| in_file(path, e))
            }
        }
    }
}

/// The matrix that the preconditioner is made from: an approximation of A, of which the same is known.
pub(super) fn beside(system: &System, p: DistCsr) -> Result<System> {
    let other = system.with_matrix(p)?;
    match system.coefficient() {
        Some(aux) => other.with_aux(COEFFICIENT, aux.width, aux.values.to_vec()),
        None => Ok(other),
    }
}

/// An error of what a file holds, told of the file.
fn in_file(path: &Path, error: Error) -> Error {
    match error {
        Error::Data(why) => Error::file(path, why),
        other => other,
    }
}

impl More {
    /// The null spaces of `a`: those given, else what can be seen. Collective.
    pub fn null_spaces(
        &self,
        a: &DistCsr,
        whole: Option<&Whole>,
        notes: &mut Vec<String>,
    ) -> Result<Option<(NullSpaces, Known)>> {
        let (right, left) = (self.right.read(a, whole, notes)?, self.left.read(a, whole, notes)?);
        if right.is_some() || left.is_some() {
            let mut null = NullSpaces::given(a, right, left)?;
            // The other side of an unsymmetric A may still be seen.
            if (null.right.is_none() || null.left.is_none())
                && let Some(found) = NullSpaces::find(a)?
            {
                if matches!(self.right, Wanted::Any) {
                    null.right = null.right.or(found.right);
                }
                if matches!(self.left, Wanted::Any) {
                    null.left = null.left.or(found.left);
                }
            }
            return Ok(Some((null, Known::Given)));
        }
        if matches!(self.right, Wanted::None) || matches!(self.left, Wanted::None) {
            return Ok(None);
        }
        Ok(NullSpaces::find(a)?.map(|null| (null, Known::Found)))
    }

    /// The matrix that the preconditioner is made from, where it is another one. Collective.
    pub fn preconditioner(
        &self,
        a: &DistCsr,
        (given, whole): (Option<&Given>, Option<&Whole>),
        notes: &mut Vec<String>,
    ) -> Result<Option<DistCsr>> {
        let Some(path) = &self.preconditioner else { return Ok(None) };
        let before = notes.len();
        let mut p = formats::read_on_ranks(path, a.space().comm(), notes)?;
        if let Some(given) = given {
            p = given.in_blocks(p, path)?;
        }
        let of = "the preconditioner's matrix";
        notes[before..].iter_mut().for_each(|note| *note = format!("{of}: {note}"));
        if p.n_global() != a.n_global() {
            return Err(Error::file(
                path,
                format!(
                    "the preconditioner's matrix has {} rows, A has {}",
                    p.n_global(),
                    a.n_global()
                ),
            ));
        }
        let space = whole.map_or(a.space(), Whole::space);
        if p.space().starts() != space.starts() {
            return Err(Error::file(
                path,
                "the preconditioner's matrix is spread over the ranks in another way than A: write \
                 both in the same format, with the same parts",
            ));
        }
        let p = match whole {
            Some(whole) => whole.matrix(p)?,
            None => p,
        };
        Ok(Some(match NullSpaces::find(&p)? {
            Some(null) => p.with_null_spaces(null),
            None => p,
        }))
    }
}
