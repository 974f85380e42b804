//! Families of problems that a plugin, or a program, brings along: `[problem] kind = NAME` beside the shipped kinds.
//!
//! A [`Family`] is a name, parameters and a recipe; what the recipe gives for one system is an [`Assembly`], which every
//! rank asks for its own rows. Nothing is communicated, so that the numbers cannot depend on ranks, and which seed a system
//! is made under is not the author's business: the host derives it from the user's and from what the system is made for,
//! so that test systems are never training systems.
use crate::comm::{Comm, Communicator};
use crate::kernel::random::{Purpose, seed_for};
use crate::matrix::{DistCsr, NullSpace, NullSpaces, Space};
use crate::precond::Parameters;
use crate::registry::parameters;
use crate::system::{BLOCK_SIZE, NULL_SPACE, System};
use crate::{Error, Result, schema};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

/// Keys of `[problem]` and `[[data]]` that mean something for every kind: parameters of a family have other names.
pub const RESERVED: [&str; 12] = [
    "kind",
    "seed",
    "label",
    "levels",
    "samples",
    "sequence",
    "matrix",
    "matrices",
    "x0",
    "preconditioner_matrix",
    "null_space",
    "left_null_space",
];

/// A family of linear systems A x = b: parameters in, any number of systems out.
///
/// ```
/// use precondor_core::kernel::random::Stream;
/// use precondor_core::problem::{Assembly, Family, Rows};
/// use precondor_core::{Error, Result};
/// use schemars::JsonSchema;
/// use serde::Deserialize;
/// use std::ops::Range;
///
/// /// A chain of masses between two walls, with springs of random stiffness.
/// struct Springs;
///
/// #[derive(Deserialize, JsonSchema)]
/// #[serde(default, deny_unknown_fields)]
/// struct Params {
///     /// Masses.
///     #[schemars(range(min = 1, max = 10_000_000))]
///     masses: u64,
///     /// Stiffnesses lie within 1 and this number.
///     #[schemars(range(min = 1.0, max = 1e6))]
///     contrast: f64,
/// }
///
/// impl Default for Params {
///     fn default() -> Self {
///         Params { masses: 1000, contrast: 100.0 }
///     }
/// }
///
/// struct Chain {
///     masses: u64,
///     contrast: f64,
///     stream: Stream,
/// }
///
/// impl Family for Springs {
///     const NAME: &'static str = "springs";
///     const SUMMARY: &'static str = "a chain of masses and springs between two walls";
///     type Params = Params;
///     type System = Chain;
///     fn system(params: &Params, seed: u64, index: u64) -> Result<Chain> {
///         let Params { masses, contrast } = *params;
///         Ok(Chain { masses, contrast, stream: Stream::under(seed, index, &[]) })
///     }
/// }
///
/// impl Assembly for Chain {
///     fn unknowns(&self) -> u64 {
///         self.masses
///     }
///     fn assemble(&self, rows: Range<u64>, out: &mut Rows) -> Result<()> {
///         // Spring i is before mass i.
///         let stiffness = |i: u64| self.contrast.powf(0.5 + 0.5 * self.stream.signed(i, 0));
///         for i in rows {
///             let (before, after) = (stiffness(i), stiffness(i + 1));
///             let to = [(i > 0).then(|| (i - 1, -before)), (i + 1 < self.masses).then_some((i + 1, -after))];
///             out.row(to.into_iter().flatten().chain([(i, before + after)]));
///             out.rhs(1.0);
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Family: 'static {
    /// What a user types as `kind`: lower-case letters, digits and `-`.
    const NAME: &'static str;
    /// One line for lists.
    const SUMMARY: &'static str;
    /// Its parameters, none of which is called as one of [`RESERVED`]; the key `seed` is the host's.
    type Params: Parameters;
    /// One system.
    type System: Assembly;
    /// System `index` under `seed`, a function of these and the parameters only. Every rank calls it.
    ///
    /// # Errors
    /// [`Error::Parameter`] for what the schema cannot tell.
    fn system(params: &Self::Params, seed: u64, index: u64) -> Result<Self::System>;
}

/// One system of a family, of which every rank asks for its own rows.
pub trait Assembly: Send + Sync {
    /// Rows of A.
    fn unknowns(&self) -> u64;
    /// Unknowns of a node, one after the other; ranks get whole nodes.
    fn block_size(&self) -> usize {
        1
    }
    /// Puts these rows into `out`, one after the other, with what belongs to them.
    ///
    /// # Errors
    /// What goes wrong; on all ranks then.
    fn assemble(&self, rows: Range<u64>, out: &mut Rows) -> Result<()>;
}

/// Rows of a system while it is put together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Where the rows begin in `cols`, and where the last one ends.
    pub(crate) row_ptr: Vec<u32>,
    pub(crate) cols: Vec<u64>,
    pub(crate) values: Vec<f64>,
    pub(crate) rhs: Vec<f64>,
    /// Numbers of the rows by name, with how many a row has.
    pub(crate) aux: BTreeMap<String, (usize, Vec<f64>)>,
    /// Entries of a row that has not ended.
    under_way: Vec<(u64, f64)>,
}

impl Rows {
    /// An entry of the row under way. Columns come in any order; values of a column that comes several times are added up,
    /// in the order that they come in.
    pub fn entry(&mut self, col: u64, value: f64) {
        self.under_way.push((col, value));
    }

    /// Ends the row under way: the next entry is one of the next row.
    pub fn end_row(&mut self) {
        let mut row = std::mem::take(&mut self.under_way);
        row.sort_by_key(|(col, _)| *col);
        let start = self.cols.len();
        for (col, value) in row.drain(..) {
            match self.cols.last() {
                Some(last) if self.cols.len() > start && *last == col => {
                    let at = self.values.len() - 1;
                    self.values[at] += value;
                }
                _ => {
                    self.cols.push(col);
                    self.values.push(value);
                }
            }
        }
        self.under_way = row;
        self.close_row();
    }

    /// The next row, of these columns and values.
    pub fn row(&mut self, entries: impl IntoIterator<Item = (u64, f64)>) {
        self.under_way.extend(entries);
        self.end_row();
    }

    fn close_row(&mut self) {
        if self.row_ptr.is_empty() {
            self.row_ptr.push(0);
        }
        // What has more entries is refused by `checked`.
        self.row_ptr.push(u32::try_from(self.cols.len()).unwrap_or(u32::MAX));
    }

    /// Rows in compressed form, as they stand: `row_ptr` starts at 0.
    ///
    /// # Errors
    /// [`Error::Data`] where the offsets do not fit the entries.
    pub fn extend(&mut self, row_ptr: &[u32], cols: &[u64], values: &[f64]) -> Result<()> {
        let fit = row_ptr.first().is_none_or(|first| *first == 0)
            && row_ptr.is_sorted()
            && row_ptr.last().map_or(0, |last| *last as usize) == cols.len()
            && cols.len() == values.len();
        if !fit {
            return Err(Error::Data(
                "rows: their offsets begin with 0, grow and end with the number of entries".into(),
            ));
        }
        for pair in row_ptr.windows(2) {
            let row = pair[0] as usize..pair[1] as usize;
            self.cols.extend_from_slice(&cols[row.clone()]);
            self.values.extend_from_slice(&values[row]);
            self.close_row();
        }
        Ok(())
    }

    /// The next entry of b. Of a system that gives none, all are 1.
    pub fn rhs(&mut self, value: f64) {
        self.rhs.push(value);
    }

    /// What is known of the next row under `name` ([`COORDINATES`](crate::system::COORDINATES) and its like), as many
    /// numbers for each row.
    pub fn aux(&mut self, name: &str, of_row: &[f64]) {
        match self.aux.get_mut(name) {
            Some((_, values)) => values.extend_from_slice(of_row),
            None => _ = self.aux.insert(name.to_owned(), (of_row.len(), of_row.to_vec())),
        }
    }

    /// As [`aux`](Rows::aux), of many rows, `width` numbers each.
    ///
    /// # Errors
    /// [`Error::Data`] where rows before them had another number each.
    pub fn aux_rows(&mut self, name: &str, width: usize, values: &[f64]) -> Result<()> {
        let (before, all) = self.aux.entry(name.to_owned()).or_insert((width, Vec::new()));
        if *before != width {
            return Err(Error::Data(format!(
                "auxiliary data '{name}': {width} numbers a row after {before}"
            )));
        }
        all.extend_from_slice(values);
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.row_ptr.len().saturating_sub(1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries in compressed form: offsets, global columns and values.
    pub fn entries(&self) -> (&[u32], &[u64], &[f64]) {
        (&self.row_ptr, &self.cols, &self.values)
    }

    /// The right-hand side as far as it was given.
    pub fn right_hand_side(&self) -> &[f64] {
        &self.rhs
    }

    /// What is known of the rows: name, numbers a row, numbers.
    pub fn known(&self) -> impl Iterator<Item = (&str, usize, &[f64])> {
        self.aux.iter().map(|(name, (width, values))| (name.as_str(), *width, values.as_slice()))
    }

    /// Whether these are the rows that were asked for, of a matrix of so many.
    fn checked(mut self, rows: &Range<u64>, unknowns: u64) -> Result<Self> {
        let fail = |why: String| Err(Error::Data(why));
        let n = (rows.end - rows.start) as usize;
        if !self.under_way.is_empty() {
            return fail("entries came after the last row ended".into());
        }
        if self.row_ptr.is_empty() {
            self.row_ptr.push(0);
        }
        if self.len() != n {
            let (first, count) = (rows.start, self.len());
            return fail(format!("{count} rows came, {n} from row {first} on were asked for"));
        }
        if self.cols.len() > u32::MAX as usize {
            return fail(format!("{} entries on one rank are too many", self.cols.len()));
        }
        if !self.rhs.is_empty() && self.rhs.len() != n {
            return fail(format!(
                "the right-hand side has {} entries for {n} rows",
                self.rhs.len()
            ));
        }
        if let Some(i) = self.rhs.iter().position(|b| !b.is_finite()) {
            let (row, value) = (rows.start + i as u64, self.rhs[i]);
            return fail(format!("row {row}: its right-hand side is {value}"));
        }
        for (i, pair) in self.row_ptr.windows(2).enumerate() {
            let (row, of_row) = (rows.start + i as u64, pair[0] as usize..pair[1] as usize);
            let cols = &self.cols[of_row.clone()];
            if let Some(beyond) = cols.iter().find(|col| **col >= unknowns) {
                return fail(format!("row {row}: column {beyond} of a matrix with {unknowns}"));
            }
            if !cols.is_sorted_by(|a, b| a < b) {
                return fail(format!("row {row}: its columns do not increase"));
            }
            if let Some(value) = self.values[of_row].iter().find(|value| !value.is_finite()) {
                return fail(format!("row {row}: an entry is {value}"));
            }
        }
        Ok(self)
    }
}

/// A [`Family`] whose types are forgotten: parameters come as JSON.
pub trait DynFamily: Send + Sync {
    /// What a user types as `kind`.
    fn name(&self) -> &str;
    /// One line for lists.
    fn summary(&self) -> &str;
    /// Version of the library that it comes from.
    fn version(&self) -> &str;
    /// Where it comes from: a path, or `linked in`.
    fn origin(&self) -> String;
    /// JSON schema of the parameters, without `seed`.
    fn schema(&self) -> Value;
    /// System `index` under `seed`.
    ///
    /// # Errors
    /// [`Error::Parameter`] for parameters that the schema does not allow; what the family reports.
    fn system(&self, params: &Value, seed: u64, index: u64) -> Result<Box<dyn Assembly>>;
}

/// A family that is linked in.
pub struct NativeFamily<F> {
    version: &'static str,
    family: PhantomData<fn() -> F>,
}

impl<F: Family> NativeFamily<F> {
    /// The family `F` of a crate of this version.
    pub fn of(version: &'static str) -> Arc<dyn DynFamily> {
        Arc::new(NativeFamily::<F> { version, family: PhantomData })
    }
}

impl<F: Family> DynFamily for NativeFamily<F> {
    fn name(&self) -> &str {
        F::NAME
    }
    fn summary(&self) -> &str {
        F::SUMMARY
    }
    fn version(&self) -> &str {
        self.version
    }
    fn origin(&self) -> String {
        "linked in".into()
    }
    fn schema(&self) -> Value {
        schema::of::<F::Params>().as_ref().clone()
    }
    fn system(&self, params: &Value, seed: u64, index: u64) -> Result<Box<dyn Assembly>> {
        Ok(Box::new(F::system(&parameters(params)?, seed, index)?))
    }
}

/// Where kinds of problems are looked up that are not shipped.
pub trait Kinds {
    /// The family `name`, where there is one.
    fn family(&self, name: &str) -> Option<Arc<dyn DynFamily>>;
    /// Names of all, for errors.
    fn names(&self) -> Vec<String>;
}

/// None beside the shipped kinds.
pub struct Shipped;

impl Kinds for Shipped {
    fn family(&self, _: &str) -> Option<Arc<dyn DynFamily>> {
        None
    }
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What is wrong with a family's schema, if anything: a parameter whose name is not its own.
pub fn taken_name(of_family: &Value) -> Option<&'static str> {
    let keys = of_family["properties"].as_object()?;
    RESERVED.into_iter().find(|key| keys.contains_key(*key))
}

/// The schema of `[problem]` for a family: its own parameters, and the seed.
pub fn with_seed(of_family: &Value) -> Value {
    let mut schema = of_family.clone();
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    schema["properties"]["seed"] = json!({
        "description": "Seed of the random numbers: other systems for every other number.",
        "type": "integer", "format": "uint64", "minimum": 0, "default": 0,
    });
    schema
}

/// A problem of a [`DynFamily`]: its parameters, all of them, and a seed.
#[derive(Clone)]
pub struct OfFamily {
    family: Arc<dyn DynFamily>,
    params: Map<String, Value>,
    seed: u64,
}

impl std::fmt::Debug for OfFamily {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OfFamily").field("problem", &self.to_json()).finish_non_exhaustive()
    }
}

impl PartialEq for OfFamily {
    fn eq(&self, other: &Self) -> bool {
        self.to_json() == other.to_json() && self.family.origin() == other.family.origin()
    }
}

impl OfFamily {
    /// The problem of these parameters and, among them, the seed; what is left out has its default.
    ///
    /// # Errors
    /// [`Error::Parameter`] for what the schema does not allow.
    pub fn new(family: Arc<dyn DynFamily>, given: &Value) -> Result<Self> {
        let schema = with_seed(&family.schema());
        schema::check(&schema, given)?;
        let mut params = given.as_object().cloned().unwrap_or_default();
        for (key, of) in schema["properties"].as_object().into_iter().flatten() {
            if let (false, Some(default)) = (params.contains_key(key), of.get("default")) {
                params.insert(key.clone(), default.clone());
            }
        }
        let seed = params.remove("seed").and_then(|seed| seed.as_u64()).unwrap_or_default();
        Ok(OfFamily { family, params, seed })
    }

    /// The family.
    pub fn family(&self) -> &Arc<dyn DynFamily> {
        &self.family
    }

    pub(super) fn to_json(&self) -> Value {
        let mut doc = Value::Object(self.params.clone());
        doc["kind"] = self.family.name().into();
        doc["seed"] = self.seed.into();
        doc
    }

    /// System `index` for `purpose`, and its right-hand side. Collective.
    pub(super) fn make(
        &self,
        comm: &Comm,
        purpose: Purpose,
        index: u64,
    ) -> Result<(System, Vec<f64>)> {
        let made = comm.scope(|| assembled(comm, &*self.assembly(purpose, index)?));
        made.map_err(|e| e.inside(self.family.name()))
    }

    /// System `index` for `purpose`, whose rows anybody may ask for.
    ///
    /// # Errors
    /// What the family reports.
    pub fn assembly(&self, purpose: Purpose, index: u64) -> Result<Box<dyn Assembly>> {
        let params = Value::Object(self.params.clone());
        self.family.system(&params, seed_for(purpose, self.seed), index)
    }

    /// The same problem under another seed.
    #[must_use]
    pub fn seeded(&self, seed: u64) -> Self {
        OfFamily { seed, ..self.clone() }
    }
}

/// The system that the ranks' rows make up. Collective.
fn assembled(comm: &Comm, system: &dyn Assembly) -> Result<(System, Vec<f64>)> {
    let (n, block) = (system.unknowns(), system.block_size() as u64);
    if n == 0 || block == 0 || !n.is_multiple_of(block) {
        return Err(Error::Data(format!("{n} unknowns in nodes of {block}")));
    }
    let mut on_ranks = [n as f64, -(n as f64)];
    comm.max(&mut on_ranks)?;
    if on_ranks[0] != -on_ranks[1] {
        return Err(Error::Data(format!("{n} unknowns here, another number on another rank")));
    }
    let nodes = Space::even(comm.clone(), n / block);
    let starts = nodes.starts().iter().map(|start| start * block).collect();
    let space = Space::from_starts(comm.clone(), starts)?;
    let own = space.start()..space.start() + space.n_own() as u64;
    let mut rows = Rows::default();
    system.assemble(own.clone(), &mut rows)?;
    let Rows { row_ptr, cols, values, mut rhs, mut aux, .. } = rows.checked(&own, n)?;
    let a = DistCsr::from_rows(&space, &row_ptr, &cols, &values)?;
    let null = aux.remove(NULL_SPACE).map(|(width, by_rows)| {
        let fits = width > 0 && by_rows.len() == width * space.n_own();
        let wrong = || Error::Data(format!("'{NULL_SPACE}': {} numbers", by_rows.len()));
        if !fits {
            return Err(wrong());
        }
        let vector = |k: usize| by_rows.iter().skip(k).step_by(width).copied().collect();
        NullSpace::new(&space, (0..width).map(vector).collect(), "the problem's")
    });
    let mut made = System::new(a);
    if let Some(null) = null.transpose()? {
        made = made.with_null_spaces(NullSpaces::symmetric(null));
    }
    for (name, (width, values)) in aux {
        made = made.with_aux(&name, width, values)?;
    }
    if block > 1 && made.aux(BLOCK_SIZE).is_none() {
        made = made.with_block_size(block as usize)?;
    }
    if rhs.is_empty() {
        rhs = vec![1.0; space.n_own()];
    }
    Ok((made, rhs))
}
