//! The keys of the sections that the program itself reads, as schemas: their one statement, out of which come
//! `precondor describe`, `precondor schema` and the check of misspelt keys.
use precondor_core::schema;
use schemars::JsonSchema;
use serde_json::Value;

/// A system in files: the section `[problem]` where it has the key `matrix`.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "the schema is read, the fields are not")]
pub struct Files {
    /// The file of A: Matrix Market or Harwell-Boeing, gzipped or not, SciPy's npz, PETSc's binary format, or hypre's IJ
    /// format, named by what its parts have in common.
    #[schemars(extend("x-precondor-file" = true))]
    pub matrix: String,
    /// The file of b, of whose columns `solve` takes each; or "ones" or "random". Left out: what stands behind A in a file
    /// of PETSc or Harwell and Boeing, else ones.
    #[schemars(extend("x-precondor-file" = true))]
    pub rhs: Option<String>,
    /// The triangle that the file has of a symmetric matrix.
    pub symmetric: Option<Triangle>,
    /// Take unknowns out that their row determines, and put them back into the solution.
    pub eliminate: Option<Eliminate>,
    /// Where the unknowns are, for methods that ask for it: a file with a column for each coordinate, 1 to 3, and a
    /// row for each unknown, or for each node where there is a `block_size`. Of a list of files, all columns.
    #[schemars(extend("x-precondor-file" = true))]
    pub coordinates: Option<OneOrMore>,
    /// Vectors that A takes to nearly zero (rigid body modes), for methods that ask for them: the columns of a file,
    /// or of a list of files.
    #[schemars(extend("x-precondor-file" = true))]
    pub near_null_space: Option<OneOrMore>,
    /// Unknowns of a node, one after the other in A. Ranks get whole nodes.
    #[schemars(range(min = 1))]
    pub block_size: Option<u32>,
    /// The file of the coefficient of the differential equation at each unknown, a positive number, for methods that
    /// ask for it.
    #[schemars(extend("x-precondor-file" = true))]
    pub coefficient: Option<String>,
    /// How the rows are spread over the ranks: as they stand, or anew, for files whose neighbours are numbered far apart.
    /// The solution comes in the order of the file.
    #[serde(default)]
    pub partition: precondor_core::matrix::Partition,
}

/// Many systems in files: the section `[problem]` where it has the key `matrices`. What else it says holds for all
/// of them.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "the schema is read, the fields are not")]
pub struct Suite {
    /// Files of matrices, `"folder/*.mtx"`, each a system with a table of its own and a part in those over the suite:
    /// patterns, whose files come in natural order, names, and tables with the keys of a system in files.
    #[schemars(required)]
    pub matrices: Matrices,
    /// "ones" or "random", or a pattern that finds a file for each matrix, `"folder/b*.mtx"`, both in natural order. Left
    /// out: what stands behind each matrix in its file, else ones.
    pub rhs: Option<String>,
    /// The triangle that the files have of symmetric matrices.
    pub symmetric: Option<Triangle>,
    /// Take unknowns out that their row determines, and put them back into the solution.
    pub eliminate: Option<Eliminate>,
    /// Unknowns of a node, one after the other in A. Ranks get whole nodes.
    #[schemars(range(min = 1))]
    pub block_size: Option<u32>,
    /// How the rows are spread over the ranks: as they stand, or anew, for files whose neighbours are numbered far apart.
    /// The solution comes in the order of each file.
    #[serde(default)]
    pub partition: precondor_core::matrix::Partition,
    /// The null space of singular matrices: "constant" or "none". Left out: what can be seen in each.
    pub null_space: Option<String>,
    /// That of their transposes.
    pub left_null_space: Option<String>,
}

/// What `[data]` takes beside `matrices`.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "the schema is read, the fields are not")]
pub struct Held {
    /// Whether the files of this section are held back for validation; in a single section, the share of them that is, from
    /// the end. Left out: an eighth where there are eight or more.
    pub validation: Option<WholeOrShare>,
}

/// All or none of some files, or a share of them.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "the schema is read, the fields are not")]
pub enum WholeOrShare {
    /// All or none.
    Whole(bool),
    /// A share.
    Share(#[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))] f64),
}

/// What a comparison says beside its sections.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "the schema is read, the fields are not")]
pub struct Comparison {
    /// What the tables are called.
    pub title: Option<String>,
    /// How often every solve is done, with its setup: times are medians. 3 or more tell how far they spread. Runs with
    /// `reuse` or `warm_start` are done once.
    #[schemars(range(min = 1, max = 1000), extend("default" = 1))]
    pub repeats: Option<u32>,
    /// Seconds that setup and solve of a run may take together, on each system. On a single rank a method that does not
    /// stop by then is ended with the process that it runs in. Left out: no limit.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub time_limit: Option<f64>,
    /// Each solve of a run starts from the solution of the one before.
    #[serde(default)]
    pub warm_start: bool,
}

/// Whether, and how, a preconditioner goes on from one system to the next.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "the schema is read, the fields are not")]
pub enum Reused {
    /// As "refresh", or not at all.
    Switch(bool),
    /// As it says.
    Policy(precondor_core::reuse::Reuse),
}

/// What goes with any matrix: more keys of `[problem]`.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "the schema is read, the fields are not")]
pub struct Beside {
    /// The file of the vector to start from. Left out: zero.
    #[schemars(extend("x-precondor-file" = true))]
    pub x0: Option<String>,
    /// The file of the matrix that the preconditioner is made from. Left out: A.
    #[schemars(extend("x-precondor-file" = true))]
    pub preconditioner_matrix: Option<String>,
    /// The null space of a singular A: "constant", "none", or a file of vectors (columns). Left out: what can be seen
    /// in A.
    #[schemars(extend("x-precondor-file" = true))]
    pub null_space: Option<String>,
    /// That of Aᵀ, where A is not symmetric.
    #[schemars(extend("x-precondor-file" = true))]
    pub left_null_space: Option<String>,
}

/// What `compare` and the training data take besides: more keys of `[problem]` and `[data]`.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "the schema is read, the fields are not")]
pub struct Several {
    /// What tables call the problem, where there are several.
    pub label: Option<String>,
    /// Levels of a model problem, in place of `level`: one table, or one family, each.
    pub levels: Option<Vec<u32>>,
    /// Systems of each level; a row of a table is their mean.
    #[schemars(range(min = 1))]
    pub samples: Option<u64>,
    /// The systems are solved in this order, which runs may use (`reuse`, `warm_start`), and a table shows what all of them
    /// take; `matrices` are one case then.
    #[serde(default)]
    pub sequence: bool,
}

/// A row of a comparison: `[[run]]`.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "the schema is read, the fields are not")]
pub struct Run {
    /// What tables call it. Left out: the name of the method.
    pub label: Option<String>,
    /// Tables keep groups apart, each with a winner of its own.
    pub group: Option<String>,
    /// Keys of the section `[solver]` that differ for this row.
    pub solver: Option<serde_json::Map<String, Value>>,
    /// The preconditioner. Left out: none, M = I.
    #[schemars(extend("x-precondor-method" = true))]
    pub preconditioner: Option<Value>,
    /// M goes on from one system to the next: "keep" leaves it as it is for as long as systems are solved with it,
    /// "refresh" (or true) makes it that of every system with what was set up for the pattern, "adaptive" makes it anew
    /// where iterations counted so far say that it pays. Left out, or false: each system has its own.
    pub reuse: Option<Reused>,
    /// Iterations that a setup counts for with `reuse = "adaptive"`. Left out: reckoned from what M stores.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub setup_cost: Option<f64>,
    /// Each solve starts from the solution of the one before; as `warm_start` of the comparison unless given.
    pub warm_start: Option<bool>,
    /// Seconds that setup and solve of this run may take, in place of `time_limit` of the comparison.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub time_limit: Option<f64>,
}

/// Several systems in files.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "the schema is read, the fields are not")]
pub enum Matrices {
    /// A pattern, or a name.
    One(String),
    /// Several, and tables.
    Several(Vec<Item>),
}

/// One of several.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "the schema is read, the fields are not")]
pub enum Item {
    /// A pattern, or a name.
    Pattern(String),
    /// The keys of a system in files, and a `label`.
    System(serde_json::Map<String, Value>),
}

/// One file or several.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "the schema is read, the fields are not")]
pub enum OneOrMore {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// A triangle of a matrix.
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(dead_code, reason = "the schema is read, the variants are not")]
pub enum Triangle {
    /// The diagonal and what is above it (PETSc's MATSBAIJ).
    Upper,
    /// The diagonal and what is below it.
    Lower,
}

/// What can be taken out of a system.
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(dead_code, reason = "the schema is read, the variants are not")]
pub enum Eliminate {
    /// Unknowns whose row has a diagonal entry only: Dirichlet nodes.
    IdentityRows,
}

/// The keys of a schema.
pub fn of<T: JsonSchema + 'static>() -> Vec<String> {
    let schema = schema::of::<T>();
    let keys = schema["properties"].as_object().into_iter().flatten();
    keys.map(|(key, _)| key.clone()).collect()
}
