//! A system that is given in files, and the keys of `[problem]` that say how they are meant.
use super::known::Known;
use super::{formats, keys};
use crate::Methods;
use precondor_core::comm::Communicator;
use precondor_core::config::Node;
use precondor_core::kernel::random::{Purpose, Stream};
use precondor_core::matrix::{DistCsr, Eliminated, Moved, Partition, Space, Triangle};
use precondor_core::system::System;
use precondor_core::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What `[problem]` says of files.
pub struct Given {
    /// The file of A.
    pub matrix: PathBuf,
    rhs: Option<RightHandSide>,
    /// The triangle that the file has of a symmetric matrix.
    symmetric: Option<Triangle>,
    /// Whether unknowns that identity rows determine are taken out.
    eliminate: bool,
    /// How what is left is spread over the ranks.
    partition: Partition,
    known: Known,
}

/// Where right-hand sides come from.
enum RightHandSide {
    File(PathBuf),
    Ones,
    /// Normal numbers, the same for a row whatever the ranks.
    Random,
}

impl RightHandSide {
    fn from_node(node: &Node) -> Result<Self> {
        Ok(match node.text()? {
            "ones" => RightHandSide::Ones,
            "random" => RightHandSide::Random,
            _ => RightHandSide::File(node.path()?),
        })
    }
}

/// What was read.
pub struct Read {
    /// A as it is solved, and what is known of it.
    pub system: System,
    /// Right-hand sides, one at least, of that system.
    pub b: Vec<Vec<f64>>,
    /// What it was made from, with each of them, where it is not the system of the files.
    pub whole: Option<Vec<Whole>>,
    /// What is to be known of the files, the same on all ranks.
    pub notes: Vec<String>,
}

/// The system of the files, before unknowns were taken out of it and rows spread anew.
#[derive(Clone)]
pub struct Whole {
    space: Arc<Space>,
    /// What was taken out, and the right-hand side that determines it.
    left: Option<(Eliminated, Vec<f64>)>,
    moved: Option<Moved>,
}

impl Whole {
    /// The distribution of its rows.
    pub fn space(&self) -> &Arc<Space> {
        &self.space
    }

    /// What of a vector of the whole system belongs to the rows of the one that is solved. Collective.
    pub fn restrict(&self, x: &[f64]) -> Result<Vec<f64>> {
        let left = self.left.as_ref().map(|(left, _)| left.restrict(x));
        let x = left.as_deref().unwrap_or(x);
        self.moved.as_ref().map_or_else(|| Ok(x.to_vec()), |moved| moved.there(x))
    }

    /// Its solution, out of that of the system that is solved. Collective.
    pub fn solution(&self, x: &[f64]) -> Result<Vec<f64>> {
        let back = self.moved.as_ref().map(|moved| moved.back(x)).transpose()?;
        let x = back.as_deref().unwrap_or(x);
        Ok(self.left.as_ref().map_or_else(|| x.to_vec(), |(left, b)| left.extend(x, b)))
    }

    /// A matrix of the whole system, from which nothing was taken out, on the rows of the one that is solved. Collective.
    pub fn matrix(&self, a: DistCsr) -> Result<DistCsr> {
        match &self.moved {
            Some(moved) => moved.matrix(&a),
            None => Ok(a),
        }
    }
}

impl Given {
    /// Out of the section, for the file that `matrix` names.
    pub fn from_section(matrix: &Node, section: &Node) -> Result<Self> {
        section.only(&keys::of::<keys::Files>())?;
        let symmetric = match section.get("symmetric") {
            None => None,
            Some(node) => match node.text()? {
                "upper" => Some(Triangle::Upper),
                "lower" => Some(Triangle::Lower),
                _ => {
                    let why = "is not \"upper\" or \"lower\", the triangle that the file has of a \
                               symmetric matrix";
                    return Err(node.wrong(why));
                }
            },
        };
        let eliminate = match section.get("eliminate") {
            None => false,
            Some(node) if node.text()? == "identity-rows" => true,
            Some(node) => {
                return Err(
                    node.wrong("is not \"identity-rows\", which is all that can be taken out")
                );
            }
        };
        let rhs = section.get("rhs").map(RightHandSide::from_node).transpose()?;
        let partition = section.get("partition").map(Node::read).transpose()?.unwrap_or_default();
        let known = Known::from_section(section)?;
        Ok(Given { matrix: matrix.path()?, rhs, symmetric, eliminate, partition, known })
    }

    /// Reads the files. Collective, in a scope.
    pub fn read(&self, methods: &Methods) -> Result<Read> {
        let (comm, mut notes) = (methods.comm(), Vec::new());
        let a = formats::read_on_ranks(&self.matrix, comm, &mut notes)?;
        let a = self.in_blocks(a, &self.matrix)?;
        let ones = || vec![vec![1.0; a.n_own()]];
        let b = match &self.rhs {
            Some(RightHandSide::File(path)) => {
                formats::read_right_hand_sides(path, a.space(), &mut notes)?
            }
            Some(RightHandSide::Ones) => ones(),
            Some(RightHandSide::Random) => {
                let stream = Stream::new(Purpose::Test, 0, 0, &[a.n_global()]);
                let first = a.space().start();
                let rows = first..first + a.n_own() as u64;
                vec![rows.map(|row| stream.normal(row)).collect()]
            }
            None => match formats::read_rhs_beside(&self.matrix, a.space())? {
                none if none.is_empty() => ones(),
                columns => columns,
            },
        };
        let mut notes = on_all_ranks(notes, methods)?;
        let known = |a, whole: Option<&Whole>, notes: &mut Vec<String>| {
            let mut said = Vec::new();
            let system = self.known.of(System::new(a), whole, &mut said)?;
            notes.extend(on_all_ranks(said, methods)?);
            Ok::<_, Error>(system)
        };
        let a = match self.symmetric {
            Some(triangle) => mirrored(&a, triangle, &self.matrix)?,
            None => {
                notes.extend(
                    a.one_triangle()?.map(|t| one_triangle(t, &format!("symmetric = \"{t}\""))),
                );
                a
            }
        };
        let space = Arc::clone(a.space());
        let left = self.eliminate.then(|| a.without_identity_rows()).transpose()?;
        if let Some(left) = &left {
            notes.push(match left.count() {
                0 => "eliminate: there are no identity rows".to_owned(),
                count => format!(
                    "{count} of {} unknowns were taken out: their rows have a diagonal entry only",
                    a.n_global()
                ),
            });
        }
        let mut solved = left.as_ref().map_or(a, |left| left.a.clone());
        let block = self.known.block_size.unwrap_or(1) as usize;
        let moved = Moved::of(&solved, self.partition, block)?;
        if let Some(moved) = &moved {
            let spread = moved.matrix(&solved)?;
            let [before, after] = [fetched(&solved)?, fetched(&spread)?];
            notes.push(format!(
                "partition \"{}\": a product fetches {after} entries from other ranks, {before} in the order of \
                 the file",
                self.partition
            ));
            solved = spread;
        }
        if left.is_none() && moved.is_none() {
            return Ok(Read { system: known(solved, None, &mut notes)?, b, whole: None, notes });
        }
        let whole = |b: Vec<f64>| Whole {
            space: Arc::clone(&space),
            left: left.clone().map(|left| (left, b)),
            moved: moved.clone(),
        };
        let right = |b: &Vec<f64>| {
            let kept = match &left {
                Some(left) => left.right_hand_side(b)?,
                None => b.clone(),
            };
            match &moved {
                Some(moved) => moved.there(&kept),
                None => Ok(kept),
            }
        };
        let kept = b.iter().map(right).collect::<Result<_>>()?;
        let whole: Vec<Whole> = b.into_iter().map(whole).collect();
        let system = known(solved, whole.first(), &mut notes)?;
        Ok(Read { system, b: kept, whole: Some(whole), notes })
    }

    /// A matrix out of the file `path`, in whole nodes on each rank. Collective.
    pub fn in_blocks(&self, a: DistCsr, path: &Path) -> Result<DistCsr> {
        let Some(size) = self.known.block_size else { return Ok(a) };
        a.in_blocks(size.into()).map_err(|e| match e {
            Error::Data(why) => Error::file(path, format!("{why}: 'block_size'")),
            other => other,
        })
    }

    /// The files, as they are named.
    pub fn files(&self) -> Vec<&Path> {
        let rhs = match &self.rhs {
            Some(RightHandSide::File(path)) => Some(path),
            _ => None,
        };
        let own = std::iter::once(&self.matrix).chain(rhs).map(PathBuf::as_path);
        own.chain(self.known.files()).collect()
    }

    /// Whether unknowns are taken out.
    pub fn eliminates(&self) -> bool {
        self.eliminate
    }
}

/// Entries that a product with `a` fetches from other ranks, on all ranks. Collective.
fn fetched(a: &DistCsr) -> Result<u64> {
    let mut all = [a.ghost_ids().len() as f64];
    a.space().comm().sum(&mut all)?;
    Ok(all[0] as u64)
}

/// What the first rank notes, on all ranks. Collective.
pub fn on_all_ranks(notes: Vec<String>, methods: &Methods) -> Result<Vec<String>> {
    let said = methods.comm().broadcast(0, notes.join("\n").into_bytes())?;
    Ok(String::from_utf8_lossy(&said).lines().map(str::to_owned).collect())
}

/// The symmetric matrix of which `a`, out of a file, is a triangle. Collective.
pub fn mirrored(a: &DistCsr, triangle: Triangle, path: &Path) -> Result<DistCsr> {
    a.mirrored(triangle).map_err(|e| match e {
        Error::Data(why) => Error::file(path, why),
        other => other,
    })
}

/// What is to be said of a matrix whose entries all lie in one triangle; `key` says that a triangle is meant.
pub fn one_triangle(triangle: Triangle, key: &str) -> String {
    let side = match triangle {
        Triangle::Upper => "above",
        Triangle::Lower => "below",
    };
    format!(
        "all entries lie on the diagonal or {side} it; if the file has one triangle of a symmetric matrix, \
         as PETSc writes MATSBAIJ, say {key}"
    )
}
